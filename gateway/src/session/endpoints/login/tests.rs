use serde_json::json;

use super::*;
use crate::ids::UpstreamId;
use crate::limit::Backoff;

fn terms() -> Login {
    Login {
        upstream: UpstreamId::parse("backend").unwrap(),
        path: "/login".to_owned(),
        format: LoginFormat::Json,
        account_field: "username".to_owned(),
        token: None,
        subject: "/user/id".to_owned(),
        roles: Some("/roles".to_owned()),
        scopes: Some("/scope".to_owned()),
        timeout: Duration::from_secs(1),
        recheck: None,
        concurrency: 1,
        backoff: Backoff { free: 1, first: Duration::ZERO, longest: Duration::ZERO, forget: Duration::ZERO },
    }
}

fn read(terms: &Login, answer: &Value) -> Result<(String, usize, usize), String> {
    let Identified { subject, grants } = read_answer(terms, answer.to_string().as_bytes())?;
    Ok((subject.to_string(), grants.roles.len(), grants.scopes.len()))
}

#[test]
fn the_answer_names_the_user_by_json_pointers() {
    for (name, answer, expected) in [
        ("a list and words", json!({"user": {"id": "u1"}, "roles": ["a", "b"], "scope": "x y z"}), ("u1", 2, 3)),
        ("a number as id", json!({"user": {"id": 7}}), ("7", 0, 0)),
        ("null is nothing", json!({"user": {"id": "u1"}, "roles": null}), ("u1", 0, 0)),
    ] {
        assert_eq!(read(&terms(), &answer), Ok((expected.0.to_owned(), expected.1, expected.2)), "{name}");
    }
}

#[test]
fn an_answer_that_names_nobody_logs_nobody_in() {
    for answer in [
        json!({}),
        json!({"user": {"id": null}}),
        json!({"user": {"id": ""}}),
        json!({"user": {"id": "a\nb"}}),
        json!({"user": {"id": 1.5}}),
        json!({"user": {"id": "u1"}, "roles": [1]}),
        json!({"user": {"id": "u1"}, "roles": ["user,admin"]}),
        json!({"user": {"id": "u1"}, "roles": {"admin": true}}),
    ] {
        assert!(read(&terms(), &answer).is_err(), "{answer}");
    }
    assert!(read_answer(&terms(), b"<html>").is_err());
    let many: Vec<String> = (0..300).map(|number| format!("role-{number:04}")).collect();
    assert!(read(&terms(), &json!({"user": {"id": "u1"}, "roles": many})).is_err(), "its token would be refused");
    assert!(read_answer(&terms(), br#"{"user": {"id": 123456789012345678901}}"#).is_err(), "too large to be exact");
}

#[test]
fn the_user_may_be_named_by_a_jwt_inside_the_answer() {
    let terms = Login { token: Some("/access_token".to_owned()), subject: "/sub".to_owned(), ..terms() };
    let claims = URL_SAFE_NO_PAD.encode(json!({"sub": "u1", "roles": ["a"]}).to_string());
    assert_eq!(read(&terms, &json!({"access_token": format!("e30.{claims}.sig")})), Ok(("u1".to_owned(), 1, 0)));
    assert!(read(&terms, &json!({"access_token": "no token"})).is_err());
    assert!(read(&terms, &json!({"sub": "u1"})).is_err(), "what stands beside the token is not read");
}

#[test]
fn account_names_that_differ_in_case_are_one_account() {
    assert_eq!(fingerprint(" Alice "), fingerprint("alice"));
    assert_ne!(fingerprint("alice"), fingerprint("bob"));
}
