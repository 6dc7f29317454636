//! What the engine costs by itself: a pass-through on Pingora's own server and one thread, with nothing of ours in it.
//! It relies on Pingora's defaults for everything else. It is a contender of a benchmark, never a product.

use std::net::SocketAddr;

use async_trait::async_trait;
use clap::Parser;
use pingora::prelude::{HttpPeer, Result};
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;

/// Passes everything on.
#[derive(Parser)]
struct Terms {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to pass it on to.
    #[arg(long)]
    upstream: SocketAddr,
}

/// The one that the gateway has: what it brings is not ours to count.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct PassThrough(SocketAddr);

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() {
    let terms = Terms::parse();
    let mut server = Server::new_with_opt_and_conf(None, ServerConf { threads: 1, ..ServerConf::default() });
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, PassThrough(terms.upstream));
    service.add_tcp(&terms.listen.to_string());
    server.add_service(service);
    server.run_forever();
}
