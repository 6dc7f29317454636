//! Portcullis, an edge auth gateway: login, sessions, tokens, limits and load balancing in front of any
//! HTTP API. Start reading at `gateway.rs`, the journey of a request; `ARCHITECTURE.md` is the map.
//! The library exists so that tests can run whole gateways; its API promises nothing to others.

pub mod admin;
pub mod app;
pub mod auth;
pub mod certificates;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod cookies;
pub mod cors;
pub mod csrf;
mod decimal;
pub mod descriptors;
pub mod gateway;
mod heads;
pub mod identity;
pub mod ids;
pub mod inbound;
pub mod journey;
pub mod limit;
pub mod limiter;
pub mod listener;
pub mod metrics;
pub mod outgoing;
pub mod overload;
pub mod pages;
pub mod panics;
pub mod policy;
pub mod problem;
pub mod reply;
pub mod revocation;
pub mod routing;
pub mod secret;
pub mod session;
pub mod store;
pub mod streams;
pub mod telemetry;
pub mod upstream;
pub mod webhook;

/// The program's own, so that tests measure memory as it is there.
#[cfg(all(test, feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
