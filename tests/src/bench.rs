//! What benchmarks share: just enough HTTP/1.1 for both ends, an API that answers at once and keeps nothing, and
//! percentiles. It relies on nothing of the gateway. Nothing here measures; the benchmarks do.

pub mod times;
pub mod upstream;
pub mod wire;
