//! Which route a request takes: host, then path, then method; the most specific match wins. The table is
//! ordered once, when it is built, and building it refuses routes that no order can tell apart. It sees
//! only canonical paths and never allocates to find a route.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use thiserror::Error;

use crate::cors::Cors;
use crate::ids::{RouteId, UpstreamId};
use crate::inbound::path::Oddity;
use crate::limit::Limit;
use crate::policy::Policy;

mod pattern;
mod rewrite;

pub use pattern::{HostPattern, PathPattern, PatternError};
pub use rewrite::{Rewrite, RewriteError};

/// One entry of the configuration: what it matches, who may pass, and where to.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, for logs, metrics and humans.
    pub id: RouteId,
    /// The hosts it answers for.
    pub host: HostPattern,
    /// The paths it matches.
    pub path: PathPattern,
    /// The methods it matches.
    pub methods: Methods,
    /// Who may pass.
    pub policy: Policy,
    /// Where a permitted request goes.
    pub target: Target,
    /// What its paths may hold that is refused elsewhere.
    pub accept: BTreeSet<Oddity>,
    /// Whether answers say which software made them.
    pub reveal_software: bool,
    /// What limits it, in the order they are taken.
    pub limits: Vec<Arc<Limit>>,
    /// What pages of other origins may do; what the upstream says of them is passed on if `None`.
    pub cors: Option<Arc<Cors>>,
    /// Whether the upstream gets to see the access token, in `Authorization` or in its cookie.
    pub forward_token: bool,
    /// Whether tokens may come in cookies.
    pub cookies: bool,
    /// What becomes of a request that must be signed in and is not.
    pub unauthenticated: Unauthenticated,
    /// What happens to a good token while the store can't say whether it was revoked.
    pub without_store: WithoutStore,
    /// The longest silence of the upstream before the request fails; the upstream's own if `None`.
    pub read_timeout: Option<Duration>,
    /// The most bytes of a request's body; any number if `None`. Endpoints of ours have a bound of their own.
    pub max_body: Option<u64>,
    /// Whose sessions end when the upstream has done what it was asked.
    pub revokes: Option<Revokes>,
}

/// The methods a route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Every method.
    Any,
    /// These; `HEAD` goes wherever `GET` does (RFC 9110 §9.3.2).
    Only(Vec<Method>),
}

impl Methods {
    /// Whether `method` is among them.
    pub fn contain(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => {
                methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
            }
        }
    }

    fn overlap(&self, other: &Methods) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Only(ours), Self::Only(theirs)) => {
                ours.iter().any(|method| other.contain(method)) || theirs.iter().any(|method| self.contain(method))
            }
        }
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(methods) => {
                let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

/// Whose sessions end with a successful (2xx) answer to a request that may change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revokes {
    /// The caller's, but for the one that asked.
    OthersOfCaller,
    /// The caller's.
    AllOfCaller,
    /// Those of the user whom a parameter of the path names.
    AllOf {
        /// The parameter.
        param: Box<str>,
    },
}

impl fmt::Display for Revokes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OthersOfCaller => f.write_str("the caller's other sessions"),
            Self::AllOfCaller => f.write_str("all sessions of the caller"),
            Self::AllOf { param } => write!(f, "all sessions of {{{param}}}"),
        }
    }
}

/// Where a permitted request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a server of a pool, under another path if a rewrite says so.
    Upstream {
        /// The pool.
        id: UpstreamId,
        /// The path that the server sees, if not the request's own.
        rewrite: Option<Rewrite>,
    },
    /// To the gateway itself.
    Endpoint(Endpoint),
}

/// What the gateway serves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST`: credentials for tokens.
    Login,
    /// `POST`: a refresh token for its successor.
    Refresh,
    /// `POST|DELETE`: ends sessions.
    Logout,
    /// `GET`: who the caller is.
    Me,
    /// `GET`: the caller's sessions.
    Sessions,
    /// `DELETE`: ends one of the caller's sessions.
    EndSession,
    /// `GET`: the public keys (RFC 7517).
    Jwks,
    /// `GET`: the page to sign in on.
    SignInPage,
    /// `POST`: its form.
    SignIn,
    /// `GET`: the page of the caller's sessions.
    SessionsPage,
    /// `POST`: its forms.
    ChangeSessions,
}

/// What becomes of a request that must be signed in and is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthenticated {
    /// 401.
    #[default]
    Refuse,
    /// Where a person looks at a page, the sign-in page; 401 for everything else.
    Redirect,
}

