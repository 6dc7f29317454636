//! Whether the gateway should get requests, and if not, why. The store and the keys count, and whether the
//! process is about to end; a login upstream or a pool that is down does not, since everything else still
//! works.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use serde::Serialize;

use crate::reply::{self, Reply};

/// Whether the gateway should get requests.
#[derive(Debug)]
pub struct Readiness {
    store_answers: AtomicBool,
    keys_known: AtomicBool,
    draining: AtomicBool,
}

impl Default for Readiness {
    /// Nothing is wrong until it is found to be; the store is asked at once.
    fn default() -> Self {
        Self {
            store_answers: AtomicBool::new(true),
            keys_known: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }
}

#[derive(Serialize)]
struct Page {
    ready: bool,
    checks: [Check; 3],
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Check {
    fn new(name: &'static str, ok: bool, otherwise: &'static str) -> Self {
        Self { name, ok, reason: (!ok).then_some(otherwise) }
    }
}

impl Readiness {
    /// Notes whether the store answers, or what stands in for it.
    pub fn store_answers(&self, answers: bool) {
        self.store_answers.store(answers, Ordering::Relaxed);
    }

    /// Notes whether there are keys to sign and verify with.
    pub fn keys_known(&self, known: bool) {
        self.keys_known.store(known, Ordering::Relaxed);
    }

    /// Notes that the process is about to end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn reply(&self) -> Reply {
        let checks = [
            Check::new("store", self.store_answers.load(Ordering::Relaxed), "the store does not answer"),
            Check::new("keys", self.keys_known.load(Ordering::Relaxed), "the keys are not loaded yet"),
            Check::new("lifecycle", !self.draining.load(Ordering::Relaxed), "the gateway is about to stop"),
        ];
        let ready = checks.iter().all(|check| check.ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        reply::json(status, &Page { ready, checks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_alone_makes_it_unready() {
        let ready = || {
            let readiness = Readiness::default();
            readiness.keys_known(true);
            readiness
        };
        assert_eq!(ready().reply().status(), StatusCode::OK);
        let spoilers: [fn(&Readiness); 3] = [|it| it.store_answers(false), |it| it.keys_known(false), Readiness::drain];
        for (spoil, name) in spoilers.into_iter().zip(["store", "keys", "lifecycle"]) {
            let readiness = ready();
            spoil(&readiness);
            let reply = readiness.reply();
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE, "{name}");
            let page: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
            let failed: Vec<_> =
                page["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
            assert_eq!(failed.len(), 1);
            assert_eq!(failed[0]["name"], name);
        }
    }
}
