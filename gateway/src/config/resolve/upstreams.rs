//! `[upstreams.NAME]`: pools of servers, how their health is known, and how long anything may take. No
//! pool may hold an address that we listen on, since a request would come back for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::hints::quoted;
use crate::config::names::Names;
use crate::config::reader::{Read, Table, Value, Wrong};
use crate::config::{HealthCheck, ServerAddress, Upstream, UpstreamHeader, addresses, secrets, values};
use crate::ids::UpstreamId;
use crate::inbound::names::{folded, is_managed};
use crate::overload::Capacity;
use crate::secret::Secret;

use super::listeners::Entrances;
use super::overload::places;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const TUNNEL_TIMEOUT: Duration = Duration::from_hours(1);
const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;
const REQUESTS: u32 = 1000;

/// Reads all pools: their names, for others to refer to, and what they are. `reserve` percent of the places of each
/// are kept for known callers.
pub(super) fn all(
    top: &mut Table<'_>,
    entrances: &Entrances,
    reserve: u32,
) -> (Names<UpstreamId>, Read<BTreeMap<UpstreamId, Upstream>>) {
    let mut names = Names::new("upstream");
    let sections = top.or("upstreams", Value::named, Vec::new()).unwrap_or_default();
    let mut all = Vec::new();
    for (name, section) in sections {
        let id = values::name(name, UpstreamId::parse).map_err(|wrong| section.refuse(wrong));
        names.add(name, id.clone());
        let upstream = section.table(|table| upstream(table, entrances, reserve));
        all.push(id.and_then(|id| Ok((id, upstream?))));
    }
    (names, all.into_iter().collect())
}

fn upstream(table: &mut Table<'_>, entrances: &Entrances, reserve: u32) -> Read<Upstream> {
    let servers = table.required("servers", |value| servers(value, entrances), r#"write servers = ["127.0.0.1:9000"]"#);
    let http2 = table.or("http2", Value::flag, false);
    let health = table.section("health", health);
    let connect_timeout = table.or("connect_timeout", values::duration, CONNECT_TIMEOUT);
    let read_timeout = table.or("read_timeout", values::duration, READ_TIMEOUT);
    let write_timeout = table.or("write_timeout", values::duration, WRITE_TIMEOUT);
    let idle_timeout = table.or("idle_timeout", values::duration, IDLE_TIMEOUT);
    let tunnel_timeout = table.or("tunnel_timeout", values::duration, TUNNEL_TIMEOUT);
    let attempts = table.or("attempts", |value| value.number(1..=10), ATTEMPTS);
    let requests = table.or("requests", places, REQUESTS);
    let resolve_interval = table.or("resolve_interval", values::duration, RESOLVE_INTERVAL);
    let headers = table.or("headers", headers, Vec::new());
    Ok(Upstream {
        servers: servers?,
        http2: http2?,
        health: health?,
        connect_timeout: connect_timeout?,
        read_timeout: read_timeout?,
        write_timeout: write_timeout?,
        idle_timeout: idle_timeout?,
        tunnel_timeout: tunnel_timeout?,
        attempts: attempts? as usize,
        requests: Capacity::new(requests?, reserve),
        resolve_interval: resolve_interval?,
        headers: headers?,
    })
}

fn servers(value: &Value<'_>, entrances: &Entrances) -> Read<Vec<ServerAddress>> {
    let is_ours = |server: &ServerAddress| {
        let address = server.host.parse().map(|ip| SocketAddr::new(ip, server.port));
        address.is_ok_and(|address| entrances.are_reached_by(address))
    };
    let server = |value: &Value<'_>| match addresses::server(value)? {
        server if is_ours(&server) => {
            Err(value.refuse("the gateway itself listens there; write the address of a server"))
        }
        server => Ok(server),
    };
    let servers = values::some_of(value, server, r#"write at least one server, such as "127.0.0.1:9000""#)?;
    if servers.iter().collect::<BTreeSet<_>>().len() < servers.len() {
        return Err(value.refuse("a server is there twice; write each one once"));
    }
    Ok(servers)
}

fn health(table: &mut Table<'_>) -> Read<HealthCheck> {
    let path = table.optional("path", values::request_target);
    let interval = table.or("interval", values::duration, HEALTH_INTERVAL);
    let timeout = table.or("timeout", values::duration, HEALTH_TIMEOUT);
    let (interval, timeout) = (interval?, timeout?);
    if timeout > interval {
        return Err(table.refuse("a check takes longer than the time between two; write timeout at most interval"));
    }
    Ok(match path? {
        Some(path) => HealthCheck::Http { path, interval, timeout },
        None => HealthCheck::Tcp { interval, timeout },
    })
}

fn headers(value: &Value<'_>) -> Read<Vec<UpstreamHeader>> {
    let headers = value.named()?;
    let all: Vec<_> = headers.iter().map(|(name, value)| header(name, value)).collect();
    all.into_iter().collect()
}

fn header(name: &str, value: &Value<'_>) -> Read<UpstreamHeader> {
    let parsed = header_name(name).map_err(|wrong| value.refuse(wrong));
    let folded: Vec<u8> = folded(name).collect();
    let text = header_text(&String::from_utf8_lossy(&folded), value);
    let (name, text) = (parsed?, text?);
    let mut header = HeaderValue::from_bytes(text.expose())
        .map_err(|_| value.refuse("a header holds no line breaks and no control characters; change the value"))?;
    header.set_sensitive(true);
    Ok(UpstreamHeader { name, value: header })
}

/// Text may stand in the file, unless the header's name says that it is a secret.
fn header_text(folded: &str, value: &Value<'_>) -> Read<Secret> {
    const SECRET: [&str; 7] = ["auth", "secret", "token", "key", "password", "cookie", "credential"];
    let is_secret = SECRET.iter().any(|word| folded.contains(word));
    match value.as_text() {
        Some(text) if !is_secret => Ok(Secret::new(text)),
        _ => secrets::secret(value),
    }
}

fn header_name(raw: &str) -> Result<HeaderName, Wrong> {
    let name = HeaderName::from_bytes(raw.as_bytes())
        .map_err(|_| Wrong(format!("{} is no header name; write one such as \"X-Gateway-Secret\"", quoted(raw))))?;
    if is_managed(raw) || FRAMING.iter().any(|framing| folded(framing).eq(folded(raw))) {
        return Err(Wrong(format!("{} is set by the gateway for each request; write another name", quoted(raw))));
    }
    Ok(name)
}

/// Headers that frame a message or say how it is read: they are the engine's.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
];
