//! Shares of limits that gateways lease, in Redis: the same count that `take` and `check` go on with. The sums
//! are those of `gcra.lua`. What becomes of a share is not known here.

use std::time::Duration;

use super::args::{moment, span};
use super::{RedisStore, unknown};
use crate::clock::Timestamp;
use crate::limit::Grant;
use crate::store::{Counted, Leasable, Store as _, StoreError};

impl RedisStore {
    /// Takes as many of `want` as are there.
    pub(super) async fn lease_of(&self, of: &Leasable, want: u32, now: Timestamp) -> Result<Grant, StoreError> {
        let Leasable { quota, .. } = of;
        let args = vec![moment(now), quota.interval_micros().to_string(), span(quota.window()), want.to_string()];
        let mut reply = self.link.run(&self.scripts.lease, vec![self.counted(of)], args).await?;
        match reply.text()?.as_str() {
            "leased" => Ok(Grant {
                granted: reply.number()?,
                remaining: reply.number()?,
                wait: Duration::from_micros(reply.number()?),
                reset: Duration::from_micros(reply.number()?),
            }),
            word => Err(unknown(word)),
        }
    }

    /// Takes back what was not handed out.
    pub(super) async fn take_back(&self, of: &Leasable, cells: u32) -> Result<(), StoreError> {
        let args = [of.quota.span_of(cells).to_string()];
        // It builds no further key, so it needs nothing that keys begin with.
        let base = String::new();
        self.link.run_in_time(&self.scripts.give_back, base, vec![self.counted(of)], args).await?;
        Ok(())
    }

    fn counted(&self, of: &Leasable) -> String {
        match &of.whom {
            Counted::User(subject) => {
                self.keys.user_limit_of(self.partition(subject), &of.limit, &of.quota, subject.as_str())
            }
            Counted::Other(key) => self.keys.limit_of(&of.limit, &of.quota, key),
        }
    }
}
