//! What can be asked of this benchmark: which attacks, how hard, how long. Nothing here measures.

use std::fmt;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

/// Measures how long an honest client waits while others attack the gateway.
#[derive(Parser)]
pub(crate) struct Terms {
    /// How long to measure each attack, and without any, in all.
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u32,
    /// Into how many rounds that is parted. Each begins without an attack.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Requests of the honest client a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,
    /// The attacks, each perhaps with how hard it is (`tokens:500`, `tokens:max`): for `slow` the connections at once,
    /// for `h2flood` the streams a second, for `tokens` the requests a second, for `connect` the connections a second.
    #[arg(long, value_delimiter = ',', default_values_t = Attack::DEFAULTS)]
    pub(crate) attacks: Vec<Attack>,
    /// What the gateway keeps sessions in.
    #[arg(long, value_enum, default_value_t = Store::Embedded)]
    pub(crate) store: Store,
    /// Gives the gateway one core and the attackers another (`taskset`).
    #[arg(long)]
    pub(crate) pin: bool,
}

/// A store.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Store {
    Embedded,
    Redis,
}

/// An attack, and how hard it is.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) kind: Kind,
    pub(crate) strength: Strength,
}

/// What attackers do.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Connections that send a head one byte a second.
    Slow,
    /// Streams of HTTP/2 that are taken back at once, pings and settings.
    H2flood,
    /// Requests with well-formed tokens whose signatures do not hold.
    Tokens,
    /// Connections that are closed as soon as they are open.
    Connect,
}

/// How much of it.
#[derive(Clone, Copy)]
pub(crate) enum Strength {
    /// Of what is attacked with: connections, or so many of it a second.
    Of(u32),
    /// As much as one thread can.
    Max,
}

impl Attack {
    const DEFAULTS: [Self; 4] = [
        Self { kind: Kind::Slow, strength: Strength::Of(2000) },
        Self { kind: Kind::H2flood, strength: Strength::Of(10_000) },
        Self { kind: Kind::Tokens, strength: Strength::Of(2000) },
        Self { kind: Kind::Connect, strength: Strength::Of(2000) },
    ];
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.to_possible_value().expect("every kind has a name");
        match self.strength {
            Strength::Of(strength) => write!(f, "{}:{strength}", kind.get_name()),
            Strength::Max => write!(f, "{}:max", kind.get_name()),
        }
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, strength) = text.split_once(':').map_or((text, None), |(kind, strength)| (kind, Some(strength)));
        let kind = Kind::from_str(kind, false)?;
        let strength = match strength {
            Some("max") if kind == Kind::Slow => return Err("slow has a number of connections".to_owned()),
            Some("max") => Strength::Max,
            Some(number) => Strength::Of(number.parse::<u32>().map_err(|why| why.to_string())?.max(1)),
            None => Self::DEFAULTS.into_iter().find(|other| other.kind == kind).ok_or("no such attack")?.strength,
        };
        Ok(Self { kind, strength })
    }
}
