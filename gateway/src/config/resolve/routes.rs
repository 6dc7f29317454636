//! `[[route]]`: what is matched, who may pass and where to. Every request takes one route, whatever the
//! order of the file, so routes that no order can tell apart are refused, and so are those that would take
//! a request from one of our own endpoints.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;

use crate::config::names::Names;
use crate::config::reader::{Read, Spot, Table, Value};
use crate::config::values;
use crate::cors::Cors;
use crate::ids::{RouteId, UpstreamId};
use crate::inbound::path::Oddity;
use crate::limit::{Limit, LimitBy};
use crate::policy::Policy;
use crate::routing::{HostPattern, Methods, PathPattern, Route, RouteTable, Target, Unauthenticated, WithoutStore};

use super::cookies::CookieTerms;
use super::limits;
use super::pages::Draft;
use super::policies::policy;
use super::sessions::{self, RevokeOn};

const POLICY: &str = r#"say who may pass: there is no default, so that nothing is open or closed by accident; write "authenticated", "optional" or "public""#;
const ROUTE: &str = "what matches no route is refused, so nothing would be served; write at least one [[route]]";

/// Enough for usual calls and pictures; an upload of more says so.
const MAX_BODY: u64 = 16 * 1024 * 1024;

/// What routes refer to.
pub(super) struct Known<'a> {
    pub(super) pools: &'a Names<UpstreamId>,
    pub(super) limits: &'a Names<Arc<Limit>>,
    pub(super) cors: &'a Names<Arc<Cors>>,
    pub(super) cookies: &'a Read<Option<CookieTerms>>,
    pub(super) pages: &'a Read<Option<Draft<'a>>>,
}

/// A route, and where the file says so.
pub(super) struct Placed<'d> {
    pub(super) route: Arc<Route>,
    pub(super) spot: Spot<'d>,
}

/// Reads all routes; our own come first. One with a mistake is left out, so that the others are still compared.
pub(super) fn all<'d>(
    top: &mut Table<'d>,
    own: Read<Vec<Placed<'d>>>,
    known: &Known<'_>,
    revoke_on: &[RevokeOn<'d>],
) -> Read<Vec<Arc<Route>>> {
    let one = |value: &Value<'d>| Ok(value.table(|table| Ok(named(table, known))));
    let read = |value: &Value<'d>| values::some_of(value, one, "write at least one [[route]]");
    let (ids, routes): (Vec<_>, Vec<_>) = top.required("route", read, ROUTE)?.into_iter().flatten().unzip();
    let mut placed = own.unwrap_or_default();
    placed.extend(routes.into_iter().flatten());
    sessions::revoke(&mut placed, &ids.into_iter().flatten().collect::<Vec<_>>(), revoke_on);
    refuse_collisions(&placed);
    refuse_shadows(&placed);
    Ok(placed.into_iter().map(|placed| placed.route).collect())
}

