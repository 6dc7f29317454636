//! What was revoked, known without asking (`[revocation] mode = "replicated"`): an exact [`view::View`] in memory,
//! the [`follower::Follower`] that feeds it from the store, and [`replicated::Replicated`], which makes whoever
//! revokes something wait until this gateway knows of it. It relies on `store::feed` to hide no gap. Where it is not
//! sure it says so, and the store is asked.

mod entries;
pub mod follower;
pub mod replicated;
pub mod view;
