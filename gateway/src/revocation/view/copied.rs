//! A copy of what a view knows of one partition, from which is struck what the store knows as well: what is left, the store
//! lost. It relies on the view for the shards. It changes nothing in the view.

use crate::clock::Timestamp;
use crate::ids::Partition;
use crate::revocation::entries::Entries;
use crate::store::feed::Revocation;

/// What a view knew of a partition, in shards like its own: one large table would be made anew again and again.
pub(in crate::revocation) struct Copied(Vec<Entries>);

impl Copied {
    pub(super) fn of(shards: Vec<Entries>) -> Self {
        Self(shards)
    }

    /// Forgets one that somebody else knows as well.
    pub(in crate::revocation) fn strike(&mut self, theirs: &Revocation) {
        self.0[super::of(theirs)].strike(theirs);
    }

    /// What is left of `partition`, as far as it still matters, in parts of at most so many.
    pub(in crate::revocation) fn into_parts(
        self,
        most: usize,
        partition: Partition,
        now: Timestamp,
    ) -> impl Iterator<Item = Vec<Revocation>> {
        let left = move |entries: Entries| entries.of(partition, now).collect::<Vec<_>>();
        let mut left = self.0.into_iter().flat_map(left);
        std::iter::from_fn(move || Some(left.by_ref().take(most).collect::<Vec<_>>()).filter(|part| !part.is_empty()))
    }
}
