use std::fmt::Write as _;

use http::Method;

use super::*;
use crate::clock::Timestamp;
use crate::ids::{IdError, LimitId};
use crate::overload::Full;
use crate::session::Cause;
use crate::store::StoreError;

const WAIT: Duration = Duration::from_millis(1500);
/// Stands in every cause that must not be told.
const CAUSE: &str = "10.1.2.3 refused hunter2";

#[test]
fn a_stranger_is_not_told_that_an_account_is_disabled() {
    let face = |denied: &Denied| {
        let problem = Problem::to_strangers(denied);
        (problem.status(), problem.headers)
    };
    assert_eq!(face(&Denied::UserDisabled), face(&Denied::BadCredentials { status: StatusCode::CONFLICT }));
}

/// One of each kind.
fn all() -> Vec<Denied> {
    let cause = || CAUSE.to_owned();
    let scope = Scope::parse("posts:write").unwrap();
    vec![
        Denied::Malformed(Malformed::Version),
        Denied::Malformed(Malformed::HeadersTooLarge),
        Denied::Malformed(Malformed::Framing),
        Denied::Malformed(Malformed::Query),
        Denied::Malformed(Malformed::Method),
        Denied::NoRoute,
        Denied::MethodNotAllowed { allowed: vec![Method::GET, Method::PUT] },
        Denied::NoCredential,
        Denied::BadToken(VerifyError::Expired { at: Timestamp::from_secs(0) }),
        Denied::BadToken(VerifyError::BadSignature),
        Denied::Revoked,
        Denied::CrossSite,
        Denied::MissingRole,
        Denied::MissingScope { needed: [scope].into() },
        Denied::OverLimit { limit: LimitId::parse("api").unwrap(), wait: WAIT },
        Denied::TooManyBadTokens { wait: WAIT },
        Denied::LoginDelayed { wait: WAIT },
        Denied::BadCredentials { status: StatusCode::UNAUTHORIZED },
        Denied::NotRegistered { status: StatusCode::CONFLICT, said: cause() },
        Denied::UserDisabled,
        Denied::TooManySessions,
        Denied::BadBody("It is no object."),
        Denied::UnsupportedMediaType,
        Denied::BodyTooLarge { limit: 16 },
        Denied::HeadTimeout,
        Denied::BodyTimeout,
        Denied::TunnelIdle,
        Denied::RefreshInvalid,
        Denied::RefreshEnded(Cause::Expired),
        Denied::RefreshEnded(Cause::Reused),
        Denied::NoSuchSession,
        Denied::AdminOff,
        Denied::NoAdminToken,
        Denied::BadAdminToken,
        Denied::BadId(IdError::Empty),
        Denied::Store(StoreError::Unavailable(cause())),
        Denied::HeldHere { what: Held::Session, cause: StoreError::Unavailable(cause()) },
        Denied::HeldHere { what: Held::User, cause: StoreError::Unavailable(cause()) },
        Denied::LoginUnavailable(cause()),
        Denied::LoginTimeout,
        Denied::LoginUnusable(cause()),
        Denied::Overloaded(Full::Gateway),
        Denied::NoServer,
        Denied::UpstreamUnreachable,
        Denied::UpstreamTimeout,
        Denied::UpstreamBroken,
        Denied::Internal(CAUSE),
    ]
}

fn replies() -> Vec<(&'static str, Reply)> {
    let instance = RequestId::random(Timestamp::from_secs(1));
    all().iter().map(|denied| (denied.reason(), Problem::from(denied).reply(&instance))).collect()
}

fn header(reply: &Reply, name: HeaderName) -> &str {
    reply.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

#[test]
fn each_refusal_has_its_face() {
    let mut faces = String::new();
    for (reason, reply) in replies() {
        let status = reply.status().as_u16();
        let more = [header(&reply, WWW_AUTHENTICATE), header(&reply, RETRY_AFTER), header(&reply, ALLOW)].concat();
        let _ = writeln!(faces, "{}", format!("{status} {reason} {more}").trim_end());
    }
    insta::assert_snapshot!(faces, @r#"
    505 malformed_request
    431 malformed_request
    400 malformed_request
    400 malformed_request
    405 method_refused GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
    404 no_route
    405 method_not_allowed GET, PUT
    401 no_credential Bearer
    401 token_expired Bearer error="invalid_token"
    401 token_invalid Bearer error="invalid_token"
    401 token_revoked Bearer error="invalid_token"
    403 cross_site
    403 missing_role
    403 missing_scope Bearer error="insufficient_scope", scope="posts:write"
    429 over_limit 2
    429 too_many_bad_tokens 2
    429 login_delayed 2
    401 bad_credentials Bearer
    422 not_registered
    403 user_disabled
    409 too_many_sessions
    400 bad_body
    415 unsupported_media_type
    413 body_too_large
    408 head_timeout
    408 body_timeout
    408 tunnel_idle
    401 refresh_invalid Bearer error="invalid_token"
    401 refresh_ended Bearer error="invalid_token"
    401 refresh_reused Bearer error="invalid_token"
    404 no_such_session
    404 admin_api_off
    401 admin_token_missing Bearer
    401 admin_token_invalid Bearer error="invalid_token"
    400 bad_id
    503 store_unavailable 1
    503 store_unavailable 1
    503 store_unavailable 1
    503 login_unavailable 1
    504 login_timeout
    502 login_unusable
    503 overloaded 1
    503 no_server 1
    503 upstream_unreachable 1
    504 upstream_timeout
    502 upstream_broken
    500 internal
    "#);
}

#[test]
fn no_refusal_lacks_the_headers_of_its_status() {
    for (reason, reply) in replies() {
        let status = reply.status();
        assert_eq!(header(&reply, WWW_AUTHENTICATE).is_empty(), !needs_challenge(status, reason), "{reason}");
        let tells_when = !header(&reply, RETRY_AFTER).is_empty();
        let must_tell = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(tells_when, must_tell, "{reason}");
        assert_eq!(header(&reply, http::header::CONTENT_TYPE), "application/problem+json", "{reason}");
    }
}

/// RFC 9110 §15.5.2: each 401; RFC 6750 §3.1: a missing scope too.
fn needs_challenge(status: StatusCode, reason: &str) -> bool {
    status == StatusCode::UNAUTHORIZED || reason == "missing_scope"
}

#[test]
fn no_refusal_tells_its_cause() {
    for (reason, reply) in replies() {
        let body = String::from_utf8_lossy(reply.body());
        assert!(!body.contains("hunter2") && !body.contains("10.1.2.3"), "{reason}: {body}");
        assert!(body.contains(&format!("urn:portcullis:problem:{reason}\"")), "{body}");
    }
}

#[test]
fn a_wait_is_told_in_whole_seconds_rounded_up() {
    let reply = Problem::from(&Denied::LoginDelayed { wait: WAIT }).reply(&RequestId::random(Timestamp::from_secs(1)));
    assert_eq!(header(&reply, RETRY_AFTER), "2");
}
