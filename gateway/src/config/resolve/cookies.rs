//! `[cookies]`: whether browsers may carry tokens in cookies, and how. Combinations that a browser would drop,
//! or that would sign people out, are refused. Plain names are for a gateway that nobody reaches but from this
//! very machine.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::reader::{Read, Table, Value};
use crate::config::{Listener, Tokens, origins};
use crate::config::{reader::Wrong, values};
use crate::cookies::{CookieLife, CookieName, Cookies, Deliver, SameSite};
use crate::cors::{Origins, can_be_forged};

const EARLY_REFRESH: Duration = Duration::from_secs(30);
/// Browsers send several requests at once, of which all but one come with a token that has just been spent.
const LEAST_RETRY_WINDOW: Duration = Duration::from_secs(5);

/// What decides how cookies may be.
pub(super) struct Surroundings<'a> {
    pub(super) listeners: &'a [Listener],
    pub(super) trusted_proxies: Option<&'a [IpNet]>,
    pub(super) tokens: Option<&'a Tokens>,
}

/// Cookies, and whether routes take them unless they say otherwise.
pub(super) struct CookieTerms {
    pub(super) cookies: Arc<Cookies>,
    pub(super) everywhere: bool,
}

/// Reads `[cookies]`.
pub(super) fn cookies(value: &Value<'_>, around: &Surroundings<'_>) -> Read<CookieTerms> {
    value.table(|table| {
        let secure = table.or("secure", |value| secure(value, around), around.is_secure());
        let named = secure.unwrap_or(true);
        let access = table.or("access", |value| name(value, named), default_name("access", named));
        let refresh = table.or("refresh", |value| name(value, named), default_name("refresh", named));
        let same_site = table.or("same_site", |value| same_site(value, named), SameSite::Lax);
        let life = table.or("life", life, CookieLife::Tokens);
        let deliver = table.or("deliver", deliver, Deliver::Cookies);
        let early_refresh = early_refresh(table, around.tokens);
        let trusted_origins = table.or("trusted_origins", |value| trusted_origins(value, named), Origins::default());
        let everywhere = table.or("everywhere", Value::flag, true);
        check_retry_window(table, around.tokens)?;
        let (access, refresh) = (access?, refresh?);
        if access.as_str().eq_ignore_ascii_case(refresh.as_str()) {
            return Err(table.refuse("access and refresh name one cookie; write two names"));
        }
        let cookies = Cookies {
            access,
            refresh,
            secure: secure?,
            same_site: same_site?,
            life: life?,
            deliver: deliver?,
            early_refresh: early_refresh?,
            trusted_origins: trusted_origins?,
        };
        Ok(CookieTerms { cookies: Arc::new(cookies), everywhere: everywhere? })
    })
}

impl Surroundings<'_> {
    /// Whether browsers may reach us from elsewhere, and so must do it over TLS.
    fn is_secure(&self) -> bool {
        let on_this_machine = self.listeners.iter().all(|listener| listener.address.ip().is_loopback());
        let no_tls = !self.listeners.iter().any(|listener| listener.transport.is_secure());
        let in_plain = self.tokens.is_none_or(|tokens| !tokens.issuer.starts_with("https://"));
        !(on_this_machine && no_tls && in_plain && self.trusted_proxies.is_some_and(<[IpNet]>::is_empty))
    }
}

fn secure(value: &Value<'_>, around: &Surroundings<'_>) -> Read<bool> {
    let always = value.choose("choice", &[("auto", false), ("always", true)])?;
    Ok(always || around.is_secure())
}

fn default_name(name: &str, secure: bool) -> CookieName {
    let prefix = if secure { "__Host-" } else { "" };
    CookieName::parse(&format!("{prefix}portcullis-{name}")).expect("it is made of letters and dashes")
}

fn name(value: &Value<'_>, secure: bool) -> Read<CookieName> {
    let name = value.parse(|raw| CookieName::parse(raw).map_err(Wrong::from))?;
    if name.promises_secure() && !secure {
        return Err(value.refuse(format_args!(
            "browsers drop \"{name}\", since cookies are not Secure here; write a plain name, or secure = \"always\""
        )));
    }
    Ok(name)
}

fn same_site(value: &Value<'_>, secure: bool) -> Read<SameSite> {
    let choices = [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];
    match value.choose("choice", &choices)? {
        SameSite::None if !secure => Err(value.refuse(
            "browsers drop cookies for other sites that are not Secure; write \"lax\", or secure = \"always\"",
        )),
        choice => Ok(choice),
    }
}

/// Where cookies travel over TLS only, a page that did not must not use them: anybody on its way could have written it.
fn trusted_origins(value: &Value<'_>, secure: bool) -> Read<Origins> {
    let origins = origins::origins(value)?;
    let forged = |one: &Value<'_>| secure && one.as_text().is_some_and(can_be_forged);
    match value.list(|one| Ok(one.clone()))?.iter().find(|one| forged(one)) {
        Some(one) => Err(one.refuse("anybody on the way can forge a page that comes without TLS; write https://")),
        None => Ok(origins),
    }
}

fn life(value: &Value<'_>) -> Read<CookieLife> {
    value.choose("choice", &[("tokens", CookieLife::Tokens), ("browser", CookieLife::Browser)])
}

fn deliver(value: &Value<'_>) -> Read<Deliver> {
    value.choose("choice", &[("cookies", Deliver::Cookies), ("body", Deliver::Body), ("both", Deliver::Both)])
}

/// A token is not renewed before half of its life is over, or each request would.
fn early_refresh(table: &mut Table<'_>, tokens: Option<&Tokens>) -> Read<Duration> {
    let half = tokens.map_or(Duration::MAX, |tokens| tokens.access_ttl / 2);
    let Some(value) = table.find("early_refresh") else { return Ok(EARLY_REFRESH.min(half / 2)) };
    let early = values::duration_or_zero(&value)?;
    if early > half {
        return Err(value.refuse(format_args!(
            "tokens would be renewed over and over; write at most \"{}\", half of access_ttl",
            values::shown(half)
        )));
    }
    Ok(early)
}

fn check_retry_window(table: &Table<'_>, tokens: Option<&Tokens>) -> Read<()> {
    match tokens.map(|tokens| tokens.lifetimes.retry_window) {
        Some(window) if window < LEAST_RETRY_WINDOW => Err(table.refuse(format_args!(
            "browsers send several requests at once with one token, which a shorter [tokens] retry_window takes for theft; write \"{}\" or more there",
            values::shown(LEAST_RETRY_WINDOW)
        ))),
        _ => Ok(()),
    }
}
