//! Taking from a limit: the arithmetic alone, with the count that one gateway keeps when the store is gone, and from what
//! is leased, the renewals in the background included.

use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use portcullis::ids::{LimitId, Subject};
use portcullis::limit::{Accuracy, Limit, LimitBy, Quota};
use portcullis::limiter::{Limiter, LocalCounts, Readings};
use portcullis::metrics::Metrics;
use portcullis::store::Take;
use portcullis::store::embedded::EmbeddedStore;
use tokio::runtime::Builder;

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

#[divan::bench(args = [1, 10_000])]
fn leased_share(bencher: Bencher<'_, '_>, keys: usize) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = runtime.block_on(EmbeddedStore::open(folder.path().join("bench.db"))).unwrap();
    let limiter = runtime.block_on(async { Limiter::new(Arc::new(store), Arc::new(Metrics::new())) });
    let quota = Quota::new(100_000, Duration::from_secs(1), 100_000).unwrap();
    let id = LimitId::parse("api").unwrap();
    let limits = [Arc::new(Limit { id, quota, by: LimitBy::User, accuracy: Accuracy::Leased })];
    let subjects: Vec<Subject> = (0..keys).map(|number| Subject::parse(&format!("user{number}")).unwrap()).collect();
    let (mut next, mut now, mut readings) = (subjects.iter().cycle(), NOW, Readings::new());
    let mut take = move || {
        // Half as fast as it refills, so that nobody waits for long.
        now = now.after(Duration::from_micros(20));
        readings.clear();
        runtime.block_on(limiter.take_leased_by_user(&limits, next.next().unwrap(), now, &mut readings)).unwrap();
    };
    (0..keys).for_each(|_| take());
    bencher.bench_local(take);
}
