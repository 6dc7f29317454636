//! Certificates of an authority that exists for one test, and a client of TLS that trusts nobody else. What it asks for,
//! and how it writes its bytes, is the test's to say.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::{TlsConnector, rustls};

/// An authority that one test trusts.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate, and its key, both in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The chain.
    pub chain: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is randomness");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("it may sign itself") }
    }

    /// A certificate for these hosts and addresses.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, (2020, 2120))
    }

    /// A certificate that is valid from the first day of the one year to that of the other.
    ///
    /// # Panics
    /// If the names are none.
    pub fn issue_for(&self, names: &[&str], years: (i32, i32)) -> Issued {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("there is randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("it may sign");
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this authority, and speaks these versions.
    ///
    /// # Panics
    /// If the authority is none.
    pub fn client(&self, protocols: &[&str], versions: &[&'static SupportedProtocolVersion]) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).expect("the provider knows them");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsClient { config: Arc::new(config) }
    }

    /// A client of HTTP/1.1 over TLS that trusts this authority.
    pub fn http1(&self) -> TlsClient {
        self.client(&["http/1.1"], rustls::ALL_VERSIONS)
    }
}

/// A client of TLS.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Shakes hands, asking for `name`; an address is not asked for, only looked for in the certificate.
    ///
    /// # Errors
    /// Those of the handshake.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(&self, address: SocketAddr, name: &str) -> io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(address).await.expect("it listens"), name).await
    }

    /// Shakes hands over `stream`.
    ///
    /// # Errors
    /// Those of the handshake.
    ///
    /// # Panics
    /// If `name` is none.
    pub async fn over<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, name: &str) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(name.to_owned()).expect("a name or an address");
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }

    /// The whole answer to a GET, on a connection of its own.
    ///
    /// # Errors
    /// Those of the handshake.
    pub async fn get(&self, address: SocketAddr, host: &str, target: &str) -> io::Result<String> {
        let mut stream = self.connect(address, host).await?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// A connection that writes one byte at a time.
pub struct Dribble(pub TcpStream);

impl AsyncRead for Dribble {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Dribble {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
