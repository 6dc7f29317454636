//! A service of the test's own, on a free port with a SQLite file in a temporary folder, and a client for it.

use http::{HeaderMap, Method, StatusCode};
use portcullis_backend::store::Store;
use portcullis_backend::{Config, DatabaseUrl, Server};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A good password.
pub(crate) const PASSWORD: &str = "a fine password";

/// A running service.
pub(crate) struct Service {
    pub(crate) server: Server,
    pub(crate) database: DatabaseUrl,
    client: reqwest::Client,
    _folder: TempDir,
}

impl Service {
    /// A service with the usual settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A service with some settings changed.
    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = DatabaseUrl::Sqlite(folder.path().join("backend.db"));
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
        adjust(&mut config);
        let database = config.database.clone();
        let server = Server::start(config).await.expect("the service starts");
        Self { server, database, client: reqwest::Client::new(), _folder: folder }
    }

    /// A request to be completed by headers and a body.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.server.address()))
    }

    /// A request by nobody in particular.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// A request by nobody in particular, with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    /// A request by someone, as the gateway would pass it on.
    pub(crate) async fn by(&self, user: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).header("X-User-Id", user);
        Answer::to(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Registers a user; answers their id.
    pub(crate) async fn register(&self, username: &str) -> String {
        let answer = self.post("/users", json!({"username": username, "password": PASSWORD})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text("/id")
    }

    /// Checks credentials, as the gateway's login does.
    pub(crate) async fn authenticate(&self, username: &str, password: &str) -> Answer {
        self.post("/users/authenticate", json!({"username": username, "password": password})).await
    }

    /// The value of one metric; 0 if it was never touched.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let text = self.request(Method::GET, "/metrics").send().await.expect("it answers").text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().expect("counts are whole numbers"))
    }

    /// The database itself, beside the service.
    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.database).await.expect("it is there")
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Sends a request and reads all of the answer.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the service answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("a whole body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status, headers, body }
    }

    /// The string at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let value = self.body.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("no string at {pointer} in {self:?}")).to_owned()
    }

    /// A header, or an empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// That this is a whole and proper refusal, for this reason.
    pub(crate) fn assert_refused(&self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), self.body["reason"].as_str()), (status, Some(reason)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.text("/type"), format!("urn:portcullis:problem:{reason}"));
        assert_eq!(self.body["status"], status);
        assert_eq!(self.text("/instance"), self.header("x-request-id"));
        assert!(!self.text("/title").is_empty() && !self.text("/detail").is_empty(), "{self:?}");
        for (with, name) in [(401, "www-authenticate"), (405, "allow"), (503, "retry-after")] {
            assert_eq!(status == with, self.headers.contains_key(name), "{name} goes with {with}: {self:?}");
        }
    }

    /// The names of the fields that were refused, in order.
    pub(crate) fn refused_fields(&self) -> Vec<&str> {
        self.assert_refused(422, "invalid_fields");
        let errors = self.body["errors"].as_array().expect("a list of errors");
        errors.iter().map(|error| error["field"].as_str().expect("a field")).collect()
    }
}
