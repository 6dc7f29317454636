//! Queries as logs may show them: the values of parameters that carry secrets become `…`. Names are
//! compared as a server would read them, decoded and without regard to case. What is not a secret by name
//! stays as it came.

use std::borrow::Cow;

/// Parameters that carry secrets in what people build: OAuth, magic links, signed URLs, API keys.
const SECRET: [&str; 19] = [
    "access_token",
    "api_key",
    "apikey",
    "assertion",
    "auth",
    "client_secret",
    "code",
    "id_token",
    "jwt",
    "key",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "session",
    "sig",
    "signature",
    "state",
    "token",
];

/// `query` with the values of secret parameters, and of those in `more` (in lower case), replaced by `…`.
pub fn redact_query<'q>(query: &'q str, more: &[String]) -> Cow<'q, str> {
    let secret =
        |part: &str| part.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_secret(name, more));
    if !query.split('&').any(secret) {
        return Cow::Borrowed(query);
    }
    let shown = |part: &str| match part.split_once('=') {
        Some((name, _)) if secret(part) => format!("{name}=…"),
        _ => part.to_owned(),
    };
    Cow::Owned(query.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

fn is_secret(name: &str, more: &[String]) -> bool {
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    SECRET.contains(&&*name) || more.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_parameters_are_not_shown() {
        for (query, shown) in [
            ("a=1&b=2", "a=1&b=2"),
            ("token=abc&a=1", "token=…&a=1"),
            ("a=1&Access_Token=abc", "a=1&Access_Token=…"),
            ("%74oken=abc", "%74oken=…"),
            ("token", "token"),
            ("token=", "token="),
            ("token=a=b", "token=…"),
            ("tokens=1", "tokens=1"),
        ] {
            assert_eq!(redact_query(query, &[]), shown);
        }
        assert_eq!(redact_query("Invite=abc", &["invite".to_owned()]), "Invite=…");
    }
}
