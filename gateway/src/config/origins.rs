//! Reads origins: the pages elsewhere that are trusted. A text that no browser would send as an `Origin` is
//! refused with the one that was probably meant. What the pages may do is the concern of those who ask.

use super::hints::quoted;
use super::reader::{Read, Value, Wrong};
use crate::cors::{OriginError, Origins};

/// What to write where nothing is understood.
const EXAMPLE: &str = "https://app.example.com";
pub(super) const REMEDY: &str = "write \"https://app.example.com\"";

/// A list of origins.
pub(super) fn origins(value: &Value<'_>) -> Read<Origins> {
    named(value, &value.list(|one| Ok(one.clone()))?)
}

/// The origins that are `listed` in `value`, none of them twice.
pub(super) fn named(value: &Value<'_>, listed: &[Value<'_>]) -> Read<Origins> {
    let mut origins = Origins::default();
    let read: Vec<Read<&str>> = listed.iter().map(|one| add(&mut origins, one)).collect();
    let named = read.into_iter().collect::<Read<Vec<&str>>>()?;
    match named.iter().enumerate().find(|(at, raw)| named[..*at].contains(raw)) {
        Some((_, twice)) => Err(value.refuse(format_args!("{} is there twice; write it once", quoted(twice)))),
        None => Ok(origins),
    }
}

fn add<'d>(origins: &mut Origins, value: &Value<'d>) -> Read<&'d str> {
    value.parse(|raw| origins.add(raw).map(|()| raw).map_err(|why| Wrong(refusal(raw, why))))
}

fn refusal(raw: &str, why: OriginError) -> String {
    match raw {
        "null" => "\"null\" is every page without an origin of its own, such as one in a sandbox; leave it out".into(),
        "*" => "\"*\" is every page that there is; name the origins that you trust".into(),
        _ => format!("{} is no origin: {why}; write {}", quoted(raw), quoted(&meant(raw))),
    }
}

/// The origin that `raw` was probably meant to be.
fn meant(raw: &str) -> String {
    let lower = raw.trim().to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").unwrap_or(("https", &lower));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let usual = if scheme == "http" { ":80" } else { ":443" };
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    let guess = format!("{scheme}://{authority}");
    if Origins::parse(&[&guess]).is_ok() { guess } else { EXAMPLE.to_owned() }
}
