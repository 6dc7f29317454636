//! `[pages]`: the pages for people, where they are and how they look. They become routes like those of
//! `[auth]`, on the same host and within the same limits. They need a login, and cookies to carry its tokens;
//! a route that sends people to them must take what they bring back.

use std::io::Read as _;
use std::sync::Arc;

use http::Method;

use crate::config::Pages;
use crate::config::hints::{quoted, unknown};
use crate::config::reader::{Read, Spot, Table, Value, Wrong};
use crate::config::values;
use crate::pages::theme::{Accent, Logo, MAX_LOGO, Theme};
use crate::pages::{ReturnTo, Terms};
use crate::policy::Policy;
use crate::routing::{Endpoint, HostPattern, PathPattern, Route, Target};

use super::cookies::CookieTerms;
use super::endpoints::{self, Shared};
use super::login::LoginAndLimits;
use super::routes::Placed;

/// What pages rest on.
pub(super) struct Ground<'a, 'd> {
    pub(super) login: &'a Read<Option<LoginAndLimits>>,
    pub(super) cookies: &'a Read<Option<CookieTerms>>,
    pub(super) endpoints: &'a Read<Vec<Placed<'d>>>,
}

/// Pages whose route to create accounts is not known yet.
pub(super) struct Draft<'d> {
    terms: Terms,
    register: Option<(&'d str, Spot<'d>)>,
    host: HostPattern,
    /// Their routes, to be taken.
    pub(super) routes: Vec<Placed<'d>>,
}

/// Reads `[pages]`.
pub(super) fn pages<'d>(table: &mut Table<'d>, ground: &Ground<'_, 'd>) -> Read<Option<Draft<'d>>> {
    let enabled = table.or("enabled", |value| enabled(value, ground), false);
    let sign_in = path(table, "sign_in", "/auth/sign-in");
    let sessions = path(table, "sessions", "/auth/devices");
    let home = table.or("home", home, ReturnTo::root());
    let register = table.optional("register", |value| Ok((value.parse(Ok)?, value.spot().clone())));
    let theme = theme(table);
    let (enabled, sign_in, sessions) = (enabled?, sign_in?, sessions?);
    let (register, home, theme) = (register?, home?, theme?);
    if home.path() == sign_in.0.to_string() {
        return Err(table.refuse("home is the sign-in page, which would send people to itself; write another path"));
    }
    // What is missing there has been reported.
    let (true, Ok(Some((login, login_limits))), Ok(own)) = (enabled, ground.login, ground.endpoints) else {
        return Ok(None);
    };
    let Some(Placed { route: like, .. }) = own.iter().find(|placed| placed.route.id.as_str() == "auth.sessions") else {
        return Ok(None);
    };
    let shared =
        Shared { host: like.host.clone(), limits: like.limits.clone(), login_limits: login_limits.clone(), cors: None };
    let terms = Terms {
        sign_in: sign_in.0.to_string(),
        sessions: sessions.0.to_string(),
        home,
        account_field: login.account_field.clone(),
        can_register: register.is_some(),
        theme,
    };
    Ok(Some(Draft { terms, register, routes: routes(&sign_in, &sessions, &shared), host: shared.host }))
}

type Place<'d> = (PathPattern, Spot<'d>);

fn routes<'d>(sign_in: &Place<'d>, sessions: &Place<'d>, shared: &Shared) -> Vec<Placed<'d>> {
    let at = |endpoint, (path, spot): &Place<'d>| Placed {
        route: endpoints::route(endpoint, path.clone(), shared),
        spot: spot.clone(),
    };
    vec![
        at(Endpoint::SignInPage, sign_in),
        at(Endpoint::SignIn, sign_in),
        at(Endpoint::SessionsPage, sessions),
        at(Endpoint::ChangeSessions, sessions),
    ]
}

fn theme(table: &mut Table<'_>) -> Read<Theme> {
    let title = table.optional("title", values::text);
    let logo = table.optional("logo", logo);
    let accent = table.or("accent", accent, Accent::default());
    Ok(Theme { title: title?, logo: logo?, accent: accent? })
}

