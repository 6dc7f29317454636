//! What a server says that is not for clients: cookies of ours, and which software it is.

use std::net::SocketAddr;

use portcullis_tests::{Kind, Stack, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers every connection with these bytes.
async fn saying(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// A gateway with cookies in front of a server that says this, behind `/said` and, where it may say who it is, `/open`.
async fn stack(answer: &'static str) -> Stack {
    let server = saying(answer).await;
    let route = |id: &str, more: &str| {
        format!(
            "[[route]]\nid = \"{id}\"\nmatch = {{ path = \"/{id}\" }}\nupstream = \"saying\"\npolicy = \"public\"\n{more}\n"
        )
    };
    let routes = [route("said", ""), route("open", "reveal_software = true")].concat();
    let extra = format!("[cookies]\n[upstreams.saying]\nservers = [\"{server}\"]\n{routes}");
    Stack::builder(Kind::Embedded).extra(&extra).start().await
}

async fn get(stack: &Stack, path: &str) -> String {
    raw(stack.address(), format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).await
}

const PLANTING: &str = "HTTP/1.1 103 Early Hints\r\nSet-Cookie: portcullis-access=planted\r\nSet-Cookie: hint=kept\r\n\r\n\
    HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: portcullis-access=planted; Path=/\r\n\
    SET-COOKIE: PORTCULLIS-Refresh = planted\r\nset-cookie:   \tportcullis-access\t=planted\r\n\
    Set-Cookie: =portcullis-access=planted\r\nSet-Cookie: portcullis-refresh\r\nSet-Cookie: \r\n\
    Set-Cookie: \"portcullis-access\"=kept\r\nSet-Cookie: my-portcullis-access=kept\r\nSet-Cookie: theme=kept\r\n\r\nhi";

#[tokio::test(flavor = "multi_thread")]
async fn no_server_plants_a_session() {
    let answer = get(&stack(PLANTING).await, "/said").await;
    assert!(answer.contains("200 OK") && answer.contains("theme=kept"), "{answer}");
    assert!(!answer.contains("planted"), "{answer}");
    assert!(!answer.contains("portcullis-refresh\r\n"), "a cookie without a value (RFC 6265 §5.2): {answer}");
    assert!(answer.contains("my-portcullis-access=kept"), "another name: {answer}");
}

const TALKATIVE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: nginx/1.22.1\r\nX-Powered-By: PHP/8.1\r\n\
    X-AspNet-Version: 4.0\r\nX-AspNetMvc-Version: 5.2\r\nVia: 1.1 internal-7:3128\r\nX-Generator: Drupal 9\r\nX-Runtime: 0.1\r\n\
    X-Kept: kept\r\n\r\nhi";
const TELLING: [&str; 7] =
    ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "via", "x-generator", "x-runtime"];

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_which_software_made_it_unless_a_route_says_so() {
    let stack = stack(TALKATIVE).await;
    let hidden = get(&stack, "/said").await.to_ascii_lowercase();
    let shown = get(&stack, "/open").await.to_ascii_lowercase();
    assert!(hidden.contains("\r\nx-kept: kept"), "{hidden}");
    for name in TELLING {
        assert!(!hidden.contains(&format!("\r\n{name}:")), "{name}: {hidden}");
        assert!(shown.contains(&format!("\r\n{name}:")), "{name}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_answers_tell_nothing_and_are_taken_for_nothing_else() {
    let stack = stack(TALKATIVE).await;
    for path in ["/nowhere", "/echo/x", "/public/%00", "/auth/me", "/.well-known/jwks.json"] {
        let answer = get(&stack, path).await.to_ascii_lowercase();
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert!(head.contains("\r\nx-content-type-options: nosniff"), "{path}: {head}");
        assert!(head.contains("\r\ncache-control: "), "{path}: {head}");
        for word in ["pingora", "portcullis/", env!("CARGO_PKG_VERSION"), "\r\nserver:", "\r\nvia:"] {
            assert!(!head.contains(word), "{path} tells {word}: {head}");
        }
    }
}
