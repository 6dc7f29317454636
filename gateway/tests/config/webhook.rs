//! `[webhook]`: over TLS or to this machine, with a key that receivers can use, and nothing shown.

use insta::assert_snapshot;

use crate::{and, each, parse};

fn webhook(keys: &str) -> String {
    and(&format!("[webhook]\n{keys}"))
}

const KEY: &str = "secret = { env = \"WEBHOOK\" }";

#[test]
fn a_receiver_is_reached_over_tls_or_is_this_machine() {
    for (url, place, tls) in [
        (r#""https://hooks.example.com/x?y=z""#, ("hooks.example.com", 443), true),
        (r#""https://[2001:db8::1]:8443""#, ("2001:db8::1", 8443), true),
        (r#""http://127.0.0.1:9000/x""#, ("127.0.0.1", 9000), false),
        (r#""http://[::1]/""#, ("::1", 80), false),
        (r#"{ env = "WEBHOOK_URL" }"#, ("hooks.example.com", 443), true),
    ] {
        let config = parse(&webhook(&format!("url = {url}\n{KEY}"))).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"), "a URL is not shown");
        let terms = config.webhook.unwrap();
        assert_eq!((terms.url.place(), terms.url.is_tls()), (place, tls), "{url}");
        assert_eq!((terms.attempts, terms.timeout.as_secs(), terms.key.expose().len()), (5, 10, 32));
    }
}

#[test]
fn what_can_not_be_a_webhook_is_refused() {
    let url = "url = \"https://hooks.example.com\"";
    let with_url = |url: &str| webhook(&format!("url = {url}\n{KEY}"));
    assert_snapshot!(each([
        ("nothing", webhook("")),
        ("plain", with_url(r#""http://hooks.example.com/x""#)),
        ("a name of this machine", with_url(r#""http://localhost:9000/x""#)),
        ("user", with_url(r#""https://user:pass@hooks.example.com""#)),
        ("no url", with_url(r#""hooks.example.com""#)),
        ("scheme", with_url(r#""ftp://hooks.example.com""#)),
        ("no base64", webhook(&format!("{url}\nsecret = {{ env = \"JWT_KEY\" }}"))),
        ("too few bytes", webhook(&format!("{url}\nsecret = {{ env = \"GOOD\" }}"))),
        ("literal", webhook(&format!("{url}\nsecret = \"hunter2\""))),
        ("patience", webhook(&format!("{url}\n{KEY}\ntimeout = \"2m\"\nattempts = 100"))),
        ("event", webhook(&format!("{url}\n{KEY}\nevents = [\"session.reuse\"]"))),
        ("no event", webhook(&format!("{url}\n{KEY}\nevents = []"))),
    ]), @r#"
    nothing: portcullis.toml:16 webhook.url: is missing; write url = "https://HOST/PATH" or { env = "NAME" }
    portcullis.toml:16 webhook.secret: is missing; write secret = { env = "NAME" } or { file = "PATH" }
    plain: portcullis.toml:17 webhook.url: events would go through the network in plain; write https://, or an address of this machine, such as http://127.0.0.1:9000/path
    a name of this machine: portcullis.toml:17 webhook.url: events would go through the network in plain; write https://, or an address of this machine, such as http://127.0.0.1:9000/path
    user: portcullis.toml:17 webhook.url: a URL with a user name is not supported; put what is secret into the path, and the URL into a secret
    no url: portcullis.toml:17 webhook.url: this is no URL; write "https://HOST/PATH"
    scheme: portcullis.toml:17 webhook.url: this is no URL; write "https://HOST/PATH"
    no base64: portcullis.toml:18 webhook.secret: this secret is not 32 to 64 bytes in base64; make one by `openssl rand -base64 48`
    too few bytes: portcullis.toml:18 webhook.secret: this secret is not 32 to 64 bytes in base64; make one by `openssl rand -base64 48`
    literal: portcullis.toml:18 webhook.secret: a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, and change it if it was real
    patience: portcullis.toml:19 webhook.timeout: this is longer than a receiver may take; write at most "1m"
    portcullis.toml:20 webhook.attempts: 100 is out of range; write 1 to 10
    event: portcullis.toml:19 webhook.events: unknown event "session.reuse"; did you mean "session.reused"?
    no event: portcullis.toml:19 webhook.events: the list is empty; leave it out for all events, or the section for none
    "#);
}
