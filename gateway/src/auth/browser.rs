//! Requests of browsers, which bring their tokens in cookies: an access token that has expired, or soon will, is
//! renewed in the middle of the request, and the new cookies travel with whatever the answer is. Cookies are
//! taken back only when the session has ended for sure. Whether a request was meant is checked first.

use std::sync::Arc;

use http::HeaderMap;

use super::Authenticator;
use super::verify::Verified;
use crate::clock::Timestamp;
use crate::cookies::{Cookies, Held};
use crate::csrf;
use crate::inbound::Inbound;
use crate::limiter::Limiter;
use crate::outgoing::{CookieChange, Outgoing};
use crate::policy::{Caller, Policy};
use crate::problem::Denied;
use crate::routing::Route;
use crate::session::issue::TokenPair;
use crate::session::renewal::Device;

/// A request, and the cookies that it brings.
pub(super) struct Visit<'a> {
    pub(super) route: &'a Route,
    pub(super) request: &'a Inbound<'a>,
    pub(super) now: Timestamp,
    pub(super) cookies: &'a Cookies,
    pub(super) held: Held<'a>,
}

impl Authenticator {
    /// Who pays this visit. Cookies come along unasked, so where anybody may read, dead ones are no obstacle.
    pub(super) async fn by_cookies(&self, visit: Visit<'_>, outgoing: &mut Outgoing) -> Result<Caller, Denied> {
        csrf::check(visit.request, visit.cookies.target(visit.route))?;
        let caller = match visit.held {
            Held { access, refresh: Some(refresh) } => self.by_refresh(&visit, access, refresh, outgoing).await,
            Held { access: Some(access), refresh: None } => {
                let verified = self.verify(access, visit.request.client, visit.now)?;
                self.standing_caller(visit.route, &verified, visit.now, outgoing).await
            }
            Held { access: None, refresh: None } => Ok(Caller::Anonymous),
        };
        caller.or_else(|denied| {
            self.take_back(&denied, visit.request.headers, outgoing);
            let may_read = visit.route.policy == Policy::Optional && visit.request.method.is_safe();
            if may_read && denied.is_dead_credential() { Ok(Caller::Anonymous) } else { Err(denied) }
        })
    }

    /// Who it is by an access token that is good for a while yet, or by what takes its place.
    async fn by_refresh(
        &self,
        visit: &Visit<'_>,
        access: Option<&str>,
        refresh: &str,
        outgoing: &mut Outgoing,
    ) -> Result<Caller, Denied> {
        let &Visit { route, request, now, cookies, .. } = visit;
        let mut access = match access.map(|token| self.verify(token, request.client, now)).transpose() {
            // The refresh token stands for itself.
            Err(Denied::BadToken(_) | Denied::TooManyBadTokens { .. }) => None,
            access => access?,
        };
        if let Some(verified) = access.as_ref().filter(|verified| !is_due(verified, cookies, now)) {
            match self.standing_caller(route, verified, now, outgoing).await {
                Err(Denied::Revoked) => access = None, // Its refresh token tells why.
                answer => return answer,
            }
        }
        match (self.renewals.renew(refresh, Device::of(request), now).await, access) {
            (Ok(pair), _) => self.renewed(route, pair, now, outgoing).await,
            // Good for now: only an end takes that away.
            (Err(denied), Some(verified)) if !denied.ends_session() => {
                self.standing_caller(route, &verified, now, outgoing).await
            }
            (Err(denied), _) => Err(denied),
        }
    }

    /// The caller of a session that was renewed just now, so that nothing but its limits is left to be asked.
    async fn renewed(
        &self,
        route: &Route,
        pair: Arc<TokenPair>,
        now: Timestamp,
        outgoing: &mut Outgoing,
    ) -> Result<Caller, Denied> {
        self.hand_out(Arc::clone(&pair), outgoing)?;
        if Limiter::count_users(&route.limits) {
            self.standing(route, pair.known(), now, outgoing).await?;
        }
        Ok(Caller::Known(Arc::clone(pair.known())))
    }

    /// Sends new cookies with the answer.
    pub fn hand_out(&self, pair: Arc<TokenPair>, outgoing: &mut Outgoing) -> Result<(), Denied> {
        self.bad_tokens.held(pair.access().0);
        if let Some(cookies) = &self.cookies {
            let lines = cookies.set(&pair).map_err(|why| Denied::LoginUnusable(why.to_string()))?;
            outgoing.cookies = CookieChange::Set { lines, pair };
        }
        Ok(())
    }

    /// Takes the cookies back if `denied` says that their session has ended: never for any other reason, or a
    /// store that is gone, or a race that was lost, would sign people out.
    pub fn take_back(&self, denied: &Denied, headers: &HeaderMap, outgoing: &mut Outgoing) {
        if denied.ends_session() {
            self.forget(headers, outgoing);
        }
    }

    /// Has the browser forget the cookies that it brought, if any of them are ours.
    pub fn forget(&self, headers: &HeaderMap, outgoing: &mut Outgoing) {
        if let Some(cookies) = self.cookies.as_ref().filter(|cookies| cookies.are_in(headers)) {
            outgoing.cookies = CookieChange::Clear { lines: cookies.clear() };
        }
    }
}

/// Whether the access token is to be renewed already.
fn is_due(verified: &Verified, cookies: &Cookies, now: Timestamp) -> bool {
    verified.known().expires_at.since(now) <= cookies.early_refresh
}
