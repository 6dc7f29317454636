//! What is known of one request on its way: filled from the top as it travels, read by whatever comes
//! later, and written down at its end. It pins the configuration that the request began with, so a
//! reload in the middle changes nothing for it. It decides nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::gateway::Owed;
use crate::gateway::body::Body;
use crate::gateway::snapshot::Snapshot;
use crate::ids::RequestId;
use crate::inbound::Malformed;
use crate::inbound::client::Origin;
use crate::metrics::Held;
use crate::outgoing::Outgoing;
use crate::overload::{Place, Rank};
use crate::policy::Permit;
use crate::problem::Denied;
use crate::routing::Route;
use crate::streams::Open;
use crate::upstream::{Pool, PoolPlace, Server};

/// The state of one request (the engine's `CTX`).
pub struct Journey {
    /// The configuration that it began with.
    pub snapshot: Arc<Snapshot>,
    /// When it came, on the wall clock.
    pub now: Timestamp,
    /// When it came, to measure how long it took.
    pub began: Instant,
    /// How long it took, once it is answered and only its client still sends.
    pub took: Option<Duration>,
    /// Its name.
    pub request_id: RequestId,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it can be read in one way only.
    pub reading: Result<(), Malformed>,
    /// The route that was found, refused or not.
    pub route: Option<Arc<Route>>,
    /// Passage, once granted.
    pub permit: Option<Permit>,
    /// What travels with the answer.
    pub outgoing: Outgoing,
    /// What went wrong behind the permit, until it is answered.
    pub failed: Option<Denied>,
    /// The reason it was refused for.
    pub refused: Option<&'static str>,
    /// The way to a server.
    pub attempt: Attempt,
    /// What came of the body.
    pub body: Body,
    /// The answer, if it may last.
    pub stream: Option<Open>,
    /// What its access line needs, if it may be cut off.
    pub owed: Option<Box<Owed>>,
    /// Its place among requests, or among streams once its answer is one.
    pub place: Option<Place>,
    _in_flight: Held,
}

/// The way to a server.
#[derive(Default)]
pub struct Attempt {
    /// The pool.
    pub pool: Option<Arc<Pool>>,
    /// Its place among the requests of the pool, however many servers are tried.
    pub place: Option<PoolPlace>,
    /// The server chosen last.
    pub server: Option<Server>,
    /// All servers that could not be reached.
    pub tried: Vec<SocketAddr>,
    /// When the first was chosen.
    pub began: Option<Instant>,
    /// How long it took until the answer began.
    pub answered_after: Option<Duration>,
}

impl Journey {
    /// A request that came at `now`.
    pub fn begin(snapshot: Arc<Snapshot>, now: Timestamp, in_flight: Held) -> Self {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            snapshot,
            now,
            began: Instant::now(),
            took: None,
            request_id: RequestId::random(now),
            origin: Origin { client: nowhere, peer: nowhere, trusted: false, https: false },
            reading: Ok(()),
            route: None,
            permit: None,
            outgoing: Outgoing::default(),
            failed: None,
            refused: None,
            attempt: Attempt::default(),
            body: Body::default(),
            stream: None,
            owed: None,
            place: None,
            _in_flight: in_flight,
        }
    }

    /// Gives back its places: it is refused, and a client that takes its time for that keeps nobody else out.
    pub fn give_way(&mut self) {
        (self.place, self.attempt.place) = (None, None);
    }

    /// Stops its clock: it is answered, and what still comes of it is nobody's work.
    pub fn stop_clock(&mut self) {
        self.took = Some(self.began.elapsed());
    }

    /// How it ranks where there are too many.
    pub fn rank(&self) -> Rank {
        let known = self.permit.as_ref().is_some_and(|permit| permit.caller().known().is_some());
        if known { Rank::Known } else { Rank::Stranger }
    }
}
