//! What the Redis store promises beyond the contract: how it behaves while Redis fails.
