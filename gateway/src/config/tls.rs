//! How a listener speaks: in plain, inside TLS, or only to send clients to TLS. A certificate is kept with the files that
//! it came from, so that it can be read again. It relies on `certificates` for what fits together.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::certificates::{Certificate, CertificateError, UnknownName};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// No chain of certificates is longer.
const MOST_BYTES: u64 = 256 * 1024;

/// How a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1, for whoever is on the way to read.
    Plain {
        /// Whether also HTTP/2, to clients that begin with it.
        h2c: bool,
    },
    /// HTTP inside TLS.
    Tls(Arc<TlsTerms>),
    /// HTTP/1.1 in plain, and nothing but the way to the same place over TLS.
    ToHttps {
        /// The port that clients find TLS at.
        port: u16,
    },
}

/// TLS, 1.2 or newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsTerms {
    /// The certificates, in the order of the file; at least one, and no host has two.
    pub certificates: Vec<CertificateTerms>,
    /// What clients are shown that ask for another host.
    pub unknown_name: UnknownName,
    /// Whether TLS 1.2 is spoken too.
    pub tls12: bool,
    /// Whether clients are offered HTTP/2.
    pub http2: bool,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How often the files of certificates are read again.
    pub check_interval: Duration,
    /// `Strict-Transport-Security` of every answer (RFC 6797 §6.1).
    pub hsts: Option<HeaderValue>,
}

/// A certificate, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTerms {
    /// Where it came from.
    pub source: CertificateSource,
    /// What was there.
    pub certificate: Arc<Certificate>,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSource {
    /// The chain's file as the configuration writes it.
    pub name: String,
    /// The chain's file.
    pub chain: PathBuf,
    /// The key.
    pub key: KeySource,
}

/// Where a private key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// This file.
    File(PathBuf),
    /// The environment, which does not change.
    Environment(Secret),
}

/// Why a certificate can't be read again.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file can't be read.
    #[error("a file can't be read: {0}")]
    Io(#[from] io::Error),
    /// Chain and key can't be used.
    #[error("{part} {0}", part = if .0.concerns_key() { "the key" } else { "the chain" })]
    Certificate(#[from] CertificateError),
}

impl Transport {
    /// Whether nobody on the way can read it.
    pub const fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// `Strict-Transport-Security` of every answer, if it is ours to say.
    pub fn hsts(&self) -> Option<&HeaderValue> {
        match self {
            Self::Tls(terms) => terms.hsts.as_ref(),
            Self::Plain { .. } | Self::ToHttps { .. } => None,
        }
    }

    /// The certificates; none if it is not TLS.
    pub fn certificates(&self) -> &[CertificateTerms] {
        match self {
            Self::Tls(terms) => &terms.certificates,
            Self::Plain { .. } | Self::ToHttps { .. } => &[],
        }
    }

    /// The same without certificates, which may change while a listener listens.
    #[must_use]
    pub fn but_certificates(&self) -> Self {
        match self {
            Self::Tls(terms) => Self::Tls(Arc::new(TlsTerms { certificates: Vec::new(), ..TlsTerms::clone(terms) })),
            Self::Plain { .. } | Self::ToHttps { .. } => self.clone(),
        }
    }
}

impl CertificateSource {
    /// The certificate that is there now.
    pub fn read(&self) -> Result<Certificate, SourceError> {
        let key = match &self.key {
            KeySource::File(path) => read_file(path)?,
            KeySource::Environment(key) => Zeroizing::new(key.expose().to_vec()),
        };
        Ok(Certificate::parse(&read_file(&self.chain)?, &key)?)
    }
}

/// A file that is not too long to be a chain or a key.
pub(super) fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 256 KiB"));
    }
    Ok(bytes)
}

impl CertificateTerms {
    /// What should be looked at, though it can be used: dates, since a gateway that starts with one bad certificate is
    /// better than none, and a key that others on this machine may read.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let name = &self.source.name;
        let dates = self.certificate.not_at(now).map(|why| format!("the certificate \"{name}\" {why}; renew it"));
        let key = match &self.source.key {
            KeySource::File(path) if is_open(path) => Some(format!(
                "the key of the certificate \"{name}\" can be read by everybody on this machine; chmod o-rwx it"
            )),
            _ => None,
        };
        dates.into_iter().chain(key).collect()
    }
}

fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}
