//! A whole gateway and what stands around it: backend, recording upstream, store, clock. Everything
//! listens on a free port and ends with the test; the configuration is the TOML that an operator would
//! write, read by the same code.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis::app::App;
use portcullis::auth::keys::SigningKey;
use portcullis::clock::Clock;
use portcullis::config::{self, Config};
use portcullis::telemetry::AccessLog;
use portcullis_backend::{DatabaseUrl, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::postgres::Postgres;
use crate::{Client, Forge, Recorder, Redis};

/// Which store a gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SQLite.
    Embedded,
    /// A Redis of its own.
    Redis,
}

/// A whole gateway and what stands around it.
pub struct Stack {
    /// Moves time.
    pub clock: Clock,
    /// The store, if it is a Redis.
    pub redis: Option<Redis>,
    /// The upstream that keeps what it was sent, behind `/echo/*` and others.
    pub recorder: Recorder,
    /// Signs tokens that the gateway never issued.
    pub forge: Forge,
    backend: Option<Server>,
    _postgres: Option<Postgres>,
    app: Option<App>,
    more: Vec<App>,
    toml: String,
    folder: tempfile::TempDir,
}

/// How a [`Stack`] is put together.
pub struct Builder {
    kind: Kind,
    extra: String,
    tokens: String,
    admin: String,
    files: Vec<(String, String)>,
    redis_terms: String,
    login_limits: (u32, u32),
    on_postgres: bool,
}

impl Builder {
    /// Has the backend keep its users and posts in a PostgreSQL of its own.
    #[must_use]
    pub fn on_postgres(mut self) -> Self {
        self.on_postgres = true;
        self
    }

    /// Adds sections at the end of the configuration.
    #[must_use]
    pub fn extra(mut self, toml: &str) -> Self {
        self.extra.push_str(toml);
        self
    }

    /// Adds keys to `[tokens]`.
    #[must_use]
    pub fn tokens(mut self, toml: &str) -> Self {
        self.tokens.push_str(toml);
        self
    }

    /// Adds keys to `[admin]`.
    #[must_use]
    pub fn admin(mut self, toml: &str) -> Self {
        self.admin.push_str(toml);
        self
    }

    /// Puts a file, such as a secret, beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Sets keys of `[store]` where that is a Redis; by default a timeout that a busy machine does not reach.
    #[must_use]
    pub fn redis_terms(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.redis_terms);
        self
    }

    /// Has the gateway give up on its Redis as soon as it does by default.
    #[must_use]
    pub fn impatient(self) -> Self {
        self.redis_terms("")
    }

    /// How many logins may come at once, by account and by address.
    #[must_use]
    pub fn login_limits(mut self, account: u32, address: u32) -> Self {
        self.login_limits = (account, address);
        self
    }

    /// Starts everything.
    ///
    /// # Panics
    /// If anything does not start.
    pub async fn start(self) -> Stack {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = SigningKey::generate(config::Algorithm::Es256);
        std::fs::write(folder.path().join("signing.pem"), key.expose()).expect("the folder is ours");
        for (name, content) in &self.files {
            std::fs::write(folder.path().join(name), content).expect("the folder is ours");
        }
        let redis = match self.kind {
            Kind::Embedded => None,
            Kind::Redis => Some(Redis::start().await),
        };
        let postgres = self.on_postgres.then(Postgres::start);
        let database = match &postgres {
            Some(server) => server.create("backend"),
            None => format!("sqlite:{}", folder.path().join("backend.db").display()),
        };
        let backend = start_backend(&database).await;
        let recorder = Recorder::start().await;
        let store =
            redis.as_ref().map_or_else(|| format!("embedded:{}", folder.path().join("store.db").display()), Redis::url);
        let toml = self.toml(&store, backend.address(), recorder.address());
        let clock = Clock::system();
        let app = start_app(&toml, folder.path(), &clock).await;
        let forge = Forge::new(&key);
        Stack {
            clock,
            redis,
            recorder,
            forge,
            backend: Some(backend),
            _postgres: postgres,
            app: Some(app),
            more: Vec::new(),
            toml,
            folder,
        }
    }

    fn toml(&self, store: &str, backend: SocketAddr, recorder: SocketAddr) -> String {
        let (account, address) = self.login_limits;
        let mut toml = TEMPLATE.to_owned();
        for (name, value) in [
            ("STORE", store),
            ("STORE_TERMS", if self.kind == Kind::Redis { &self.redis_terms } else { "" }),
            ("BACKEND", &backend.to_string()),
            ("RECORDER", &recorder.to_string()),
            ("TOKENS", &self.tokens),
            ("ADMIN", &self.admin),
            ("ACCOUNT_BURST", &account.to_string()),
            ("ADDRESS_BURST", &address.to_string()),
        ] {
            toml = toml.replace(&format!("@{name}@"), value);
        }
        let _ = writeln!(toml, "{}", self.extra);
        toml
    }
}

const TEMPLATE: &str = include_str!("stack.toml");

async fn start_backend(database: &str) -> Server {
    let database = DatabaseUrl::parse(database).expect("a path or a PostgreSQL");
    let config = portcullis_backend::Config::new("127.0.0.1:0".parse().expect("an address"), database);
    Server::start(config).await.expect("the backend starts")
}

