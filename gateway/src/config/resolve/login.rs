//! `[login]`: which upstream checks credentials, how it is asked and where its answer names the user. Its
//! limits become those of the login route, for which there are defaults: login is never unlimited.

use std::sync::Arc;
use std::time::Duration;

use crate::config::names::Names;
use crate::config::reader::{Read, Table, Value};
use crate::config::{Login, LoginFormat, values};
use crate::ids::{LimitId, UpstreamId};
use crate::limit::{Backoff, Limit, LimitBy, Quota};

use super::limits;

const TIMEOUT: Duration = Duration::from_secs(10);
const BACKOFF: Backoff = Backoff {
    free: 5,
    first: Duration::from_secs(1),
    longest: Duration::from_mins(1),
    forget: Duration::from_mins(15),
};

/// Login, and the limits of its route.
pub(super) type LoginAndLimits = (Login, Vec<Arc<Limit>>);

/// Reads `[login]`.
pub(super) fn login(value: &Value<'_>, pools: &Names<UpstreamId>, limits: &Names<Arc<Limit>>) -> Read<LoginAndLimits> {
    value.table(|table| {
        let upstream = table.required("upstream", |value| pools.find(value), r#"write upstream = "NAME""#);
        let path =
            table.required("path", values::fixed_path, r#"write path = "/login", where credentials are posted to"#);
        let format = table.or("format", format, LoginFormat::Json);
        let account_field = table.or("account_field", values::text, "username".to_owned());
        let token = table.optional("token", values::pointer);
        let subject =
            table.required("subject", values::pointer, r#"write subject = "/id", where the answer names the user"#);
        let roles = table.optional("roles", values::pointer);
        let scopes = table.optional("scopes", values::pointer);
        let timeout = table.or("timeout", values::duration, TIMEOUT);
        let backoff = table.section("backoff", backoff);
        let limits = table.find("limits").map_or_else(|| Ok(default_limits()), |value| login_limits(&value, limits));
        let login = Login {
            upstream: upstream?,
            path: path?.to_string(),
            format: format?,
            account_field: account_field?,
            token: token?,
            subject: subject?,
            roles: roles?,
            scopes: scopes?,
            timeout: timeout?,
            backoff: backoff?,
        };
        Ok((login, limits?))
    })
}

fn format(value: &Value<'_>) -> Read<LoginFormat> {
    value.choose("format", &[("json", LoginFormat::Json), ("form", LoginFormat::Form)])
}

fn backoff(table: &mut Table<'_>) -> Read<Backoff> {
    let free = table.or("free", |value| value.number(0..=1000), BACKOFF.free);
    let first = table.or("first", values::duration, BACKOFF.first);
    let longest = table.or("longest", values::duration, BACKOFF.longest);
    let forget = table.or("forget", values::duration, BACKOFF.forget);
    let backoff = Backoff { free: free?, first: first?, longest: longest?, forget: forget? };
    if backoff.first > backoff.longest || backoff.longest > backoff.forget {
        return Err(
            table.refuse("the delays must grow: first, longest and forget, each at least as long as the one before")
        );
    }
    Ok(backoff)
}

fn login_limits(value: &Value<'_>, names: &Names<Arc<Limit>>) -> Read<Vec<Arc<Limit>>> {
    let limits = limits::list(value, names, |value, limit| match limit.by {
        LimitBy::User => {
            Err(value.refuse("nobody is known yet who logs in; use a limit per \"account\" or \"address\""))
        }
        LimitBy::Address | LimitBy::Account | LimitBy::Route => Ok(()),
    })?;
    if limits.iter().any(|limit| limit.by == LimitBy::Address) {
        return Ok(limits);
    }
    Err(value.refuse(
        "login is never unlimited; name at least a limit per \"address\", or leave limits out for the defaults",
    ))
}

/// The client's limit is taken before the account's, so that one client can't use up somebody's account.
fn default_limits() -> Vec<Arc<Limit>> {
    let limit = |name: &str, each_minute: u32, by: LimitBy| {
        let quota = Quota::new(each_minute, Duration::from_mins(1), each_minute).expect("some a minute can be counted");
        Arc::new(Limit { id: LimitId::parse(name).expect("a plain name"), quota, by })
    };
    vec![limit("auth.login.address", 30, LimitBy::Address), limit("auth.login.account", 10, LimitBy::Account)]
}
