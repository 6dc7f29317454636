//! The harness: whole gateways in process, on real sockets, with a real Redis and real upstreams, each
//! test with its own. Time moves by [`Stack::clock`], stores are stopped and stalled on purpose, and a
//! recording upstream shows exactly what reached it. Nothing here asserts; the tests do.

mod attack;
mod balancer;
pub mod bench;
mod browser;
mod client;
mod echo;
mod forge;
pub mod http2;
#[path = "../../backend/tests/support/postgres.rs"]
mod postgres;
mod program;
mod recorder;
mod redis;
mod stack;
mod switch;
mod tls;
mod visitor;

pub use attack::{Attack, assert_refused};
pub use balancer::Balancer;
pub use browser::Chromium;
pub use client::{Answer, Client};
pub use echo::Echo;
pub use forge::Forge;
pub use program::listening;
pub use recorder::{Recorded, Recorder};
pub use redis::Redis;
pub use stack::{Builder, Kind, Stack, eventually, raw};
pub use switch::Switch;
pub use tls::{Authority, Dribble, Issued, TlsClient};
pub use visitor::Visitor;

/// Makes one test for each store of an async function that takes a [`Kind`].
#[macro_export]
macro_rules! on_both_stores {
    ($($(#[$doc:meta])* async fn $name:ident($kind:ident: Kind) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                $(#[$doc])*
                async fn promise($kind: Kind) $body

                #[tokio::test(flavor = "multi_thread")]
                async fn on_embedded() {
                    promise(Kind::Embedded).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn on_redis() {
                    promise(Kind::Redis).await;
                }
            }
        )+
    };
}
