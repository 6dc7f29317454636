//! What becomes of requests when the database is gone, and when it is back.

#[path = "support/postgres.rs"]
mod postgres;

use std::fs::read_to_string;
use std::process::Command;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use portcullis_backend::{Config, DatabaseUrl, Server};
use postgres::Postgres;
use serde_json::{Value, json};

const PASSWORD: &str = "a fine password";

#[tokio::test]
async fn a_database_that_stalls_or_stops_is_unavailable_until_it_is_back() {
    let postgres = Postgres::start();
    let database = DatabaseUrl::parse(&postgres.create("portcullis")).expect("a URL");
    let server = Server::start(Config::new(([127, 0, 0, 1], 0).into(), database)).await.expect("it starts");
    let client = Client { http: reqwest::Client::new(), server };
    let alice = client.send(Method::POST, "/users", "").await;
    assert_eq!(alice.0, 201, "{alice:?}");
    let id = alice.1["id"].as_str().expect("an id").to_owned();

    stalled(&client, &postgres, &id).await;
    assert!(postgres.stop(), "it ran");
    stopped(&client, &id).await;
    postgres.resume();
    back(&client, &id).await;
}

async fn stalled(client: &Client, postgres: &Postgres, id: &str) {
    let stalled = Stalled::all_of(postgres);
    let asked = Instant::now();
    let requests = [(Method::GET, "/posts"), (Method::GET, "/users/me"), (Method::POST, "/users/authenticate")];
    let requests = requests.map(|(method, path)| client.assert_unavailable(method, path, id));
    futures_util::future::join_all(requests).await;
    assert!(asked.elapsed() < Duration::from_secs(10), "it gives up before its caller does");
    drop(stalled);
    back(client, id).await;
}

async fn stopped(client: &Client, id: &str) {
    let post = "/posts/01890000-0000-7000-8000-000000000000";
    let requests = [
        (Method::POST, "/users"),
        (Method::POST, "/users/authenticate"),
        (Method::GET, "/users/me"),
        (Method::PUT, "/users/me/password"),
        (Method::DELETE, "/users/me"),
        (Method::GET, "/users/exists/alice"),
        (Method::GET, "/posts"),
        (Method::GET, post),
        (Method::DELETE, post),
    ];
    let requests = requests.map(|(method, path)| client.assert_unavailable(method, path, id));
    futures_util::future::join_all(requests).await;
    let (status, body) = client.send(Method::GET, "/readyz", "").await;
    assert_eq!((status.as_u16(), &body["reason"]), (503, &json!("not_ready")));
    assert!(body["detail"].as_str().is_some_and(|why| why.starts_with("the database is unavailable: ")), "{body}");
    assert_eq!(client.send(Method::GET, "/livez", "").await.0, 200, "a restart would not help");
}

async fn back(client: &Client, id: &str) {
    while client.send(Method::GET, "/readyz", "").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.send(Method::GET, "/users/me", id).await.0, 200);
    assert_eq!(client.send(Method::POST, "/users/authenticate", "").await.0, 200);
}

/// A server that stands still, connections and all, until this is dropped.
struct Stalled {
    processes: Vec<String>,
}

impl Stalled {
    fn all_of(server: &Postgres) -> Self {
        let pid_file = read_to_string(server.data().join("postmaster.pid")).expect("the server runs");
        let first = pid_file.lines().next().expect("its first line is the process").to_owned();
        let children = read_to_string(format!("/proc/{first}/task/{first}/children")).expect("it runs");
        let processes = children.split_whitespace().map(str::to_owned).chain([first]).collect();
        let stalled = Self { processes };
        stalled.signal("-STOP");
        stalled
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).args(&self.processes).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server takes {signal}");
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// A client of one service.
struct Client {
    http: reqwest::Client,
    server: Server,
}

impl Client {
    /// Sends a request with whatever body it takes.
    async fn send(&self, method: Method, path: &str, user: &str) -> (StatusCode, Value) {
        let body = match path {
            "/users/me/password" => json!({"current_password": PASSWORD, "new_password": "another fine password"}),
            _ => json!({"username": "alice", "password": PASSWORD}),
        };
        let url = format!("http://{}{path}", self.server.address());
        let request = self.http.request(method, url).header("X-User-Id", user).json(&body);
        let response = request.send().await.expect("the service answers");
        let status = response.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(response.headers()["retry-after"], "1");
        }
        (status, response.json().await.unwrap_or_default())
    }

    async fn assert_unavailable(&self, method: Method, path: &str, user: &str) {
        let (status, body) = self.send(method.clone(), path, user).await;
        let expected = (503, "store_unavailable", "the database does not answer just now");
        let seen = (status.as_u16(), body["reason"].as_str(), body["detail"].as_str());
        assert_eq!(seen, (expected.0, Some(expected.1), Some(expected.2)), "{method} {path}");
    }
}
