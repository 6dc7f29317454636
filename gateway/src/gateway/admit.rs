//! Whether a request may pass, decided on our own view of it: nothing here knows by which engine it came, so that any
//! engine asks the same. It relies on the request having been read in one way only, and allocates nothing for one that
//! passes by what is at hand. What travels with the answer, and the route, are noted for refusals too.

use std::sync::Arc;

use super::body;
use super::snapshot::Snapshot;
use crate::clock::Timestamp;
use crate::inbound::Inbound;
use crate::limiter::Uncounted;
use crate::outgoing::Outgoing;
use crate::overload::{Full, Place, Rank};
use crate::policy::{Permit, Policy};
use crate::problem::Denied;
use crate::routing::{Endpoint, Found, Route, Target};

/// What is decided on.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The configuration that the request began with.
    pub snapshot: &'a Snapshot,
    /// The request.
    pub request: &'a Inbound<'a>,
    /// When it came.
    pub now: Timestamp,
    /// Its place among requests.
    pub place: Option<&'a Place>,
}

/// What is known of a request afterwards, whether it passes or not.
pub struct Noted<'a> {
    /// The route that was found.
    pub route: &'a mut Option<Arc<Route>>,
    /// What travels with the answer.
    pub outgoing: &'a mut Outgoing,
}

/// Whether a request may pass. Cheapest refusal first: an unknown route costs nothing, and the store is
/// asked only about a token whose signature and dates already hold.
pub async fn admit(asked: Asked<'_>, noted: Noted<'_>) -> Result<Permit, Denied> {
    let Asked { snapshot, request, now, place } = asked;
    let route = match snapshot.routes.find(request.host, request.path, request.method) {
        Found::Route(route) => route,
        Found::OtherMethods(allowed) => return Err(Denied::MethodNotAllowed { allowed }),
        Found::Ambiguous(oddity) => return Err(oddity.refusal().into()),
        Found::Nothing => return Err(Denied::NoRoute),
    };
    *noted.route = Some(Arc::clone(route)); // So that refusals are labelled too, and pages can read them.
    noted.outgoing.sharing = route.cors.as_ref().map(|cors| cors.answer(request.headers));
    body::declared(request.headers, route)?;
    let uncounted = match route.target {
        Target::Endpoint(Endpoint::Login | Endpoint::SignIn) => Uncounted::Refuse,
        Target::Endpoint(_) | Target::Upstream { .. } => Uncounted::CountLocally,
    };
    let readings = &mut noted.outgoing.readings;
    snapshot.limiter.take_by_sender(route, request.client, uncounted, now, readings).await?;
    let caller = snapshot.auth.identify(route, request, now, noted.outgoing).await;
    let caller = caller.map_err(|why| snapshot.endpoints.hold_if_leaving(why, route, request, now))?;
    let may_stay = place.is_none_or(|place| snapshot.requests.lets_stay(place));
    if caller.known().is_none() && !may_stay {
        return Err(Denied::Overloaded(Full::Gateway));
    }
    Policy::permit(route, caller)
}

/// Has a request take its place before anything is done for it. One that brings no token is a stranger's, for whom
/// not all places are; one that brings a bad one is found out soon.
pub fn enter(snapshot: &Snapshot, request: &Inbound<'_>) -> Result<Place, Denied> {
    let Snapshot { auth, requests, .. } = snapshot;
    let rank = if auth.are_approached_by(request.headers) { Rank::Known } else { Rank::Stranger };
    requests.enter(rank).ok_or(Denied::Overloaded(Full::Gateway))
}
