//! `[sessions]`: how many, and what ends them.

use insta::assert_snapshot;
use portcullis::session::WhenFull;

use crate::{and, each, parse};

const LOGIN: &str = r#"
[login]
upstream = "backend"
path = "/login"
subject = "/id"
"#;

/// The mistakes of a gateway with login and this `[sessions]`.
fn sessions(keys: &str) -> String {
    and(&format!("{LOGIN}[sessions]\n{keys}\n"))
}

#[test]
fn a_user_has_any_number_of_sessions_unless_it_is_said() {
    assert_eq!(parse(&and(LOGIN)).unwrap().cap, None);
    let cap = parse(&sessions("max_per_user = 5")).unwrap().cap.unwrap();
    assert_eq!((cap.most.get(), cap.when_full), (5, WhenFull::EvictOldest));
    let cap = parse(&sessions("max_per_user = 1\nwhen_full = \"refuse_new\"")).unwrap().cap.unwrap();
    assert_eq!(cap.when_full, WhenFull::RefuseNew);
}

#[test]
fn a_number_of_sessions_is_one_that_can_be_meant() {
    let cases = [
        ("none", "max_per_user = 0"),
        ("text", "max_per_user = \"3\""),
        ("unknown", "max_per_user = 3\nwhen_full = \"evict\""),
        ("never full", "when_full = \"refuse_new\""),
    ];
    let without_login = ("no login", and("[sessions]\nmax_per_user = 3\n"));
    let [none, text, unknown, never_full] = cases.map(|(name, keys)| (name, sessions(keys)));
    assert_snapshot!(each([none, text, unknown, never_full, without_login]), @r#"
    none: portcullis.toml:22 sessions.max_per_user: 0 is out of range; write 1 to 10000
    text: portcullis.toml:22 sessions.max_per_user: this is a text; write a whole number from 1 to 10000, without quotes
    unknown: portcullis.toml:23 sessions.when_full: unknown choice "evict"; write "evict_oldest" or "refuse_new"
    never full: portcullis.toml:22 sessions.when_full: any number is allowed, so it is never full; write max_per_user too, or leave this out
    no login: portcullis.toml:17 sessions.max_per_user: there is no [login], so nobody opens sessions here; write [login] or leave it out
    "#);
}
