//! Limits that are leased, at work on a real store: how many two gateways admit at saturation, and what that
//! costs the store. Time is an argument, so a run of ten seconds says the same on a busy machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::clock::Timestamp;
use portcullis::ids::{LimitId, Subject};
use portcullis::limit::{Accuracy, Limit, LimitBy, Quota};
use portcullis::limiter::{Limiter, Readings, TIDY};
use portcullis::metrics::Metrics;
use portcullis::revocation::view::View;
use portcullis::store::measured::Measured;
use portcullis::store::{Counted, Leasable, Store};

use crate::fixture::{NOW, secs, subject};

/// A gateway, as far as limits go.
struct Gateway {
    limiter: Limiter,
    metrics: Arc<Metrics>,
    tidied: Timestamp,
}

impl Gateway {
    fn new(store: &Arc<dyn Store>) -> Self {
        let metrics = Arc::new(Metrics::new());
        let unused = Arc::new(View::new(None));
        let store = Arc::new(Measured::new(Arc::clone(store), Arc::clone(&metrics), unused));
        Self { limiter: Limiter::new(store, Arc::clone(&metrics)), metrics, tidied: NOW }
    }

    async fn admits(&self, limit: &Arc<Limit>, user: &Subject, now: Timestamp) -> bool {
        let limits = std::slice::from_ref(limit);
        self.limiter.take_leased_by_user(limits, user, now, &mut Readings::new()).await.is_ok()
    }

    /// How many of so many requests it admits, all at one moment; in between it does what it does every 100 ms.
    async fn admitted(&mut self, requests: u32, limit: &Arc<Limit>, user: &Subject, now: Timestamp) -> u32 {
        if now.since(self.tidied) >= TIDY {
            self.tidied = now;
            self.limiter.tidy(now).await;
        }
        let mut admitted = 0;
        for _ in 0..requests {
            admitted += u32::from(self.admits(limit, user, now).await);
        }
        admitted
    }

    /// How often the store was told `command`.
    fn commands(&self, command: &str) -> u32 {
        let name = format!(r#"portcullis_store_command_seconds_count{{command="{command}",outcome="ok"}} "#);
        let text = self.metrics.render();
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    }
}

fn limit(count: u32, period: Duration, burst: u32) -> Arc<Limit> {
    let quota = Quota::new(count, period, burst).unwrap();
    let id = LimitId::parse("leased").unwrap();
    Arc::new(Limit { id, quota, by: LimitBy::User, accuracy: Accuracy::Leased })
}

/// What is asked of two gateways: requests in each step, and how long a step is.
struct Load {
    name: &'static str,
    limit: Arc<Limit>,
    requests: [u32; 2],
    step: Duration,
}

pub(crate) async fn saturated(store: Arc<dyn Store>) {
    let ms = Duration::from_millis;
    let loads = [
        Load { name: "equal", limit: limit(2000, secs(1), 200), requests: [10, 10], step: ms(5) },
        Load { name: "unequal", limit: limit(2000, secs(1), 2000), requests: [19, 1], step: ms(5) },
        Load { name: "barely", limit: limit(1000, secs(1), 100), requests: [3, 3], step: ms(5) },
        Load { name: "slow", limit: limit(1000, secs(60), 64), requests: [1, 1], step: ms(60) },
        Load { name: "small", limit: limit(100, secs(60), 5), requests: [1, 1], step: ms(300) },
    ];
    for load in loads {
        let (admitted, may, asked) = saturate(&store, &load).await;
        println!(
            "{}: {admitted} of {may} ({:.2} %), {asked} leases",
            load.name,
            100.0 * f64::from(admitted) / f64::from(may)
        );
        assert!(f64::from(admitted) >= 0.95 * f64::from(may), "{}: {admitted} of {may}", load.name);
    }
}

/// How many pass of more than may, in 2000 steps: how many, how many may, and how many leases that took.
async fn saturate(store: &Arc<dyn Store>, load: &Load) -> (u32, u32, u32) {
    let Load { name, limit, requests, step } = load;
    let (user, quota) = (subject(name), limit.quota);
    let [mut one, mut other] = [Gateway::new(store), Gateway::new(store)];
    let (mut now, mut admitted, mut may) = (NOW, 0, 0);
    for _ in 0..2000 {
        let (here, there) =
            tokio::join!(one.admitted(requests[0], limit, &user, now), other.admitted(requests[1], limit, &user, now));
        admitted += here + there;
        may = quota.burst()
            + u32::try_from(now.since(NOW).as_micros()).unwrap() / u32::try_from(quota.interval_micros()).unwrap();
        assert!(admitted <= may, "{name}: {admitted} of {may} after {:?}", now.since(NOW));
        now = now.after(*step);
    }
    (admitted, may, one.commands("lease") + other.commands("lease"))
}

pub(crate) async fn asks_seldom(store: Arc<dyn Store>) {
    let (gateway, user) = (Gateway::new(&store), subject("alice"));
    let limit = limit(1000, secs(1), 800);
    for _ in 0..60 {
        assert!(gateway.admits(&limit, &user, NOW).await);
    }
    let before = gateway.commands("lease");
    assert!(before < 30, "it learns what is asked of it: {before}");
    let mut at_once = 0;
    let now = NOW.after(Duration::from_millis(1));
    for _ in 0..100 {
        let asked = gateway.commands("lease");
        assert!(gateway.admits(&limit, &user, now).await);
        at_once += u32::from(gateway.commands("lease") == asked);
    }
    assert!(at_once >= 95, "{at_once} of 100 asked nothing");

    // Those that come together wait for one answer.
    let (gateway, bob) = (Arc::new(gateway), subject("bob"));
    let before = gateway.commands("lease");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (gateway, limit, bob) = (Arc::clone(&gateway), Arc::clone(&limit), bob.clone());
        tasks.spawn(async move { gateway.admits(&limit, &bob, now).await });
    }
    assert!(tasks.join_all().await.into_iter().all(|admitted| admitted));
    let asked = gateway.commands("lease") - before;
    assert!(asked <= 50, "{asked} questions for 200 requests");
}

pub(crate) async fn gives_back(store: Arc<dyn Store>) {
    let (gateway, user) = (Gateway::new(&store), subject("alice"));
    let limit = limit(1, secs(1), 800);
    for _ in 0..100 {
        assert!(gateway.admits(&limit, &user, NOW).await);
    }
    let of = Leasable { limit: limit.id.clone(), whom: Counted::User(user), quota: limit.quota };
    // A lease may still be on its way; what it brings is over as well.
    let later = NOW.after(secs(2));
    let (mut left, began) = (0, Instant::now());
    while left < 702 {
        gateway.limiter.tidy(later).await;
        left = store.lease(&of, 0, later).await.unwrap().remaining;
        assert!(began.elapsed() < secs(20), "{left} of 702: all but those that were used, and what was refilled");
    }
    assert_eq!(left, 702);
    let returns = gateway.commands("give_back");
    gateway.limiter.tidy(NOW.after(secs(9))).await;
    assert_eq!((returns > 0, gateway.commands("give_back")), (true, returns), "each lease once");
}
