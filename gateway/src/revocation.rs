//! What was revoked, known without asking (`[revocation] mode = "replicated"`): an exact [`view::View`] in memory,
//! and the [`follower::Follower`] that feeds it from the store. It relies on `store::feed` to hide no gap, and on
//! `store::measured` to have whoever revokes something wait until it is known here. Where it is not sure it says so,
//! and the store is asked.

mod entries;
pub mod follower;
mod users;
pub mod view;
