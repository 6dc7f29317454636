//! Our reading of a path against those of a real nginx and of a real Python server behind the gateway: whatever is
//! forwarded, they decode to what we decided on.

use std::net::SocketAddr;
use std::process::Stdio;

use portcullis::inbound::path;
use portcullis_tests::{Kind, Stack, eventually, raw};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Tells what it was sent, and what it makes of it.
const NGINX: &str = r#"
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server { listen @ADDRESS@; location / { default_type text/plain; return 200 "$request_uri\n$uri"; } }
}
"#;

const PYTHON: &str = r"
import http.server, posixpath, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        read = posixpath.normpath(path)
        if path.endswith('/') and read != '/': read += '/'
        body = (self.path + '\n' + read).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
";

/// A running server of somebody else's; it ends with the test.
struct Other {
    address: SocketAddr,
    _process: Child,
    _folder: Option<tempfile::TempDir>,
}

impl Other {
    async fn nginx() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // It takes no port 0: this one was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        std::fs::write(folder.path().join("nginx.conf"), NGINX.replace("@ADDRESS@", &address.to_string())).unwrap();
        let paths = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let process = Command::new("nginx")
            .env("PATH", paths)
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(format!("{}/", folder.path().display()))
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed: deploy/needs nginx");
        eventually("nginx listens", || async { TcpStream::connect(address).await.is_ok() }).await;
        Self { address, _process: process, _folder: Some(folder) }
    }

    async fn python() -> Self {
        let mut process = Command::new("python3")
            .args(["-c", PYTHON])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python is installed: deploy/needs python");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        Self { address: ([127, 0, 0, 1], port).into(), _process: process, _folder: None }
    }
}

/// Pieces over whose order servers are known to fall out.
const PIECES: [&str; 30] = [
    "/",
    "/",
    "/",
    "//",
    "/./",
    "/../",
    "/%2e/",
    "/%2E%2e/",
    "/.%2e",
    ".",
    "..",
    "a",
    "b",
    "A",
    "%41",
    "%2f",
    "%5C",
    "\\",
    ";x",
    "%3b",
    "%25",
    "%2525",
    "%c3%a9",
    "%E2%82%AC",
    "%20",
    "%3f",
    "%23",
    "+",
    "~%7e",
    "%zz",
];

/// Paths made of them; the same ones each time.
fn generated(count: usize) -> Vec<String> {
    let mut state: u64 = 0x5eed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    (0..count).map(|_| (0..=next(7)).map(|_| PIECES[next(PIECES.len())]).collect()).collect()
}

/// Where servers were seen to differ.
const CHOSEN: [&str; 18] = [
    "/",
    "//",
    "/a",
    "/a/",
    "/a/./b/",
    "/a/../b",
    "/a//b",
    "/a/b/..",
    "/a/b/.",
    "/%2e%2e/x",
    "/a%20b+c",
    "/%7Ea",
    "/a:b@c",
    "/a&b=c,d'e(f)*!$",
    "/%E2%82%AC/%c3%a9",
    "/...",
    "/.a/..b/c..",
    "/a%3Fb%23c",
];

fn decoded(canonical: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = canonical.bytes();
    while let Some(byte) = rest.next() {
        let digit = |digit: Option<u8>| char::from(digit.unwrap()).to_digit(16).unwrap();
        bytes.push(if byte == b'%' {
            u8::try_from(digit(rest.next()) * 16 + digit(rest.next())).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forwarded_is_read_alike_by_a_real_nginx_and_a_real_python() {
    let (nginx, python) = (Other::nginx().await, Other::python().await);
    let server = |id: &str, address: SocketAddr| {
        format!(
            "[upstreams.{id}]\nservers = [\"{address}\"]\n[[route]]\nid = \"{id}\"\nmatch = {{ path = \"/{id}/*\" }}\nupstream = \"{id}\"\npolicy = \"public\"\n"
        )
    };
    let extra = [server("nginx", nginx.address), server("python", python.address)].concat();
    let stack = Stack::builder(Kind::Embedded).extra(&extra).start().await;
    let mut compared = 0;
    for suffix in CHOSEN.into_iter().map(str::to_owned).chain(generated(400)) {
        for id in ["nginx", "python"] {
            let sent = format!("/{id}{suffix}");
            let request = format!("GET {sent} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let answer = raw(stack.address(), request.as_bytes()).await;
            let canonical = path::canonical(&sent).ok().filter(|path| path::Oddity::in_path(path).next().is_none());
            let Some(canonical) = canonical else {
                assert!(answer.starts_with("HTTP/1.1 400"), "{sent}: {answer}");
                continue;
            };
            if canonical != format!("/{id}") && !canonical.starts_with(&format!("/{id}/")) {
                assert!(answer.starts_with("HTTP/1.1 404"), "{sent} leads out: {answer}");
                continue;
            }
            assert!(answer.starts_with("HTTP/1.1 200"), "{sent}: {answer}");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let (received, read) = body.split_once('\n').unwrap();
            assert_eq!(received, canonical, "{id} was sent what was decided on");
            assert_eq!(read, decoded(&canonical), "{id} reads {received} as we do");
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} paths were forwarded");
}
