//! How long a logout on one gateway takes to be known to another one: two whole gateways in replicated mode on a Redis
//! of their own, both under load at a steady rate. A user logs out on the first, and asks the second again and again
//! until it refuses. It prints what it measured and judges nothing but the answers.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use portcullis::app::App;
use portcullis::clock::Clock;
use portcullis::telemetry::AccessLog;
use portcullis_tests::Redis;
use portcullis_tests::bench::times::{Times, load};
use portcullis_tests::bench::upstream;
use portcullis_tests::bench::wire::{self, Answer, Connections};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// The longest that a logout may take to be known before there are no figures.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures until another gateway refuses who logged out.
#[derive(Parser)]
struct Terms {
    /// How many users log out, one after the other.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    logouts: u32,
    /// Requests a second that others send, half of them to each gateway.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
}

/// Why there are no figures.
type Wrong = String;

/// Two gateways, and what they need.
struct Bench {
    _apps: [App; 2],
    gateways: [Arc<Connections>; 2],
    _redis: Redis,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Terms::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("bench-visibility: {wrong}");
            ExitCode::FAILURE
        }
    }
}

async fn run(terms: &Terms) -> Result<(), Wrong> {
    let bench = Bench::start().await?;
    let others = bench.sign_in("others").await?;
    let mut crowd = JoinSet::new();
    for gateway in &bench.gateways {
        crowd.spawn(press(Arc::clone(gateway), others.clone(), terms.rate.div_ceil(2)));
    }
    let (mut answered, mut known) = (Vec::new(), Vec::new());
    for number in 0..terms.logouts {
        let (logout, elsewhere) = bench.log_out(&format!("user-{number}")).await?;
        answered.push(logout);
        known.push(elsewhere);
        if let Some(ended) = crowd.try_join_next() {
            return Err(ended.unwrap_or_else(|why| why.to_string()));
        }
    }
    println!("{} logouts, {} other requests a second; times in milliseconds", terms.logouts, terms.rate);
    println!("                       {}   load", Times::HEAD);
    for (what, times) in [("a logout is answered", answered), ("then known elsewhere", known)] {
        println!("{what:22} {}  {:>5}", Times::of(&times).row(), load());
    }
    Ok(())
}

impl Bench {
    async fn start() -> Result<Self, Wrong> {
        let redis = Redis::start().await;
        let upstream = upstream::start().await.map_err(|why| why.to_string())?;
        let toml = include_str!("gateway.toml").replace("@REDIS@", &redis.url());
        let toml = toml.replace("@UPSTREAM@", &upstream.to_string());
        let apps = [start(&toml).await?, start(&toml).await?];
        let gateways = apps.each_ref().map(|app| Arc::new(Connections::to(app.addresses()["public"])));
        Ok(Self { _apps: apps, gateways, _redis: redis })
    }

    /// The access token of a user.
    async fn sign_in(&self, user: &str) -> Result<String, Wrong> {
        let body = format!("{{\"username\":\"{user}\",\"password\":\"x\"}}");
        let answer = self.gateways[0].exchange(&wire::request("POST", "/auth/login", ("Cookie", ""), &body)).await?;
        let body: serde_json::Value = serde_json::from_str(&answer.body).map_err(|why| why.to_string())?;
        let token = body["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| format!("a login was answered with {}", answer.head))
    }

    /// Has a user log out on the first gateway: how long that takes, and how long from then on until the second
    /// refuses them. The first has to at once.
    async fn log_out(&self, user: &str) -> Result<(Duration, Duration), Wrong> {
        let token = self.sign_in(user).await?;
        let [here, elsewhere] = &self.gateways;
        expect(200, &ask(elsewhere, &token).await?)?;
        let bearer = format!("Bearer {token}");
        let began = Instant::now();
        let request = wire::request("POST", "/auth/logout", ("Authorization", &bearer), "");
        expect(204, &here.exchange(&request).await?)?;
        let logged_out = Instant::now();
        expect(401, &ask(here, &token).await?)?;
        while ask(elsewhere, &token).await?.status != 401 {
            if logged_out.elapsed() > PATIENCE {
                return Err("a logout was not known elsewhere".to_owned());
            }
        }
        Ok((logged_out - began, logged_out.elapsed()))
    }
}

async fn start(toml: &str) -> Result<App, Wrong> {
    let config = portcullis::config::parse(toml, "gateway.toml", "".as_ref(), &|_| None);
    let app = App::start(config.map_err(|why| why.to_string())?, Clock::system(), AccessLog::nowhere()).await;
    app.map_err(|why| why.to_string())
}

async fn ask(gateway: &Connections, token: &str) -> Result<Answer, Wrong> {
    gateway.exchange(&wire::request("GET", "/echo", ("Authorization", &format!("Bearer {token}")), "")).await
}

fn expect(status: u16, answer: &Answer) -> Result<(), Wrong> {
    if answer.status == status { Ok(()) } else { Err(format!("{status} was expected, not {}", answer.head)) }
}

/// Sends requests at a steady rate for ever: what went wrong, if anything did.
async fn press(gateway: Arc<Connections>, token: String, rate: u32) -> Wrong {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = JoinSet::new();
    loop {
        ticks.tick().await;
        let (gateway, token) = (Arc::clone(&gateway), token.clone());
        asked.spawn(async move { ask(&gateway, &token).await.and_then(|answer| expect(200, &answer)) });
        while let Some(done) = asked.try_join_next() {
            match done {
                Ok(Ok(())) => {}
                Ok(Err(wrong)) => return wrong,
                Err(why) => return why.to_string(),
            }
        }
    }
}
