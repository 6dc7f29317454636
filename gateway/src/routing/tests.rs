use super::*;
use crate::cors::{Pages, RequestHeaders};
use crate::ids::CorsId;

pub(crate) fn route(id: &str, host: &str, path: &str, methods: &[Method]) -> Arc<Route> {
    Arc::new(Route {
        id: RouteId::parse(id).unwrap(),
        host: if host == "*" { HostPattern::Any } else { HostPattern::parse(host).unwrap() },
        path: PathPattern::parse(path).unwrap(),
        methods: if methods.is_empty() { Methods::Any } else { Methods::Only(methods.to_vec()) },
        policy: Policy::Public,
        target: Target::Endpoint(Endpoint::Me),
        accept: std::collections::BTreeSet::new(),
        reveal_software: false,
        limits: Vec::new(),
        cors: None,
        forward_token: false,
        cookies: false,
        unauthenticated: Unauthenticated::Refuse,
        without_store: WithoutStore::Refuse,
        read_timeout: None,
        max_body: None,
        revokes: None,
    })
}

fn found(table: &RouteTable, host: &str, path: &str, method: &Method) -> String {
    match table.find(host, path, method) {
        Found::Route(route) => route.id.to_string(),
        Found::OtherMethods(methods) => format!("405 {}", Methods::Only(methods)),
        Found::Nothing => "404".to_owned(),
        Found::Ambiguous(_) => "ambiguous".to_owned(),
    }
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let mut routes = vec![
        route("rest", "*", "/*", &[]),
        route("posts", "*", "/posts/*", &[Method::GET]),
        route("post", "*", "/posts/{id}", &[Method::GET]),
        route("new", "*", "/posts/new", &[Method::GET]),
        route("host", "api.example.com", "/*", &[]),
        route("hosts", "*.example.com", "/*", &[]),
    ];
    for _ in 0..routes.len() {
        routes.rotate_left(1);
        let table = RouteTable::new(routes.clone());
        for (host, path, expected) in [
            ("localhost", "/posts/new", "new"),
            ("localhost", "/posts/5", "post"),
            ("localhost", "/posts/5/likes", "posts"),
            ("localhost", "/posts", "posts"),
            ("localhost", "/posts/", "posts"),
            ("localhost", "/postscript", "rest"),
            ("localhost", "/", "rest"),
            ("API.example.com", "/posts/new", "host"),
            ("b.a.example.com", "/", "hosts"),
            ("example.com", "/", "rest"),
        ] {
            assert_eq!(found(&table, host, path, &Method::GET), expected, "{host}{path}");
        }
    }
}

#[test]
fn what_no_route_matches_is_denied() {
    let table = RouteTable::new(vec![route("posts", "*", "/posts", &[Method::GET])]);
    assert_eq!(found(&table, "a", "/posts/", &Method::GET), "404");
    assert_eq!(found(&table, "a", "/Posts", &Method::GET), "404");
    assert_eq!(found(&table, "a", "/posts", &Method::PUT), "405 GET");
    assert_eq!(found(&table, "a", "/posts", &Method::HEAD), "posts");
}

#[test]
fn a_method_that_the_most_specific_route_lacks_falls_to_the_next() {
    let table = RouteTable::new(vec![
        route("read", "*", "/posts/{id}", &[Method::GET]),
        route("rest", "*", "/posts/*", &[Method::DELETE]),
    ]);
    assert_eq!(found(&table, "a", "/posts/5", &Method::DELETE), "rest");
    assert_eq!(found(&table, "a", "/posts/5", &Method::PUT), "405 DELETE,GET");
}

