//! What an attacker would try, one file a way in and one row a try: each names where it is known from and the
//! refusal that must come back, on whole gateways with a recording upstream behind them.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod answers;
mod differential;
mod enumeration;
mod framing;
mod headers;
mod hosts;
mod http2;
mod injection;
mod large;
mod overload;
mod panics;
mod paths;
mod responses;
mod sessions;
mod slow;
mod tokens;
