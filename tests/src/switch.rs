//! What lies between a gateway and its Redis: it leads to one server, then to another, is cut, or holds everything
//! back while connections stay. It looks at nothing that passes, and ends with the test.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a switch leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To this server; connections to another one are closed.
    To(SocketAddr),
    /// Nowhere: connections are closed.
    Cut,
}

#[derive(Clone, Copy)]
struct State {
    way: Way,
    is_held: bool,
}

/// A running switch.
pub struct Switch {
    address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Switch {
    /// Starts one that leads to a server.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let (state, seen) = watch::channel(State { way: Way::To(server), is_held: false });
        Self { address, state, task: tokio::spawn(accept(listener, seen)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads to another server from now on.
    pub fn lead_to(&self, server: SocketAddr) {
        self.state.send_modify(|state| state.way = Way::To(server));
    }

    /// Closes all connections, and new ones at once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.way = Way::Cut);
    }

    /// Lets nothing through while connections stay, or everything again.
    pub fn hold(&self, is_held: bool) {
        self.state.send_modify(|state| state.is_held = is_held);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut state = state.clone();
        let way = state.borrow_and_update().way;
        tokio::spawn(async move {
            let Way::To(server) = way else { return };
            let Ok(server) = TcpStream::connect(server).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let held = state.clone();
            tokio::select! {
                _ = state.wait_for(|state| state.way != way) => {}
                _ = carry(from_client, to_server, held.clone()) => {}
                _ = carry(from_server, to_client, held) => {}
            }
        });
    }
}

/// Carries bytes one way until either side ends.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: watch::Receiver<State>) -> Option<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        held.wait_for(|state| !state.is_held).await.ok()?;
        to.write_all(&buffer[..read]).await.ok()?;
    }
}
