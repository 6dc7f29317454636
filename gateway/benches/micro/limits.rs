//! Taking from a limit: the arithmetic alone, and with the count that one gateway keeps when the store is gone.

use std::time::Duration;

use divan::{Bencher, black_box};
use portcullis::ids::LimitId;
use portcullis::limit::Quota;
use portcullis::limiter::LocalCounts;
use portcullis::store::Take;

use crate::NOW;

fn quota() -> Quota {
    Quota::new(100, Duration::from_mins(1), 1000).unwrap()
}

#[divan::bench]
fn arithmetic(bencher: Bencher<'_, '_>) {
    let quota = quota();
    let (_, tat) = quota.take(None, NOW);
    bencher.bench(|| black_box(&quota).take(black_box(Some(tat)), NOW));
}

#[divan::bench(args = [1, 10_000])]
fn local_count(bencher: Bencher<'_, '_>, keys: usize) {
    let counts = LocalCounts::default();
    let take = |number| Take { limit: LimitId::parse("api").unwrap(), key: format!("user{number}"), quota: quota() };
    let takes: Vec<Take> = (0..keys).map(take).collect();
    let mut next = takes.iter().cycle();
    bencher.bench_local(|| counts.take(next.next().unwrap(), NOW));
}
