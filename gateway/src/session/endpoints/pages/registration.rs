//! A new account from the form of the sign-in page: sent on to the upstream of the route that creates
//! accounts, within that route's limits, as the login upstream gets its credentials. The gateway keeps
//! nothing of it; what the upstream says is passed on to who tried, and to nobody else.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::super::{Call, Endpoints};
use crate::limiter::Uncounted;
use crate::problem::Denied;
use crate::routing::{Route, Target};
use crate::session::fields::Fields;
use crate::upstream::{Pool, Upstreams};

/// Who creates accounts.
pub(super) struct Registration {
    route: Arc<Route>,
    pool: Arc<Pool>,
    path: String,
}

impl Registration {
    /// The upstream of `route`, and its path there.
    pub(super) fn of(route: &Arc<Route>, upstreams: &Upstreams) -> Option<Self> {
        let Target::Upstream { id, rewrite } = &route.target else { return None };
        let path = route.path.to_string();
        let path = rewrite.as_ref().map_or_else(|| path.clone(), |rewrite| rewrite.apply(&route.path, &path));
        Some(Self { route: Arc::clone(route), pool: Arc::clone(upstreams.pool(id)?), path })
    }
}

impl Endpoints {
    /// Has an account created.
    pub(super) async fn register(
        &self,
        registration: &Registration,
        credentials: &Fields,
        call: &mut Call<'_>,
    ) -> Result<(), Denied> {
        let Registration { route, pool, path } = registration;
        let login = self.login.as_ref().ok_or(Denied::NoRoute)?;
        let (client, readings) = (call.request.client, &mut call.outgoing.readings);
        self.auth.limiter.take_by_sender(route, client, Uncounted::CountLocally, call.now, readings).await?;
        let answer = login.send(pool, path, credentials, call).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS => Err(Denied::LoginUnavailable("registration answered 429".to_owned())),
            status if status.is_client_error() => Err(Denied::NotRegistered { status, said: detail(answer.body()) }),
            status => Err(Denied::LoginUnavailable(format!("registration answered {}", status.as_u16()))),
        }
    }
}

/// What a problem says in detail (RFC 9457 §3.1.4).
fn detail(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    problem["detail"].as_str().unwrap_or("").to_owned()
}
