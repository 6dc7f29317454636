//! What the embedded store promises beyond the contract: it survives restarts, and shares its file.
