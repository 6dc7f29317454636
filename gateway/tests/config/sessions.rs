//! `[sessions]`: how many, and what ends them.

use insta::assert_snapshot;
use portcullis::session::WhenFull;

use crate::{and, each, mistakes, parse};

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

const ROUTES: &str = r#"
[[route]]
id = "password"
match = { path = "/password", methods = ["PUT"] }
upstream = "backend"
policy = "authenticated"
[[route]]
id = "disable"
match = { path = "/users/{id}/disable" }
upstream = "backend"
policy = "public"
[[route]]
id = "read"
match = { path = "/read", methods = ["GET", "HEAD"] }
upstream = "backend"
policy = "authenticated"
[[route]]
id = "broken"
match = { path = "/broken" }
upstream = "backend"
policy = "authenticated"
"#;

/// A gateway whose `revoke_on` has these entries.
fn revoke_on(entries: &str) -> String {
    and(&format!("{ROUTES}[sessions]\nrevoke_on = [\n{entries}\n]\n"))
}

#[test]
fn what_ends_sessions_becomes_part_of_the_route() {
    let config = parse(&revoke_on(
        r#"{ route = "password", sessions = "others", user = "caller" }, { route = "broken", sessions = "all" },
{ route = "disable", sessions = "all", user = "{id}" }"#,
    ));
    let config = config.unwrap();
    let revokes = config.routes.iter().filter_map(|route| Some(format!("{}: {}", route.id, route.revokes.as_ref()?)));
    assert_eq!(
        revokes.collect::<Vec<_>>(),
        [
            "password: the caller's other sessions",
            "disable: all sessions of {id}",
            "broken: all sessions of the caller"
        ],
    );
}

#[test]
fn what_can_t_end_sessions_is_refused() {
    let entries = r#"{ route = "pasword", sessions = "others" },
{ route = "auth.logout", sessions = "all" },
{ route = "disable", sessions = "all" },
{ route = "disable", sessions = "all", user = "{name}" },
{ route = "disable", sessions = "others", user = "{id}" },
{ route = "password", sessions = "all", user = "id" },
{ route = "password", sessions = "mine" },
{ route = "read", sessions = "all" },
{ sessions = "all" },
{ route = "password" },
{ route = "password", sessions = "all" },
{ route = "password", sessions = "others" },
{ route = "broken", sessions = "all" }"#;
    let text = revoke_on(entries).replace("path = \"/broken\"", "path = \"broken\"");
    assert_snapshot!(mistakes(&text), @r#"
    portcullis.toml:34 route.broken.match.path: a path begins with "/"
    portcullis.toml:39 sessions.revoke_on.route: unknown route "pasword"; did you mean "password"?
    portcullis.toml:40 sessions.revoke_on.route: this is an endpoint of the gateway's own, which ends what it has to; name a route of an upstream
    portcullis.toml:41 sessions.revoke_on.route: route "disable" is public and knows no callers; name the user by a parameter of its path, or have it need credentials
    portcullis.toml:42 sessions.revoke_on.user: the path of route "disable", /users/{id}/disable, has no {name}; write one that it has
    portcullis.toml:43 sessions.revoke_on.user: only the caller has a session to be kept; write sessions = "all"
    portcullis.toml:44 sessions.revoke_on.user: write "caller", or a parameter of the route's path such as "{id}"
    portcullis.toml:45 sessions.revoke_on.sessions: unknown choice "mine"; write "others" or "all"
    portcullis.toml:46 sessions.revoke_on.route: route "read" is for GET,HEAD only, which change nothing; name another
    portcullis.toml:47 sessions.revoke_on.route: is missing; write route = "ID", the id of a [[route]]
    portcullis.toml:48 sessions.revoke_on.sessions: is missing; write sessions = "others" to keep the caller's own, or "all"
    portcullis.toml:50 sessions.revoke_on.route: route "password" is there already; write it once
    "#);
}

#[test]
fn a_path_that_is_read_in_several_ways_names_no_user() {
    let entry = r#"{ route = "disable", sessions = "all", user = "{id}" }"#;
    let accepting = revoke_on(entry).replace("id = \"disable\"", "id = \"disable\"\naccept = [\"matrix_parameters\"]");
    assert_snapshot!(mistakes(&accepting), @r#"portcullis.toml:40 sessions.revoke_on.user: route "disable" accepts paths that are read in several ways, so they name no user for sure; take its accept away"#);
}
