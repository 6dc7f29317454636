//! Looking a token up in the replicated view: when nothing is revoked, and when a million are.

use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use portcullis::ids::{Jti, Partition, PartitionCount, SessionId, Subject};
use portcullis::revocation::view::View;
use portcullis::store::Stand;
use portcullis::store::feed::Revocation;

use crate::NOW;

#[divan::bench(args = [0, 1_000_000])]
fn verdict(bencher: Bencher<'_, '_>, revoked: usize) {
    let subject = Subject::parse("0192f0c1-2c3b-7a34-9e51-3d3f0c7f2b11").unwrap();
    let here = Partition::of(&subject, PartitionCount::ONE);
    let view = View::new(Some(Duration::from_mins(1)));
    for _ in 0..revoked {
        view.apply(here, &Revocation::Token { jti: Jti::random(), until: NOW.after(Duration::from_mins(15)) });
    }
    let (sid, jti) = (SessionId::random(here), Jti::random());
    let stand = Stand { subject: &subject, sid, jti, epoch: 0 };
    bencher.bench(|| {
        view.synced(Instant::now());
        view.verdict(black_box(&stand), NOW)
    });
}
