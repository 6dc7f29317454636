//! What browsers are told, case by case.

use super::*;

const APP: &str = "https://app.example.com";

fn cors(pages: Pages) -> Cors {
    let headers = ["authorization", "content-type"].map(HeaderName::from_static);
    Cors {
        id: CorsId::parse("app").unwrap(),
        pages,
        methods: None,
        headers: RequestHeaders::Only(headers.into()),
        exposed: vec![HeaderName::from_static("x-request-id")],
        max_age: Duration::from_mins(10),
    }
}

fn app(credentials: bool) -> Cors {
    cors(Pages::Of { origins: Origins::parse(&[APP]).unwrap(), credentials })
}

fn request(headers: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
    headers.iter().map(pair).collect()
}

/// `origin: https://app.example.com; credentials: true`, without the beginnings of the names.
fn shown(sharing: &Sharing) -> String {
    let line = |(name, value): &(HeaderName, HeaderValue)| {
        let name = name.as_str().trim_start_matches("access-control-").trim_start_matches("allow-");
        format!("{name}: {}", value.to_str().unwrap())
    };
    sharing.headers.iter().map(line).collect::<Vec<_>>().join("; ")
}

#[test]
fn an_answer_names_the_page_that_may_read_it() {
    let app_says = "origin: https://app.example.com; expose-headers: x-request-id";
    let credentials = "origin: https://app.example.com; credentials: true; expose-headers: x-request-id";
    for (name, cors, origins, expected) in [
        ("a page", app(false), &[APP][..], app_says),
        ("a page with cookies", app(true), &[APP], credentials),
        ("another page", app(true), &["https://evil.example"], ""),
        ("a page without an origin of its own", app(true), &["null"], ""),
        ("no page", app(true), &[], ""),
        ("two origins", app(true), &[APP, APP], ""),
        ("every page", cors(Pages::All), &["https://evil.example"], "origin: *; expose-headers: x-request-id"),
        ("no page, where all may", cors(Pages::All), &[], "origin: *; expose-headers: x-request-id"),
    ] {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        let sharing = cors.answer(&headers);
        assert_eq!((shown(&sharing).as_str(), sharing.vary), (expected, BY_ORIGIN), "{name}");
    }
}

#[test]
fn only_a_browsers_question_is_a_preflight() {
    let question = [("origin", APP), ("access-control-request-method", "PUT")];
    for (name, method, headers, expected) in [
        ("a preflight", Method::OPTIONS, &question[..], true),
        ("another method", Method::GET, &question, false),
        ("no origin", Method::OPTIONS, &question[1..], false),
        ("no method", Method::OPTIONS, &question[..1], false),
        ("no method by its name", Method::OPTIONS, &[question[0], (question[1].0, "P U T")], false),
    ] {
        assert_eq!(Preflight::read(&method, &request(headers)).is_some(), expected, "{name}");
    }
}

/// The outcome of a preflight by a page of `origin`, and what its answer says.
fn asked(cors: &Cors, origin: &str, method: &str, headers: &str) -> (Outcome, String) {
    let headers = request(&[
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ]);
    let question = Preflight::read(&Method::OPTIONS, &headers).unwrap();
    let (sharing, outcome) = cors.preflight(&question, vec![Method::GET, Method::PUT]);
    assert_eq!(sharing.vary, BY_QUESTION);
    (outcome, shown(&sharing))
}

#[test]
fn a_preflight_is_told_all_or_nothing() {
    let all = "origin: https://app.example.com; credentials: true; methods: GET, PUT; \
               headers: authorization, content-type; max-age: 600";
    for (name, origin, method, headers, expected) in [
        ("what is granted", APP, "PUT", "authorization,content-type", (Outcome::Allowed, all)),
        ("no headers", APP, "GET", "", (Outcome::Allowed, all)),
        ("headers as others write them", APP, "PUT", " Authorization ,, Content-Type", (Outcome::Allowed, all)),
        ("another page", "https://evil.example", "PUT", "", (Outcome::Origin, "")),
        ("a method that is not routed", APP, "DELETE", "", (Outcome::Method, "")),
        ("a header too many", APP, "PUT", "authorization,x-admin", (Outcome::Headers, "")),
        ("no header at all", APP, "PUT", "authorization,x admin", (Outcome::Headers, "")),
    ] {
        let (outcome, says) = asked(&app(true), origin, method, headers);
        assert_eq!((outcome, says.as_str()), expected, "{name}");
    }
}

#[test]
fn terms_narrow_what_is_routed_and_never_widen_it() {
    let cors = Cors { methods: Some(vec![Method::PUT, Method::DELETE]), ..app(false) };
    let (outcome, says) = asked(&cors, APP, "PUT", "");
    assert_eq!(outcome, Outcome::Allowed);
    assert!(says.contains("methods: PUT;"), "{says}");
    assert_eq!(asked(&cors, APP, "GET", "").0, Outcome::Method, "it is routed, but not granted");
    assert_eq!(asked(&cors, APP, "DELETE", "").0, Outcome::Method, "it is granted, but not routed");
}

#[test]
fn headers_are_named_where_any_may_be_sent() {
    let any = Cors { headers: RequestHeaders::Any, ..cors(Pages::All) };
    let (outcome, says) = asked(&any, "null", "PUT", "authorization,x-anything");
    assert_eq!(outcome, Outcome::Allowed);
    assert_eq!(says, "origin: *; methods: GET, PUT; headers: authorization, x-anything; max-age: 600");
    assert_eq!(asked(&any, APP, "PUT", "a b").0, Outcome::Headers, "these are no names");
    let none = Cors { headers: RequestHeaders::Only(Vec::new()), ..app(false) };
    assert!(!asked(&none, APP, "PUT", "").1.contains("headers"));
}