#[test]
fn routes_that_no_order_tells_apart_are_conflicts() {
    let conflicts = |a: &str, b: &str| {
        RouteTable::conflicts(&[route("a", "*", a, &[]), route("b", "*", b, &[])])
            .into_iter()
            .next()
            .map(|(_, why)| why)
    };
    let a = || RouteId::parse("a").unwrap();
    assert_eq!(conflicts("/x/{a}", "/x/{b}"), Some(RouteConflict::Same { other: a() }));
    let ambiguous = |theirs: &str| Some(RouteConflict::Ambiguous { other: a(), theirs: theirs.to_owned() });
    assert_eq!(conflicts("/a/{x}", "/{y}/b"), ambiguous("/a/{x}"));
    assert_eq!(conflicts("/a/*", "/{y}/b"), ambiguous("/a/*"));
    assert_eq!(conflicts("/a/{x}", "/a/*"), None);
    assert_eq!(conflicts("/a/{x}", "/b/{x}"), None);
    assert_eq!(conflicts("/{x}/a", "/{x}/b"), None);
    assert_eq!(conflicts("/a", "/a/{x}"), None);
    let get = route("a", "*", "/x", &[Method::GET]);
    assert!(RouteTable::conflicts(&[get.clone(), route("b", "*", "/x", &[Method::PUT])]).is_empty());
    let head = route("b", "*", "/x", &[Method::HEAD]);
    assert_eq!(RouteTable::conflicts(&[get.clone(), head.clone()]).len(), 1);
    assert_eq!(RouteTable::conflicts(&[head, get]).len(), 1, "whatever the order");
}

#[test]
fn patterns_that_could_never_match_are_refused() {
    for (raw, expected) in [
        ("posts", PatternError::NoSlash),
        ("/posts/*/x", PatternError::Star),
        ("/posts*", PatternError::Star),
        ("/a{b}", PatternError::Param),
        ("/{}", PatternError::Param),
        ("/{a}/{a}", PatternError::ParamTwice("a".to_owned())),
        ("/a//b", PatternError::NotCanonical),
        ("/a/../b", PatternError::NotCanonical),
        ("/a%20b", PatternError::NotCanonical),
        ("/a?b", PatternError::NotCanonical),
    ] {
        assert_eq!(PathPattern::parse(raw), Err(expected), "{raw}");
    }
    for host in ["", "a..b", "*", "a:80", "*.*", "exa mple"] {
        assert_eq!(HostPattern::parse(host), Err(PatternError::Host), "{host}");
    }
}

#[test]
fn a_rewrite_moves_parameters_and_the_rest() {
    for (pattern, rewrite, path, expected) in [
        ("/auth/register", "/users", "/auth/register", "/users"),
        ("/api/{version}/*", "/{version}/*", "/api/v1/a/b", "/v1/a/b"),
        ("/api/*", "/*", "/api", "/"),
        ("/api/*", "/", "/api/x", "/"),
        ("/u/{a}/{b}", "/{b}/{a}", "/u/1/2", "/2/1"),
    ] {
        let pattern = PathPattern::parse(pattern).unwrap();
        assert_eq!(Rewrite::parse(rewrite, &pattern).unwrap().apply(&pattern, path), expected);
    }
    let pattern = PathPattern::parse("/a/{x}").unwrap();
    let error = |raw: &str| Rewrite::parse(raw, &pattern).unwrap_err();
    assert_eq!(error("users"), RewriteError::NoSlash);
    assert_eq!(error("/*"), RewriteError::NoRest);
    assert_eq!(error("/{y}"), RewriteError::UnknownParam("y".to_owned()));
    assert_eq!(error("/a/../b"), RewriteError::Text);
    assert_eq!(error("/a?b=c"), RewriteError::Text);
}

