//! Headers that assert what only the gateway may, or take away what it asserts.

use portcullis_tests::{Attack, Kind, Stack, assert_refused, raw};

fn with(lines: &str) -> String {
    format!("GET /public/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_contradict_each_other_are_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    let hop = "RFC 9110 §7.6.1, CVE-2022-1388 (F5 BIG-IP)";
    let proxy = "CVE-2022-31813 (Apache httpd)";
    let rows = [
        ("identity to be taken away", hop, with("Connection: close, X-User-Id\r\n")),
        ("identity in another spelling", hop, with("Connection: close, x_user.ID\r\n")),
        ("roles on a second line", hop, with("Connection: close\r\nConnection: X-User-Roles\r\n")),
        ("the client's address", proxy, with("Connection: X-Forwarded-For\r\n")),
        ("the client's address to nginx", proxy, with("Connection: X-Real-IP\r\n")),
        ("the user to other servers", proxy, with("Connection: Remote-User\r\n")),
        ("the host", hop, with("Connection: host\r\n")),
        ("credentials", hop, with("Connection: authorization\r\n")),
        ("cookies", hop, with("Connection: Cookie\r\n")),
        ("where a form was", hop, with("Connection: Origin, Sec-Fetch-Site\r\n")),
        ("the length", hop, with("Connection: Content-Length\r\n")),
        ("the framing", hop, with("Connection: Transfer-Encoding\r\n")),
    ];
    let attacks = rows.map(|(name, source, bytes)| Attack::new(name, source, bytes, "400 malformed_request"));
    assert_refused(&stack, &attacks).await;
    let twice = "GET /echo/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n";
    let twice = Attack::new("two credentials", "RFC 9110 §5.3", twice, "400 malformed_request");
    assert_refused(&stack, &[twice]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_some_server_reads_otherwise_is_refused() {
    let stack = Stack::start(Kind::Embedded).await;
    let safe = "RFC 9110 §9.1: methods are case-sensitive, but not to every server";
    let rows = [
        ("TRACE", "CVE-2004-2320, RFC 9110 §9.3.8", "TRACE /public/x"),
        ("CONNECT", "RFC 9110 §9.3.6", "CONNECT a:443"),
        ("CONNECT to a path", "RFC 9110 §9.3.6", "CONNECT /public/x"),
        ("a lower-case method", safe, "post /public/x"),
        ("a mixed one", safe, "Get /public/x"),
    ];
    let attack = |(name, source, line)| {
        let host = if line == "CONNECT a:443" { "a:443" } else { "a" };
        Attack::new(name, source, format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"), "405 method_refused")
    };
    assert_refused(&stack, &rows.map(attack)).await;
    let answer = raw(stack.address(), b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").await.to_ascii_lowercase();
    assert!(!answer.contains("pingora") && answer.contains("\r\nallow: get, "), "{answer}");
}

/// What other proxies tell their servers, or what servers take for an order: source and line.
const FORGED: [(&str, &str); 34] = [
    ("CVE-2025-64484 (oauth2-proxy)", "X_Forwarded_User"),
    ("oauth2-proxy", "X-Forwarded-Email"),
    ("oauth2-proxy", "X-Forwarded-Groups"),
    ("oauth2-proxy", "X-Auth-Request-User"),
    ("oauth2-proxy, Traefik", "X-Forwarded-Uri"),
    ("RFC 3875 §4.1.11, Authelia", "Remote-User"),
    ("Authelia", "Remote-Groups"),
    ("authentik", "X-authentik-username"),
    ("Grafana", "X-WEBAUTH-USER"),
    ("Google IAP", "X-Goog-Authenticated-User-Email"),
    ("Azure App Service", "X-MS-CLIENT-PRINCIPAL-NAME"),
    ("AWS ALB", "x-amzn-oidc-data"),
    ("Cloudflare Access", "Cf-Access-Authenticated-User-Email"),
    ("Pomerium", "X-Pomerium-Claim-Email"),
    ("Tailscale", "Tailscale-User-Login"),
    ("RFC 9440", "Client-Cert"),
    ("mod_ssl", "SSL_CLIENT_S_DN"),
    ("nginx", "X-SSL-Client-Verify"),
    ("Akamai", "True-Client-IP"),
    ("Cloudflare", "CF-Connecting-IP"),
    ("Fastly", "Fastly-Client-IP"),
    ("Rackspace", "X-Cluster-Client-IP"),
    ("CWE-348", "X-Client-IP"),
    ("Envoy", "X-Envoy-External-Address"),
    ("WebLogic", "WL-Proxy-Client-IP"),
    ("CVE-2018-14773 (Symfony)", "X-Original-URL"),
    ("CVE-2018-14773 (Symfony)", "X-Rewrite-URL"),
    ("Symfony, Rails", "X-HTTP-Method-Override"),
    ("IIS", "X-HTTP-Method"),
    ("ASP.NET", "X-Method-Override"),
    ("CVE-2025-29927 (Next.js)", "x-middleware-subrequest"),
    ("CVE-2016-5385 (httpoxy)", "Proxy"),
    ("RFC 3875 §4.1.18", "X_User_Id"),
    ("RFC 7239", "Forwarded"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_proxy_may_say_never_comes_from_a_client() {
    let mut stack = Stack::start(Kind::Embedded).await;
    for trusted in [false, true] {
        if trusted {
            stack.reload(|toml| format!("trusted_proxies = [\"127.0.0.0/8\"]\n{toml}")).await.unwrap();
        }
        let lines = FORGED.map(|(_, name)| format!("{name}: forged\r\n")).concat();
        let request = with(&format!("{lines}X-Kept: kept\r\nConnection: close\r\n"));
        assert!(raw(stack.address(), request.as_bytes()).await.starts_with("HTTP/1.1 200"));
        let seen = stack.recorder.last();
        assert_eq!(seen.header("x-kept"), Some("kept"), "what is nobody's word is passed on");
        for (source, name) in FORGED {
            assert!(!seen.all(name).contains(&"forged"), "{name} ({source}), trusted: {trusted}\n{}", seen.head);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_word_for_a_header_never_reaches_a_server() {
    let stack = Stack::start(Kind::Embedded).await;
    let lines = "Content_Length: 5\r\nTransfer_Encoding: chunked\r\nContent.Type: a/b\r\nauthor_ization: Bearer x\r\n\
                 Coo_kie: a=b\r\nO-rigin: http://b\r\nHo_st: b\r\n";
    let request = with(&format!("{lines}Connection: close\r\n"));
    assert!(raw(stack.address(), request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    let names = stack.recorder.last().names();
    for name in ["content_length", "transfer_encoding", "content.type", "author_ization", "coo_kie", "o-rigin", "ho_st"]
    {
        assert!(!names.iter().any(|other| other == name), "{name}: {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_one_hop_goes_no_further() {
    let stack = Stack::start(Kind::Embedded).await;
    let request = with(
        "Connection: close, X-Own-Hop, TE, Upgrade\r\nX-Own-Hop: x\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: trailers\r\nTrailer: X-User-Id\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nProxy-Authorization: Basic YTpi\r\n\
         Proxy-Authenticate: Basic\r\nX-Kept: kept\r\n",
    );
    assert!(raw(stack.address(), request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    let mut names = stack.recorder.last().names();
    names.sort();
    let ours =
        ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-kept", "x-real-ip", "x-request-id"];
    assert_eq!(names, ours);
}

/// RFC 9110 §7.8: or a proxy in front that saw no upgrade would hand us more requests in the tunnel.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_connection_does_not_name_is_none() {
    let stack = Stack::start(Kind::Embedded).await;
    let answer = raw(stack.address(), with("Upgrade: websocket\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(stack.recorder.last().header("upgrade"), None);
    let answer =
        raw(stack.address(), with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_come_on_one_line_and_trailers_do_not_come_at_all() {
    let stack = Stack::start(Kind::Embedded).await;
    let request = "POST /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: a=1\r\nCookie: b=2; c=3\r\nCookie: d=4\r\n\
                   Transfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n2\r\nhi\r\n0\r\nX-User-Id: forged\r\nX-Any: forged\r\n\r\n";
    assert!(raw(stack.address(), request.as_bytes()).await.starts_with("HTTP/1.1 200"));
    let seen = stack.recorder.last();
    assert_eq!(seen.all("cookie"), ["a=1; b=2; c=3; d=4"], "RFC 9113 §8.2.3 and RFC 6265 §5.4");
    assert_eq!(String::from_utf8_lossy(&seen.body), "2\r\nhi\r\n0\r\n\r\n", "RFC 9110 §6.5.1");
    assert!(!seen.head.contains("forged") && !seen.names().contains(&"trailer".to_owned()), "{}", seen.head);
}
