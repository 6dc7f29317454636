//! Over TLS a receiver must be who the URL names, by an authority that is trusted.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::secret::Secret;

/// Certified for 127.0.0.1 by the authority below, for a hundred years; known to everybody.
const RECEIVER: &[u8] = include_bytes!("test-receiver.pem");
const AUTHORITY: &[u8] = include_bytes!("test-authority.pem");

/// A receiver that answers 204 to whoever accepts its certificate.
async fn receiver() -> u16 {
    let chain = CertificateDer::pem_slice_iter(RECEIVER).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(RECEIVER).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    port
}

async fn post(url: &str, roots: RootCertStore) -> Result<StatusCode, CallError> {
    let (key, timeout) = (Secret::new([7; 32]), Duration::from_secs(5));
    let terms = WebhookTerms { url: url.parse().unwrap(), key, timeout, attempts: 1, events: Vec::new() };
    let receiver = Receiver { terms, tls: Some(connector(roots)) };
    receiver.post(HeaderMap::new(), Bytes::from_static(b"{}")).await
}

fn trusted() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    roots
}

#[tokio::test]
async fn a_receiver_must_be_who_the_url_names() {
    let port = receiver().await;
    let status = post(&format!("https://127.0.0.1:{port}/x"), trusted()).await.unwrap();
    assert_eq!(status, StatusCode::NO_CONTENT);
    let named = post(&format!("https://localhost:{port}/x"), trusted()).await;
    assert!(matches!(named, Err(CallError::Tls(_))), "another name: {named:?}");
    let stranger = post(&format!("https://127.0.0.1:{port}/x"), RootCertStore::empty()).await;
    assert!(matches!(stranger, Err(CallError::Tls(_))), "an authority nobody trusts: {stranger:?}");
    let system = post(&format!("https://127.0.0.1:{port}/x"), system_roots()).await;
    assert!(matches!(system, Err(CallError::Tls(_))), "nor does this system: {system:?}");
}
