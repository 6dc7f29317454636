//! What the service answers, over real sockets: every endpoint, every refusal.

mod edges;
mod lifecycle;
mod passwords;
mod posts;
#[path = "../support/service.rs"]
mod service;
mod users;