/// A route, and its name, which others may refer to though the rest has mistakes.
fn named<'d>(table: &mut Table<'d>, known: &Known<'_>) -> (Read<RouteId>, Read<Placed<'d>>) {
    let id = table.required("id", id, r#"write id = "posts", the route's name in logs and metrics"#);
    if let Ok(id) = &id {
        table.rename(id.as_str());
    }
    let route = route(table, id.clone(), known);
    (id, route)
}

fn route<'d>(table: &mut Table<'d>, id: Read<RouteId>, known: &Known<'_>) -> Read<Placed<'d>> {
    let matched = table.required("match", |value| value.table(matched), r#"write match = { path = "/posts/*" }"#);
    let upstream = table.required("upstream", |value| known.pools.find(value), r#"write upstream = "NAME""#);
    let rewrite = table.find("rewrite");
    let policy = table.required("policy", policy, POLICY);
    let accept = table.or("accept", accept, BTreeSet::new());
    let reveal_software = table.or("reveal_software", Value::flag, false);
    let limits = route_limits(table, known.limits, policy.as_ref().ok());
    let cors = table.optional("cors", |value| known.cors.find(value));
    let forward_token = table.or("forward_token", Value::flag, false);
    let cookies = cookies(table, known.cookies, policy.as_ref().ok());
    let unauthenticated = table.find("unauthenticated");
    let without_store = table.or("without_store", without_store, WithoutStore::Refuse);
    let read_timeout = table.optional("read_timeout", values::duration);
    let max_body = table.or("max_body", max_body, Some(MAX_BODY));
    let (host, path, methods) = matched?;
    let cookies = cookies?;
    let unauthenticated = unauthenticated
        .map(|value| unauthenticated_as(&value, known, policy.as_ref().ok(), (&host, &methods), cookies));
    let rewrite = rewrite.map(|value| values::rewrite(&value, &path)).transpose();
    let route = Route {
        id: id?,
        host,
        path,
        methods,
        policy: policy?,
        target: Target::Upstream { id: upstream?, rewrite: rewrite? },
        accept: accept?,
        reveal_software: reveal_software?,
        limits: limits?,
        cors: cors?,
        forward_token: forward_token?,
        cookies,
        unauthenticated: unauthenticated.transpose()?.unwrap_or_default(),
        without_store: without_store?,
        read_timeout: read_timeout?,
        max_body: max_body?,
        revokes: None,
    };
    Ok(Placed { route: Arc::new(route), spot: table.spot().clone() })
}

/// What becomes of who is not signed in.
fn unauthenticated_as(
    value: &Value<'_>,
    known: &Known<'_>,
    policy: Option<&Policy>,
    (host, methods): (&HostPattern, &Methods),
    cookies: bool,
) -> Read<Unauthenticated> {
    let choices = [("refuse", Unauthenticated::Refuse), ("redirect", Unauthenticated::Redirect)];
    let choice = value.choose("choice", &choices)?;
    if choice == Unauthenticated::Redirect {
        if policy.is_some_and(|policy| !policy.needs_credentials()) {
            return Err(value.refuse("this route lets everybody in, so nobody is sent to sign in; leave it out"));
        }
        if !methods.contain(&Method::GET) {
            return Err(value.refuse("browsers open pages with GET, which this route does not match; leave it out"));
        }
        match known.pages {
            Ok(Some(pages)) => pages.can_send_back(value, host, cookies)?,
            Ok(None) => {
                return Err(value.refuse("there is no sign-in page; write [pages] with enabled = true, or \"refuse\""));
            }
            Err(_) => {} // That has been reported.
        }
    }
    Ok(choice)
}

/// Whether a route takes tokens in cookies: what `[cookies]` says of all, or what it says itself.
fn cookies(table: &mut Table<'_>, terms: &Read<Option<CookieTerms>>, policy: Option<&Policy>) -> Read<bool> {
    let Some(value) = table.find("cookies") else {
        return Ok(matches!(terms, Ok(Some(CookieTerms { everywhere: true, .. }))));
    };
    match (value.flag()?, terms) {
        (true, Ok(None)) => Err(value.refuse("there are no cookies without [cookies]; write it, or leave this out")),
        (true, _) if policy.is_some_and(|policy| !policy.reads_credentials()) => {
            Err(value.refuse("a public route looks at no credentials; leave this out, or write policy = \"optional\""))
        }
        (takes, _) => Ok(takes),
    }
}

fn id(value: &Value<'_>) -> Read<RouteId> {
    value.parse(|raw| values::name(raw, RouteId::parse))
}

fn matched(table: &mut Table<'_>) -> Read<(HostPattern, PathPattern, Methods)> {
    let host = table.or("host", values::host_pattern, HostPattern::Any);
    let path = table.required("path", values::path_pattern, r#"write path = "/posts/*", or "/*" for every path"#);
    let methods = table.or("methods", methods, Methods::Any);
    Ok((host?, path?, methods?))
}

fn methods(value: &Value<'_>) -> Read<Methods> {
    let methods = values::some_of(value, values::method, "leave methods out to match every method")?;
    match methods.iter().enumerate().find(|(at, method)| methods[..*at].contains(method)) {
        Some((_, twice)) => Err(value.refuse(format_args!("{twice} is there twice; write it once"))),
        None => Ok(Methods::Only(methods)),
    }
}

/// What is refused in paths elsewhere: each is a word, so that a file says what it opens.
fn accept(value: &Value<'_>) -> Read<BTreeSet<Oddity>> {
    let one = |value: &Value<'_>| value.choose("thing to accept", &Oddity::ALL);
    Ok(values::some_of(value, one, "leave accept out to refuse what is ambiguous")?.into_iter().collect())
}

fn without_store(value: &Value<'_>) -> Read<WithoutStore> {
    value.choose("choice", &[("refuse", WithoutStore::Refuse), ("signature_only", WithoutStore::SignatureOnly)])
}

/// A size, or in words that there is no bound.
fn max_body(value: &Value<'_>) -> Read<Option<u64>> {
    if value.as_text() == Some("unlimited") { Ok(None) } else { values::bytes(value).map(Some) }
}

/// `limit = "one"` or `limits = ["one", "other"]`.
fn route_limits(table: &mut Table<'_>, names: &Names<Arc<Limit>>, policy: Option<&Policy>) -> Read<Vec<Arc<Limit>>> {
    let allow = |value: &Value<'_>, limit: &Limit| allow(value, limit, policy);
    let one = table.optional("limit", |value| limits::one(value, names, allow));
    let several = table.optional("limits", |value| limits::list(value, names, allow));
    match (one?, several?) {
        (Some(_), Some(_)) => Err(table.refuse("write either limit or limits, not both")),
        (Some(one), None) => Ok(vec![one]),
        (None, several) => Ok(several.unwrap_or_default()),
    }
}

fn allow(value: &Value<'_>, limit: &Limit, policy: Option<&Policy>) -> Read<()> {
    let name = &limit.id;
    match limit.by {
        LimitBy::Account => Err(value.refuse(format_args!(
            "limit \"{name}\" counts per account, which only a login names; use it in [login] limits"
        ))),
        LimitBy::User if policy.is_some_and(|policy| !policy.reads_credentials()) => Err(value.refuse(format_args!(
            "limit \"{name}\" counts per user, but a public route knows no users; use a limit per \"address\", or policy = \"optional\""
        ))),
        LimitBy::User | LimitBy::Address | LimitBy::Route => Ok(()),
    }
}

/// No two routes have one name, and none matches what another one does.
fn refuse_collisions(placed: &[Placed<'_>]) {
    let mut ids = BTreeSet::new();
    for Placed { route, spot } in placed {
        if !ids.insert(&route.id) {
            spot.refuse(format_args!("there is a route \"{}\" already; write another id", route.id));
        }
    }
    let routes: Vec<Arc<Route>> = placed.iter().map(|placed| Arc::clone(&placed.route)).collect();
    for (at, conflict) in RouteTable::conflicts(&routes) {
        placed[at].spot.refuse(format_args!("{conflict}; change the path, methods or host of one"));
    }
}

/// A host that is named wins over one that is not, so a route for it may hide our endpoints there.
fn refuse_shadows(placed: &[Placed<'_>]) {
    let (own, others): (Vec<_>, Vec<_>) =
        placed.iter().partition(|placed| matches!(placed.route.target, Target::Endpoint(_)));
    for Placed { route, spot } in others {
        let hidden = own.iter().find(|own| hides(route, &own.route));
        if let Some(Placed { route: own, .. }) = hidden {
            spot.refuse(format_args!(
                "on host \"{}\" it takes the requests for {}, which is \"{}\"; write the host of our endpoints as [auth] host, or a narrower path",
                route.host, own.path, own.id
            ));
        }
    }
}

fn hides(route: &Route, own: &Route) -> bool {
    let Methods::Only(methods) = &own.methods else { return false };
    // "*.example.com" stands for the names that end in ".example.com".
    let host = route.host.to_string();
    route.host.specificity(&own.host) == Ordering::Less
        && own.host.matches(host.trim_start_matches('*'))
        && route.path.matches(&own.path.to_string())
        && methods.iter().any(|method| route.methods.contain(method))
}
