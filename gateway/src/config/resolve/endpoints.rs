//! `[auth]`: where the gateway's own endpoints are. They become routes like any other, so that one table
//! tells who serves a request; who may call them is not for the configuration to say.

use std::sync::Arc;

use http::Method;

use crate::config::names::Names;
use crate::config::reader::{Read, Spot, Table, Value};
use crate::config::values;
use crate::cors::Cors;
use crate::ids::RouteId;
use crate::limit::{Limit, LimitBy};
use crate::policy::Policy;
use crate::routing::{Endpoint, HostPattern, Methods, PathPattern, Route, Target, Unauthenticated, WithoutStore};

use super::limits;
use super::login::LoginAndLimits;
use super::routes::Placed;

/// The key of an endpoint, and where it is if the key is not there.
const PATHS: [(Endpoint, &str, &str); 6] = [
    (Endpoint::Login, "login", "/auth/login"),
    (Endpoint::Refresh, "refresh", "/auth/refresh"),
    (Endpoint::Logout, "logout", "/auth/logout"),
    (Endpoint::Me, "me", "/auth/me"),
    (Endpoint::Sessions, "sessions", "/auth/sessions"),
    (Endpoint::Jwks, "jwks", "/.well-known/jwks.json"),
];

/// What all endpoints share.
pub(super) struct Shared {
    pub(super) host: HostPattern,
    pub(super) limits: Vec<Arc<Limit>>,
    pub(super) login_limits: Vec<Arc<Limit>>,
    pub(super) cors: Option<Arc<Cors>>,
}

/// Reads `[auth]`: the routes of our endpoints, those with mistakes left out. Without login there are no
/// sessions to renew or to list.
pub(super) fn all<'d>(
    top: &mut Table<'d>,
    login: &Read<Option<LoginAndLimits>>,
    names: &Names<Arc<Limit>>,
    terms: &Names<Arc<Cors>>,
) -> Read<Vec<Placed<'d>>> {
    let can_log_in = !matches!(login, Ok(None));
    let login_limits = login.as_ref().ok().and_then(Option::as_ref).map(|(_, limits)| limits.clone());
    top.section("auth", |table| {
        let enabled = table.or("enabled", |value| enabled(value, can_log_in), true);
        let host = table.or("host", values::host_pattern, HostPattern::Any);
        let limits = table.or("limits", |value| limits::list(value, names, allow), Vec::new());
        let cors = table.optional("cors", |value| terms.find(value));
        let paths = PATHS.map(|(endpoint, key, default)| place(table, endpoint, key, default, can_log_in));
        if !enabled? {
            return Ok(Vec::new());
        }
        let shared =
            Shared { host: host?, limits: limits?, login_limits: login_limits.unwrap_or_default(), cors: cors? };
        let mut placed = Vec::new();
        for (endpoint, path, spot) in paths.into_iter().flatten().flatten() {
            if endpoint == Endpoint::Sessions {
                let one = PathPattern::parse(&format!("{path}/{{sid}}")).expect("a fixed path goes on by a parameter");
                placed.push(Placed { route: route(Endpoint::EndSession, one, &shared), spot: spot.clone() });
            }
            placed.push(Placed { route: route(endpoint, path, &shared), spot });
        }
        Ok(placed)
    })
}

fn enabled(value: &Value<'_>, can_log_in: bool) -> Read<bool> {
    match value.flag()? {
        false if can_log_in => Err(value.refuse("[login] needs the endpoints; leave out one of both")),
        flag => Ok(flag),
    }
}

fn allow(value: &Value<'_>, limit: &Limit) -> Read<()> {
    match limit.by {
        LimitBy::Address | LimitBy::Route => limits::must_be_exact(value, limit),
        LimitBy::User | LimitBy::Account => {
            Err(value.refuse("some of these endpoints know no user; use a limit per \"address\" or \"route\""))
        }
    }
}

type Place<'d> = Option<(Endpoint, PathPattern, Spot<'d>)>;

/// Where an endpoint is, or `None` if there is none without login.
fn place<'d>(
    table: &mut Table<'d>,
    endpoint: Endpoint,
    key: &'static str,
    default: &str,
    can_log_in: bool,
) -> Read<Place<'d>> {
    let available = can_log_in || !matches!(endpoint, Endpoint::Login | Endpoint::Refresh | Endpoint::Sessions);
    match table.find(key) {
        Some(value) if !available => {
            Err(value.refuse("there is no [login], so nothing is here; write [login] or leave it out"))
        }
        Some(value) => Ok(Some((endpoint, values::fixed_path(&value)?, value.spot().clone()))),
        None if !available => Ok(None),
        None => {
            let path = PathPattern::parse(default).expect("the default paths are canonical");
            Ok(Some((endpoint, path, table.spot().clone())))
        }
    }
}

/// The route of an endpoint, wherever it was placed.
pub(super) fn route(endpoint: Endpoint, path: PathPattern, shared: &Shared) -> Arc<Route> {
    let (id, methods, policy) = match endpoint {
        Endpoint::Login => ("auth.login", vec![Method::POST], Policy::Public),
        Endpoint::Refresh => ("auth.refresh", vec![Method::POST], Policy::Public),
        // It finds out itself who leaves, by a refresh token in the body or by an access token.
        Endpoint::Logout => ("auth.logout", vec![Method::POST, Method::DELETE], Policy::Public),
        Endpoint::Me => ("auth.me", vec![Method::GET], Policy::Authenticated),
        Endpoint::Sessions => ("auth.sessions", vec![Method::GET], Policy::Authenticated),
        Endpoint::EndSession => ("auth.end_session", vec![Method::DELETE], Policy::Authenticated),
        Endpoint::Jwks => ("auth.jwks", vec![Method::GET], Policy::Public),
        // It finds out itself who is signed in already.
        Endpoint::SignInPage => ("pages.sign_in_page", vec![Method::GET], Policy::Public),
        Endpoint::SignIn => ("pages.sign_in", vec![Method::POST], Policy::Public),
        Endpoint::SessionsPage => ("pages.sessions_page", vec![Method::GET], Policy::Authenticated),
        Endpoint::ChangeSessions => ("pages.sessions", vec![Method::POST], Policy::Authenticated),
    };
    let limits = match endpoint {
        Endpoint::Login | Endpoint::SignIn => &shared.login_limits,
        _ => &shared.limits,
    };
    let unauthenticated = match endpoint {
        Endpoint::SessionsPage | Endpoint::ChangeSessions => Unauthenticated::Redirect,
        _ => Unauthenticated::Refuse,
    };
    Arc::new(Route {
        id: RouteId::parse(id).expect("a plain name"),
        host: shared.host.clone(),
        path,
        methods: Methods::Only(methods),
        policy,
        target: Target::Endpoint(endpoint),
        accept: std::collections::BTreeSet::new(),
        reveal_software: false,
        limits: limits.clone(),
        cors: shared.cors.clone(),
        forward_token: false,
        cookies: true,
        unauthenticated,
        without_store: WithoutStore::Refuse,
        read_timeout: None,
        max_body: None,
        revokes: None,
    })
}
