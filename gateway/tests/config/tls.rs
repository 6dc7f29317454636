//! How listeners speak: TLS with certificates that can be shown, or plain, or the way from the one to the other.

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use portcullis::certificates::UnknownName;
use portcullis::config::{self, Config, Transport};
use rcgen::{CertificateParams, KeyPair};

use crate::{LEAST, env};

/// A folder with certificates of two hosts, and what is none.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    for host in ["a.test", "b.test"] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
        put(&format!("{host}.pem"), &certificate.pem());
        put(&format!("{host}.key"), &key.serialize_pem());
        put(&format!("{host}.locked"), &key.serialize_pem().replace("PRIVATE", "ENCRYPTED PRIVATE"));
    }
    put("empty.pem", "");
    folder
}

/// [`LEAST`] with a listener that has these keys too, which begin in line 4.
fn with(keys: &str) -> String {
    LEAST.replace("address = \"127.0.0.1:8080\"\n[store]", &format!("address = \"127.0.0.1:8080\"\n{keys}\n[store]"))
}

fn parse(text: &str, folder: &Path) -> Result<Config, String> {
    config::parse(text, "portcullis.toml", folder, &env).map_err(|errors| errors.to_string())
}

const ONE: &str = r#"certificates = [{ chain = "a.test.pem", key = { file = "a.test.key" } }]"#;

#[test]
fn tls_has_safe_defaults() {
    let folder = folder();
    let config = parse(&with(&format!("[listeners.public.tls]\n{ONE}")), folder.path()).unwrap();
    let Transport::Tls(terms) = &config.listeners[0].transport else { panic!("it speaks TLS") };
    assert_eq!(terms.certificates[0].certificate.names(), ["a.test"]);
    assert_eq!((terms.unknown_name, terms.tls12, terms.http2), (UnknownName::Refuse, true, true));
    assert_eq!((terms.handshake_timeout, terms.check_interval), (Duration::from_secs(10), Duration::from_secs(10)));
    assert_eq!(terms.hsts.as_ref().unwrap(), "max-age=15552000");
}

#[test]
fn browsers_insist_on_tls_as_it_is_said() {
    let folder = folder();
    for (written, expected) in [
        ("\"off\"", None),
        ("\"forget\"", Some("max-age=0")),
        ("\"30d\"", Some("max-age=2592000")),
        ("{ max_age = \"2h\" }", Some("max-age=7200")),
        ("{ max_age = \"30d\", subdomains = true }", Some("max-age=2592000; includeSubDomains")),
        (
            "{ max_age = \"365d\", subdomains = true, preload = true }",
            Some("max-age=31536000; includeSubDomains; preload"),
        ),
    ] {
        let config = parse(&with(&format!("[listeners.public.tls]\n{ONE}\nhsts = {written}")), folder.path()).unwrap();
        let Transport::Tls(terms) = &config.listeners[0].transport else { panic!("it speaks TLS") };
        assert_eq!(terms.hsts.as_ref().map(|hsts| hsts.to_str().unwrap()), expected, "{written}");
    }
}

#[test]
fn browsers_are_not_told_by_accident_to_forget() {
    let folder = folder();
    for written in ["\"500ms\"", "{ max_age = \"999ms\" }"] {
        let refused = parse(&with(&format!("[listeners.public.tls]\n{ONE}\nhsts = {written}")), folder.path());
        let expected = r#"browsers forget what lasts less than a second; write "1s" or more, or hsts = "forget""#;
        assert!(refused.unwrap_err().ends_with(expected), "{written}");
    }
}

#[test]
fn a_listener_that_sends_to_tls_says_where_it_is() {
    let folder = folder();
    for (keys, port) in [("redirect_to = \"https\"", 443), ("redirect_to = \"https\"\nhttps_port = 8443", 8443)] {
        let config = parse(&with(keys), folder.path()).unwrap();
        assert_eq!(config.listeners[0].transport, Transport::ToHttps { port });
    }
}

