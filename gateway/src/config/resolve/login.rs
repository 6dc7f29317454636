//! `[login]`: which upstream checks credentials, how it is asked and where its answer names the user. Its
//! limits become those of the login route, for which there are defaults: login is never unlimited.

use std::sync::Arc;
use std::time::Duration;

use crate::config::names::Names;
use crate::config::reader::{Read, Table, Value};
use crate::config::{Login, LoginFormat, Recheck, WhenUnavailable, values};
use crate::ids::{LimitId, UpstreamId};
use crate::limit::{Accuracy, Backoff, Limit, LimitBy, Quota};

use super::limits;
use super::overload::places;

const TIMEOUT: Duration = Duration::from_secs(10);
const CONCURRENCY: u32 = 64;
const RECHECK_TIMEOUT: Duration = Duration::from_secs(2);
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
        let concurrency = table.or("concurrency", places, CONCURRENCY);
        let backoff = table.section("backoff", backoff);
        let defaults = (roles.as_ref().ok().cloned().flatten(), scopes.as_ref().ok().cloned().flatten());
        let recheck = table.optional("recheck", |value| recheck(value, defaults));
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
            concurrency: concurrency?,
            backoff: backoff?,
            recheck: recheck?,
        };
        Ok((login, limits?))
    })
}

/// Reads `[login.recheck]`, whose answer has roles and scopes where that of a login has them unless it says where.
fn recheck(value: &Value<'_>, (roles, scopes): (Option<String>, Option<String>)) -> Read<Recheck> {
    value.table(|table| {
        let path = table.required("path", recheck_path, r#"write path = "/users/{subject}", where a user can be read"#);
        let roles = table.optional("roles", values::pointer).map(|own| own.or(roles));
        let scopes = table.optional("scopes", values::pointer).map(|own| own.or(scopes));
        let disabled = table.optional("disabled", values::pointer);
        let gone =
            table.or("gone", |value| values::some_of(value, status, "leave gone out for 404 and 410"), vec![404, 410]);
        let timeout = table.or("timeout", values::duration, RECHECK_TIMEOUT);
        let unavailable = table.or("unavailable", unavailable, WhenUnavailable::Renew);
        Ok(Recheck {
            path: path?,
            roles: roles?,
            scopes: scopes?,
            disabled: disabled?,
            gone: gone?,
            timeout: timeout?,
            unavailable: unavailable?,
        })
    })
}

/// A path in which `{subject}` may be one segment.
fn recheck_path(value: &Value<'_>) -> Read<String> {
    let path = values::path_pattern(value)?.to_string();
    if path.replace("/{subject}", "/").contains(['{', '*']) {
        return Err(value.refuse("the only parameter here is {subject}; write \"/users/{subject}\""));
    }
    Ok(path)
}

fn status(value: &Value<'_>) -> Read<u16> {
    let status = value.number(400..=499)?;
    Ok(u16::try_from(status).expect("it has three digits"))
}

fn unavailable(value: &Value<'_>) -> Read<WhenUnavailable> {
    value.choose("choice", &[("renew", WhenUnavailable::Renew), ("refuse", WhenUnavailable::Refuse)])
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
        LimitBy::Address | LimitBy::Account | LimitBy::Route => limits::must_be_exact(value, limit),
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
        let id = LimitId::parse(name).expect("a plain name");
        Arc::new(Limit { id, quota, by, accuracy: Accuracy::Exact })
    };
    vec![limit("auth.login.address", 30, LimitBy::Address), limit("auth.login.account", 10, LimitBy::Account)]
}
