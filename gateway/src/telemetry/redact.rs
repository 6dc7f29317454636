//! Queries as logs may show them: the values of parameters that carry secrets become `…`. Names are
//! compared as a server would read them, decoded and without regard to case, alone or inside another
//! (`user[password]`). A JWT is a secret under whatever name; what is neither stays as it came.

use std::borrow::Cow;

/// Parameters that carry secrets in what people build: OAuth, magic links, signed URLs, API keys.
const SECRET: [&str; 26] = [
    "access_token",
    "api_key",
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "client_secret",
    "code",
    "code_verifier",
    "id_token",
    "jwt",
    "key",
    "otp",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "session",
    "sid",
    "sig",
    "signature",
    "state",
    "ticket",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
];

/// `query` with the values of secret parameters, and of those in `more` (in lower case), replaced by `…`.
pub fn redact_query<'q>(query: &'q str, more: &[String]) -> Cow<'q, str> {
    if !parts(query).any(|part| redacted(part, more).is_some()) {
        return Cow::Borrowed(query);
    }
    let shown = |part| redacted(part, more).unwrap_or(Cow::Borrowed(part));
    Cow::Owned(parts(query).map(shown).collect())
}

/// The parameters, each with the separator behind it. Some servers separate by `;`, too.
fn parts(query: &str) -> impl Iterator<Item = &str> {
    query.split_inclusive(['&', ';'])
}

/// `part` as it may be shown, if not as it came.
fn redacted<'q>(part: &'q str, more: &[String]) -> Option<Cow<'q, str>> {
    let parameter = part.trim_end_matches(['&', ';']);
    let separator = &part[parameter.len()..];
    let (name, value) = parameter.split_once('=').map_or(("", parameter), |(name, value)| (name, value));
    if value.is_empty() || !(is_secret(name, more) || is_jwt(value)) {
        return None;
    }
    let before = &parameter[..parameter.len() - value.len()];
    Some(Cow::Owned(format!("{before}…{separator}")))
}

fn is_secret(name: &str, more: &[String]) -> bool {
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    let listed = |name: &str| SECRET.into_iter().chain(more.iter().map(String::as_str)).any(|other| alike(name, other));
    listed(&name) || name.split(['[', ']', '.']).any(listed)
}

/// Whether names differ in punctuation only: `accessToken`, `access-token` and `access_token` are one.
fn alike(name: &str, other: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = u8> {
        name.bytes().filter(u8::is_ascii_alphanumeric)
    }
    letters(name).eq(letters(other))
}

/// `{"` in base64, and two dots (RFC 7519 §3.1).
fn is_jwt(value: &str) -> bool {
    value.starts_with("eyJ") && value.bytes().filter(|byte| *byte == b'.').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_parameters_are_not_shown() {
        for (query, shown) in [
            ("a=1&b=2", "a=1&b=2"),
            ("accessToken=abc&refresh-token[]=abc", "accessToken=…&refresh-token[]=…"),
            ("token=abc&a=1", "token=…&a=1"),
            ("a=1&Access_Token=abc", "a=1&Access_Token=…"),
            ("%74oken=abc", "%74oken=…"),
            ("token", "token"),
            ("token=", "token="),
            ("token=a=b", "token=…"),
            ("tokens=1", "tokens=1"),
            ("a=1;sid=abc;b=2", "a=1;sid=…;b=2"),
            ("user%5Bpassword%5D=abc", "user%5Bpassword%5D=…"),
            ("auth.token[0]=abc", "auth.token[0]=…"),
            ("X-Amz-Signature=abc&X-Amz-Expires=60", "X-Amz-Signature=…&X-Amz-Expires=60"),
            ("next=eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "next=…"),
            ("eyJhbGciOiJFUzI1NiJ9.e30.c2ln&a=1", "…&a=1"),
            ("&&=&a", "&&=&a"),
        ] {
            assert_eq!(redact_query(query, &[]), shown);
        }
        assert_eq!(redact_query("Invite=abc", &["invite".to_owned()]), "Invite=…");
    }

    #[test]
    fn a_query_without_secrets_is_not_copied() {
        assert!(matches!(redact_query("limit=20&after=x", &[]), Cow::Borrowed(_)));
    }
}
