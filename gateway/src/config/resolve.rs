//! Turns the document into a [`Config`], section by section, and checks what holds between sections. Every
//! section is read before the first question mark, so that one run reports every mistake. Defaults stand
//! beside the keys that they are for; the files in `config/` show them all.

use ipnet::IpNet;

use super::reader::{Read, Table, Value};
use super::{Config, addresses};
use cookies::Surroundings;

mod bounds;
mod cookies;
mod cors;
mod endpoints;
mod limits;
mod listeners;
mod login;
mod overload;
mod pages;
mod policies;
mod process;
mod routes;
mod sessions;
mod store;
mod tls;
mod tokens;
mod upstreams;
mod webhook;

/// Reads a whole configuration.
pub(super) fn config(top: &mut Table<'_>) -> Read<Config> {
    let entrances = listeners::entrances(top);
    let trusted_proxies = top.or("trusted_proxies", networks, Vec::new());
    let store = top.required("store", store::store, r#"write [store] with url = "embedded:data/portcullis.db""#);
    let tokens = top.required("tokens", tokens::tokens, "write [tokens] with an issuer and an audience");
    let remembered = tokens.as_ref().ok().map(|tokens| tokens.memory().access_life);
    let revocation = top.section("revocation", |table| store::revocation(table, remembered));
    let limits = limits::all(top);
    let terms = cors::all(top);
    let overload = top.section("overload", overload::overload);
    let reserve = overload.as_ref().map_or(0, |terms| terms.reserve);
    let (pools, upstreams) = upstreams::all(top, &entrances, reserve);
    let login = top.optional("login", |value| login::login(value, &pools, &limits));
    let around = Surroundings {
        listeners: &entrances.listeners,
        trusted_proxies: trusted_proxies.as_deref().ok(),
        tokens: tokens.as_ref().ok(),
    };
    let cookies = top.optional("cookies", |value| cookies::cookies(value, &around));
    let sessions = top.section("sessions", |table| Ok(sessions::sessions(table, !matches!(login, Ok(None)))));
    let endpoints = endpoints::all(top, &login, &limits, &terms);
    let ground = pages::Ground { login: &login, cookies: &cookies, endpoints: &endpoints };
    let mut pages = top.section("pages", |table| pages::pages(table, &ground));
    let own = endpoints.map(|mut own| {
        own.extend(pages.iter_mut().flatten().flat_map(|pages| std::mem::take(&mut pages.routes)));
        own
    });
    let revoke_on = sessions.as_ref().map_or(&[][..], |sessions| &sessions.revoke_on);
    let known = routes::Known { pools: &pools, limits: &limits, cors: &terms, cookies: &cookies, pages: &pages };
    let routes = routes::all(top, own, &known, revoke_on);
    let pages =
        pages.and_then(|pages| pages.map(|pages| pages.finish(routes.as_deref().unwrap_or_default())).transpose());
    let webhook = top.optional("webhook", webhook::webhook);
    let process = top.section("process", process::process);
    let telemetry = top.section("telemetry", process::telemetry);
    let shutdown = top.section("shutdown", process::shutdown);
    Ok(Config {
        listeners: entrances.listeners,
        admin: entrances.admin?,
        trusted_proxies: trusted_proxies?,
        store: store?,
        revocation: revocation?,
        tokens: tokens?,
        cookies: cookies?.map(|terms| terms.cookies),
        login: login?.map(|(login, _)| login),
        cap: sessions.and_then(|sessions| sessions.cap)?,
        pages: pages?,
        overload: overload?.overload,
        upstreams: upstreams?,
        routes: routes?,
        webhook: webhook?,
        process: process?,
        telemetry: telemetry?,
        shutdown: shutdown?,
    })
}

fn networks(value: &Value<'_>) -> Read<Vec<IpNet>> {
    value.list(addresses::trusted_network)
}