#[test]
fn every_certificate_that_can_not_be_shown_is_reported_at_once() {
    let folder = folder();
    let text = with(
        r#"[listeners.public.tls]
certificates = [
    { chain = "a.test.pem", key = { file = "a.test.key" } },
    { chain = "missing.pem", key = { file = "missing.key" } },
    { chain = "empty.pem", key = { file = "a.test.key" } },
    { chain = "b.test.key", key = { file = "b.test.key" } },
    { chain = "b.test.pem", key = { file = "b.test.locked" } },
    { chain = "b.test.pem", key = { file = "b.test.pem" } },
    { chain = "b.test.pem", key = { file = "a.test.key" } },
    { chain = "b.test.pem", key = { env = "PRIVATE_KEY" } },
    { chain = "b.test.pem", key = "b.test.key" },
    { chain = "b.test.pem", keys = { file = "b.test.key" } },
    { cert = "b.test.pem" },
]
min_version = "1.1"
unknown_name = "close"
http2 = "yes"
hsts = { max_age = "30d", preload = true }
handshake_timeout = "0s"
cipher = "RC4""#,
    );
    assert_snapshot!(parse(&text, folder.path()).unwrap_err(), @r#"
    portcullis.toml:7 listeners.public.tls.certificates.chain: the file "missing.pem" can't be read: No such file or directory (os error 2)
    portcullis.toml:7 listeners.public.tls.certificates.key.file: the file "missing.key" can't be read: No such file or directory (os error 2)
    portcullis.toml:8 listeners.public.tls.certificates.chain: "empty.pem" holds no certificate; write one in PEM, the server's own first, then those that vouch for it
    portcullis.toml:9 listeners.public.tls.certificates.chain: "b.test.key" holds no certificate; write one in PEM, the server's own first, then those that vouch for it
    portcullis.toml:10 listeners.public.tls.certificates.key: the key is encrypted; write the key without a passphrase (openssl pkey -in KEY -out PLAIN) and guard the file
    portcullis.toml:11 listeners.public.tls.certificates.key: the key holds no private key in PEM; write PKCS#8, PKCS#1 or SEC1
    portcullis.toml:12 listeners.public.tls.certificates.key: the key does not belong to the first certificate of the chain; name its key, or put the server's certificate first
    portcullis.toml:13 listeners.public.tls.certificates.key: the key is no key for RSA (2048 to 8192 bits), ECDSA (P-256, P-384) or Ed25519; make one of these
    portcullis.toml:14 listeners.public.tls.certificates.key: a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, and change it if it was real
    portcullis.toml:15 listeners.public.tls.certificates.keys: unknown key; did you mean "key"?
    portcullis.toml:16 listeners.public.tls.certificates.cert: unknown key; in [listeners.NAME.tls] write certificates = [{ chain = "cert.pem", key = { file = "key.pem" } }]
    portcullis.toml:18 listeners.public.tls.min_version: unknown version "1.1"; did you mean "1.2"?
    portcullis.toml:19 listeners.public.tls.unknown_name: unknown choice "close"; write "refuse" or "first"
    portcullis.toml:20 listeners.public.tls.http2: this is a text; write true or false, without quotes
    portcullis.toml:21 listeners.public.tls.hsts: browsers preload only what insists for a year, on all names below too; write max_age = "365d" or more and subdomains = true
    portcullis.toml:22 listeners.public.tls.handshake_timeout: zero is too short; write a longer time
    portcullis.toml:23 listeners.public.tls.cipher: unknown key; the keys here are certificates, unknown_name, min_version, http2, handshake_timeout, check_interval, hsts
    "#);
}

#[test]
fn a_listener_speaks_in_one_way() {
    let folder = folder();
    let both = ONE.replace("}]", "}, { chain = \"a.test.pem\", key = { file = \"a.test.key\" } }]");
    let shown = [
        ("h2c inside TLS", format!("h2c = true\n[listeners.public.tls]\n{ONE}")),
        ("h2c to be sent away", "h2c = true\nredirect_to = \"https\"".to_owned()),
        ("TLS and the way to it", format!("redirect_to = \"https\"\n[listeners.public.tls]\n{ONE}")),
        ("the way to nowhere", "https_port = 8443".to_owned()),
        ("the way elsewhere", "redirect_to = \"http\"".to_owned()),
        ("no certificate", "[listeners.public.tls]\ncertificates = []".to_owned()),
        ("not a word of certificates", "[listeners.public.tls]".to_owned()),
        ("one host twice", format!("[listeners.public.tls]\n{both}")),
    ]
    .map(|(name, keys)| format!("{name}: {}", parse(&with(&keys), folder.path()).unwrap_err()))
    .join("\n");
    assert_snapshot!(shown, @r#"
    h2c inside TLS: portcullis.toml:2 listeners.public: h2c is HTTP/2 without TLS; leave it out, TLS offers HTTP/2 by itself
    h2c to be sent away: portcullis.toml:2 listeners.public: who is sent elsewhere needs no HTTP/2; leave h2c out
    TLS and the way to it: portcullis.toml:2 listeners.public: a listener speaks TLS or sends clients there; write two listeners
    the way to nowhere: portcullis.toml:2 listeners.public: https_port is where redirect_to = "https" sends; leave it out
    the way elsewhere: portcullis.toml:4 listeners.public.redirect_to: unknown choice "http"; did you mean "https"?
    no certificate: portcullis.toml:5 listeners.public.tls.certificates: there is no certificate; write certificates = [{ chain = "cert.pem", key = { file = "key.pem" } }]
    not a word of certificates: portcullis.toml:4 listeners.public.tls.certificates: is missing; write certificates = [{ chain = "cert.pem", key = { file = "key.pem" } }]
    one host twice: portcullis.toml:5 listeners.public.tls.certificates: two certificates are for "a.test"; leave one out, or have one issued without that name
    "#);
}

#[test]
fn cookies_are_secure_where_there_is_tls() {
    let folder = folder();
    let text = format!("{}\n[cookies]\n", with(&format!("[listeners.public.tls]\n{ONE}")));
    let cookies = parse(&text, folder.path()).unwrap().cookies.unwrap();
    assert!(cookies.secure);
    assert_eq!(cookies.access.to_string(), "__Host-portcullis-access");
}

#[test]
fn what_can_be_used_but_should_be_looked_at_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let key = folder.path().join("a.test.key");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    let config = parse(&with(&format!("[listeners.public.tls]\n{ONE}")), folder.path()).unwrap();
    let at = |year: i64| config.warnings(portcullis::clock::Timestamp::from_secs((year - 1970) * 31_556_952));
    mode(0o640);
    assert_eq!(at(2026), [""; 0]);
    assert_eq!(at(1974), ["the certificate \"a.test.pem\" is not valid before 1975-01-01T00:00:00.000Z; renew it"]);
    assert_eq!(at(4097), ["the certificate \"a.test.pem\" expired at 4096-01-01T00:00:00.000Z; renew it"]);
    mode(0o644);
    assert_eq!(
        at(2026),
        ["the key of the certificate \"a.test.pem\" can be read by everybody on this machine; chmod o-rwx it"]
    );
}
