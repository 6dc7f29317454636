//! `[sessions]`: how many a user may have, and which successes of upstreams end them. The latter become part
//! of their routes. How long sessions live stands in `[tokens]`, beside the tokens that live with them.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::config::hints::unknown;
use crate::config::reader::{Read, Table, Value, Wrong};
use crate::ids::RouteId;
use crate::routing::{Methods, Revokes, Route, Target};
use crate::session::{Cap, WhenFull};

use super::routes::Placed;

/// More devices than anybody has; whoever means more means any number.
const MOST: u32 = 10_000;

/// What the section says.
pub(super) struct Sessions<'d> {
    pub(super) cap: Read<Option<Cap>>,
    /// Without those that have mistakes.
    pub(super) revoke_on: Vec<RevokeOn<'d>>,
}

/// One entry of `revoke_on`: what a success of the route ends.
pub(super) struct RevokeOn<'d> {
    route: Value<'d>,
    /// Names the parameter of [`Revokes::AllOf`].
    user: Option<Value<'d>>,
    revokes: Revokes,
}

/// Which sessions end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Others,
    All,
}

/// Reads `[sessions]`.
pub(super) fn sessions<'d>(table: &mut Table<'d>, can_log_in: bool) -> Sessions<'d> {
    let cap = cap(table, can_log_in);
    let entries = table.or("revoke_on", |value| value.list(|one| Ok(one.table(revoke_on))), Vec::new());
    Sessions { cap, revoke_on: entries.unwrap_or_default().into_iter().flatten().collect() }
}

fn revoke_on<'d>(table: &mut Table<'d>) -> Read<RevokeOn<'d>> {
    let route = table.required("route", |value| Ok(value.clone()), r#"write route = "ID", the id of a [[route]]"#);
    let which = table.required("sessions", which, r#"write sessions = "others" to keep the caller's own, or "all""#);
    let user = table.find("user");
    let named = user.as_ref().map(|value| value.parse(param)).transpose()?.flatten();
    let revokes = match (which?, named, &user) {
        (Which::Others, None, _) => Revokes::OthersOfCaller,
        (Which::All, None, _) => Revokes::AllOfCaller,
        (Which::All, Some(param), _) => Revokes::AllOf { param },
        (Which::Others, Some(_), value) => {
            let spot = value.as_ref().map_or(table.spot(), Value::spot);
            return Err(spot.refuse("only the caller has a session to be kept; write sessions = \"all\""));
        }
    };
    Ok(RevokeOn { route: route?, user, revokes })
}

fn which(value: &Value<'_>) -> Read<Which> {
    value.choose("choice", &[("others", Which::Others), ("all", Which::All)])
}

/// The parameter in braces; none for the caller.
fn param(raw: &str) -> Result<Option<Box<str>>, Wrong> {
    match raw.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => Ok(Some(name.into())),
        None if raw == "caller" => Ok(None),
        None => Err(Wrong(r#"write "caller", or a parameter of the route's path such as "{id}""#.to_owned())),
    }
}

/// Has the routes that `revoke_on` names end sessions; `ids` are those of all routes, also of those that have
/// mistakes.
pub(super) fn revoke(placed: &mut [Placed<'_>], ids: &[RouteId], revoke_on: &[RevokeOn<'_>]) {
    for RevokeOn { route: value, user, revokes } in revoke_on {
        let found = value.parse(|id| match placed.iter_mut().find(|placed| placed.route.id.as_str() == id) {
            None if ids.iter().any(|other| other.as_str() == id) => Ok(None),
            None => Err(Wrong(unknown("route", id, ids.iter().map(RouteId::as_str)))),
            Some(placed) => Ok(Some(&mut placed.route)),
        });
        let Ok(Some(route)) = found else { continue };
        let user = user.as_ref().unwrap_or(value);
        match refusal(route, revokes) {
            Some((At::Route, why)) => drop(value.refuse(why)),
            Some((At::User, why)) => drop(user.refuse(why)),
            None => Arc::make_mut(route).revokes = Some(revokes.clone()),
        }
    }
}

/// Where a mistake is.
enum At {
    Route,
    User,
}

/// Why `route` can't end these sessions.
fn refusal(route: &Route, revokes: &Revokes) -> Option<(At, String)> {
    let (id, path) = (&route.id, &route.path);
    if matches!(route.target, Target::Endpoint(_)) {
        let why = "this is an endpoint of the gateway's own, which ends what it has to; name a route of an upstream";
        return Some((At::Route, why.to_owned()));
    }
    if route.revokes.is_some() {
        return Some((At::Route, format!("route \"{id}\" is there already; write it once")));
    }
    if let Methods::Only(methods) = &route.methods
        && methods.iter().all(http::Method::is_safe)
    {
        let why = format!("route \"{id}\" is for {} only, which change nothing; name another", route.methods);
        return Some((At::Route, why));
    }
    match revokes {
        Revokes::AllOf { param } if !path.params().any(|name| *name == **param) => {
            Some((At::User, format!("the path of route \"{id}\", {path}, has no {{{param}}}; write one that it has")))
        }
        Revokes::OthersOfCaller | Revokes::AllOfCaller if !route.policy.reads_credentials() => {
            let why = "knows no callers; name the user by a parameter of its path, or have it need credentials";
            Some((At::Route, format!("route \"{id}\" is public and {why}")))
        }
        // Whoever a server reads in such a path may be another user than the one that we read there.
        Revokes::AllOf { .. } if !route.accept.is_empty() => Some((
            At::User,
            format!(
                "route \"{id}\" accepts paths that are read in several ways, so they name no user for sure; take its accept away"
            ),
        )),
        Revokes::AllOf { .. } | Revokes::OthersOfCaller | Revokes::AllOfCaller => None,
    }
}

/// How many sessions a user may have.
fn cap(table: &mut Table<'_>, can_log_in: bool) -> Read<Option<Cap>> {
    let most = table.optional("max_per_user", |value| most(value, can_log_in));
    let when_full = table.find("when_full");
    let chosen = when_full.as_ref().map_or(Ok(WhenFull::EvictOldest), choose);
    match (most?, when_full) {
        (Some(most), _) => Ok(Some(Cap { most, when_full: chosen? })),
        (None, Some(value)) => {
            Err(value.refuse("any number is allowed, so it is never full; write max_per_user too, or leave this out"))
        }
        (None, None) => Ok(None),
    }
}

fn most(value: &Value<'_>, can_log_in: bool) -> Read<NonZeroU32> {
    let most = value.number(1..=MOST)?;
    if !can_log_in {
        return Err(value.refuse("there is no [login], so nobody opens sessions here; write [login] or leave it out"));
    }
    Ok(NonZeroU32::new(most).expect("the range begins at 1"))
}

fn choose(value: &Value<'_>) -> Read<WhenFull> {
    value.choose("choice", &[("evict_oldest", WhenFull::EvictOldest), ("refuse_new", WhenFull::RefuseNew)])
}
