//! The attackers, in a process of their own with one thread, so that they can take one core at the most and are
//! counted apart. They come from many loopback addresses, so that what bounds an address does not do all the work.
//! They attack until their input ends, and say then what came of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Child;
use tokio::task::LocalSet;
use tokio::time::{Interval, MissedTickBehavior};

use portcullis_tests::bench::process::{self, Usage};

use crate::Wrong;
use crate::gateway::ourselves;
use crate::terms::{Attack, Kind, Strength};

mod connect;
mod h2flood;
mod slow;
mod tokens;

/// What the process is started with.
#[derive(Parser)]
struct Order {
    #[arg(hide = true)]
    _itself: String,
    attack: Attack,
    to: SocketAddr,
}

/// Attackers at work.
pub(crate) struct Attackers(Child);

impl Attackers {
    /// Lets them loose; `token` is a good one.
    pub(crate) async fn start(attack: Attack, to: SocketAddr, token: &str, pin: bool) -> std::io::Result<Self> {
        let mut command = ourselves(pin.then_some(1))?;
        command.args([WORD, &attack.to_string(), &to.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        if let Some(orders) = &mut child.stdin {
            orders.write_all(format!("{token}\n").as_bytes()).await?;
        }
        Ok(Self(child))
    }

    /// What they have cost so far.
    pub(crate) fn usage(&self) -> Usage {
        self.0.id().map(process::usage).unwrap_or_default()
    }

    /// Calls them back: what came of it.
    pub(crate) async fn stop(mut self) -> Result<Tally, Wrong> {
        drop(self.0.stdin.take());
        let said = self.0.wait_with_output().await.map_err(|why| why.to_string())?;
        serde_json::from_slice(&said.stdout).map_err(|why| format!("the attackers failed: {why}"))
    }
}

/// What came of an attack, in words.
pub(crate) type Tally = BTreeMap<String, u64>;

/// The argument by which this program knows that it is them.
pub(crate) const WORD: &str = "attack";

/// The process of the attackers.
pub(crate) fn main() -> ExitCode {
    let Order { attack, to, .. } = Order::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs nothing but memory and file descriptors");
    let tally = LocalSet::new().block_on(&runtime, run(attack, to));
    let said = serde_json::to_string(&tally).expect("names and numbers");
    println!("{said}");
    ExitCode::SUCCESS
}

async fn run(attack: Attack, to: SocketAddr) -> Tally {
    let mut orders = tokio::io::stdin();
    let mut token = Vec::new();
    while !token.ends_with(b"\n") && matches!(orders.read_buf(&mut token).await, Ok(1..)) {}
    let token = String::from_utf8_lossy(token.trim_ascii_end()).into_owned();
    let target = Rc::new(Target { to, strength: attack.strength, token, tally: RefCell::default() });
    match (attack.kind, attack.strength) {
        (Kind::Slow, Strength::Of(attackers)) => crowd(&target, attackers, slow::attack),
        (Kind::Slow, Strength::Max) => {} // No command line means that.
        (Kind::H2flood, _) => crowd(&target, h2flood::ATTACKERS, h2flood::attack),
        (Kind::Tokens, _) => crowd(&target, tokens::ATTACKERS, tokens::attack),
        (Kind::Connect, _) => crowd(&target, connect::ATTACKERS, connect::attack),
    }
    while matches!(orders.read_buf(&mut Vec::new()).await, Ok(1..)) {}
    target.tally.take()
}

/// So many attackers, each with a number.
fn crowd<F: Future<Output = ()> + 'static>(target: &Rc<Target>, attackers: u32, attack: impl Fn(Rc<Target>, u32) -> F) {
    for number in 0..attackers {
        tokio::task::spawn_local(attack(Rc::clone(target), number));
    }
}

/// Who is attacked, and what came of it so far.
struct Target {
    to: SocketAddr,
    strength: Strength,
    token: String,
    tally: RefCell<Tally>,
}

impl Target {
    /// Connects from one of many addresses.
    async fn connect(&self, number: u32) -> Option<TcpStream> {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number);
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
            socket.connect(self.to).await
        };
        match connect.await {
            Ok(stream) => {
                self.count("connected");
                let _ = stream.set_nodelay(true); // Else it would only be tamer.
                Some(stream)
            }
            Err(why) => {
                self.count(&format!("not connected: {}", why.kind()));
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }

    fn count(&self, what: &str) {
        let mut tally = self.tally.borrow_mut();
        match tally.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(tally.insert(what.to_owned(), 1)),
        }
    }

    /// When each of so many attackers is to do the next of its steps.
    fn pace(&self, attackers: u32, a_step: u32) -> Pace {
        Pace(match self.strength {
            Strength::Max => None,
            Strength::Of(a_second) => {
                let mut ticks = tokio::time::interval(Duration::from_secs(1) * attackers * a_step / a_second);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Some(ticks)
            }
        })
    }
}

/// Steps in time.
struct Pace(Option<Interval>);

impl Pace {
    async fn step(&mut self) {
        match &mut self.0 {
            Some(ticks) => drop(ticks.tick().await),
            None => tokio::task::yield_now().await,
        }
    }
}
