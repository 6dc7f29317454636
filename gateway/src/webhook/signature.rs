//! The headers by which a receiver knows that an event is ours and is fresh, as Standard Webhooks has them: the
//! event's id, the moment of this attempt, and an HMAC of both and the body. Nothing here sends anything.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::Timestamp;
use crate::secret::Secret;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The headers for one attempt at `now` to deliver the event `id`.
pub(super) fn headers(key: &Secret, id: &str, body: &[u8], now: Timestamp) -> HeaderMap {
    let timestamp = now.as_secs().to_string();
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        signing.update(part);
    }
    let signature = format!("v1,{}", STANDARD.encode(signing.sign()));
    let header = |text: &str| HeaderValue::from_str(text).expect("made of ids, digits and base64");
    HeaderMap::from_iter([(ID, header(id)), (TIMESTAMP, header(&timestamp)), (SIGNATURE, header(&signature))])
}
