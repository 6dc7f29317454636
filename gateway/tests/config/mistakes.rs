//! Golden output: what somebody sees who got something wrong.

use std::time::Duration;

use insta::assert_snapshot;

use crate::{LEAST, and, each, mistakes, parse, with};

#[test]
fn the_least_is_enough() {
    let config = parse(LEAST).unwrap();
    let routes: Vec<String> = config.routes.iter().map(|route| route.id.to_string()).collect();
    assert_eq!(routes, ["auth.logout", "auth.me", "auth.jwks", "posts"], "without login there are no sessions");
}

#[test]
fn twelve_mistakes_are_reported_in_one_run() {
    let text = r#"
trusted_proxies = ["10.1.2.3/8"]
[listeners.public]
adress = "127.0.0.1:8080"
[admin]
address = "0.0.0.0:9090"
[store]
url = "redis://:hunter2@127.0.0.1"
[tokens]
issuer = "http://127.0.0.1:8080"
audience = "portcullis"
access_ttl = 15
refresh_ttl = "7 dais"
key = "hunter2"
[upstreams.backend]
servers = ["http://127.0.0.1:9000/api"]
[limits.api]
rate = "100"
per = "ip"
[[route]]
id = "posts"
match = { path = "/posts/*", methods = ["get"] }
upstream = "backand"
policy = "autenticated"
limit = "api"
"#;
    assert_snapshot!(mistakes(text), @r#"
    portcullis.toml:2 trusted_proxies: "10.1.2.3/8" has bits beyond its prefix; write "10.0.0.0/8"
    portcullis.toml:4 listeners.public.adress: unknown key; did you mean "address"?
    portcullis.toml:5 admin: 0.0.0.0:9090 can be reached from outside, and whoever reaches it administers the gateway; write "127.0.0.1:9090", or exposed = true if a firewall guards it
    portcullis.toml:8 store.url: a URL with credentials is a secret; write { env = "REDIS_URL" } or { file = "PATH" }, and change the password
    portcullis.toml:12 tokens.access_ttl: 15 has no unit; write "15s", "15m", "15h" or "15d"
    portcullis.toml:13 tokens.refresh_ttl: "7 dais" is no span of time; write "250ms", "30s", "15m", "12h" or "7d"
    portcullis.toml:14 tokens.key: a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, and change it if it was real
    portcullis.toml:16 upstreams.backend.servers: a server has no scheme and no path; write "127.0.0.1:9000"
    portcullis.toml:18 limits.api.rate: 100 in what time? write "100/s", "100/min" or "100/hour"
    portcullis.toml:19 limits.api.per: unknown kind of limit "ip"; write "user", "address", "account" or "route"
    portcullis.toml:22 route.posts.match.methods: unknown method "get"; did you mean "GET"?
    portcullis.toml:23 route.posts.upstream: unknown upstream "backand"; did you mean "backend"?
    portcullis.toml:24 route.posts.policy: unknown policy "autenticated"; did you mean "authenticated"?
    "#);
}

#[test]
fn an_empty_file_says_what_is_needed() {
    assert_snapshot!(mistakes(""), @r#"
    portcullis.toml:1 listeners: is missing; write [listeners.public] with address = "127.0.0.1:8080"
    portcullis.toml:1 store: is missing; write [store] with url = "embedded:data/portcullis.db"
    portcullis.toml:1 tokens: is missing; write [tokens] with an issuer and an audience
    portcullis.toml:1 route: is missing; what matches no route is refused, so nothing would be served; write at least one [[route]]
    "#);
}

#[test]
fn text_that_is_not_toml_says_where() {
    assert_snapshot!(mistakes("[listeners.public\naddress = \"127.0.0.1:8080\"\n[store]\nurl = oops\nurl = \"x\"\n"), @r#"
    portcullis.toml:1:18 is not TOML: unclosed table, expected `]`
    portcullis.toml:4:7 is not TOML: string values must be quoted, expected literal string
    portcullis.toml:5:1 is not TOML: duplicate key
    "#);
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let errors = portcullis::config::load("no/such/file.toml".as_ref(), &|_| None).unwrap_err();
    assert_snapshot!(errors, @r#"
    no/such/file.toml: can't be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_misspelt_key_is_one_mistake_and_not_two() {
    assert_snapshot!(mistakes(&with("policy", r#"polcy = "public""#)), @r#"
    portcullis.toml:15 route.posts.polcy: unknown key; did you mean "policy"?
    "#);
}

#[test]
fn words_of_other_gateways_are_understood() {
    let text = and(r#"
[[routes]]
path = "/"
[[route]]
name = "reports"
path = "/reports"
backend = "backend"
auth = true
timeout = "5s"
[upstreams.other]
targets = ["127.0.0.1:1"]
[limits.api]
requests = 100
by = "user"
[redis]
url = "x"
"#);
    assert_snapshot!(mistakes(&text), @r#"
    portcullis.toml:17 routes: unknown key; write each route as a [[route]]
    portcullis.toml:20 route.name: unknown key; write id = "NAME"
    portcullis.toml:21 route.path: unknown key; it belongs in match = { path = "/posts/*", methods = ["GET"] }
    portcullis.toml:22 route.backend: unknown key; write upstream = "NAME"
    portcullis.toml:23 route.auth: unknown key; write policy = "authenticated" or "public"
    portcullis.toml:24 route.timeout: unknown key; write read_timeout = "30s"
    portcullis.toml:26 upstreams.other.targets: unknown key; write servers = ["127.0.0.1:9000"]
    portcullis.toml:28 limits.api.requests: unknown key; write rate = "100/min"
    portcullis.toml:29 limits.api.by: unknown key; write per = "user", "address", "account" or "route"
    portcullis.toml:30 redis: unknown key; write [store] with a url
    "#);
}

#[test]
fn who_may_pass_must_be_said() {
    assert_snapshot!(mistakes(&with("policy", "")), @r#"
    portcullis.toml:11 route.posts.policy: is missing; say who may pass: there is no default, so that nothing is open or closed by accident; write "authenticated", "optional" or "public"
    "#);
}

#[test]
fn nothing_is_served_without_a_route() {
    let (before, _) = LEAST.split_once("[[route]]").unwrap();
    assert_snapshot!(mistakes(before), @r#"
    portcullis.toml:1 route: is missing; what matches no route is refused, so nothing would be served; write at least one [[route]]
    "#);
    assert_snapshot!(mistakes(&format!("route = []\n{before}")), @r#"
    portcullis.toml:1 route: the list is empty; write at least one [[route]]
    "#);
}

#[test]
fn routes_that_collide_are_refused() {
    let text = and(r#"
[[route]]
id = "posts"
match = { path = "/other" }
upstream = "backend"
policy = "public"
[[route]]
id = "same"
match = { path = "/posts/*", methods = ["GET"] }
upstream = "backend"
policy = "public"
[[route]]
id = "crossing-1"
match = { path = "/a/{x}" }
upstream = "backend"
policy = "public"
[[route]]
id = "crossing-2"
match = { path = "/{y}/b" }
upstream = "backend"
policy = "public"
[[route]]
id = "our-own"
match = { path = "/auth/me", methods = ["GET", "PUT"] }
upstream = "backend"
policy = "public"
"#);
    assert_snapshot!(mistakes(&text), @r#"
    portcullis.toml:17 route.posts: there is a route "posts" already; write another id
    portcullis.toml:22 route.same: it matches the same requests as route "posts"; change the path, methods or host of one
    portcullis.toml:32 route.crossing-2: some paths match both this and route "posts" (/posts/*), and neither is more specific; change the path, methods or host of one
    portcullis.toml:37 route.our-own: it matches the same requests as route "auth.me"; change the path, methods or host of one
    "#);
}

#[test]
fn endpoints_that_collide_are_refused() {
    let login = r#"
[login]
upstream = "backend"
path = "/login"
subject = "/id"
[auth]
refresh = "/auth/login"
me = "/auth/{who}"
"#;
    assert_snapshot!(mistakes(&and(login)), @r#"
    portcullis.toml:22 auth.refresh: it matches the same requests as route "auth.login"; change the path, methods or host of one
    portcullis.toml:23 auth.me: this is one path; write it without "*" and "{name}"
    "#);
}

#[test]
fn a_route_for_one_host_does_not_hide_our_endpoints() {
    let route = r#"
[[route]]
id = "site"
match = { host = "api.example.com", path = "/*" }
upstream = "backend"
policy = "public"
"#;
    assert_snapshot!(mistakes(&and(route)), @r#"
    portcullis.toml:17 route.site: on host "api.example.com" it takes the requests for /auth/logout, which is "auth.logout"; write the host of our endpoints as [auth] host, or a narrower path
    "#);
    for good in ["api.example.com", "auth.example.com"] {
        parse(&and(&format!("{route}\n[auth]\nhost = \"{good}\""))).unwrap();
    }
    parse(&and(&route.replace("/*", "/static/*"))).unwrap();
}

#[test]
fn a_limit_is_only_where_what_it_counts_is_known() {
    let text = and(r#"limits = ["user", "account", "usr", "broken"]
[limits.user]
rate = "1/s"
per = "user"
[limits.account]
rate = "1/s"
per = "account"
[limits.broken]
rate = "fast"
per = "address"
[auth]
limits = ["user"]
[login]
upstream = "backend"
path = "/login"
subject = "/id"
limits = ["user", "account"]
"#);
    assert_snapshot!(mistakes(&text), @r#"
    portcullis.toml:16 route.posts.limits: limit "user" counts per user, but a public route knows no users; use a limit per "address", or policy = "optional"
    portcullis.toml:16 route.posts.limits: limit "account" counts per account, which only a login names; use it in [login] limits
    portcullis.toml:16 route.posts.limits: unknown limit "usr"; did you mean "user"?
    portcullis.toml:24 limits.broken.rate: "fast" is no rate; write "100/min", "5/s" or "5/10s"
    portcullis.toml:27 auth.limits: some of these endpoints know no user; use a limit per "address" or "route"
    portcullis.toml:32 login.limits: nobody is known yet who logs in; use a limit per "account" or "address"
    "#);
    let unlimited = and("[login]\nupstream = \"backend\"\npath = \"/login\"\nsubject = \"/id\"\nlimits = []");
    assert_snapshot!(mistakes(&unlimited), @r#"
    portcullis.toml:20 login.limits: login is never unlimited; name at least a limit per "address", or leave limits out for the defaults
    "#);
}

#[test]
fn what_guards_a_login_is_not_leased() {
    let text = and(r#"limits = ["fast"]
[limits.fast]
rate = "1000/s"
per = "address"
accuracy = "leased"
[limits.account]
rate = "1/s"
per = "account"
accuracy = "leased"
[limits.odd]
rate = "1/s"
per = "user"
accuracy = "fuzzy"
[auth]
limits = ["fast"]
[login]
upstream = "backend"
path = "/login"
subject = "/id"
limits = ["fast"]
"#);
    assert_snapshot!(mistakes(&text), @r#"
    portcullis.toml:24 limits.account.accuracy: logins are counted one by one, so a limit per "account" can't be leased; leave it out
    portcullis.toml:28 limits.odd.accuracy: unknown accuracy "fuzzy"; write "exact" or "leased"
    portcullis.toml:30 auth.limits: limit "fast" is leased, but requests are counted one by one here; use one with accuracy = "exact"
    portcullis.toml:35 login.limits: limit "fast" is leased, but requests are counted one by one here; use one with accuracy = "exact"
    "#);
}

#[test]
fn addresses_that_are_in_each_others_way_are_refused() {
    let text = r#"
[listeners.other]
address = "0.0.0.0:8080"
[listeners.everywhere]
address = "0.0.0.0:8081"
[admin]
address = "127.0.0.1:8080"
[upstreams.loop]
servers = ["127.0.0.1:8080", "127.0.0.1:8081", "192.0.2.1:8081"]
[upstreams.twice]
servers = ["127.0.0.1:9000", "127.0.0.1:9000"]
"#;
    assert_snapshot!(mistakes(&and(text)), @r#"
    portcullis.toml:18 listeners.other.address: listener "public" is at 127.0.0.1:8080 already; write another port
    portcullis.toml:21 admin: listener "public" is at 127.0.0.1:8080 already; write another port
    portcullis.toml:24 upstreams.loop.servers: the gateway itself listens there; write the address of a server
    portcullis.toml:24 upstreams.loop.servers: the gateway itself listens there; write the address of a server
    portcullis.toml:26 upstreams.twice.servers: a server is there twice; write each one once
    "#);
}

#[test]
fn lives_are_in_order() {
    let cases = [
        ("access", "access_ttl = \"7d\""),
        ("refresh", "refresh_ttl = \"31d\""),
        ("retry", "retry_window = \"6m\""),
        ("leeway", "leeway = \"2m\""),
        ("whole seconds", "access_ttl = \"1500ms\""),
        ("zero", "access_ttl = \"0s\""),
    ];
    let text = |lives: &str| with("audience", &format!("audience = \"portcullis\"\n{lives}"));
    assert_snapshot!(each(cases.map(|(name, lives)| (name, text(lives)))), @r#"
    access: portcullis.toml:6 tokens: access_ttl is 7d, but must be shorter than refresh_ttl, which is 7d; change one
    refresh: portcullis.toml:6 tokens: refresh_ttl is 31d, but must be at most absolute_ttl, which is 30d; change one
    retry: portcullis.toml:9 tokens.retry_window: this is longer than is safe; write at most "5m"
    leeway: portcullis.toml:9 tokens.leeway: this is longer than is safe; write at most "1m"
    whole seconds: portcullis.toml:9 tokens.access_ttl: tokens live for whole seconds; write "15m"
    zero: portcullis.toml:9 tokens.access_ttl: zero is too short; write a longer time
    "#);
}

#[test]
fn endpoints_and_login_agree() {
    assert_snapshot!(mistakes(&and("[auth]\nlogin = \"/login\"")), @r#"
    portcullis.toml:17 auth.login: there is no [login], so nothing is here; write [login] or leave it out
    "#);
    let login = "[login]\nupstream = \"backend\"\npath = \"/login\"\nsubject = \"/id\"\n[auth]\nenabled = false";
    assert_snapshot!(mistakes(&and(login)), @r#"
    portcullis.toml:21 auth.enabled: [login] needs the endpoints; leave out one of both
    "#);
    let none = parse(&and("[auth]\nenabled = false")).unwrap();
    assert_eq!(none.routes.len(), 1, "no endpoint of ours is left");
}

#[test]
fn what_is_not_there_yet_says_so() {
    let text = and("[upstreams.tls]\nservers = [\"https://a:443\"]");
    assert_snapshot!(mistakes(&text.replace("embedded:data/portcullis.db", "redis-cluster://127.0.0.1")), @r#"
    portcullis.toml:5 store.url: Redis Cluster is not supported in this version; use one Redis or Sentinel
    portcullis.toml:17 upstreams.tls.servers: TLS to servers is not there yet; write "HOST:PORT" of a plain HTTP server
    "#);
}

#[test]
fn a_view_of_revocations_may_be_so_old_and_no_older() {
    let revocation = |rest: &str| parse(&and(&format!("[revocation]\n{rest}"))).unwrap().revocation.max_staleness;
    assert_eq!(parse(&and("")).unwrap().revocation.max_staleness, None, "the store is asked unless told otherwise");
    assert_eq!(revocation("mode = \"every_request\""), None);
    assert_eq!(revocation("mode = \"replicated\""), Some(Duration::from_secs(2)));
    assert_eq!(revocation("mode = \"replicated\"\nmax_staleness = \"250ms\""), Some(Duration::from_millis(250)));
    assert_eq!(revocation("mode = \"replicated\"\nmax_staleness = \"1m\""), Some(Duration::from_mins(1)));
    for (raw, told) in [
        ("mode = \"replicate\"", "unknown mode"),
        ("mode = \"replicated\"\nmax_staleness = \"249ms\"", "write \"250ms\" to \"1m\""),
        ("mode = \"replicated\"\nmax_staleness = \"61s\"", "write \"250ms\" to \"1m\""),
        ("max_staleness = \"2s\"", "max_staleness is for mode = \"replicated\"; leave it out"),
    ] {
        let found = mistakes(&and(&format!("[revocation]\n{raw}")));
        assert!(found.contains(told), "{raw}: {found}");
    }
}
