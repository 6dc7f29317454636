//! The posts and users service that stands behind the gateway: registration, credential checks, profiles
//! and posts over HTTP/1, kept in SQLite or PostgreSQL. It relies on the gateway to say who is calling
//! (`X-User-Id`) and never issues, reads or checks a token itself.
//!
//! Start reading in [`app`](crate::App): the journey of a request. [`Server::start`] runs the whole service
//! in process; the binary only adds a command line, logs and signals.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use portcullis_backend::{Config, DatabaseUrl, Server};
//!
//! let database = DatabaseUrl::parse("sqlite:data/backend.db")?;
//! let server = Server::start(Config::new("127.0.0.1:0".parse()?, database)).await?;
//! println!("listening on {}", server.address());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod app;
mod call;
pub mod clock;
mod config;
mod endpoints;
mod fields;
pub mod hashing;
pub mod ids;
mod metrics;
pub mod password;
pub mod post;
mod problem;
mod refusal;
mod reply;
mod routes;
mod server;
pub mod store;
pub mod user;

pub use app::App;
pub use config::{Config, ConfigError, DatabaseUrl, GatewaySecret};
pub use server::{Server, ServerError, Stopped};
