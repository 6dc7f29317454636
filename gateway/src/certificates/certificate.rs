//! One certificate with its chain and its key: it can only be made of files that fit together and that a client can be
//! shown. It relies on rustls for keys and on x509-parser for what the certificate says. It never reads a file or the
//! clock, and no message holds a part of a key.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error as TlsError, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;

use crate::clock::Timestamp;

/// What certificate authorities demand of RSA, and the least that the provider signs with.
const LEAST_RSA_BITS: usize = 2048;

/// Why a certificate can't be used, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// The chain holds no certificate.
    #[error("holds no certificate; write one in PEM, the server's own first, then those that vouch for it")]
    NoCertificate,
    /// The chain, or a certificate in it, can't be read.
    #[error("can't be read as certificates in PEM; write them as they were issued")]
    Unreadable,
    /// It names no host.
    #[error("names no host (subject alternative name), so that no client would take it; have one issued that does")]
    Nameless,
    /// It is for something else than servers.
    #[error("is not for servers (extended key usage); have one issued for TLS servers")]
    NotForServers,
    /// Its RSA key is short.
    #[error(
        "has an RSA key of less than 2048 bits; make a longer key, or one for ECDSA, and have a certificate issued"
    )]
    WeakKey,
    /// The key file holds no key.
    #[error("holds no private key in PEM; write PKCS#8, PKCS#1 or SEC1")]
    NoKey,
    /// The key is encrypted.
    #[error("is encrypted; write the key without a passphrase (openssl pkey -in KEY -out PLAIN) and guard the file")]
    EncryptedKey,
    /// The key is of a kind that TLS does not use here.
    #[error("is no key for RSA (2048 to 8192 bits), ECDSA (P-256, P-384) or Ed25519; make one of these")]
    UnknownKey,
    /// The key is another certificate's.
    #[error(
        "does not belong to the first certificate of the chain; name its key, or put the server's certificate first"
    )]
    OtherKey,
}

impl CertificateError {
    /// Whether the key is to blame, not the chain.
    pub const fn concerns_key(self) -> bool {
        matches!(self, Self::NoKey | Self::EncryptedKey | Self::UnknownKey | Self::OtherKey)
    }
}

/// A certificate with its chain and its key, ready to be shown.
#[derive(Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    names: Vec<String>,
    valid_from: Timestamp,
    valid_until: Timestamp,
}

impl Certificate {
    /// The certificate that the first of `chain` is, both in PEM.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::Unreadable)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let (names, valid_from, valid_until) = read(first)?;
        if chain[1..].iter().any(|other| parsed(other).is_err()) {
            return Err(CertificateError::Unreadable);
        }
        let certified = CertifiedKey::from_der(chain, private_key(key)?, &ring::default_provider());
        let certified = certified.map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::OtherKey,
            TlsError::InvalidCertificate(_) => CertificateError::Unreadable,
            _ => CertificateError::UnknownKey,
        })?;
        Ok(Self { certified: Arc::new(certified), names, valid_from, valid_until })
    }

    /// What a client is shown.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The hosts that it is for, in lower case, `*.` in front of those that stand for a label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// When it is good no more.
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Whether a client with a right clock takes it.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.valid_from <= now && now <= self.valid_until
    }

    /// When it is good, if that is not `now`.
    pub fn not_at(&self, now: Timestamp) -> Option<String> {
        if self.valid_until < now {
            return Some(format!("expired at {}", self.valid_until.to_rfc3339()));
        }
        (now < self.valid_from).then(|| format!("is not valid before {}", self.valid_from.to_rfc3339()))
    }
}

/// Certificates are the same if clients see no difference.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Unreadable),
    }
}

/// The names of a server's certificate, and when it is valid.
fn read(der: &CertificateDer<'_>) -> Result<(Vec<String>, Timestamp, Timestamp), CertificateError> {
    let certificate = parsed(der)?;
    let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Unreadable)?;
    let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
    let is_named = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
    if !names.iter().any(is_named) {
        return Err(CertificateError::Nameless);
    }
    let usage = certificate.extended_key_usage().map_err(|_| CertificateError::Unreadable)?;
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        return Err(CertificateError::NotForServers);
    }
    if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed()
        && key.key_size() < LEAST_RSA_BITS
    {
        return Err(CertificateError::WeakKey);
    }
    let mut hosts: Vec<String> = names.iter().filter_map(host).collect();
    hosts.sort();
    hosts.dedup();
    let validity = certificate.validity();
    let at = |time: &x509_parser::time::ASN1Time| Timestamp::from_secs(time.timestamp());
    Ok((hosts, at(&validity.not_before), at(&validity.not_after)))
}

/// The host of a name. Clients never ask for an address by name (RFC 6066 §3).
fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()),
        _ => None,
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    // In the label of PKCS#8, or in a header of older formats (RFC 1421 §4.6.1.1).
    let encrypted = b"ENCRYPTED";
    if pem.windows(encrypted.len()).any(|window| window == encrypted) {
        return Err(CertificateError::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateError::NoKey)
}

#[cfg(test)]
pub(super) mod tests;
