//! TLS: a handshake under a deadline, after which the client has been shown the certificate of the host that it asked for
//! and both know which HTTP they speak. It relies on rustls for the protocol and on the [`Keeper`] for certificates.
//! A failed handshake is counted, and never more than a debug line: anybody can have one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::stream::Stream as L4Stream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error as TlsError, ServerConfig, SupportedProtocolVersion};
use tracing::debug;

use super::Version;
use super::transport::Transport;
use crate::clock::Timestamp;
use crate::config::{CertificateTerms, Listener, TlsTerms, Transport as Terms};
use crate::metrics::Metrics;

mod keeper;

use keeper::Keeper;

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What a listener needs to speak TLS.
pub struct Tls {
    listener: String,
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
    /// How often [`Tls::look_again`] is worth its while.
    pub check_interval: Duration,
    keeper: Arc<Keeper>,
    metrics: Arc<Metrics>,
}

impl Tls {
    /// TLS as a listener speaks it, if it does.
    pub fn of(listener: &Listener, now: Timestamp, metrics: &Arc<Metrics>) -> Result<Option<Arc<Self>>, TlsError> {
        let Terms::Tls(terms) = &listener.transport else { return Ok(None) };
        let keeper = Arc::new(Keeper::new(&listener.name, terms, now, metrics));
        Ok(Some(Arc::new(Self {
            listener: listener.name.clone(),
            acceptor: TlsAcceptor::from(Arc::new(server(terms, &keeper)?)),
            handshake_timeout: terms.handshake_timeout,
            check_interval: terms.check_interval,
            keeper,
            metrics: Arc::clone(metrics),
        })))
    }

    /// Reads the files of all certificates again, and takes those that changed and are good.
    pub fn look_again(&self, now: Timestamp) {
        self.keeper.look_again(now);
    }

    /// Shows these certificates from now on.
    pub fn take(&self, certificates: &[CertificateTerms], now: Timestamp) {
        self.keeper.take(certificates, now);
    }

    /// Shakes hands with a client.
    pub(super) async fn handshake(&self, stream: Box<L4Stream>, peer: SocketAddr) -> Option<(Transport, Version)> {
        let outcome = match timeout(self.handshake_timeout, self.acceptor.accept(*stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err("timeout"),
        };
        self.metrics.tls_handshake(&self.listener, outcome.as_ref().err().unwrap_or(&"done"));
        match outcome {
            Ok(stream) => {
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                let version = if is_h2 { Version::Http2 } else { Version::Http1 };
                Some((Transport::tls(stream), version))
            }
            Err(why) => {
                debug!(target: "error", listener = self.listener, client = %peer.ip(), why, "a TLS handshake failed");
                None
            }
        }
    }
}

/// The terms as rustls takes them. The provider is named, so that no other part of the process chooses it. Clients may
/// resume sessions by tickets, whose keys change by themselves and never leave this process; nothing is read before a
/// handshake is done (RFC 8446 §8: what comes earlier can be replayed).
fn server(terms: &TlsTerms, keeper: &Arc<Keeper>) -> Result<ServerConfig, TlsError> {
    let versions = if terms.tls12 { &BOTH[..] } else { &BOTH[..1] };
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(keeper) as _);
    server.alpn_protocols = if terms.http2 { vec![H2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] };
    server.ticketer = ring::Ticketer::new()?;
    Ok(server)
}

/// Why a handshake failed, as a label.
fn why(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidMessage(_)) => "not_tls",
        Some(TlsError::PeerIncompatible(_) | TlsError::NoApplicationProtocol) => "incompatible",
        Some(TlsError::AlertReceived(_)) => "refused_by_client",
        Some(TlsError::General(_)) => "unknown_name", // What rustls says when it was given no certificate.
        Some(_) => "broken",
        None => "client_gone",
    }
}