fn enabled(value: &Value<'_>, ground: &Ground<'_, '_>) -> Read<bool> {
    let enabled = value.flag()?;
    match (ground.login, ground.cookies) {
        (Ok(None), _) if enabled => {
            Err(value.refuse("there is no [login], so nobody could sign in; write [login] or leave pages out"))
        }
        (_, Ok(None)) if enabled => Err(value
            .refuse("browsers carry tokens in cookies only; write [cookies], which may be empty, or leave pages out")),
        _ => Ok(enabled),
    }
}

fn path<'d>(table: &mut Table<'d>, key: &'static str, default: &str) -> Read<Place<'d>> {
    match table.find(key) {
        Some(value) => Ok((values::fixed_path(&value)?, value.spot().clone())),
        None => Ok((PathPattern::parse(default).expect("the default paths are canonical"), table.spot().clone())),
    }
}

fn home(value: &Value<'_>) -> Read<ReturnTo> {
    value.parse(|raw| {
        ReturnTo::parse(raw).ok_or_else(|| Wrong("this is no path of this site; write \"/\" or \"/start\"".to_owned()))
    })
}

fn accent(value: &Value<'_>) -> Read<Accent> {
    value.parse(|raw| {
        Accent::parse(raw).ok_or_else(|| Wrong(format!("{} is no colour; write \"#2f55b7\"", quoted(raw))))
    })
}

fn logo(value: &Value<'_>) -> Read<Logo> {
    value.parse(|raw| {
        let wrong = |why: &dyn std::fmt::Display| Wrong(format!("the file {} can't be the logo: {why}", quoted(raw)));
        let mut bytes = Vec::new();
        let file = std::fs::File::open(value.reading().folder.join(raw)).map_err(|why| wrong(&why))?;
        file.take(MAX_LOGO as u64 + 1).read_to_end(&mut bytes).map_err(|why| wrong(&why))?;
        Logo::read(&bytes).map_err(|why| wrong(&why))
    })
}

impl Draft<'_> {
    /// Checks that people who come from a route get back to it: it has to take cookies, on the pages' host.
    pub(super) fn can_send_back(&self, value: &Value<'_>, host: &HostPattern, cookies: bool) -> Read<()> {
        if !cookies {
            return Err(value.refuse("whoever signed in would be sent there again, since this route takes no cookies; write cookies = true or \"refuse\""));
        }
        if self.host != HostPattern::Any && self.host != *host {
            return Err(value.refuse(format_args!(
                "the sign-in page is on host \"{}\" only, and so are its cookies; write that host, or \"refuse\"",
                self.host
            )));
        }
        Ok(())
    }

    /// The pages, with the route that creates accounts.
    pub(super) fn finish(self, routes: &[Arc<Route>]) -> Read<Pages> {
        let Self { terms, register, host: _, routes: _ } = self;
        let register = register.map(|(id, spot)| creating(id, &spot, routes)).transpose()?;
        Ok(Pages { terms, register })
    }
}

fn creating(id: &str, spot: &Spot<'_>, routes: &[Arc<Route>]) -> Read<Arc<Route>> {
    let names =
        || routes.iter().filter(|route| matches!(route.target, Target::Upstream { .. })).map(|route| route.id.as_str());
    let Some(route) = routes.iter().find(|route| route.id.as_str() == id) else {
        return Err(spot.refuse(unknown("route", id, names().collect::<Vec<_>>().into_iter())));
    };
    let one_path = !route.path.is_open() && route.path.params().next().is_none();
    let to_upstream = matches!(route.target, Target::Upstream { .. });
    if one_path && to_upstream && route.policy == Policy::Public && route.methods.contain(&Method::POST) {
        Ok(Arc::clone(route))
    } else {
        Err(spot.refuse(format_args!(
            "route \"{id}\" can't create accounts: that takes POST to one path of an upstream, with policy = \"public\""
        )))
    }
}
