//! The admin listener: whether the process lives, whether it should get requests, its metrics, and the admin
//! API. Its own port and its own small server, so that it answers while the front door is under load. It is not
//! meant to be reached from outside, and shows nothing of any user but to who sends the admin token.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::descriptors::AcceptError;
use crate::ids::RequestId;
use crate::metrics::Metrics;
use crate::panics::{self, Panicked};
use crate::problem::{Denied, Problem};
use crate::reply::Reply;

pub mod administration;
mod api;
mod guard;
mod readiness;
mod routes;

pub use api::Api;
pub use readiness::Readiness;

/// How long a client may take to send a request's header.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// How long the last answers may take when the listener stops.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// What the admin listener shows.
#[derive(Clone)]
pub struct AdminParts {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the gateway should get requests.
    pub readiness: Arc<Readiness>,
    /// Sessions and users.
    pub api: Arc<Api>,
}

/// A running admin listener.
pub struct AdminServer {
    address: SocketAddr,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl AdminServer {
    /// Listens and serves until it is stopped.
    pub async fn start(address: SocketAddr, parts: AdminParts) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let server = Self { address, stop: CancellationToken::new(), connections: TaskTracker::new() };
        let (stop, connections) = (server.stop.clone(), server.connections.clone());
        server.connections.spawn(async move {
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, peer)) => {
                        let (parts, stop) = (parts.clone(), stop.clone());
                        connections.spawn(async move {
                            let metrics = Arc::clone(&parts.metrics);
                            let outcome = panics::caught(serve(stream, peer.ip(), parts, stop)).await;
                            outcome.unwrap_or_else(|Panicked| metrics.panicked("admin"));
                        });
                    }
                    Err(error) => {
                        parts.metrics.accept_failed("admin", AcceptError::of(&error).name());
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and lets the last answers end.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(STOP_DEADLINE, self.connections.wait()).await;
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(stream: TcpStream, client: IpAddr, parts: AdminParts, stop: CancellationToken) {
    let parts = &parts;
    let service =
        service_fn(
            move |request| async move { Ok::<_, Infallible>(answer(&request, client, parts).await.map(Full::new)) },
        );
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A client that breaks off is no news.
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    drop(ended);
}

async fn answer(request: &Request<Incoming>, client: IpAddr, parts: &AdminParts) -> Reply {
    if let Some(path) = Api::below(request.uri().path()) {
        return parts.api.serve(request, path, client).await;
    }
    let page = match request.uri().path() {
        "/livez" => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/readyz" => parts.readiness.reply(),
        "/metrics" => text(StatusCode::OK, "text/plain; version=0.0.4", parts.metrics.render()),
        _ => return refusal(&Denied::NoRoute),
    };
    match *request.method() {
        Method::GET => page,
        Method::HEAD => page.map(|_| Bytes::new()),
        _ => refusal(&Denied::MethodNotAllowed { allowed: vec![Method::GET, Method::HEAD] }),
    }
}

fn refusal(denied: &Denied) -> Reply {
    Problem::from(denied).reply(&RequestId::random(Clock::system().now()))
}

fn text(status: StatusCode, media_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Bytes::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    reply
}

#[cfg(test)]
mod tests;
