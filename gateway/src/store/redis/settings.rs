//! How fred is set up. Its defaults wait for ever, queue without bound and send commands again whose answer
//! was lost; each setting here closes one of these. The URL is read here and shown nowhere.

use std::time::Duration;

use fred::types::RespVersion;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig,
};

use crate::secret::Secret;
use crate::store::StoreError;

const SCHEMES: [&str; 6] = ["redis", "rediss", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster"];

/// More commands than are ever waiting while Redis answers; beyond it they fail at once.
const MAX_WAITING_COMMANDS: usize = 4096;

/// Where to connect to and as whom. Fails if the URL is not one, without showing any of it.
pub(super) fn server(url: &Secret) -> Result<Config, StoreError> {
    let malformed = || StoreError::Unavailable("the URL of the store is malformed".to_owned());
    let url = url.expose_str().ok_or_else(malformed)?;
    let is_known = url.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme));
    if !is_known {
        return Err(malformed());
    }
    let config = Config::from_url(url).map_err(|_| malformed())?;
    Ok(Config {
        fail_fast: false, // a Redis that is down at start is waited for, like one that goes down later
        version: RespVersion::RESP3,
        ..config
    })
}

/// No command waits longer than `timeout`.
pub(super) fn performance(timeout: Duration) -> PerformanceConfig {
    PerformanceConfig {
        default_command_timeout: timeout,
        broadcast_channel_capacity: 4096,
        ..PerformanceConfig::default()
    }
}

/// Bounds on connecting and on what waits for a connection.
pub(super) fn connection() -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: Duration::from_secs(2),
        internal_command_timeout: Duration::from_secs(2),
        max_command_buffer_len: MAX_WAITING_COMMANDS,
        max_command_attempts: 1, // whether a lost script ran is unknown, so it is not sent again
        auto_client_setname: true,
        reconnect_on_auth_error: true,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(Duration::from_secs(2)),
            interval: Duration::from_millis(500),
        },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    }
}

/// Tries again for ever: soon at first, then every second.
pub(super) fn reconnection() -> ReconnectPolicy {
    let (unlimited, soonest_ms, latest_ms, base) = (0, 50, 1000, 2);
    ReconnectPolicy::new_exponential(unlimited, soonest_ms, latest_ms, base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_url_is_refused_and_never_shown() {
        for url in ["", "hunter2", "http://:hunter2@localhost", "redis://:hunter2@local host:x"] {
            let error = server(&Secret::new(url)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn each_kind_of_redis_has_its_url() {
        for url in [
            "redis://localhost",
            "redis://user:secret@localhost:6380/2",
            "rediss://localhost",
            "redis-sentinel://localhost:26379?sentinelServiceName=main",
            "redis-cluster://localhost:7000?node=localhost:7001",
        ] {
            assert!(server(&Secret::new(url)).is_ok(), "{url}");
        }
        assert!(server(&Secret::new("redis-cluster://localhost")).unwrap().server.is_clustered());
    }
}