fn parse(toml: &str, folder: &Path) -> Config {
    match config::parse(toml, "stack.toml", folder, &|_| None) {
        Ok(config) => config,
        Err(errors) => panic!("the configuration of this test is wrong:\n{errors}"),
    }
}

async fn start_app(toml: &str, folder: &Path, clock: &Clock) -> App {
    App::start(parse(toml, folder), clock.clone(), AccessLog::nowhere()).await.expect("the gateway starts")
}

impl Stack {
    /// A stack to be put together.
    pub fn builder(kind: Kind) -> Builder {
        Builder {
            kind,
            extra: String::new(),
            tokens: String::new(),
            admin: String::new(),
            files: Vec::new(),
            redis_terms: "timeout = \"2s\"".to_owned(),
            login_limits: (1000, 1000),
            on_postgres: false,
        }
    }

    /// A stack as it comes.
    pub async fn start(kind: Kind) -> Self {
        Self::builder(kind).start().await
    }

    fn app(&self) -> &App {
        self.app.as_ref().expect("it runs until it is shut down")
    }

    /// Where the gateway listens.
    ///
    /// # Panics
    /// If it has been shut down.
    pub fn address(&self) -> SocketAddr {
        self.app().addresses()["public"]
    }

    /// Where another of its listeners listens.
    ///
    /// # Panics
    /// If it has been shut down, or has none of that name.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.app().addresses()[name]
    }

    /// Someone without tokens.
    pub fn anonymous(&self) -> Client {
        Client::anonymous(format!("http://{}", self.address()))
    }

    /// Registers a user and logs in.
    pub async fn login(&self, name: &str) -> Client {
        let registered = self.anonymous().register(name).await;
        assert!(matches!(registered.status, 201 | 409), "{} {}", registered.status, registered.body);
        self.login_again(name).await
    }

    /// Logs a registered user in.
    pub async fn login_again(&self, name: &str) -> Client {
        let mut client = self.anonymous();
        client.keep(&client.try_login(name, Client::PASSWORD).await);
        client
    }

    /// Someone who asks the admin listener.
    pub fn admin(&self) -> Client {
        Client::anonymous(format!("http://{}", self.app().admin_address()))
    }

    /// The value of a metric whose line begins like this; 0 if there is none.
    pub async fn metric(&self, line: &str) -> f64 {
        value(&self.admin().get("/metrics").await.body, line)
    }

    /// The sum of a metric over all gateways; see [`Stack::metric`].
    pub async fn metric_everywhere(&self, line: &str) -> f64 {
        let mut sum = self.metric(line).await;
        for app in &self.more {
            let admin = Client::anonymous(format!("http://{}", app.admin_address()));
            sum += value(&admin.get("/metrics").await.body, line);
        }
        sum
    }

    /// Starts another gateway on the same store and upstreams: a client of it.
    pub async fn another_gateway(&mut self) -> Client {
        self.another_gateway_with(|toml| toml).await
    }

    /// Starts another gateway with this configuration after `change` was made to it: a client of it.
    pub async fn another_gateway_with(&mut self, change: impl FnOnce(String) -> String) -> Client {
        let app = start_app(&change(self.toml.clone()), self.folder.path(), &self.clock).await;
        let client = Client::anonymous(format!("http://{}", app.addresses()["public"]));
        self.more.push(app);
        client
    }

    /// Gives the gateway another configuration: this one with `change` made to it.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn reload(&mut self, change: impl FnOnce(String) -> String) -> Result<(), String> {
        let toml = change(self.toml.clone());
        let config = config::parse(&toml, "stack.toml", self.folder.path(), &|_| None).map_err(|e| e.to_string())?;
        self.app.as_mut().expect("it runs").reload(config).await.map_err(|error| error.to_string())
    }

    /// Stops the gateway as TERM does, while requests run: whether all of them ended in time.
    ///
    /// # Panics
    /// If it has been shut down before.
    pub fn shut_down(&mut self) -> tokio::task::JoinHandle<bool> {
        tokio::spawn(self.app.take().expect("it runs").shut_down())
    }

    /// Stops the gateway and starts it again on the same store and a new port.
    pub async fn restart(&mut self) {
        assert!(self.shut_down().await.expect("it does not panic"), "it drains");
        self.app = Some(start_app(&self.toml, self.folder.path(), &self.clock).await);
    }

    /// Stops the backend.
    pub async fn stop_backend(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.stop().await;
        }
    }

    /// A folder that ends with the test.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn value(metrics: &str, line: &str) -> f64 {
    metrics.lines().find_map(|other| other.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
}

/// Waits until a condition holds, for at most ten seconds.
///
/// # Panics
/// If it never does.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..1000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}

/// Sends exactly these bytes and reads all that comes until the other side closes or is silent.
///
/// # Panics
/// If there is no connection.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(bytes).await.expect("it reads");
    let mut answer = Vec::new();
    // A slow machine may take its time to begin; who has begun goes on soon.
    let (begins, goes_on) = (Duration::from_secs(10), Duration::from_millis(500));
    let patience = |answer: &Vec<u8>| if answer.is_empty() { begins } else { goes_on };
    while let Ok(Ok(read)) = tokio::time::timeout(patience(&answer), stream.read_buf(&mut answer)).await {
        if read == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
