//! `[listeners.NAME]` and `[admin]`: the addresses that the gateway listens on. No two of them may be in
//! each other's way, and the admin listener is kept from the outside unless it is said in words.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::tls;
use crate::config::reader::{Read, Spot, Table, Value};
use crate::config::{Admin, Listener, addresses, secrets, values};
use crate::ids::RouteId;

use super::bounds::bounds;

const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
const KEEPALIVE: Duration = Duration::from_secs(75);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// All addresses that we listen on, as far as they could be read.
pub(super) struct Entrances {
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Read<Admin>,
}

impl Entrances {
    /// Whether who connects to `address` reaches one of them.
    pub(super) fn are_reached_by(&self, address: SocketAddr) -> bool {
        let admin = self.admin.iter().map(|admin| admin.address);
        let mut ours = self.listeners.iter().map(|listener| listener.address).chain(admin);
        ours.any(|ours| addresses::reaches(address, ours))
    }
}

/// Reads both sections. A listener with a mistake is left out, so that the others are still compared.
pub(super) fn entrances(top: &mut Table<'_>) -> Entrances {
    let listeners = top.required("listeners", listeners, r#"write [listeners.public] with address = "127.0.0.1:8080""#);
    let listeners = listeners.unwrap_or_default();
    let admin = top.section("admin", |table| admin(table, &listeners));
    Entrances { listeners, admin }
}

fn listeners(value: &Value<'_>) -> Read<Vec<Listener>> {
    let sections = value.named()?;
    if sections.is_empty() {
        return Err(value.refuse("there is no listener; write [listeners.public]"));
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for (name, section) in sections {
        let listener = listener(name, &section, &listeners);
        listeners.extend(listener);
    }
    Ok(listeners)
}

/// A free address: no listener of `others` is in its way.
fn free(spot: &Spot<'_>, address: SocketAddr, others: &[Listener]) -> Read<SocketAddr> {
    match others.iter().find(|other| addresses::clash(other.address, address)) {
        Some(Listener { name, address, .. }) => {
            Err(spot.refuse(format_args!("listener \"{name}\" is at {address} already; write another port")))
        }
        None => Ok(address),
    }
}

fn listener(name: &str, value: &Value<'_>, others: &[Listener]) -> Read<Listener> {
    // Listener names have the letters of route names; they are no ids, since nothing refers to them.
    let name = values::name(name, RouteId::parse).map_err(|wrong| value.refuse(wrong));
    value.table(|table| {
        let address = |value: &Value<'_>| free(value.spot(), addresses::socket(value)?, others);
        let address = table.required("address", address, r#"write address = "127.0.0.1:8080""#);
        let transport = tls::transport(table);
        let keepalive = table.or("keepalive", values::duration, KEEPALIVE);
        let read_timeout = table.or("read_timeout", values::duration, READ_TIMEOUT);
        let write_timeout = table.or("write_timeout", values::duration, WRITE_TIMEOUT);
        let bounds = bounds(table);
        Ok(Listener {
            name: name?.to_string(),
            address: address?,
            transport: transport?,
            keepalive: keepalive?,
            read_timeout: read_timeout?,
            write_timeout: write_timeout?,
            bounds: bounds?,
        })
    })
}

fn admin(table: &mut Table<'_>, listeners: &[Listener]) -> Read<Admin> {
    let address = table.or("address", addresses::socket, ADMIN);
    let exposed = table.or("exposed", Value::flag, false);
    let token = table.optional("token", secrets::bearer_token);
    let address = free(table.spot(), address?, listeners)?;
    if !address.ip().is_loopback() && !exposed? {
        return Err(table.refuse(format_args!(
            "{address} can be reached from outside, and whoever reaches it administers the gateway; \
             write \"127.0.0.1:{}\", or exposed = true if a firewall guards it",
            address.port()
        )));
    }
    Ok(Admin { address, token: token? })
}
