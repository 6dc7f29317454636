//! The certificates of one listener, and which of them a client is shown: the one that names the host it asks for.
//! It relies on [`Certificate`] for what one says. It never reads a file or the clock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use thiserror::Error;

mod certificate;

pub use certificate::{Certificate, CertificateError};

/// What a client is shown that asks for a host that no certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownName {
    /// Nothing: the handshake is refused.
    Refuse,
    /// The first certificate.
    First,
}

/// Two certificates name one host, so that either could be meant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("two certificates are for \"{name}\"")]
pub struct Clash {
    /// The host.
    pub name: String,
    /// The place of the later one.
    pub place: usize,
}

/// Certificates in the order of the configuration, each host named by one of them at most.
#[derive(Debug, Default)]
pub struct Certificates {
    all: Vec<Arc<Certificate>>,
    /// Where the certificate of a name is; wildcards are names that begin with `*.`.
    by_name: HashMap<String, usize>,
}

impl Certificates {
    /// All of these, unless two are for one host.
    pub fn new(all: Vec<Arc<Certificate>>) -> Result<Self, Clash> {
        let mut by_name = HashMap::new();
        for (place, certificate) in all.iter().enumerate() {
            for name in certificate.names() {
                match by_name.entry(name.clone()) {
                    Entry::Vacant(free) => {
                        free.insert(place);
                    }
                    Entry::Occupied(_) => return Err(Clash { name: name.clone(), place }),
                }
            }
        }
        Ok(Self { all, by_name })
    }

    /// All of them, in the order of the configuration.
    pub fn all(&self) -> &[Arc<Certificate>] {
        &self.all
    }

    /// What a client is shown that asks for `name`: the certificate that names it, or else one whose wildcard stands for
    /// its first label (RFC 9525 §6.3). Who asks for none, such as a client that was given an address, is shown the
    /// first.
    pub fn choose(&self, name: Option<&str>, unknown: UnknownName) -> Option<&Arc<Certificate>> {
        let Some(name) = name else { return self.all.first() };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = || name.split_once('.').map(|(_, domain)| format!("*.{domain}"));
        let place = self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard()?));
        match (place, unknown) {
            (Some(place), _) => self.all.get(*place),
            (None, UnknownName::First) => self.all.first(),
            (None, UnknownName::Refuse) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::certificate::tests::made_for;
    use super::*;

    fn certificates(names: &[&[&str]]) -> Result<Certificates, Clash> {
        Certificates::new(names.iter().map(|names| Arc::new(made_for(names))).collect())
    }

    #[test]
    fn a_client_is_shown_the_certificate_of_the_host_that_it_asks_for() {
        let all =
            certificates(&[&["a.example"], &["*.b.example", "b.example"], &["exact.b.example", "192.0.2.1"]]).unwrap();
        for (asked, expected) in [
            (Some("a.example"), Some("a.example")),
            (Some("A.Example."), Some("a.example")),
            (Some("b.example"), Some("*.b.example")),
            (Some("any.b.example"), Some("*.b.example")),
            (Some("exact.b.example"), Some("exact.b.example")),
            (Some("two.labels.b.example"), None),
            (Some("sub.a.example"), None),
            (Some("*.b.example"), Some("*.b.example")),
            (Some("example"), None),
            (Some("192.0.2.1"), None),
            (None, Some("a.example")),
        ] {
            let shown = |unknown| all.choose(asked, unknown).map(|shown| shown.names()[0].as_str());
            assert_eq!(shown(UnknownName::Refuse), expected, "{asked:?}");
            assert_eq!(shown(UnknownName::First), expected.or(Some("a.example")), "{asked:?}");
        }
    }

    #[test]
    fn no_host_has_two_certificates() {
        let clash = certificates(&[&["a.example"], &["b.example", "A.example"]]).unwrap_err();
        assert_eq!(clash, Clash { name: "a.example".to_owned(), place: 1 });
        assert!(certificates(&[&["a.example"], &["*.example"]]).is_ok());
    }
}
