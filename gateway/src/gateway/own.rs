//! What the gateway answers itself: preflights, its endpoints, refusals, and what is left to say after an error. Each
//! is a step of the journey, which decides when it is taken. Nothing here lets a request through.

use std::sync::Arc;

use http::StatusCode;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::{ANSWERED, Gateway, exchange, failure, forward, record};
use crate::cors::Preflight;
use crate::inbound::Inbound;
use crate::journey::Journey;
use crate::panics::{self, Panicked};
use crate::policy::Permit;
use crate::problem::{Denied, Problem};
use crate::reply::{self, Reply};
use crate::routing::{Endpoint, Found, Revokes};
use crate::session::endpoints::{Call, MAX_BODY};

impl Gateway {
    /// Does a step of the journey. One that panics fails like any other: it is answered by `fail_to_proxy`.
    pub(super) async fn step<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        panics::caught(work).await.unwrap_or_else(|Panicked| {
            self.metrics.panicked("request");
            Err(Error::new(ErrorType::Custom(failure::PANIC)))
        })
    }

    /// The answer to a preflight, if the request that is to come takes a route with terms for other pages. It
    /// brings no credentials and takes from no limit; what is to come does, like any other request.
    pub(super) fn preflight(&self, request: &Inbound<'_>, journey: &mut Journey) -> Option<Reply> {
        let asked = Preflight::read(request.method, request.headers).filter(|_| journey.reading.is_ok())?;
        let snapshot = Arc::clone(&journey.snapshot);
        let Found::Route(route) = snapshot.routes.find(request.host, request.path, &asked.method) else { return None };
        let cors = route.cors.as_ref()?;
        let methods = snapshot.routes.methods_under(cors, request.host, request.path, &asked.methods());
        let (sharing, outcome) = cors.preflight(&asked, methods);
        self.metrics.preflight(&route.id, outcome);
        journey.route = Some(Arc::clone(route));
        journey.outgoing.sharing = Some(sharing);
        Some(reply::empty(StatusCode::NO_CONTENT))
    }

    /// Answers a request that is meant for the gateway itself.
    pub(super) async fn serve(
        &self,
        endpoint: Endpoint,
        permit: &Permit,
        session: &mut Session,
        journey: &mut Journey,
    ) -> Result<bool> {
        let body = match exchange::read_body(session, MAX_BODY).await? {
            Ok(body) => body,
            Err(denied) => return self.refuse(session, journey, &denied).await,
        };
        let request = exchange::inbound(session.req_header(), &journey.origin);
        let now = self.clock.now(); // The body may have taken its time.
        let request_id = &journey.request_id;
        let call = Call { permit, request_id, request, body: &body, now, outgoing: &mut journey.outgoing };
        match journey.snapshot.endpoints.serve(endpoint, call).await {
            Ok(reply) => exchange::answer(session, journey, reply).await.map(|()| ANSWERED),
            Err(denied) => self.refuse(session, journey, &denied).await,
        }
    }

    /// Ends the sessions that a success ends here; the caller's own cookies are worth nothing then.
    pub(super) async fn succeeded(&self, request: &RequestHeader, journey: &mut Journey) -> Result<()> {
        let permit = forward::permit(journey)?;
        let ends_own = permit.route().revokes == Some(Revokes::AllOfCaller);
        let memory = journey.snapshot.endpoints.memory();
        self.revoker.succeeded(permit, request.uri.path(), memory).await;
        if ends_own {
            journey.snapshot.auth.forget(&request.headers, &mut journey.outgoing);
        }
        Ok(())
    }

    /// Answers an error, if there is anybody who still can be: with which status.
    pub(super) async fn fail(&self, session: &mut Session, error: &Error, journey: &mut Journey) -> Result<u16> {
        let awaited = forward::awaited(session, journey);
        let Some(denied) = journey.failed.take().or_else(|| failure::denied(error, awaited)) else {
            return Ok(0); // The client is gone.
        };
        record::failure(error, &denied, journey, &self.metrics);
        let status = Problem::from(&denied).status();
        if forward::is_answered(session) {
            record::refusal(journey, &denied, status, &self.metrics);
            return Ok(0);
        }
        session.set_keepalive(None); // The engine closes the connection after an error; the client is to know.
        // Whether the client got to see it changes nothing any more.
        let _ = self.refuse(session, journey, &denied).await;
        Ok(status.as_u16())
    }

    /// Answers a refusal.
    pub(super) async fn refuse(&self, session: &mut Session, journey: &mut Journey, denied: &Denied) -> Result<bool> {
        let problem = Problem::from(denied);
        record::refusal(journey, denied, problem.status(), &self.metrics);
        let request = exchange::inbound(session.req_header(), &journey.origin);
        let page = journey.outgoing.page.take();
        let page = page.or_else(|| journey.snapshot.endpoints.for_people(journey.route.as_deref(), &request, denied));
        let reply = page.unwrap_or_else(|| problem.reply(&journey.request_id));
        journey.give_way();
        exchange::answer(session, journey, reply).await?;
        journey.stop_clock();
        exchange::linger(session).await;
        Ok(ANSWERED)
    }
}
