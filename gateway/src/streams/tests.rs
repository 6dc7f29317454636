//! The registry against a real store, with carriers that nobody drives.

use super::*;
use crate::ids::{Jti, SessionId, Subject};
use crate::policy::Grants;
use crate::secret::Secret;
use crate::store::embedded::EmbeddedStore;
use crate::store::feed::Revocation;
use crate::store::redis::RedisStore;
use crate::store::{Ending, Memory};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MEMORY: Duration = Duration::from_mins(15);
const ABSOLUTE: Duration = Duration::from_hours(24);

/// What a session of `name` is known by.
fn known(store: &dyn Store, name: &str) -> Arc<Known> {
    let subject = Subject::parse(name).unwrap();
    Arc::new(Known {
        sid: SessionId::random(store.partition(&subject)),
        jti: Jti::random(),
        epoch: 0,
        grants: Grants::default(),
        authenticated_at: NOW,
        issued_at: NOW,
        expires_at: NOW.after(MEMORY),
        subject,
    })
}

struct Watching {
    view: View,
    streams: Arc<Streams>,
    metrics: Arc<Metrics>,
    store: EmbeddedStore,
    _folder: tempfile::TempDir,
}

async fn watching() -> Watching {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("state.db")).await.unwrap();
    let metrics = Arc::new(Metrics::new());
    let view = View::new(None);
    Watching { view, streams: Arc::new(Streams::new(Arc::clone(&metrics))), metrics, store, _folder: folder }
}

impl Watching {
    fn begin(&self, known: &Arc<Known>) -> Open {
        let watched = Watched { known: Arc::clone(known), ends_at: NOW.after(ABSOLUTE), confirmed_at: NOW };
        self.streams.begin(&Arc::new(Carrier::default()), Kind::Bytes, Some(watched))
    }

    async fn look(&self, later: Duration) {
        self.streams.look(&self.view, &self.store, MEMORY, NOW.after(later)).await;
    }

    fn metric(&self, line: &str) -> bool {
        self.metrics.render().contains(line)
    }
}

#[tokio::test]
async fn of_thousands_of_streams_exactly_those_end_whose_session_has() {
    let watching = watching().await;
    let ended: Vec<usize> = vec![0, 499, 500, 1100];
    let sessions: Vec<_> = (0..1200).map(|number| known(&watching.store, &format!("user-{number}"))).collect();
    let open: Vec<_> = sessions.iter().map(|known| watching.begin(known)).collect();
    assert!(watching.metric("portcullis_streams_open 1200"));
    for at in &ended {
        watching
            .store
            .revoke(&sessions[*at].subject, sessions[*at].jti, NOW.after(MEMORY), Memory { access_life: MEMORY }, NOW)
            .await
            .unwrap();
    }
    watching.look(Duration::from_secs(1)).await;
    let found: Vec<_> = (0..open.len()).filter(|at| open[*at].ended() == Some(Cause::Revoked)).collect();
    assert_eq!(found, ended, "though none of them has gone yet");
    watching.look(Duration::from_secs(2)).await;
    assert!(watching.metric(r#"portcullis_streams_ended_total{cause="session_revoked"} 4"#), "each counts once");
    drop(open);
    assert!(watching.metric("portcullis_streams_open 0"));
    assert!(watching.streams.all().is_empty());
}

#[tokio::test]
async fn every_stream_of_a_user_ends_when_the_user_logs_out_everywhere_or_is_disabled() {
    let watching = watching().await;
    let memory = Memory { access_life: MEMORY };
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| known(&watching.store, name));
    let open = [&alice, &alice, &bob, &carol].map(|known| watching.begin(known));
    watching.store.end(&alice.subject, Ending::All, crate::session::Cause::LoggedOut, memory, NOW).await.unwrap();
    watching.store.set_disabled(&bob.subject, true, memory, NOW).await.unwrap();
    watching.look(Duration::from_secs(1)).await;
    let revoked = Some(Cause::Revoked);
    assert_eq!(open.each_ref().map(Open::ended), [revoked, revoked, revoked, None]);
}

#[tokio::test]
async fn a_stream_ends_with_its_session_however_often_that_is_confirmed() {
    let watching = watching().await;
    let open = watching.begin(&known(&watching.store, "alice"));
    for minutes in (10..1440).step_by(10) {
        watching.look(Duration::from_mins(minutes)).await;
        assert_eq!(open.ended(), None, "after {minutes} minutes");
    }
    watching.look(ABSOLUTE).await;
    assert_eq!(open.ended(), Some(Cause::Over));
}

#[tokio::test]
async fn what_may_have_been_revoked_and_forgotten_unseen_ends() {
    let watching = watching().await;
    let alice = known(&watching.store, "alice");
    let open = watching.begin(&alice);
    watching
        .store
        .revoke(&alice.subject, alice.jti, NOW.after(MEMORY), Memory { access_life: MEMORY }, NOW)
        .await
        .unwrap();
    // Nobody looked, for as long as the store remembers: now it says that the token stands.
    watching.look(MEMORY).await;
    assert_eq!(open.ended(), Some(Cause::Unconfirmed));
}

#[tokio::test]
async fn what_is_known_to_be_revoked_ends_though_the_store_can_tell_of_nobody() {
    let watching = watching().await;
    watching.view.set_max_staleness(Some(Duration::from_secs(1))); // in use, but it was told of nothing else
    let [alice, bob] = ["alice", "bob"].map(|name| known(&watching.store, name));
    let partition = watching.store.partition(&alice.subject);
    watching.view.apply(partition, &Revocation::Session { sid: alice.sid, until: NOW.after(MEMORY) });
    let open = [&alice, &bob].map(|known| watching.begin(known));
    let nowhere = Secret::new("redis://127.0.0.1:1");
    let gone = RedisStore::connect(&nowhere, Duration::from_millis(50), 1, "portcullis").await.unwrap();
    watching.streams.look(&watching.view, &gone, MEMORY, NOW).await;
    assert_eq!(open.each_ref().map(Open::ended), [Some(Cause::Revoked), None]);
    assert!(watching.metric("portcullis_streams_unconfirmed 1"));
}

#[tokio::test]
async fn a_stream_of_nobody_ends_with_the_gateway_only() {
    let watching = watching().await;
    let open = watching.streams.begin(&Arc::new(Carrier::default()), Kind::Frames, None);
    watching.look(ABSOLUTE * 2).await;
    assert_eq!(open.ended(), None);
    watching.streams.end_all(Cause::Leaving);
    assert_eq!(open.ended(), Some(Cause::Leaving));
}

#[test]
fn every_cause_is_told_as_it_was_meant() {
    for cause in Cause::ALL {
        assert_eq!(Cause::of_bits(cause.bits()), Some(cause));
    }
    assert_eq!(Cause::of_bits(0), None);
}
