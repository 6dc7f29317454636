//! What the gateway itself asks of a server: credential checks, what users may do, registration and health. One small
//! exchange on a connection of its own, bounded in time and size. Requests of clients never come this way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Pool, Server};
use crate::config::UpstreamHeader;

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// No server could be reached.
    #[error("no server could be reached")]
    Unreachable,
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The exchange broke off, or was no HTTP.
    #[error("the answer was broken")]
    Broken,
    /// The answer is longer than we read.
    #[error("the answer is longer than {MAX_ANSWER} bytes")]
    TooLarge,
}

impl CallError {
    /// Its name in metrics.
    const fn kind(self) -> &'static str {
        match self {
            Self::Unreachable => "connect",
            Self::Timeout => "timeout",
            Self::Broken | Self::TooLarge => "broken",
        }
    }
}

impl Pool {
    /// Posts `body` with `headers` to `path`: the whole answer, within `deadline`. Another server is tried only where the
    /// first could not be reached, so that nothing is done twice.
    pub async fn post(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Response<Bytes>, CallError> {
        self.ask(Method::POST, path, headers, body, deadline).await
    }

    /// Reads `path` with `headers`; see [`Pool::post`].
    pub async fn get(&self, path: &str, headers: &HeaderMap, deadline: Duration) -> Result<Response<Bytes>, CallError> {
        self.ask(Method::GET, path, headers, Bytes::new(), deadline).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Response<Bytes>, CallError> {
        let began = Instant::now();
        let answer = timeout(deadline, self.try_each(&method, path, headers, body));
        let outcome = answer.await.unwrap_or(Err(CallError::Timeout));
        match &outcome {
            Ok(_) => self.answered(began.elapsed()),
            Err(error) => self.metrics.upstream_failed(self.id(), error.kind()),
        }
        outcome
    }

    async fn try_each(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, CallError> {
        let mut tried = Vec::new();
        while tried.len() < self.attempts() {
            let Ok(server) = self.pick(&tried) else { break };
            let mut request = request(self, &server, method.clone(), path).map(|_| Full::new(body.clone()));
            request.headers_mut().extend(headers.clone());
            match exchange(self, &server, request).await {
                Err(CallError::Unreachable) => self.failed(&server),
                answered => return answered,
            }
            tried.push(server.address());
        }
        Err(CallError::Unreachable)
    }
}

/// A request without a body, with the headers that the pool adds.
pub(super) fn request(pool: &Pool, server: &Server, method: Method, path: &str) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, server.0.place.host.clone());
    for UpstreamHeader { name, value } in pool.headers() {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    request
}

/// One exchange on a connection of its own.
pub(super) async fn exchange(
    pool: &Pool,
    server: &Server,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, CallError> {
    let stream = TokioIo::new(connect(server.address(), pool.terms.connect_timeout).await?);
    if pool.terms.http2 {
        let handshake = http2::handshake(TokioExecutor::new(), stream).await;
        let (mut sender, connection) = handshake.map_err(|_| CallError::Broken)?;
        read(sender.send_request(with_authority(request)), connection).await
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.map_err(|_| CallError::Broken)?;
        read(sender.send_request(request), connection).await
    }
}

/// RFC 9113 §8.3.1: HTTP/2 names the host beside the path.
fn with_authority(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let host = request.headers_mut().remove(HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request
}

/// Reads a whole answer. The connection is driven here and ends here: an abandoned call leaves no task behind.
async fn read(
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
    connection: impl Future,
) -> Result<Response<Bytes>, CallError> {
    let exchange = async {
        let (head, body) = answer.await.map_err(|_| CallError::Broken)?.into_parts();
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| if error.is::<LengthLimitError>() { CallError::TooLarge } else { CallError::Broken })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn connect(address: SocketAddr, within: Duration) -> Result<TcpStream, CallError> {
    match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) | Err(_) => Err(CallError::Unreachable),
    }
}