/// What a route does with a good token while the store can't be asked about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutStore {
    /// 503: nobody passes on a token that may have been revoked.
    #[default]
    Refuse,
    /// The token passes on its signature and dates alone.
    SignatureOnly,
}

/// What the table says of a request.
#[derive(Debug)]
pub enum Found<'a> {
    /// The most specific route that matches.
    Route(&'a Arc<Route>),
    /// Routes match the path, but none of them this method: the methods they have.
    OtherMethods(Vec<Method>),
    /// Nothing matches: default deny.
    Nothing,
    /// The path holds what no route here accepts, or what a server could take for the path of another route.
    Ambiguous(Oddity),
}

/// Two routes that can't both be meant.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum RouteConflict {
    /// They match exactly the same requests.
    #[error("it matches the same requests as route \"{other}\"")]
    Same {
        /// The route it collides with.
        other: RouteId,
    },
    /// Some requests match both, and neither is the more specific.
    #[error("some paths match both this and route \"{other}\" ({theirs}), and neither is more specific")]
    Ambiguous {
        /// The route it collides with.
        other: RouteId,
        /// That route's pattern.
        theirs: String,
    },
}

/// All routes, most specific first.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
}

impl RouteTable {
    /// Orders the routes; see [`RouteTable::conflicts`] for those that can't be ordered.
    pub fn new(mut routes: Vec<Arc<Route>>) -> Self {
        routes.sort_by(|a, b| a.host.specificity(&b.host).then_with(|| a.path.specificity(&b.path)));
        Self { routes }
    }

    /// Each route of `routes` that collides with one before it, by its place, and how.
    pub fn conflicts(routes: &[Arc<Route>]) -> Vec<(usize, RouteConflict)> {
        let against = |later: usize| {
            routes[..later].iter().find_map(|other| conflict(&routes[later], other)).map(|found| (later, found))
        };
        (0..routes.len()).filter_map(against).collect()
    }

    /// The route for a request: `host` without its port, `path` canonical. It accepts what the path holds, and no server
    /// that reads this differently would see the path of another route.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Found<'_> {
        let found = self.match_exactly(host, path, method);
        for oddity in Oddity::in_path(path) {
            let Found::Route(route) = found else { return Found::Ambiguous(oddity) };
            let leads_elsewhere = |path: String| match self.match_exactly(host, &path, method) {
                Found::Route(other) => !Arc::ptr_eq(route, other),
                Found::OtherMethods(_) | Found::Ambiguous(_) => true,
                Found::Nothing => false,
            };
            if !route.accept.contains(&oddity) || Oddity::other_readings(path).any(leads_elsewhere) {
                return Found::Ambiguous(oddity);
            }
        }
        found
    }

    fn match_exactly(&self, host: &str, path: &str, method: &Method) -> Found<'_> {
        let matching = || self.routes.iter().filter(|route| route.host.matches(host) && route.path.matches(path));
        if let Some(route) = matching().find(|route| route.methods.contain(method)) {
            return Found::Route(route);
        }
        let others = matching().filter_map(|route| match &route.methods {
            Methods::Only(methods) => Some(methods),
            Methods::Any => None,
        });
        let others: Vec<Method> = others.flatten().cloned().collect();
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(distinct(others)) }
    }

    /// The methods of `some` that a path answers under the terms `cors` for pages of other origins.
    pub fn methods_under(&self, cors: &Cors, host: &str, path: &str, some: &[Method]) -> Vec<Method> {
        let under = |method: &&Method| match self.find(host, path, method) {
            Found::Route(route) => route.cors.as_deref() == Some(cors),
            Found::OtherMethods(_) | Found::Nothing | Found::Ambiguous(_) => false,
        };
        some.iter().filter(under).cloned().collect()
    }

    /// The routes, most specific first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}

fn distinct(mut methods: Vec<Method>) -> Vec<Method> {
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    methods.dedup();
    methods
}

fn conflict(route: &Route, other: &Route) -> Option<RouteConflict> {
    if route.host != other.host || !route.methods.overlap(&other.methods) {
        return None;
    }
    if route.path.same_paths(&other.path) {
        return Some(RouteConflict::Same { other: other.id.clone() });
    }
    route
        .path
        .crosses(&other.path)
        .then(|| RouteConflict::Ambiguous { other: other.id.clone(), theirs: other.path.to_string() })
}

#[cfg(test)]
pub(crate) mod tests;
