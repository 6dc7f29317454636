//! What Portcullis promises, one file a promise, each on whole gateways with real sockets and stores.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing where something must be has failed")]

mod admin;
mod browser;
mod caps;
mod cli;
mod cookies;
mod cors;
mod exhaustion;
mod failure;
mod forwarding;
mod grpc;
mod http2;
mod identity;
mod invariants;
mod known_tokens;
mod leases;
mod lifecycle;
mod limits;
mod login;
mod logout;
mod pages;
mod policies;
mod posts;
mod process;
mod readme;
mod recheck;
mod refusals;
mod replicated;
mod revoke_on;
mod rotation;
mod round_trips;
mod silence;
mod streams;
mod tls;
mod tokens;
mod webhook;
mod workers;
