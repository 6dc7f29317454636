//! How much longer a request takes whose access cookie has expired than one whose access cookie is good: the first
//! is renewed on its way (one more step in Redis, one more signature). A whole gateway on a Redis of its own is
//! asked both kinds of questions in turn, at a steady rate over connections that are kept, and every answer is
//! checked. It prints what it measured and judges nothing but the answers.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use portcullis::app::App;
use portcullis::clock::Clock;
use portcullis::telemetry::AccessLog;
use portcullis_tests::Redis;
use portcullis_tests::bench::upstream;
use portcullis_tests::bench::wire::{self, Answer, Connections};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

mod figures;

use figures::Figures;

/// After so long every access token has expired.
const ACCESS_LIFE: Duration = Duration::from_mins(16);

/// Compares requests with an expired and with a good access cookie.
#[derive(Parser)]
struct Terms {
    /// How long to measure, in all.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Into how many rounds that is parted; between them all access cookies expire.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests a second, half of them of each kind.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    rate: u32,
}

/// A user with cookies.
struct Visitor {
    user: String,
    cookies: Mutex<String>,
}

/// A gateway, and who visits it.
struct Bench {
    _app: App,
    clock: Clock,
    connections: Connections,
    _redis: Redis,
}

/// Why there are no figures.
type Wrong = String;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Terms::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("bench-refresh: {wrong}");
            ExitCode::FAILURE
        }
    }
}

async fn run(terms: &Terms) -> Result<(), Wrong> {
    let bench = Arc::new(Bench::start().await?);
    let each = usize::try_from(terms.rate.saturating_mul(terms.seconds) / terms.rounds / 2)
        .map_err(|why| why.to_string())?
        .max(1);
    let mut good = bench.visitors("a", each).await?;
    let mut expired = bench.visitors("b", each).await?;
    println!("{each} requests of each kind a round, {} a second; times in milliseconds", terms.rate);
    println!("{}", Figures::head());
    let mut all = Figures::default();
    for round in 1..=terms.rounds {
        bench.clock.advance(ACCESS_LIFE);
        for visitor in &good {
            bench.ask(visitor, true).await?; // Not measured: from here on its cookie is good.
        }
        let figures = bench.round(&good, &expired, terms.rate).await?;
        println!("{}", figures.row(&round.to_string()));
        all.add(&figures);
        std::mem::swap(&mut good, &mut expired);
    }
    println!("{}", all.row("all"));
    Ok(())
}

impl Bench {
    async fn start() -> Result<Self, Wrong> {
        let redis = Redis::start().await;
        let upstream = upstream::start().await.map_err(|why| why.to_string())?;
        let toml = include_str!("gateway.toml").replace("@REDIS@", &redis.url());
        let toml = toml.replace("@UPSTREAM@", &upstream.to_string());
        let config = portcullis::config::parse(&toml, "gateway.toml", "".as_ref(), &|_| None);
        let clock = Clock::system();
        let app = App::start(config.map_err(|why| why.to_string())?, clock.clone(), AccessLog::nowhere()).await;
        let app = app.map_err(|why| why.to_string())?;
        let connections = Connections::to(app.addresses()["public"]);
        Ok(Self { _app: app, clock, connections, _redis: redis })
    }

    /// Signs `count` users in, whose names begin with `prefix`.
    async fn visitors(&self, prefix: &str, count: usize) -> Result<Vec<Arc<Visitor>>, Wrong> {
        let mut visitors = Vec::with_capacity(count);
        for number in 0..count {
            let user = format!("{prefix}{number}");
            let body = format!("{{\"username\":\"{user}\",\"password\":\"x\"}}");
            let answer =
                self.connections.exchange(&wire::request("POST", "/auth/login", ("Cookie", ""), &body)).await?;
            let cookies = answer.cookies().ok_or_else(|| format!("a login was answered with {}", answer.head))?;
            visitors.push(Arc::new(Visitor { user, cookies: Mutex::new(cookies) }));
        }
        Ok(visitors)
    }

    /// Sends the request of one visitor: how long the answer took. It must be that of the upstream to this very
    /// user, and bring new cookies if the old ones had `expired`, and only then.
    async fn ask(&self, visitor: &Visitor, expired: bool) -> Result<Duration, Wrong> {
        let mut cookies = visitor.cookies.lock().await;
        let request = wire::request("GET", "/echo", ("Cookie", &cookies), "");
        let began = Instant::now();
        let answer = self.connections.exchange(&request).await?;
        let took = began.elapsed();
        let Answer { status, head, body } = &answer;
        if *status != 200 || *body != visitor.user {
            return Err(format!("{} was answered as {body:?} with {head}", visitor.user));
        }
        match (answer.cookies(), expired) {
            (Some(new), true) => *cookies = new,
            (None, false) => {}
            (new, _) => return Err(format!("new cookies: {}, expired: {expired}", new.is_some())),
        }
        Ok(took)
    }

    /// Asks for one after the other, good and expired in turn, when it is their time, however long those before
    /// them take.
    async fn round(
        self: &Arc<Self>,
        good: &[Arc<Visitor>],
        expired: &[Arc<Visitor>],
        rate: u32,
    ) -> Result<Figures, Wrong> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = JoinSet::new();
        let in_turn = good.iter().zip(expired).flat_map(|(good, expired)| [(good, false), (expired, true)]);
        for (visitor, is_expired) in in_turn {
            ticks.tick().await;
            let (bench, visitor) = (Arc::clone(self), Arc::clone(visitor));
            asked.spawn(async move { (is_expired, bench.ask(&visitor, is_expired).await) });
        }
        let mut figures = Figures::default();
        for (is_expired, took) in asked.join_all().await {
            figures.note(is_expired, took?);
        }
        Ok(figures)
    }
}