#[test]
fn methods_stand_under_the_terms_of_their_own_route() {
    let terms = |id: &str| {
        Arc::new(Cors {
            id: CorsId::parse(id).unwrap(),
            pages: Pages::All,
            methods: None,
            headers: RequestHeaders::Any,
            exposed: Vec::new(),
            max_age: Duration::ZERO,
        })
    };
    let under = |id: &str, path: &str, methods: &[Method], cors: &Arc<Cors>| {
        let cors = Some(Arc::clone(cors));
        Arc::new(Route { cors, ..Route::clone(&route(id, "*", path, methods)) })
    };
    let (app, other) = (terms("app"), terms("other"));
    let table = RouteTable::new(vec![
        under("read", "/posts/*", &[Method::GET], &app),
        under("write", "/posts/*", &[Method::POST, Method::PUT], &other),
        under("one", "/posts/{id}", &[Method::PUT], &app),
        route("delete", "*", "/posts/*", &[Method::DELETE]),
    ]);
    let some = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    assert_eq!(table.methods_under(&app, "a", "/posts", &some), [Method::GET, Method::HEAD]);
    assert_eq!(table.methods_under(&other, "a", "/posts", &some), [Method::POST, Method::PUT]);
    assert_eq!(table.methods_under(&app, "a", "/posts/1", &some), [Method::GET, Method::HEAD, Method::PUT]);
}

/// A route that accepts everything there is to accept.
fn accepting(id: &str, path: &str, methods: &[Method]) -> Arc<Route> {
    let accept = Oddity::ALL.into_iter().map(|(_, oddity)| oddity).collect();
    Arc::new(Route { accept, ..Route::clone(&route(id, "*", path, methods)) })
}

#[test]
fn what_a_path_may_hold_is_for_its_route_to_accept() {
    let table = RouteTable::new(vec![route("plain", "*", "/plain/*", &[]), accepting("open", "/open/*", &[])]);
    for (path, expected) in [
        ("/open/a;b=c", "open"),
        ("/open/a%2Fb/c%25", "open"),
        ("/plain/a;b=c", "ambiguous"),
        ("/plain/a%2Fb", "ambiguous"),
        ("/plain/a%25", "ambiguous"),
        ("/nowhere/a;b", "ambiguous"),
    ] {
        assert_eq!(found(&table, "a", path, &Method::GET), expected, "{path}");
    }
    let mut only_one = Route::clone(&route("one", "*", "/one/*", &[]));
    only_one.accept.insert(Oddity::MatrixParameters);
    let table = RouteTable::new(vec![Arc::new(only_one)]);
    assert_eq!(found(&table, "a", "/one/a;b", &Method::GET), "one");
    assert_eq!(found(&table, "a", "/one/a;b%2Fc", &Method::GET), "ambiguous");
}

#[test]
fn no_reading_of_a_path_leads_to_another_route() {
    let table = RouteTable::new(vec![
        accepting("rest", "/*", &[]),
        route("admin", "*", "/admin/*", &[]),
        route("posts", "*", "/posts", &[Method::POST]),
        accepting("file", "/files/{name}", &[]),
        route("file_of", "*", "/files/of/{user}", &[]),
    ]);
    for (path, expected) in [
        ("/any;x/thing", "rest"),
        ("/admin;x/users", "ambiguous"),
        ("/admin%3Bx/users", "ambiguous"),
        ("/admin%2Fusers", "ambiguous"),
        ("/admin;x%2Fusers", "ambiguous"),
        ("/admin%2Fusers;x", "ambiguous"),
        ("/posts;x", "rest"),
        ("/files/a%2Fb", "ambiguous"),
        ("/files/of%2Fme", "ambiguous"),
        ("/files/a;version=1", "file"),
    ] {
        assert_eq!(found(&table, "a", path, &Method::GET), expected, "{path}");
    }
    assert_eq!(found(&table, "a", "/posts;x", &Method::POST), "ambiguous", "whose method is another route's");
    let table =
        RouteTable::new(vec![accepting("file", "/files/{name}", &[]), route("of", "*", "/files/a/b", &[Method::PUT])]);
    assert_eq!(found(&table, "a", "/files/a%2Fb", &Method::GET), "ambiguous", "where a route refuses the method");
    let table = RouteTable::new(vec![accepting("file", "/files/{name}", &[])]);
    assert_eq!(found(&table, "a", "/files/a%2Fb", &Method::GET), "file", "where no other route is");
}
