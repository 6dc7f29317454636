use futures_util::FutureExt as _;

use super::*;
use crate::ids::{Jti, Partition, PartitionCount, SessionId, UpstreamId};
use crate::policy::{Caller, Grants, Known, Policy};
use crate::routing::{HostPattern, Methods, PathPattern, Target, Unauthenticated, WithoutStore};
use crate::secret::Secret;
use crate::store::redis::RedisStore;

const MEMORY: Memory = Memory { access_life: Duration::from_mins(15) };

fn route(path: &str, revokes: Revokes) -> Route {
    Route {
        id: RouteId::parse("password").unwrap(),
        host: HostPattern::Any,
        path: PathPattern::parse(path).unwrap(),
        methods: Methods::Any,
        policy: Policy::Authenticated,
        target: Target::Upstream { id: UpstreamId::parse("backend").unwrap(), rewrite: None },
        accept: std::collections::BTreeSet::new(),
        reveal_software: false,
        limits: Vec::new(),
        cors: None,
        forward_token: false,
        cookies: false,
        unauthenticated: Unauthenticated::Refuse,
        without_store: WithoutStore::Refuse,
        read_timeout: None,
        max_body: None,
        revokes: Some(revokes),
    }
}

fn permit(route: Route) -> Permit {
    let subject = Subject::parse("alice").unwrap();
    let now = Clock::system().now();
    let known = Known {
        sid: SessionId::random(Partition::of(&subject, PartitionCount::ONE)),
        jti: Jti::random(),
        subject,
        epoch: 1,
        grants: Grants::default(),
        authenticated_at: now,
        issued_at: now,
        expires_at: now,
    };
    Policy::permit(&Arc::new(route), Caller::Known(Arc::new(known))).unwrap()
}

/// One that can't ask its store, for which nothing listens.
async fn without_store(places: usize, patience: Duration) -> Arc<Revoker> {
    let nowhere = Secret::new("redis://127.0.0.1:1");
    let store = RedisStore::connect(&nowhere, Duration::from_millis(50), 1, "portcullis").await.unwrap();
    let revoker = Revoker::new(Arc::new(store), Arc::new(Metrics::new()), Clock::system(), CancellationToken::new());
    Arc::new(Revoker { places: Arc::new(Semaphore::new(places)), patience, ..revoker })
}

fn counted(revoker: &Revoker, line: &str) -> bool {
    revoker.metrics.render().lines().any(|other| other == line)
}

#[tokio::test]
async fn what_waits_is_bounded_in_number_and_in_time() {
    let revoker = without_store(1, FIRST_PAUSE * 2).await;
    let permit = permit(route("/password", Revokes::OthersOfCaller));
    for _ in 0..3 {
        revoker.succeeded(&permit, "/password", MEMORY).await;
    }
    assert!(counted(&revoker, "portcullis_route_revocations_waiting 1"));
    assert!(counted(&revoker, r#"portcullis_route_revocations_total{outcome="overflowed"} 2"#));
    revoker.waiting.close();
    revoker.waiting.wait().await;
    assert!(counted(&revoker, "portcullis_route_revocations_waiting 0"));
    assert!(counted(&revoker, r#"portcullis_route_revocations_total{outcome="given_up"} 1"#));
    assert_eq!(revoker.places.available_permits(), 1);
}

#[tokio::test]
async fn what_still_waits_at_the_end_is_given_up_and_counted() {
    let revoker = without_store(9, PATIENCE).await;
    revoker.succeeded(&permit(route("/password", Revokes::AllOfCaller)), "/password", MEMORY).await;
    assert!(!revoker.drain(Instant::now() + FIRST_PAUSE).await);
    assert!(counted(&revoker, r#"portcullis_route_revocations_total{outcome="given_up"} 1"#));
}

#[tokio::test]
async fn a_revocation_goes_on_though_nobody_waits_for_it() {
    let revoker = without_store(9, FIRST_PAUSE * 2).await;
    let permit = permit(route("/password", Revokes::AllOfCaller));
    let outcome = revoker.succeeded(&permit, "/password", MEMORY).now_or_never();
    assert!(outcome.is_none(), "it was under way when its client went");
    revoker.waiting.close();
    revoker.waiting.wait().await;
    assert!(counted(&revoker, r#"portcullis_route_revocations_total{outcome="given_up"} 1"#), "it was tried");
}

#[test]
fn the_path_names_a_user_as_the_upstream_reads_it() {
    let route = route("/users/{id}/disable", Revokes::AllOf { param: "id".into() });
    for (path, expected) in [
        ("/users/alice/disable", Some("alice")),
        ("/users/alice@example.com/disable", Some("alice@example.com")),
        ("/users/a%3Bb/disable", Some("a;b")),
        ("/users/a%20b/disable", None),
        ("/users/%C3%A9/disable", None),
    ] {
        assert_eq!(named(&route, path, "id").as_ref().map(Subject::as_str), expected, "{path}");
    }
}
