//! Asks which of many tokens still stand: one script for each partition that has any, all at once. It relies
//! on `standing.lua` to decide as `check.lua` does, and keeps nothing.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use super::args::moment;
use super::{RedisStore, keys, unknown};
use crate::clock::Timestamp;
use crate::ids::Partition;
use crate::store::text::corrupt;
use crate::store::{Stand, Store as _, StoreError};

impl RedisStore {
    /// Whether each of `stands` stands, in order.
    pub(super) async fn ask_standing(&self, stands: &[Stand<'_>], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let mut places: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
        for (at, stand) in stands.iter().enumerate() {
            places.entry(self.partition(stand.subject)).or_default().push(at);
        }
        let asked = places.iter().map(|(partition, places)| {
            let stands = places.iter().map(|at| stands[*at]).collect();
            self.ask_partition(*partition, stands, now)
        });
        let answers = try_join_all(asked).await?;
        let mut standing = vec![false; stands.len()];
        for (places, answers) in places.values().zip(answers) {
            for (at, stands) in places.iter().zip(answers) {
                standing[*at] = stands;
            }
        }
        Ok(standing)
    }

    async fn ask_partition(
        &self,
        partition: Partition,
        stands: Vec<Stand<'_>>,
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let users = stands.iter().map(|stand| self.keys.user(partition, stand.subject));
        let keys = std::iter::once(self.keys.blacklist(partition)).chain(users).collect();
        let epochs = stands.iter().map(|stand| stand.epoch.to_string());
        let entries = stands.iter().flat_map(|stand| [keys::token(stand.jti), keys::session(stand.sid)]);
        let args = std::iter::once(moment(now)).chain(epochs).chain(entries).collect();
        let mut reply = self.link.run(&self.scripts.standing, keys, args).await?;
        let word = reply.text()?;
        if word != "standing" {
            return Err(unknown(&word));
        }
        let mut standing = Vec::with_capacity(stands.len());
        while !reply.is_empty() {
            standing.push(reply.number::<u8>()? == 1);
        }
        if standing.len() == stands.len() { Ok(standing) } else { Err(corrupt("a script told of too few tokens")) }
    }
}
