//! What a refusal looks like to the caller: `application/problem+json` (RFC 9457). This is the only file that
//! knows the status of a refusal. What caused it stays out; the request id leads from here to the log.

use std::fmt::Write as _;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::fields::Flaw;
use crate::hashing::HashingError;
use crate::ids::RequestId;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::store::StoreError;

/// RFC 9110 §15.5.2 asks for a challenge with every 401. Tokens are the gateway's affair, so that is where
/// the challenge points.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"portcullis\"");
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The body of a refusal.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    type_: String,
    title: &'static str,
    status: u16,
    detail: String,
    instance: String,
    reason: &'static str,
    #[serde(skip_serializing_if = "<[Flaw]>::is_empty")]
    errors: &'a [Flaw],
}

/// The answer to a refused request.
pub(crate) fn answer(refusal: &Refusal, request_id: &RequestId) -> Reply {
    let (status, title, detail) = face(refusal);
    let reason = refusal.reason();
    let problem = Problem {
        type_: format!("urn:portcullis:problem:{reason}"),
        title,
        status: status.as_u16(),
        detail,
        instance: request_id.to_string(),
        reason,
        errors: if let Refusal::InvalidFields(flaws) = refusal { flaws } else { &[] },
    };
    let mut response = Response::new(reply::body(&problem));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((name, value)) = companion(status, refusal) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// The header that goes with some statuses.
fn companion(status: StatusCode, refusal: &Refusal) -> Option<(HeaderName, HeaderValue)> {
    match (status, refusal) {
        (_, Refusal::MethodNotAllowed { allow }) => Some((ALLOW, HeaderValue::from_static(allow))),
        (StatusCode::UNAUTHORIZED, _) => Some((WWW_AUTHENTICATE, CHALLENGE)),
        (StatusCode::SERVICE_UNAVAILABLE, _) => Some((RETRY_AFTER, RETRY_AFTER_SECONDS)),
        _ => None,
    }
}

// No `_` arm: a new refusal does not compile until it has a face.
fn face(refusal: &Refusal) -> (StatusCode, &'static str, String) {
    let (status, title, detail) = match refusal {
        Refusal::NotTheGateway => {
            (StatusCode::FORBIDDEN, "Not allowed", "this service answers only requests that come through the gateway")
        }
        Refusal::NotFound => (StatusCode::NOT_FOUND, "No such resource", "there is nothing at this path"),
        Refusal::MethodNotAllowed { allow } => {
            return (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", format!("this path allows {allow}"));
        }
        Refusal::UnsupportedMediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type", "send the body as application/json")
        }
        Refusal::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large", "a body may have at most 64 KiB"),
        Refusal::BodyTimedOut => {
            (StatusCode::REQUEST_TIMEOUT, "Body timed out", "the whole body must arrive within 10 seconds")
        }
        Refusal::MalformedBody(why) => return (StatusCode::BAD_REQUEST, "Malformed body", why.clone()),
        Refusal::InvalidFields(flaws) => return (StatusCode::UNPROCESSABLE_ENTITY, "Invalid fields", summary(flaws)),
        Refusal::NoIdentity => (StatusCode::UNAUTHORIZED, "Sign in first", "the request names no user"),
        Refusal::UnknownUser => (StatusCode::UNAUTHORIZED, "Sign in again", "this account does not exist"),
        Refusal::InvalidCredentials => {
            (StatusCode::UNAUTHORIZED, "Wrong name or password", "no account has this name and this password")
        }
        Refusal::WrongPassword => {
            (StatusCode::FORBIDDEN, "Wrong password", "the current password is not what was given")
        }
        Refusal::NotOwner => (StatusCode::FORBIDDEN, "Not the owner", "only its author may change or delete a post"),
        Refusal::UsernameTaken => {
            (StatusCode::CONFLICT, "Username taken", "someone else has this name; upper and lower case are the same")
        }
        Refusal::Hashing(HashingError::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Try again shortly", "too many passwords are being checked just now")
        }
        Refusal::NotReady(why) => return (StatusCode::SERVICE_UNAVAILABLE, "Not ready", why.to_string()),
        Refusal::Store(StoreError::Unavailable { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Try again shortly", "the database does not answer just now")
        }
        Refusal::Hashing(HashingError::Failed) | Refusal::Store(StoreError::Corrupt(_)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", "the fault is ours, and has been logged")
        }
    };
    (status, title, detail.to_owned())
}

fn summary(flaws: &[Flaw]) -> String {
    let mut text = String::new();
    for flaw in flaws {
        let separator = if text.is_empty() { "" } else { "; " };
        write!(text, "{separator}{} {}", flaw.field, flaw.message).expect("writing to a String can't fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::Value;

    use super::*;

    async fn body(refusal: &Refusal) -> Value {
        let answer = answer(refusal, &RequestId::adopt(None));
        let bytes = answer.into_body().collect().await.expect("it is at hand").to_bytes();
        serde_json::from_slice(&bytes).expect("a problem is JSON")
    }

    #[tokio::test]
    async fn a_cause_is_not_told() {
        let failure = |source| Refusal::Store(StoreError::Unavailable { why: "a cause", source: Some(source) });
        for refusal in [
            failure(sqlx::Error::Protocol("a cause".to_owned())),
            Refusal::Store(StoreError::Corrupt("a cause")),
            Refusal::Hashing(HashingError::Failed),
        ] {
            let problem = body(&refusal).await;
            assert!(problem["status"].as_u64() >= Some(500), "{problem}");
            assert!(!problem.to_string().contains("cause"), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_a_timeout() {
        let problem = body(&Refusal::BodyTimedOut).await;
        assert_eq!((&problem["status"], &problem["reason"]), (&408.into(), &"body_timed_out".into()));
    }
}
