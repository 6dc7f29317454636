//! The honest client: users who are signed in ask at a steady rate, whether those before them have been answered or
//! not, and every answer is looked at. How long one waits counts from when its request was due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_tests::bench::wire::{self, Connections};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Wrong;

/// How many users there are.
const USERS: usize = 16;
/// After so long they give up; they have waited for so long then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Users who are signed in.
pub(crate) struct Honest {
    gateway: SocketAddr,
    users: Vec<Arc<User>>,
}

struct User {
    name: String,
    authorization: String,
}

/// What the client saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// How long each request took, from when it was due.
    pub(crate) took: Vec<Duration>,
    /// How much of that each waited in this program before it was sent.
    pub(crate) late: Vec<Duration>,
    /// Why requests were not answered: with which status they were refused, or what became of the connection.
    pub(crate) lost: Vec<String>,
}

impl Honest {
    /// Signs them in.
    pub(crate) async fn sign_in(gateway: SocketAddr) -> Result<Self, Wrong> {
        let connections = Connections::to(gateway);
        let mut users = Vec::with_capacity(USERS);
        for number in 0..USERS {
            let name = format!("honest{number}");
            let body = format!("{{\"username\":\"{name}\",\"password\":\"x\"}}");
            let answer = connections.exchange(&wire::request("POST", "/auth/login", ("", ""), &body)).await?;
            let grant: serde_json::Value = serde_json::from_str(&answer.body).map_err(|why| why.to_string())?;
            let token = grant["access_token"].as_str().ok_or_else(|| format!("a login got {}", answer.head))?;
            users.push(Arc::new(User { name, authorization: format!("Bearer {token}") }));
        }
        Ok(Self { gateway, users })
    }

    /// A token that is good.
    pub(crate) fn token(&self) -> &str {
        self.users[0].authorization.trim_start_matches("Bearer ")
    }

    /// Asks `count` times, at `rate` a second, over connections that are kept until it is over.
    pub(crate) async fn ask(&self, count: u32, rate: u32) -> Result<Seen, Wrong> {
        let connections = Arc::new(Connections::to(self.gateway));
        let mut due = ticks(count, Duration::from_secs(1) / rate);
        let mut asked = JoinSet::new();
        for user in self.users.iter().cycle() {
            let Some(due) = due.recv().await else { break };
            let (connections, user) = (Arc::clone(&connections), Arc::clone(user));
            asked.spawn(async move {
                let late = due.elapsed();
                let answer = timeout(PATIENCE, user.ask(&connections)).await;
                let took = due.elapsed();
                (late, took, answer.unwrap_or_else(|_| Ok(Err("no answer in time".to_owned()))))
            });
        }
        let mut seen = Seen::default();
        for (late, took, answer) in asked.join_all().await {
            let lost = answer?.err();
            seen.took.push(if lost.is_some() { took.max(PATIENCE) } else { took });
            seen.late.push(late);
            seen.lost.extend(lost);
        }
        Ok(seen)
    }
}

impl User {
    /// Asks who they are: inside is why there was no answer, outside what was wrong with it.
    async fn ask(&self, connections: &Connections) -> Result<Result<(), String>, Wrong> {
        let request = wire::request("GET", "/echo", ("Authorization", &self.authorization), "");
        match connections.exchange(&request).await {
            Ok(answer) if answer.status == 200 && answer.body == self.name => Ok(Ok(())),
            Ok(answer) if matches!(answer.status, 429 | 503) => Ok(Err(answer.status.to_string())),
            Ok(answer) => Err(format!("{} was answered as {:?} with {}", self.name, answer.body, answer.head)),
            Err(why) => Ok(Err(why)),
        }
    }
}

/// When each is due. A thread tells the time, since the timers of the runtime are a millisecond coarse, which is more
/// than an answer takes.
fn ticks(count: u32, interval: Duration) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, told) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let began = Instant::now();
        for number in 1..=count {
            let due = began + interval * number;
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                std::thread::park_timeout(left);
            }
            if tell.send(due).is_err() {
                break; // Nobody asks any more.
            }
        }
    });
    told
}
