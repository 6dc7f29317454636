//! What fills the metrics of the view of revocations. How the view is, is for it to say. It relies on the table for
//! their names.

use std::time::Duration;

use super::{Metrics, whole};
use crate::revocation::view::Sizes;

impl Metrics {
    /// So the view of revocations is; no staleness if it is not in use.
    pub fn revocation_view(&self, staleness: Option<Duration>, sizes: Sizes, bytes: usize) {
        let Sizes { tokens, sessions, users } = sizes;
        self.revocation_staleness.set(staleness.unwrap_or_default().as_secs_f64());
        for (kind, count) in [("token", tokens), ("session", sessions), ("user", users)] {
            self.revocation_entries.with_label_values(&[kind]).set(whole(count));
        }
        self.revocation_bytes.set(whole(bytes));
    }

    /// A snapshot of all revocations was taken.
    pub fn revocation_snapshot(&self, cause: &str) {
        self.revocation_snapshots.with_label_values(&[cause]).inc();
    }

    /// The view of revocations was too old to tell.
    pub fn revocation_asked(&self) {
        self.revocation_asked.with_label_values::<&str>(&[]).inc();
    }
}
