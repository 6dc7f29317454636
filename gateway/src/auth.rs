//! x

pub mod verify;
pub use verify::VerifyError;
