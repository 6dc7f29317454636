//! Connections that are closed as soon as they are open.

use std::rc::Rc;

use super::Target;

/// How many do so at once, each from addresses of its own: an address has ports for so many closed connections only.
pub(super) const ATTACKERS: u32 = 50;
const ADDRESSES: u32 = 20;

pub(super) async fn attack(target: Rc<Target>, number: u32) {
    let mut pace = target.pace(ATTACKERS, 1);
    for round in 0.. {
        pace.step().await;
        drop(target.connect(number * ADDRESSES + round % ADDRESSES).await);
    }
}
