//! A fault of ours is one request's misfortune: it is answered, counted, and nothing else notices.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis::app::App;
use portcullis::auth::keys::SigningKey;
use portcullis::clock::{Clock, Timestamp};
use portcullis::config;
use portcullis::ids::{Jti, Partition, PartitionCount, SessionId, Subject};
use portcullis::limit::{Backoff, Decision, Grant};
use portcullis::policy::Grants;
use portcullis::session::{Cap, Cause, Lifetimes, Presented, Rotation, Session, UserState};
use portcullis::store::feed::{Changes, Cursor, Feed, Page, Place, Revocation};
use portcullis::store::{
    Check, Ending, KeyPurpose, Leasable, Memory, Opening, Stand, Standing, Store, StoreError, StoredKey, Take,
};
use portcullis::telemetry::AccessLog;
use portcullis_tests::{Client, Recorder, eventually, raw};

const TOML: &str = r#"
[listeners.public]
address = "127.0.0.1:0"
[admin]
address = "127.0.0.1:0"
[store]
url = "embedded:another-one-is-used.db"
[tokens]
issuer = "http://gateway.test"
audience = "test"
key = { file = "signing.pem" }
refresh_secret = { file = "refresh-secret" }
[upstreams.recorder]
servers = ["@RECORDER@"]
[limits.all]
rate = "100/s"
per = "address"
[[route]]
id = "limited"
match = { path = "/limited/*" }
upstream = "recorder"
policy = "public"
limit = "all"
[[route]]
id = "free"
match = { path = "/free/*" }
upstream = "recorder"
policy = "public"
"#;

/// A store that panics whatever it is asked, and says what nobody is to read.
struct Faulty;

fn fault() -> ! {
    panic!("hunter2 is at fault")
}

#[async_trait]
impl Feed for Faulty {
    async fn changes(&self, _: Partition, _: &Cursor) -> Result<Changes, StoreError> {
        fault()
    }

    async fn snapshot(&self, _: Partition, _: Option<&Place>) -> Result<Page, StoreError> {
        fault()
    }

    async fn restore(
        &self,
        _: Partition,
        _: &[Revocation],
        _: Memory,
        _: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        fault()
    }
}

#[async_trait]
impl Store for Faulty {
    fn partitions(&self) -> PartitionCount {
        PartitionCount::ONE
    }
    async fn ping(&self) -> Result<Duration, StoreError> {
        fault()
    }
    async fn open(&self, _: Session, _: Option<Cap>, _: Memory) -> Result<Opening, StoreError> {
        fault()
    }
    async fn rotate(
        &self,
        _: &Presented,
        _: Option<&Grants>,
        _: &Lifetimes,
        _: Memory,
        _: Timestamp,
    ) -> Result<Rotation, StoreError> {
        fault()
    }
    async fn check(&self, _: &Check<'_>, _: Timestamp) -> Result<Standing, StoreError> {
        fault()
    }
    async fn standing(&self, _: &[Stand<'_>], _: Timestamp) -> Result<Vec<bool>, StoreError> {
        fault()
    }
    async fn take(&self, _: &[Take], _: Timestamp) -> Result<Vec<Decision>, StoreError> {
        tokio::task::yield_now().await;
        fault()
    }
    async fn lease(&self, _: &Leasable, _: u32, _: Timestamp) -> Result<Grant, StoreError> {
        fault()
    }
    async fn give_back(&self, _: &Leasable, _: u32) -> Result<(), StoreError> {
        fault()
    }
    async fn end(&self, _: &Subject, _: Ending, _: Cause, _: Memory, _: Timestamp) -> Result<u64, StoreError> {
        fault()
    }
    async fn revoke(&self, _: &Subject, _: Jti, _: Timestamp, _: Memory, _: Timestamp) -> Result<(), StoreError> {
        fault()
    }
    async fn remember(&self, _: Memory, _: Timestamp) -> Result<Memory, StoreError> {
        fault()
    }
    async fn session(&self, _: SessionId, _: Timestamp) -> Result<Option<Session>, StoreError> {
        fault()
    }
    async fn sessions(&self, _: &Subject, _: Timestamp) -> Result<Vec<Session>, StoreError> {
        fault()
    }
    async fn user(&self, _: &Subject) -> Result<UserState, StoreError> {
        fault()
    }
    async fn set_disabled(&self, _: &Subject, _: bool, _: Memory, _: Timestamp) -> Result<(), StoreError> {
        fault()
    }
    async fn login_delay(&self, _: &str, _: Timestamp) -> Result<Duration, StoreError> {
        fault()
    }
    async fn login_failed(&self, _: &str, _: &Backoff, _: Timestamp) -> Result<Duration, StoreError> {
        fault()
    }
    async fn login_succeeded(&self, _: &str) -> Result<(), StoreError> {
        fault()
    }
    async fn keys(&self, _: KeyPurpose) -> Result<Vec<StoredKey>, StoreError> {
        fault()
    }
    async fn add_key(&self, _: &StoredKey) -> Result<(), StoreError> {
        fault()
    }
    async fn found_keys(&self, _: &StoredKey) -> Result<Vec<StoredKey>, StoreError> {
        fault()
    }
}

async fn start(folder: &Path, recorder: &Recorder) -> App {
    let key = SigningKey::generate(config::Algorithm::Es256);
    std::fs::write(folder.join("signing.pem"), key.expose()).unwrap();
    std::fs::write(folder.join("refresh-secret"), "q7Jx0vR2mZ9tKc4LwB8yNf3HsD6gPa1E").unwrap();
    let toml = TOML.replace("@RECORDER@", &recorder.address().to_string());
    let config = config::parse(&toml, "panics.toml", folder, &|_| None).unwrap();
    App::start_with(Arc::new(Faulty), config, Clock::system(), AccessLog::nowhere()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_for_its_request_and_a_count() {
    let (folder, recorder) = (tempfile::tempdir().unwrap(), Recorder::start().await);
    let app = start(folder.path(), &recorder).await;
    let address = app.addresses()["public"];
    let (client, admin) =
        (Client::anonymous(format!("http://{address}")), Client::anonymous(format!("http://{}", app.admin_address())));
    let metrics = || async { admin.get("/metrics").await.body };

    let refused = client.get("/limited/x").await;
    assert_eq!(refused.problem(), "500 internal: Something went wrong");
    assert_eq!(refused.json()["instance"], refused.header("x-request-id"), "it can be found in the log");
    assert!(!refused.body.contains("hunter2"), "{}", refused.body);
    let twice = "GET /limited/x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let answers = raw(address, twice.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 500").count(), 1, "the connection was closed: {answers}");
    assert!(recorder.seen().is_empty(), "nothing was forwarded");

    assert_eq!(client.get("/free/x").await.status, 200, "others are served");
    eventually("steps in the background panic and go on", || async {
        let metrics = metrics().await;
        let count =
            metrics.lines().find_map(|line| line.strip_prefix(r#"portcullis_panics_total{where="background"} "#));
        count.is_some_and(|count| count.parse::<u32>().unwrap() >= 2)
    })
    .await;
    eventually("nothing is in flight, soon after its answer", || async {
        metrics().await.contains("portcullis_requests_in_flight 0")
    })
    .await;
    let metrics = metrics().await;
    for line in [
        r#"portcullis_panics_total{where="request"} 2"#,
        r#"portcullis_requests_total{reason="internal",route="limited",status="500"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing from\n{metrics}");
    }
    assert!(app.shut_down().await, "it stops as ever");
}
