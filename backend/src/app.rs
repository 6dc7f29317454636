//! The journey of a request: what it names, whether it came through the gateway, which endpoint answers, how
//! a refusal looks, and what is written down about it. Everything here decides; nothing here computes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HeaderName;
use http::{Method, Request};
use hyper::body::Incoming;

use crate::call::Call;
use crate::clock;
use crate::config::{Config, GatewaySecret};
use crate::endpoints::{posts, probes, users};
use crate::hashing::{Hashing, HashingError};
use crate::ids::{RequestId, UserId};
use crate::metrics::{Answered, Metrics};
use crate::problem;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::routes::Route;
use crate::store::Store;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The parts of one service, and the way of a request through them.
pub struct App {
    pub(crate) store: Store,
    pub(crate) hashing: Hashing,
    pub(crate) metrics: Arc<Metrics>,
    gateway_secret: Option<GatewaySecret>,
}

impl App {
    pub(crate) fn new(config: &Config, store: Store) -> io::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let hashing = Hashing::start(config.hashing, &metrics)?;
        Ok(Self { store, hashing, metrics, gateway_secret: config.gateway_secret.clone() })
    }

    /// Answers one request, and writes down one line and one observation about it.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> Reply {
        let started = Instant::now();
        let method = label(request.method());
        let call = Call::new(request, clock::now());
        let (request_id, caller) = (call.id.clone(), call.caller().ok());
        let route = Route::find(call.path());
        let pattern = route.as_ref().map_or("unmatched", Route::pattern);

        let outcome = self.answer(route, call).await;
        let reason = outcome.as_ref().err().map(Refusal::reason);
        let mut reply = outcome.unwrap_or_else(|refusal| {
            log_cause(&refusal, &request_id);
            problem::answer(&refusal, &request_id)
        });
        reply.headers_mut().insert(X_REQUEST_ID, request_id.to_header());

        let (status, duration) = (reply.status(), started.elapsed());
        self.metrics.observe(&Answered { route: pattern, method, status, reason, duration });
        tracing::info!(
            target: "api", %request_id, method, route = pattern, status = status.as_u16(), reason,
            user = caller.as_ref().map(UserId::as_str), duration_ms = millis(duration),
        );
        reply
    }

    /// Cheapest refusal first; who does not come through the gateway learns nothing else.
    async fn answer(&self, route: Option<Route>, call: Call) -> Result<Reply, Refusal> {
        if !route.as_ref().is_some_and(Route::is_for_operators) {
            self.admit(&call)?;
        }
        let route = route.ok_or(Refusal::NotFound)?;
        match (&route, call.method()) {
            (Route::Users, &Method::POST) => users::register(self, call).await,
            (Route::Authenticate, &Method::POST) => users::authenticate(self, call).await,
            (Route::Exists(name), &Method::GET) => users::exists(self, name).await,
            (Route::Me, &Method::GET) => users::show(self, &call).await,
            (Route::Me, &Method::PUT) => users::change(self, call).await,
            (Route::Me, &Method::DELETE) => users::remove(self, &call).await,
            (Route::MyPassword, &Method::PUT) => users::change_password(self, call).await,
            (Route::Posts, &Method::GET) => posts::list(self, &call).await,
            (Route::Posts, &Method::POST) => posts::write(self, call).await,
            (Route::Post(id), &Method::GET) => posts::show(self, id).await,
            (Route::Post(id), &Method::PUT) => posts::change(self, id, call).await,
            (Route::Post(id), &Method::DELETE) => posts::remove(self, id, &call).await,
            (Route::Live, &Method::GET) => Ok(probes::live()),
            (Route::Ready, &Method::GET) => probes::ready(self).await,
            (Route::Metrics, &Method::GET) => Ok(probes::metrics(self)),
            _ => Err(Refusal::MethodNotAllowed { allow: route.allow() }),
        }
    }

    /// Whether the request came through the gateway. Without a secret, the loopback address is what says so.
    fn admit(&self, call: &Call) -> Result<(), Refusal> {
        let Some(secret) = &self.gateway_secret else { return Ok(()) };
        match call.headers().get("x-gateway-secret") {
            Some(presented) if secret.is(presented.as_bytes()) => Ok(()),
            _ => Err(Refusal::NotTheGateway),
        }
    }
}

/// What the caller is not told, for whoever can do something about it.
fn log_cause(refusal: &Refusal, request_id: &RequestId) {
    if matches!(refusal, Refusal::Store(_) | Refusal::NotReady(_) | Refusal::Hashing(HashingError::Failed)) {
        let cause = std::error::Error::source(refusal).map(ToString::to_string);
        tracing::error!(target: "error", %request_id, reason = refusal.reason(), cause, "{refusal}");
    }
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A method as a label: there may be any number of methods, but not of labels.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
