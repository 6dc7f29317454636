//! Reads addresses: where we listen, whom we trust, and where servers are. Names are taken as they are;
//! nothing here resolves or connects.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::ServerAddress;
use super::hints::quoted;
use super::reader::{Read, Value, Wrong};

/// Where to listen.
pub(super) fn socket(value: &Value<'_>) -> Read<SocketAddr> {
    value.parse(|raw| {
        raw.parse().map_err(|_| {
            let remedy = match raw.strip_prefix("localhost").or_else(|| raw.strip_prefix("http://localhost")) {
                Some(port) => format!("write \"127.0.0.1{port}\""),
                None if raw.starts_with(':') => {
                    format!("write \"127.0.0.1{raw}\", or \"0.0.0.0{raw}\" for all interfaces")
                }
                None => "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned(),
            };
            Wrong(format!("{} is no address to listen on; {remedy}", quoted(raw)))
        })
    })
}

/// A network whose proxies are trusted.
pub(super) fn trusted_network(value: &Value<'_>) -> Read<IpNet> {
    value.parse(|raw| {
        let network = match (raw.parse::<IpNet>(), raw.parse::<IpAddr>()) {
            (Ok(network), _) => network,
            (_, Ok(address)) => address.into(),
            _ => return Err(Wrong(format!("{} is no network; write \"10.0.0.0/8\" or \"192.0.2.1\"", quoted(raw)))),
        };
        if network.prefix_len() == 0 {
            return Err(Wrong(
                "this trusts everybody to name any client address; write your proxies' networks".to_owned(),
            ));
        }
        if network.addr() != network.network() {
            return Err(Wrong(format!("\"{network}\" has bits beyond its prefix; write \"{}\"", network.trunc())));
        }
        Ok(network)
    })
}

/// Where a server is: a name or an address, and a port.
pub(super) fn server(value: &Value<'_>) -> Read<ServerAddress> {
    value.parse(parse_server)
}

fn parse_server(raw: &str) -> Result<ServerAddress, Wrong> {
    if raw.starts_with("https://") {
        return Err(Wrong("TLS to servers is not there yet; write \"HOST:PORT\" of a plain HTTP server".to_owned()));
    }
    if let Some(rest) = raw.strip_prefix("http://") {
        return Err(Wrong(format!(
            "a server has no scheme and no path; write {}",
            quoted(rest.split('/').next().unwrap_or(rest))
        )));
    }
    if let Ok(address) = raw.parse::<SocketAddr>() {
        return port(address.port()).map(|port| ServerAddress { host: address.ip().to_string(), port });
    }
    match raw.rsplit_once(':') {
        Some((host, digits)) if is_host_name(host) => {
            let number = digits.parse().map_err(|_| Wrong(format!("{} is no port", quoted(digits))))?;
            port(number).map(|port| ServerAddress { host: host.to_ascii_lowercase(), port })
        }
        _ if is_host_name(raw) => Err(Wrong(format!("{} has no port; write \"{raw}:80\"", quoted(raw)))),
        _ => Err(Wrong(format!("{} is no server; write \"127.0.0.1:9000\" or \"backend.internal:9000\"", quoted(raw)))),
    }
}

fn port(port: u16) -> Result<u16, Wrong> {
    if port == 0 { Err(Wrong("a server has a port from 1 to 65535".to_owned())) } else { Ok(port) }
}

/// RFC 1123 §2.1, and the underscore that container networks use.
fn is_host_name(raw: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    raw.len() <= 253 && raw.strip_suffix('.').unwrap_or(raw).split('.').all(label)
}

/// Whether who connects to `address` from this machine reaches a socket that listens at `ours`.
pub(super) fn reaches(address: SocketAddr, ours: SocketAddr) -> bool {
    address == ours || (address.port() == ours.port() && ours.ip().is_unspecified() && address.ip().is_loopback())
}

/// Whether sockets at both addresses would be in each other's way.
pub(super) fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || everywhere)
}
