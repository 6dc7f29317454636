//! One attempt to post an event: a connection of its own, over TLS unless the receiver is on this machine, bounded in
//! time. Redirects are not followed and the answer's body is not read. It relies on the system's certificate
//! authorities; errors never show the URL, which may be a secret.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::WebhookTerms;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum CallError {
    #[error("it can't be reached: {0}")]
    Unreachable(std::io::Error),
    #[error("it is not who it should be: {0}")]
    Tls(std::io::Error),
    #[error("its host can't be named in TLS")]
    Host,
    #[error("the exchange broke off")]
    Broken,
    #[error("it took too long")]
    Timeout,
}

/// Who receives events.
pub(super) struct Receiver {
    pub(super) terms: WebhookTerms,
    /// None if the receiver is on this machine and speaks without TLS.
    tls: Option<TlsConnector>,
}

impl Receiver {
    pub(super) fn new(terms: WebhookTerms) -> Self {
        let tls = terms.url.is_tls().then(|| connector(system_roots()));
        Self { terms, tls }
    }

    /// Posts `body`: the status of the answer, within the terms' timeout.
    pub(super) async fn post(&self, signed: HeaderMap, body: Bytes) -> Result<StatusCode, CallError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.terms.url.target();
        *request.headers_mut() = signed;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(HOST, self.terms.url.authority());
        let agent = HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        timeout(self.terms.timeout, self.exchange(request)).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, CallError> {
        let (host, port) = self.terms.url.place();
        let stream = TcpStream::connect((host, port)).await.map_err(CallError::Unreachable)?;
        let Some(tls) = &self.tls else { return send(stream, request).await };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| CallError::Host)?;
        send(tls.connect(name, stream).await.map_err(CallError::Tls)?, request).await
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| CallError::Broken)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    // The connection is driven here and ends here: an attempt that is given up leaves nothing behind.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    answer.map(|answer| answer.status()).map_err(|_| CallError::Broken)
}

/// The authorities that this system trusts.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::warn!(target: "error", "this system names no certificate authorities: the webhook can't be reached");
    }
    roots
}

/// TLS 1.2 and later.
fn connector(roots: RootCertStore) -> TlsConnector {
    // Named, since which provider the process has as its default depends on who asks first.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[cfg(test)]
mod tests;
