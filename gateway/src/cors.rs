//! Pages of other origins: which are trusted, as their browsers name them. What a trusted one may do is for
//! those to say who ask. Nothing here knows the engine.

mod origins;

pub use origins::{OriginError, Origins, can_be_forged};
