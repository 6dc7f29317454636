//! Keeps the certificates of one listener, and takes new ones when their files change or the configuration is loaded again:
//! only if they can be shown, or the last good ones stay. It relies on whoever owns it to have it look. It never
//! looks while a client waits.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{error, info, warn};

use crate::certificates::{Certificate, Certificates, UnknownName};
use crate::clock::Timestamp;
use crate::config::{CertificateSource, CertificateTerms, TlsTerms};
use crate::metrics::{Metrics, ReloadOutcome};

type Shown = Arc<Certificate>;

/// The certificates of one listener.
pub(super) struct Keeper {
    listener: String,
    unknown_name: UnknownName,
    shown: ArcSwap<Certificates>,
    watched: Mutex<Vec<Watched>>,
    metrics: Arc<Metrics>,
}

/// Where a certificate comes from, and what was last said against what is there now.
struct Watched {
    source: CertificateSource,
    complaint: Option<String>,
}

impl Keeper {
    /// Shows the certificates of `terms`.
    pub(super) fn new(listener: &str, terms: &TlsTerms, now: Timestamp, metrics: &Arc<Metrics>) -> Self {
        let keeper = Self {
            listener: listener.to_owned(),
            unknown_name: terms.unknown_name,
            shown: ArcSwap::from_pointee(Certificates::default()),
            watched: Mutex::default(),
            metrics: Arc::clone(metrics),
        };
        keeper.take(&terms.certificates, now);
        keeper
    }

    /// Shows other certificates from now on. One whose dates are wrong does not take the place of a good one from the
    /// same file; where there is none it is shown, since other hosts may have good ones.
    pub(super) fn take(&self, terms: &[CertificateTerms], now: Timestamp) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = self.shown.load();
        let before = |source: &CertificateSource| {
            let place = watched.iter().position(|watched| watched.source == *source)?;
            shown.all().get(place).filter(|certificate| certificate.is_valid_at(now))
        };
        for warning in terms.iter().flat_map(|terms| terms.warnings(now)) {
            warn!(target: "error", listener = self.listener, "{warning}");
        }
        let certificates = terms.iter().map(|CertificateTerms { source, certificate }| {
            let last = before(source).filter(|_| !certificate.is_valid_at(now));
            Arc::clone(last.unwrap_or(certificate))
        });
        match Certificates::new(certificates.collect()) {
            Ok(certificates) => {
                for gone in watched.drain(..) {
                    self.metrics.certificate_gone(&self.listener, &gone.source.name);
                }
                watched.extend(terms.iter().map(|terms| Watched { source: terms.source.clone(), complaint: None }));
                self.show(certificates, &watched);
            }
            Err(clash) => error!(target: "error", listener = self.listener, %clash, "the last certificates stay"),
        }
    }

    /// Reads all files again, and shows what has changed and is good. Blocks as long as reading files does.
    pub(super) fn look_again(&self, now: Timestamp) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.shown.load().all().to_vec();
        let mut new = Vec::new();
        for (place, (shown, watched)) in all.iter().zip(watched.iter_mut()).enumerate() {
            match watched.source.read() {
                Ok(certificate) if certificate == **shown => watched.complaint = None,
                Ok(certificate) => match certificate.not_at(now) {
                    None => new.push((place, Arc::new(certificate))),
                    Some(why) => self.refuse(watched, why),
                },
                Err(why) => self.refuse(watched, why.to_string()),
            }
        }
        if let Some(certificates) = self.fitting(&mut all, &new, &mut watched) {
            self.show(certificates, &watched);
            self.metrics.certificate_reloaded(&self.listener, ReloadOutcome::Applied);
            info!(target: "error", listener = self.listener, "new certificates are shown");
        }
    }

    /// All certificates with the new ones among them, if there are any that fit. Together they may, since a host may move
    /// from one to another; if they do not, each is tried alone, so that one for a host of another's keeps no other out.
    fn fitting(&self, all: &mut [Shown], new: &[(usize, Shown)], watched: &mut [Watched]) -> Option<Certificates> {
        if new.is_empty() {
            return None;
        }
        let mut together = all.to_vec();
        for (place, certificate) in new {
            together[*place] = Arc::clone(certificate);
        }
        if let Ok(certificates) = Certificates::new(together) {
            return Some(certificates);
        }
        let mut fitting = None;
        for (place, certificate) in new {
            let before = std::mem::replace(&mut all[*place], Arc::clone(certificate));
            match Certificates::new(all.to_vec()) {
                Ok(certificates) => fitting = Some(certificates),
                Err(clash) => {
                    all[*place] = before;
                    self.refuse(&mut watched[*place], clash.to_string());
                }
            }
        }
        fitting
    }

    fn show(&self, certificates: Certificates, watched: &[Watched]) {
        for (certificate, Watched { source, .. }) in certificates.all().iter().zip(watched) {
            self.metrics.certificate_expires(&self.listener, &source.name, certificate.valid_until());
        }
        self.shown.store(Arc::new(certificates));
    }

    /// Says what is wrong with new files, once.
    fn refuse(&self, watched: &mut Watched, why: String) {
        let Watched { source, complaint } = watched;
        if complaint.as_ref() != Some(&why) {
            let certificate = &source.name;
            self.metrics.certificate_reloaded(&self.listener, ReloadOutcome::Refused);
            error!(target: "error", listener = self.listener, certificate, why, "a new certificate is no good; the last one stays");
            *complaint = Some(why);
        }
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.shown.load();
        certificates.choose(hello.server_name(), self.unknown_name).map(|shown| Arc::clone(shown.certified()))
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("listener", &self.listener).finish_non_exhaustive()
    }
}
