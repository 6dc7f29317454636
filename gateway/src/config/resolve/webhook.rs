//! `[webhook]`: who is told of what happens to sessions. The key is given as Standard Webhooks has it, in base64, so
//! that receivers can hand the same text to whatever library they use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::reader::{Read, Value, Wrong};
use crate::config::webhook::{Event, WebhookTerms, WebhookUrl};
use crate::config::{secrets, values};
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);
const ATTEMPTS: u32 = 5;

/// Reads `[webhook]`.
pub(super) fn webhook(value: &Value<'_>) -> Read<WebhookTerms> {
    value.table(|table| {
        let url = table.required("url", url, r#"write url = "https://HOST/PATH" or { env = "NAME" }"#);
        let key = table.required("secret", key, r#"write secret = { env = "NAME" } or { file = "PATH" }"#);
        let timeout = table.or("timeout", timeout, TIMEOUT);
        let attempts = table.or("attempts", |value| value.number(1..=10), ATTEMPTS);
        let events = table.or("events", events, vec![Event::SessionReused]);
        Ok(WebhookTerms { url: url?, key: key?, timeout: timeout?, attempts: attempts?, events: events? })
    })
}

fn url(value: &Value<'_>) -> Read<WebhookUrl> {
    if value.is_table() {
        let secret = secrets::secret(value)?;
        return secret.expose_str().unwrap_or_default().parse().map_err(|wrong| value.refuse(wrong));
    }
    value.parse(|raw| raw.parse().map_err(Wrong::from))
}

/// 32 to 64 bytes in base64, perhaps behind `whsec_`.
fn key(value: &Value<'_>) -> Read<Secret> {
    let text = secrets::hmac_secret(value)?;
    let text = text.expose_str().unwrap_or_default();
    match STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)) {
        Ok(key) if (32..=64).contains(&key.len()) => Ok(Secret::new(key)),
        _ => Err(value.refuse("this secret is not 32 to 64 bytes in base64; make one by `openssl rand -base64 48`")),
    }
}

fn timeout(value: &Value<'_>) -> Read<Duration> {
    let timeout = values::duration(value)?;
    if timeout > LONGEST_TIMEOUT {
        return Err(value.refuse("this is longer than a receiver may take; write at most \"1m\""));
    }
    Ok(timeout)
}

fn events(value: &Value<'_>) -> Read<Vec<Event>> {
    let event = |value: &Value<'_>| value.choose("event", &[(Event::SessionReused.name(), Event::SessionReused)]);
    values::some_of(value, event, "leave it out for all events, or the section for none")
}
