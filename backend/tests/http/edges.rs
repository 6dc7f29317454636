//! Where requests end that are not what the endpoints are for: paths, methods, bodies, and callers who are not
//! the gateway. And what is there for operators.

use http::Method;
use portcullis_backend::{Config, ConfigError, GatewaySecret, Server, ServerError};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::{Answer, PASSWORD, Service};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_path_that_names_nothing_is_not_found() {
    let service = Service::start().await;
    for path in ["/", "/nope", "/posts/", "/posts/1/x", "/users/1", "/users/me/", "/Users", "/users/exists"] {
        service.get(path).await.assert_refused(404, "not_found");
    }
}

#[tokio::test]
async fn every_resource_says_which_methods_it_has() {
    let service = Service::start().await;
    let resources = [
        ("/users", "POST"),
        ("/users/authenticate", "POST"),
        ("/users/me", "GET, HEAD, PUT, DELETE"),
        ("/users/me/password", "PUT"),
        ("/users/exists/bob", "GET, HEAD"),
        ("/posts", "GET, HEAD, POST"),
        ("/posts/1", "GET, HEAD, PUT, DELETE"),
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
    ];
    for (path, allow) in resources {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
            let answer = Answer::to(service.request(method.parse().expect("a method"), path)).await;
            let allowed = allow.split(", ").any(|allowed| allowed == method);
            assert_eq!(answer.status != 405, allowed, "{method} {path}");
            if !allowed {
                assert_eq!(answer.header("allow"), allow, "{method} {path}");
            }
            if !allowed && method != "HEAD" {
                answer.assert_refused(405, "method_not_allowed");
            }
        }
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let service = Service::start().await;
    let (get, head) =
        (service.get("/posts").await, service.request(Method::HEAD, "/posts").send().await.expect("it answers"));
    assert_eq!((head.status(), &head.headers()["content-length"]), (get.status, &get.headers["content-length"]));
    assert!(head.bytes().await.expect("no body").is_empty());
}

#[tokio::test]
async fn a_body_must_be_a_json_object_by_name_and_nature() {
    let service = Service::start().await;
    let whole = json!({"username": "alice", "password": PASSWORD}).to_string();
    let cases = [
        (None, whole.as_str(), 415, "unsupported_media_type"),
        (Some("text/plain"), &whole, 415, "unsupported_media_type"),
        (Some("application/x-www-form-urlencoded"), &whole, 415, "unsupported_media_type"),
        (Some("application/jsonx"), &whole, 415, "unsupported_media_type"),
        (Some("application/json"), "", 400, "malformed_body"),
        (Some("application/json"), "[]", 400, "malformed_body"),
        (Some("application/json"), "\"secret\"", 400, "malformed_body"),
        (Some("application/json"), "{\"username\": \"secret\"", 400, "malformed_body"),
        (Some("application/json"), "{} {}", 400, "malformed_body"),
        (Some("Application/JSON; charset=utf-8"), &whole, 201, ""),
    ];
    for (content_type, body, status, reason) in cases {
        let request = service.request(Method::POST, "/users").body(body.to_owned());
        let request = content_type.into_iter().fold(request, |request, value| request.header("content-type", value));
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{content_type:?} {body}");
        if status != 201 {
            answer.assert_refused(status, reason);
            assert!(!answer.body.to_string().contains("secret"), "what was sent is not sent back: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let service = Service::start().await;
    let fits = "{}".to_owned() + &" ".repeat(64 * 1024 - 2);
    let send =
        |body: String| service.request(Method::POST, "/users").header("content-type", "application/json").body(body);
    assert_eq!(Answer::to(send(fits.clone())).await.refused_fields(), ["username", "password"]);
    Answer::to(send(fits.clone() + " ")).await.assert_refused(413, "body_too_large");

    let mut request = b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        .to_vec();
    for _ in 0..5 {
        request.extend_from_slice(format!("4000\r\n{:width$}\r\n", "{}", width = 0x4000).as_bytes());
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&service, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let service = Service::start().await;
    let request = format!("GET /livez HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "x".repeat(40 * 1024));
    let answer = raw(&service, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn the_request_keeps_the_name_that_the_gateway_gave_it() {
    let service = Service::start().await;
    let named = Answer::to(service.request(Method::GET, "/nope").header("X-Request-Id", "req-1")).await;
    named.assert_refused(404, "not_found");
    assert_eq!((named.text("/instance").as_str(), named.header("x-request-id")), ("req-1", "req-1"));

    let unfit = Answer::to(service.request(Method::GET, "/livez").header("X-Request-Id", "a b")).await;
    assert_eq!(unfit.header("x-request-id").len(), 36, "an unfit name is replaced");
}

#[tokio::test]
async fn with_a_secret_only_the_gateway_is_answered() {
    let service = Service::start_with(|config| config.gateway_secret = GatewaySecret::parse(SECRET).ok()).await;
    let id = "01890000-0000-7000-8000-000000000000";
    for path in ["/posts", "/users/me", "/users/exists/bob", "/nope"] {
        let wrong = [None, Some(""), Some("x"), Some(&SECRET[1..]), Some("0123456789abcdef0123456789abcdeF")];
        for secret in wrong {
            let request = service.request(Method::GET, path).header("X-User-Id", id);
            let request =
                secret.into_iter().fold(request, |request, secret| request.header("X-Gateway-Secret", secret));
            Answer::to(request).await.assert_refused(403, "not_the_gateway");
        }
    }
    let request = service.request(Method::GET, "/posts").header("X-Gateway-Secret", SECRET);
    assert_eq!(Answer::to(request).await.status, 200);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(service.get(path).await.status, 200, "{path} is for operators");
    }
}

#[tokio::test]
async fn an_open_address_without_a_secret_does_not_start() {
    let service = Service::start().await;
    let config = Config::new(([0, 0, 0, 0], 0).into(), service.database.clone());
    let refused = Server::start(config).await.err().expect("it does not start");
    assert!(matches!(refused, ServerError::Config(ConfigError::Exposed(_))), "{refused}");
    assert!(refused.to_string().contains("--gateway-secret-env"), "it says what to do: {refused}");
}

#[tokio::test]
async fn operators_see_life_readiness_and_counts_by_pattern() {
    let service = Service::start().await;
    assert_eq!(service.get("/livez").await.body, json!({"status": "live"}));
    assert_eq!(service.get("/readyz").await.body, json!({"status": "ready"}));
    service.get("/posts/1").await.assert_refused(404, "not_found");
    service.get("/posts/2").await.assert_refused(404, "not_found");
    Answer::to(service.request(Method::from_bytes(b"BREW").expect("a method"), "/pot")).await;

    let series = r#"portcullis_backend_requests_total{method="GET",route="/posts/{id}",status="404"}"#;
    assert_eq!(service.metric(series).await, 2);
    let series = r#"portcullis_backend_refusals_total{reason="not_found",route="/posts/{id}"}"#;
    assert_eq!(service.metric(series).await, 2);
    let series = r#"portcullis_backend_request_duration_seconds_count{method="GET",route="/posts/{id}"}"#;
    assert_eq!(service.metric(series).await, 2);
    let series = r#"portcullis_backend_requests_total{method="other",route="unmatched",status="404"}"#;
    assert_eq!(service.metric(series).await, 1);
}

/// What comes back for these very bytes.
async fn raw(service: &Service, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.server.address()).await.expect("it accepts");
    stream.write_all(request).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers and closes");
    answer
}
