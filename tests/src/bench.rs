//! What benchmarks share: just enough HTTP/1.1 for both ends, an API that answers at once and keeps nothing, clients
//! that ask as fast as they are answered or at a fixed rate, what a process costs, and percentiles. It relies on nothing
//! of the gateway. Nothing here judges; the benchmarks do.

pub mod lean;
pub mod load;
pub mod process;
pub mod times;
pub mod upstream;
pub mod wire;
