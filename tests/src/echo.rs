//! An upstream of HTTP/2 in the manner of a gRPC server: it answers at once, sends back each message as it comes, and
//! ends with trailers that say who called. It keeps no more than how many calls are open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running echo.
pub struct Echo {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Echo {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let open = Arc::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&open)));
        Self { address, open, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many calls are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, open: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&open)));
    }
}

async fn serve(stream: TcpStream, open: Arc<AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            open.fetch_add(1, Ordering::SeqCst);
            let _ = echo(request, respond).await; // Callers may leave.
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn echo(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let (head, mut messages) = request.into_parts();
    let answer = Response::builder().header("content-type", "application/grpc").body(()).expect("it is well-formed");
    let mut answer = respond.send_response(answer, false)?;
    while let Some(message) = messages.data().await {
        let message = message?;
        messages.flow_control().release_capacity(message.len())?;
        answer.send_data(message, false)?;
    }
    let nobody = HeaderValue::from_static("nobody");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("caller", head.headers.get("x-user-id").cloned().unwrap_or(nobody));
    trailers.insert("te-was", head.headers.get("te").cloned().unwrap_or(HeaderValue::from_static("none")));
    answer.send_trailers(trailers)
}
