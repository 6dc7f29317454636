//! `[cors.NAME]`: named terms for pages of other origins. What a browser would ignore, or what would open an
//! answer to pages that nobody meant, is refused here. Where terms are used is for routes to say.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{HeaderName, SET_COOKIE};

use crate::config::hints::quoted;
use crate::config::names::Names;
use crate::config::origins;
use crate::config::reader::{Read, Table, Value, Wrong};
use crate::config::values;
use crate::cors::{Cors, Pages, RequestHeaders, can_be_forged};
use crate::ids::CorsId;

/// What a call to an API may need.
const REQUEST_HEADERS: [&str; 8] = [
    "accept",
    "accept-language",
    "authorization",
    "content-language",
    "content-type",
    "if-match",
    "if-none-match",
    "x-requested-with",
];
/// What we say ourselves and pages may want to know.
const OURS: [&str; 4] = ["x-request-id", "ratelimit", "ratelimit-policy", "retry-after"];
/// Headers that no page can send (Fetch §2.2.2, "forbidden request-header").
const NEVER_SENT: [&str; 21] = [
    "accept-charset",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "connection",
    "content-length",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
const MAX_AGE: Duration = Duration::from_mins(10);
/// No browser remembers an answer for longer.
const LONGEST_MAX_AGE: Duration = Duration::from_hours(24);

/// Reads all terms.
pub(super) fn all(top: &mut Table<'_>) -> Names<Arc<Cors>> {
    let mut all = Names::new("cors");
    let sections = top.or("cors", Value::named, Vec::new()).unwrap_or_default();
    for (name, section) in sections {
        let terms = if section.is_table() {
            terms(name, &section).map(Arc::new)
        } else {
            Err(section.refuse("terms have a name; write [cors.NAME] with origins"))
        };
        all.add(name, terms);
    }
    all
}

fn terms(name: &str, value: &Value<'_>) -> Read<Cors> {
    let id = values::name(name, CorsId::parse).map_err(|wrong| value.refuse(wrong));
    value.table(|table| {
        let credentials = table.or("credentials", Value::flag, false);
        let with_credentials = matches!(credentials, Ok(true));
        let pages = table.required(
            "origins",
            |value| pages(value, with_credentials),
            r#"write origins = ["https://app.example.com"], the pages that may call"#,
        );
        let methods = table.optional("methods", methods);
        let default = RequestHeaders::Only(REQUEST_HEADERS.map(HeaderName::from_static).into());
        let headers = table.or("headers", |value| request_headers(value, with_credentials), default);
        let exposed = table.or("expose", |value| each_once(value, response_header), Vec::new());
        let max_age = table.or("max_age", max_age, MAX_AGE);
        credentials?;
        Ok(Cors {
            id: id?,
            pages: pages?,
            methods: methods?,
            headers: headers?,
            exposed: with_ours(exposed?),
            max_age: max_age?,
        })
    })
}

/// What is exposed on every route, and what else is.
fn with_ours(others: Vec<HeaderName>) -> Vec<HeaderName> {
    let mut all: Vec<HeaderName> = OURS.map(HeaderName::from_static).into();
    all.extend(others.into_iter().filter(|name| !OURS.contains(&name.as_str())));
    all
}

fn pages(value: &Value<'_>, credentials: bool) -> Read<Pages> {
    let listed = values::some_of(value, |one| Ok(one.clone()), origins::REMEDY)?;
    match (is_everything(&listed), credentials) {
        (true, false) => return Ok(Pages::All),
        (true, true) => return Err(value.refuse(
            "with credentials = true every page could read what belongs to your users, so browsers ignore \"*\"; name the origins",
        )),
        (false, _) => {}
    }
    let origins = origins::named(value, &listed);
    for one in listed.iter().filter(|one| credentials && one.as_text().is_some_and(can_be_forged)) {
        one.refuse("whoever is on the way can forge a page over plain HTTP and read what belongs to your users; write https://, or credentials = false");
    }
    Ok(Pages::Of { origins: origins?, credentials })
}

fn is_everything(listed: &[Value<'_>]) -> bool {
    matches!(listed, [one] if one.as_text() == Some("*"))
}

fn methods(value: &Value<'_>) -> Read<Vec<Method>> {
    match each_once(value, values::method)? {
        methods if methods.is_empty() => {
            Err(value.refuse("the list is empty; leave methods out to allow what is routed"))
        }
        methods => Ok(methods),
    }
}

fn request_headers(value: &Value<'_>, credentials: bool) -> Read<RequestHeaders> {
    match (is_everything(&value.list(|one| Ok(one.clone()))?), credentials) {
        (true, false) => Ok(RequestHeaders::Any),
        (true, true) => Err(value.refuse("with credentials = true browsers ignore \"*\"; name the headers")),
        (false, _) => each_once(value, request_header).map(RequestHeaders::Only),
    }
}

fn request_header(value: &Value<'_>) -> Read<HeaderName> {
    let name = header(value)?;
    let forbidden =
        NEVER_SENT.contains(&name.as_str()) || ["proxy-", "sec-"].iter().any(|start| name.as_str().starts_with(start));
    if forbidden { Err(value.refuse(format_args!("browsers let no page send {name}; leave it out"))) } else { Ok(name) }
}

fn response_header(value: &Value<'_>) -> Read<HeaderName> {
    match header(value)? {
        SET_COOKIE => Err(value.refuse("browsers let no page read Set-Cookie; leave it out")),
        name => Ok(name),
    }
}

fn header(value: &Value<'_>) -> Read<HeaderName> {
    value.parse(|raw| match HeaderName::from_bytes(raw.as_bytes()) {
        Ok(name) if !raw.contains('*') => Ok(name),
        _ => {
            Err(Wrong(format!("{} is no name of a header; write whole names, such as \"X-Total-Count\"", quoted(raw))))
        }
    })
}

/// A list with nothing in it twice.
fn each_once<'d, T: PartialEq + Display>(value: &Value<'d>, read: impl Fn(&Value<'d>) -> Read<T>) -> Read<Vec<T>> {
    let list = value.list(read)?;
    match list.iter().enumerate().find(|(at, one)| list[..*at].contains(one)) {
        Some((_, twice)) => Err(value.refuse(format_args!("{twice} is there twice; write it once"))),
        None => Ok(list),
    }
}

fn max_age(value: &Value<'_>) -> Read<Duration> {
    match values::duration_or_zero(value)? {
        span if span > LONGEST_MAX_AGE => Err(value.refuse(format_args!(
            "no browser remembers it for so long; write at most \"{}\"",
            values::shown(LONGEST_MAX_AGE)
        ))),
        span if span.subsec_nanos() != 0 => Err(value.refuse("browsers count whole seconds; write \"10m\"")),
        span => Ok(span),
    }
}
