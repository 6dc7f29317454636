//! Access tokens that were tampered with, and those that our own key signed but nobody should take: each is sent to
//! a whole gateway, must be refused for exactly what is wrong with it, and never reaches an upstream.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::auth::keys::SigningKey;
use portcullis_tests::{Attack, Client, Forge, Kind, Stack, raw};
use serde_json::{Value, json};

/// What is tried, where it is known from, the token, and what must be found wrong with it.
type Row = (&'static str, &'static str, String, &'static str);

/// The order of the group of P-256 (SEC 2 §2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// What comes before the point of a key for P-256, and before the bytes of one for Ed25519 (RFC 5480, RFC 8410).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const SPKI_ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A whole gateway, and what an attacker has: a token of their own, and for the sake of the tests our key.
struct Scene {
    stack: Stack,
    alice: Client,
    /// The header and the claims of a token that would be taken.
    header: Value,
    claims: Value,
}

impl Scene {
    async fn new() -> Self {
        Self::of(Stack::start(Kind::Embedded).await).await
    }

    async fn of(stack: Stack) -> Self {
        let alice = stack.login("alice").await;
        let (header, claims) = (stack.forge.header(), Forge::claims_of(&alice.access_token()));
        let scene = Self { stack, alice, header, claims };
        assert_eq!(scene.status(&scene.signed(&scene.header, &scene.claims)).await, 200, "the forge itself works");
        scene
    }

    fn signed(&self, header: &Value, claims: &Value) -> String {
        self.stack.forge.sign(header, claims)
    }

    /// A token whose header differs in this, signed for real.
    fn header_with(&self, name: &str, value: Value) -> String {
        self.signed(&with(&self.header, name, value), &self.claims)
    }

    /// A token whose claims differ in this, signed for real.
    fn claims_with(&self, name: &str, value: Value) -> String {
        self.signed(&self.header, &with(&self.claims, name, value))
    }

    /// A token whose claims are this text, signed for real.
    fn claims_text(&self, claims: impl AsRef<[u8]>) -> String {
        self.stack.forge.sign_text(self.header.to_string(), claims)
    }

    fn header_text(&self, header: impl AsRef<[u8]>) -> String {
        self.stack.forge.sign_text(header, self.claims.to_string())
    }

    /// A token that is not signed yet.
    fn unsigned(&self, header: &Value) -> String {
        format!("{}.{}", encoded(header.to_string()), encoded(self.claims.to_string()))
    }

    async fn status(&self, token: &str) -> u16 {
        self.alice.with_access(token).get("/auth/me").await.status
    }

    /// Sends all of them: each must be refused, for what its row says and for nothing else.
    async fn assert_refused(&self, rows: Vec<Row>) {
        let mut flaws = String::new();
        for (name, source, token, outcome) in &rows {
            let counter = format!(r#"portcullis_tokens_verified_total{{outcome="{outcome}"}}"#);
            let before = self.stack.metric(&counter).await;
            let reason = if *outcome == "expired" { "401 token_expired" } else { "401 token_invalid" };
            let attack =
                Attack::new(name, source, request("/echo/x", &format!("Authorization: Bearer {token}")), reason);
            if let Some(flaw) = attack.flaw(&self.stack).await {
                let _ = writeln!(flaws, "{flaw}\n");
            } else if self.stack.metric(&counter).await < before + 0.5 {
                let _ = writeln!(flaws, "{name} ({source}): refused, but not as {outcome}\n");
            }
        }
        assert!(flaws.is_empty(), "of {} tokens:\n{flaws}", rows.len());
    }
}

fn request(path: &str, line: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{line}\r\n\r\n")
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name);
    object
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The object with one more member before all others.
fn led_by(first: &str, object: &Value) -> String {
    object.to_string().replacen('{', &format!("{{{first},"), 1)
}

/// The object with one more member behind all others.
fn followed_by(last: &str, object: &Value) -> String {
    let text = object.to_string();
    format!("{},{last}}}", text.strip_suffix('}').unwrap())
}

fn hmac(message: &str, secret: &[u8]) -> String {
    jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256).unwrap()
}

/// `n − s`.
fn negated(s: &[u8]) -> Vec<u8> {
    let (mut difference, mut borrow) = (ORDER.to_vec(), 0);
    for (byte, take) in difference.iter_mut().zip(s).rev() {
        let left = i16::from(*byte) - i16::from(*take) - borrow;
        borrow = i16::from(left < 0);
        *byte = u8::try_from(left.rem_euclid(256)).unwrap();
    }
    difference
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_decides_the_algorithm() {
    let scene = Scene::new().await;
    let keys = scene.stack.anonymous().get("/.well-known/jwks.json").await.json();
    let jwk = &keys["keys"][0];
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [&[4], &*coordinate("x"), &*coordinate("y")].concat();
    let der = [&SPKI_P256, &*point].concat();
    let body = STANDARD.encode(&der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let mut rows = Vec::new();
    for (name, secret) in [
        ("HMAC with the public key in PEM", pem.clone().into_bytes()),
        ("HMAC with the public key in PEM and a line end", format!("{pem}\n").into_bytes()),
        ("HMAC with the public key in DER", der),
        ("HMAC with the public point", point),
        ("HMAC with the JWK", jwk.to_string().into_bytes()),
        ("HMAC with x of the JWK", jwk["x"].as_str().unwrap().as_bytes().to_vec()),
        ("HMAC with the name of the key", jwk["kid"].as_str().unwrap().as_bytes().to_vec()),
        ("HMAC with nothing", Vec::new()),
    ] {
        for (header, outcome) in
            [(with(&scene.header, "alg", json!("HS256")), "wrong_algorithm"), (scene.header.clone(), "bad_signature")]
        {
            let message = scene.unsigned(&header);
            rows.push((
                name,
                "CVE-2015-9235, RFC 8725 §3.1",
                format!("{message}.{}", hmac(&message, &secret)),
                outcome,
            ));
        }
    }
    for alg in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let message = scene.unsigned(&with(&scene.header, "alg", json!(alg)));
        rows.push(("no algorithm", "CVE-2015-9235, RFC 8725 §3.2", format!("{message}."), "wrong_algorithm"));
        rows.push(("no algorithm, signed", "RFC 8725 §3.2", scene.header_with("alg", json!(alg)), "wrong_algorithm"));
    }
    for alg in ["es256", "ES256 ", "ES384", "ES256K", "PS256", "RS256", "EdDSA", "HS256", "HS512", "RSA-OAEP", "dir"] {
        rows.push(("another algorithm", "RFC 7515 §4.1.1", scene.header_with("alg", json!(alg)), "wrong_algorithm"));
    }
    for alg in [Value::Null, json!(["ES256"]), json!(256), json!({ "ES256": true })] {
        rows.push(("an algorithm that is no text", "RFC 7515 §4.1.1", scene.header_with("alg", alg), "malformed"));
    }
    rows.push((
        "no algorithm named",
        "RFC 7515 §4.1.1",
        scene.signed(&without(&scene.header, "alg"), &scene.claims),
        "malformed",
    ));
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_brings_no_key_and_names_one_of_ours() {
    let scene = Scene::new().await;
    let own = json!({ "kty": "EC", "crv": "P-256", "x": "x", "y": "y" });
    let mut rows = Vec::new();
    for (name, source, parameter, value) in [
        ("a key of its own", "CVE-2018-0114, RFC 8725 §3.10", "jwk", own.clone()),
        ("a key elsewhere", "RFC 8725 §3.10", "jku", json!("https://evil.test/jwks.json")),
        ("a key on this machine", "RFC 8725 §3.10", "jku", json!("file:///etc/passwd")),
        ("a certificate elsewhere", "RFC 7515 §4.1.5", "x5u", json!("https://evil.test/cert.pem")),
        ("a certificate of its own", "RFC 7515 §4.1.6", "x5c", json!(["MIIB"])),
        ("a thumbprint", "RFC 7515 §4.1.7", "x5t", json!("x")),
        ("a critical extension", "RFC 7515 §4.1.11", "crit", json!(["exp"])),
        ("no critical extension", "RFC 7515 §4.1.11", "crit", json!([])),
        ("an unencoded payload", "RFC 7797 §3", "b64", json!(false)),
        ("a compressed payload", "RFC 7516 §4.1.3", "zip", json!("DEF")),
        ("a nested token", "RFC 7519 §5.2", "cty", json!("JWT")),
        ("an ephemeral key", "RFC 7518 §4.6.1.1", "epk", own),
        ("a costly key", "RFC 7518 §4.8.1.2", "p2c", json!(i64::MAX)),
        ("a name of ours in other case", "RFC 7515 §4", "KID", json!("x")),
    ] {
        rows.push((name, source, scene.header_with(parameter, value), "malformed"));
    }
    let kid = scene.header["kid"].as_str().unwrap();
    let other_case = if kid.to_lowercase() == kid { kid.to_uppercase() } else { kid.to_lowercase() };
    for name in [
        "other",
        "",
        "../../../../../../dev/null",
        "/etc/passwd",
        "' UNION SELECT 'x' --",
        "|id",
        "$(id)",
        "*",
        "0",
        &other_case,
        &format!("{kid} "),
        &format!("{kid}\0"),
        &format!("../{kid}"),
        &kid[1..],
    ] {
        let header = with(&scene.header, "kid", json!(name));
        let message = scene.unsigned(&header);
        rows.push(("another key", "RFC 8725 §3.10", scene.signed(&header, &scene.claims), "unknown_key"));
        rows.push((
            "a key that is nothing",
            "RFC 8725 §3.10",
            format!("{message}.{}", hmac(&message, b"")),
            "unknown_key",
        ));
    }
    for value in [Value::Null, json!(0), json!([kid]), json!({ "kid": kid })] {
        rows.push(("a key that is no text", "RFC 7515 §4.1.4", scene.header_with("kid", value), "malformed"));
    }
    rows.push(("no key", "RFC 7515 §4.1.4", scene.signed(&without(&scene.header, "kid"), &scene.claims), "malformed"));
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_header_is_one_object_with_each_member_once() {
    let scene = Scene::new().await;
    let header = &scene.header;
    let values: Value = ["typ", "alg", "kid"].iter().map(|name| header[name].clone()).collect();
    let deep = format!(r#""x":{}{}"#, "[".repeat(2000), "]".repeat(2000));
    let mut rows = vec![
        ("a list", "RFC 7515 §4", scene.header_text(values.to_string()), "malformed"),
        ("a text", "RFC 7515 §4", scene.header_text(r#""x""#), "malformed"),
        ("no JSON", "RFC 7515 §4", scene.header_text("alg=ES256"), "malformed"),
        ("two objects", "RFC 8259 §2", scene.header_text(format!("{header}{header}")), "malformed"),
        ("a byte order mark", "RFC 8259 §8.1", scene.header_text(format!("\u{feff}{header}")), "malformed"),
        ("no UTF-8", "RFC 7515 §4", scene.header_text([header.to_string().as_bytes(), b"\xff"].concat()), "malformed"),
        ("a bomb of depth", "CVE-2025-52999", scene.header_text(led_by(&deep, header)), "malformed"),
    ];
    for (name, value) in [("alg", "none"), ("typ", "JWT"), ("kid", "other"), ("alg", "ES256")] {
        for member in
            [format!(r#""{name}":"{value}""#), format!(r#""\u00{:02x}{}":"{value}""#, name.as_bytes()[0], &name[1..])]
        {
            rows.push((
                "a member twice, the first wins",
                "RFC 7515 §4",
                scene.header_text(followed_by(&member, header)),
                "malformed",
            ));
            rows.push((
                "a member twice, the last wins",
                "RFC 7515 §4",
                scene.header_text(led_by(&member, header)),
                "malformed",
            ));
        }
    }
    for typ in [
        "JWT",
        "jwt",
        "id+jwt",
        "rt+jwt",
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "at+jwt ",
        " at+jwt",
        "at+jwt2",
        "at",
        "",
        "application/jwt",
        "application/application/at+jwt",
        "text/at+jwt",
        "at+jwt;x=y",
        "аt+jwt",
    ] {
        rows.push((
            "a token of another kind",
            "RFC 9068 §4, RFC 8725 §3.11",
            scene.header_with("typ", json!(typ)),
            "wrong_type",
        ));
    }
    for typ in [Value::Null, json!(["at+jwt"]), json!(1)] {
        rows.push(("a type that is no text", "RFC 9068 §4", scene.header_with("typ", typ), "malformed"));
    }
    rows.push(("no type", "RFC 9068 §4", scene.signed(&without(header, "typ"), &scene.claims), "malformed"));
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_signature_is_the_keys_own_in_its_one_spelling() {
    let scene = Scene::new().await;
    let good = scene.alice.access_token();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = bytes.split_at(32);
    let der = [&[0x30, 68, 2, 32], r, &[2, 32], s].concat();
    let elsewhere = Stack::start(Kind::Embedded).await;
    let stranger = elsewhere.forge.sign(&scene.header, &scene.claims);
    let of_another = scene.claims_with("sub", json!("mallory"));
    let bob = scene.stack.login("bob").await.access_token();
    let with_symbols = loop {
        let token = scene.signed(&scene.header, &scene.claims);
        if token.rsplit_once('.').is_some_and(|(_, signature)| signature.contains(['-', '_'])) {
            break token;
        }
    };
    let (symbols_message, symbols) = with_symbols.rsplit_once('.').unwrap();
    let at = |bytes: &[u8]| format!("{message}.{}", encoded(bytes));
    let zero = [0; 32];
    let mut one = [0; 32];
    one[31] = 1;
    let last_spare = {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = ALPHABET.iter().position(|byte| signature.ends_with(char::from(*byte))).unwrap();
        format!("{message}.{}{}", &signature[..85], char::from(ALPHABET[place + 1]))
    };
    let rows = vec![
        ("none", "CVE-2020-28042", format!("{message}."), "bad_signature"),
        ("zeros", "CVE-2022-21449", at(&[0; 64]), "bad_signature"),
        ("r zero", "CVE-2022-21449", at(&[&zero, s].concat()), "bad_signature"),
        ("s zero", "CVE-2022-21449", at(&[r, &zero].concat()), "bad_signature"),
        ("one and one", "FIPS 186-5 §6.4.2", at(&[one, one].concat()), "bad_signature"),
        ("r and s the order", "FIPS 186-5 §6.4.2", at(&[ORDER, ORDER].concat()), "bad_signature"),
        ("all ones", "FIPS 186-5 §6.4.2", at(&[0xff; 64]), "bad_signature"),
        ("r and s exchanged", "RFC 7518 §3.4", at(&[s, r].concat()), "bad_signature"),
        ("in DER", "RFC 7518 §3.4", at(&der), "bad_signature"),
        ("truncated", "RFC 7518 §3.4", at(&bytes[..63]), "bad_signature"),
        ("half", "RFC 7518 §3.4", at(r), "bad_signature"),
        ("extended", "RFC 7518 §3.4", at(&[&*bytes, &[0]].concat()), "bad_signature"),
        ("led by zeros", "RFC 7518 §3.4", at(&[&zero, &*bytes].concat()), "bad_signature"),
        ("as for P-384", "RFC 7518 §3.4", at(&[1; 96]), "bad_signature"),
        (
            "of other claims",
            "RFC 7515 §5.2",
            format!("{}.{signature}", of_another.rsplit_once('.').unwrap().0),
            "bad_signature",
        ),
        (
            "of another's token",
            "RFC 7515 §5.2",
            format!("{message}.{}", bob.rsplit_once('.').unwrap().1),
            "bad_signature",
        ),
        ("of another gateway's key", "RFC 7515 §5.2", stranger, "bad_signature"),
        ("padded", "RFC 7515 §2", format!("{good}=="), "bad_signature"),
        ("with spare bits set", "RFC 4648 §3.5", last_spare, "bad_signature"),
        (
            "with a blank in it",
            "RFC 4648 §3.3",
            format!("{message}.{} {}", &signature[..40], &signature[40..]),
            "bad_signature",
        ),
        (
            "in the standard alphabet",
            "RFC 4648 §5",
            format!("{symbols_message}.{}", symbols.replace('-', "+").replace('_', "/")),
            "bad_signature",
        ),
    ];
    scene.assert_refused(rows).await;

    let other_half = at(&[r, &negated(s)].concat());
    assert_ne!(other_half, good);
    assert_eq!(scene.status(&other_half).await, 200, "the other half of ECDSA: the same token, by all that counts");
    assert_eq!(scene.alice.logout("this").await.status, 204);
    assert_eq!(scene.status(&other_half).await, 401, "so it ends with the session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_three_parts_in_their_one_spelling() {
    let scene = Scene::new().await;
    let good = scene.alice.access_token();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let forge = &scene.stack.forge;
    let standard = STANDARD_NO_PAD.encode(followed_by(r#""x":"??????""#, &scene.claims));
    assert!(standard.contains('/'), "it has its own letters");
    let padded_header = URL_SAFE_NO_PAD.encode(scene.header.to_string()) + "=";
    let rows = vec![
        ("nothing but dots", "RFC 7515 §3.1", "..".to_owned(), "malformed"),
        ("one part", "RFC 7515 §3.1", header.to_owned(), "malformed"),
        ("two parts", "RFC 7515 §3.1", format!("{header}.{claims}"), "malformed"),
        ("four parts", "RFC 7515 §3.1", format!("{good}.{signature}"), "malformed"),
        ("five parts, as if encrypted", "RFC 7516 §3.1", format!("{header}.{claims}.{signature}.x.y"), "malformed"),
        ("an empty part at the end", "RFC 7515 §3.1", format!("{good}."), "malformed"),
        ("an empty part before", "RFC 7515 §3.1", format!(".{good}"), "malformed"),
        ("no header", "RFC 7515 §3.1", format!(".{claims}.{signature}"), "malformed"),
        ("no header, signed", "RFC 7515 §3.1", forge.sign_message(&format!(".{claims}")), "malformed"),
        ("claims elsewhere", "RFC 7515 appendix F", forge.sign_message(&format!("{header}.")), "malformed"),
        (
            "the other serialization",
            "RFC 7515 §7.2",
            format!(r#"{{"payload":"{claims}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#),
            "malformed",
        ),
        ("a header with padding", "RFC 7515 §2", forge.sign_message(&format!("{padded_header}.{claims}")), "malformed"),
        ("claims with padding", "RFC 7515 §2", forge.sign_message(&format!("{header}.{claims}=")), "malformed"),
        (
            "claims in the standard alphabet",
            "RFC 4648 §5",
            forge.sign_message(&format!("{header}.{standard}")),
            "malformed",
        ),
        ("claims with a blank", "RFC 4648 §3.3", forge.sign_message(&format!("{header}. {claims}")), "malformed"),
        (
            "claims that are not encoded",
            "RFC 7797 §3",
            forge.sign_message(&format!("{header}.{}", scene.claims)),
            "malformed",
        ),
        ("another scheme inside", "RFC 6750 §2.1", format!("Bearer {good}"), "malformed"),
        ("two tokens", "RFC 6750 §2.1", format!("{good}, {good}"), "malformed"),
        ("more than are looked at", "RFC 8725 §3.11", "x".repeat(8193), "too_long"),
        ("claims that make it too long", "RFC 8725 §3.11", scene.claims_with("x", json!("x".repeat(8192))), "too_long"),
    ];
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_are_whole_numbers_that_hold_now() {
    let scene = Scene::new().await;
    let now = scene.claims["iat"].as_i64().unwrap();
    let mut rows = Vec::new();
    for name in ["exp", "iat", "nbf", "auth_time"] {
        let source = "CVE-2026-25537, RFC 7519 §2";
        for value in [
            "null",
            "true",
            "\"9999999999\"",
            "\"\"",
            "[9999999999]",
            "{}",
            "9999999999.0",
            "9999999999.5",
            "1e10",
            "1E3",
            "-0",
            "9223372036854775808",
            "18446744073709551616",
            "1e999",
            "-9223372036854775809",
            "NaN",
            "0x10",
            "01",
        ] {
            let claims = followed_by(&format!(r#""{name}":{value}"#), &without(&scene.claims, name));
            rows.push((name, source, scene.claims_text(claims), "malformed"));
        }
    }
    for name in ["exp", "iat"] {
        rows.push((name, "RFC 9068 §2.2", scene.signed(&scene.header, &without(&scene.claims, name)), "malformed"));
    }
    for expiry in [0, -1, i64::MIN, now - 6] {
        rows.push(("an end in the past", "RFC 7519 §4.1.4", scene.claims_with("exp", json!(expiry)), "expired"));
    }
    let ancient = with(&scene.claims, "iat", json!(now - 3600));
    for expiry in [now + 600, i64::MAX] {
        rows.push((
            "an end beyond access_ttl",
            "RFC 9068 §2.2",
            scene.signed(&scene.header, &with(&ancient, "exp", json!(expiry))),
            "expired",
        ));
    }
    for name in ["iat", "nbf", "auth_time"] {
        for begin in [now + 60, now + 86_400, i64::MAX] {
            rows.push((
                "a beginning in the future",
                "RFC 7519 §4.1.5",
                scene.claims_with(name, json!(begin)),
                "not_yet",
            ));
        }
    }
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_by_us_and_for_us() {
    let scene = Scene::new().await;
    let mut rows = Vec::new();
    for iss in [
        "http://evil.test",
        "http://gateway.test/",
        "http://gateway.test.evil.test",
        "http://gateway.tes",
        "http://evil.test/http://gateway.test",
        "HTTP://GATEWAY.TEST",
        "https://gateway.test",
        "http://gateway.test\0",
        " http://gateway.test",
        "http://gatewаy.test",
        "",
    ] {
        rows.push((
            "another issuer",
            "CVE-2024-53861, RFC 8725 §3.8",
            scene.claims_with("iss", json!(iss)),
            "wrong_issuer",
        ));
    }
    for aud in [
        json!("other"),
        json!("Test"),
        json!("test "),
        json!("test,other"),
        json!("test other"),
        json!("tes"),
        json!("testing"),
        json!(""),
        json!([]),
        json!(["other"]),
        json!(["other", "Test"]),
    ] {
        rows.push(("another audience", "RFC 8725 §3.9", scene.claims_with("aud", aud), "wrong_audience"));
    }
    for aud in [Value::Null, json!({ "test": true }), json!([["test"]]), json!(["test", 1]), json!(true)] {
        rows.push(("an audience that is none", "RFC 7519 §4.1.3", scene.claims_with("aud", aud), "malformed"));
    }
    for iss in [Value::Null, json!(["http://gateway.test"]), json!(1)] {
        rows.push((
            "an issuer that is no text",
            "CVE-2025-30144, RFC 7519 §4.1.1",
            scene.claims_with("iss", iss),
            "malformed",
        ));
    }
    for name in ["iss", "aud", "sub", "sid", "jti", "epoch"] {
        rows.push((
            "a claim that is missing",
            "RFC 9068 §2.2",
            scene.signed(&scene.header, &without(&scene.claims, name)),
            "malformed",
        ));
    }
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn names_in_a_token_are_safe_bytes_of_a_header() {
    let scene = Scene::new().await;
    let mut rows = Vec::new();
    for sub in [
        "",
        " ",
        "a b",
        "a\nX-User-Id: b",
        "a\r\nX-User-Roles: admin",
        "a\rb",
        "a\0",
        "a\tb",
        "a\u{7f}",
        "alice\u{200b}",
        "аlice",
        "ａlice",
        "\u{202e}ecila",
        "alice\u{301}",
        "é",
        &"x".repeat(256),
    ] {
        rows.push(("a subject unfit for a header", "RFC 9110 §5.5", scene.claims_with("sub", json!(sub)), "malformed"));
    }
    for sub in [Value::Null, json!(7), json!(["alice"]), json!({ "sub": "alice" }), json!(true)] {
        rows.push(("a subject that is no text", "RFC 7519 §4.1.2", scene.claims_with("sub", sub), "malformed"));
    }
    for role in [
        "",
        "user,admin",
        "user, admin",
        "a b",
        "a\nb",
        "a\r\nX-User-Id: b",
        "a\"b",
        "a\\b",
        "a\0",
        "ädmin",
        &"x".repeat(65),
    ] {
        rows.push((
            "a role that poses as two or ends a line",
            "RFC 9110 §5.6.1",
            scene.claims_with("roles", json!([role])),
            "malformed",
        ));
    }
    for roles in [Value::Null, json!("admin"), json!([["admin"]]), json!([1]), json!({ "admin": true })] {
        rows.push((
            "roles that are no list of texts",
            "RFC 9068 §2.2.3.1",
            scene.claims_with("roles", roles),
            "malformed",
        ));
    }
    for scope in [
        json!("a\tb"),
        json!("a\nb"),
        json!("a  b"),
        json!(" a"),
        json!("a "),
        json!("a,b"),
        json!("a\"b"),
        json!(["a"]),
        json!(1),
        Value::Null,
    ] {
        rows.push(("scopes that part in two ways", "RFC 6749 §3.3", scene.claims_with("scope", scope), "malformed"));
    }
    let sid = scene.claims["sid"].as_str().unwrap();
    for name in ["sid", "jti"] {
        for value in [
            json!(""),
            json!(format!("{sid}=")),
            json!(format!("{sid}A")),
            json!(sid[1..]),
            json!(format!("{}_", &sid[..21])),
            json!("' OR 1=1 --"),
            json!("00000000-0000-0000-0000-000000000000"),
            json!(0),
            Value::Null,
            json!([sid]),
        ] {
            rows.push(("an id of another shape", "RFC 7519 §4.1.7", scene.claims_with(name, value), "malformed"));
        }
    }
    for epoch in ["-1", "1.0", "1e3", "\"1\"", "null", "18446744073709551616", "[]"] {
        let claims = followed_by(&format!(r#""epoch":{epoch}"#), &without(&scene.claims, "epoch"));
        rows.push(("an epoch that is no count", "RFC 8259 §6", scene.claims_text(claims), "malformed"));
    }
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_one_object_with_each_claim_once() {
    let scene = Scene::new().await;
    let claims = &scene.claims;
    let mut rows = Vec::new();
    for (name, _) in claims.as_object().unwrap() {
        let same = format!(r#""{name}":{}"#, claims[name]);
        let disguised = format!(r#""\u00{:02x}{}":{}"#, name.as_bytes()[0], &name[1..], claims[name]);
        rows.push(("a claim twice", "RFC 7519 §4", scene.claims_text(led_by(&same, claims)), "malformed"));
        rows.push((
            "a claim twice, once in disguise",
            "RFC 7519 §4",
            scene.claims_text(followed_by(&disguised, claims)),
            "malformed",
        ));
    }
    let deep = |open: &str, close: &str| format!(r#""x":{}1{}"#, open.repeat(800), close.repeat(800));
    for (name, source, text) in [
        ("another subject first", "RFC 7519 §4", led_by(r#""sub":"mallory""#, claims)),
        ("another subject last", "RFC 7519 §4", followed_by(r#""sub":"mallory""#, claims)),
        ("an unknown claim twice", "RFC 7519 §4", led_by(r#""x":1,"x":2"#, claims)),
        (
            "a list of the values",
            "RFC 7519 §4",
            claims.as_object().unwrap().values().cloned().collect::<Value>().to_string(),
        ),
        ("no object", "RFC 7519 §4", "null".to_owned()),
        ("an empty object", "RFC 7519 §4", "{}".to_owned()),
        ("two objects", "RFC 8259 §2", format!("{claims}{claims}")),
        ("something behind it", "RFC 8259 §2", format!("{claims};")),
        ("a comma too many", "RFC 8259 §4", followed_by("", claims)),
        ("a comment", "RFC 8259 §2", format!("/**/{claims}")),
        ("a byte order mark", "RFC 8259 §8.1", format!("\u{feff}{claims}")),
        ("a bomb of lists", "CVE-2025-52999", led_by(&deep("[", "]"), claims)),
        ("a bomb of objects", "CVE-2025-52999", led_by(&deep("{\"y\":", "}"), claims)),
        ("half a character", "RFC 8259 §8.2", led_by(r#""jti":"\ud800""#, &without(claims, "jti"))),
    ] {
        rows.push((name, source, scene.claims_text(text), "malformed"));
    }
    for bytes in [b"\xff".as_slice(), b"\xc0\xaf", b"\xed\xa0\x80"] {
        let text = led_by(r#""x":"@""#, claims);
        let (before, after) = text.split_once('@').unwrap();
        rows.push((
            "no UTF-8",
            "RFC 8259 §8.1",
            scene.claims_text([before.as_bytes(), bytes, after.as_bytes()].concat()),
            "malformed",
        ));
    }
    scene.assert_refused(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_key_is_for_one_algorithm_and_one_name() {
    let pem = SigningKey::generate(portcullis::config::Algorithm::EdDsa);
    let read = SigningKey::read(portcullis::config::Algorithm::EdDsa, &pem, None).unwrap();
    let jwk = serde_json::to_value(read.public().public_jwk().unwrap()).unwrap();
    let point = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let public = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode([&SPKI_ED25519, &*point].concat())
    );
    let accept = "[[tokens.accept]]\nalgorithm = \"EdDSA\"\nkey = { file = \"ed.pub\" }\nkid = \"ed\"\n";
    let mut scene = Scene::of(Stack::builder(Kind::Embedded).file("ed.pub", &public).extra(accept).start().await).await;
    let key = EncodingKey::from_ed_pem(pem.expose()).unwrap();
    let sign = |message: &str| jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    let header = |alg: &str, kid: &str| json!({ "typ": "at+jwt", "alg": alg, "kid": kid });
    let of_ed = |header: &Value| {
        let message = scene.unsigned(header);
        format!("{message}.{}", sign(&message))
    };
    let good = of_ed(&header("EdDSA", "ed"));
    assert_eq!(scene.status(&good).await, 200, "the key is accepted");
    let ours = scene.header["kid"].as_str().unwrap();
    // s + L, which a careless check takes for s (RFC 8032 §8.4).
    let beyond = {
        let (message, signature) = good.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let mut carry = 0_u16;
        for (byte, add) in bytes[32..].iter_mut().zip(ORDER_ED25519) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        format!("{message}.{}", encoded(bytes))
    };
    scene
        .assert_refused(vec![
            (
                "ES256 with a key for EdDSA",
                "RFC 8725 §3.1",
                scene.signed(&header("ES256", "ed"), &scene.claims),
                "wrong_algorithm",
            ),
            (
                "ES256 that poses as EdDSA",
                "RFC 8725 §3.1",
                scene.signed(&header("EdDSA", "ed"), &scene.claims),
                "bad_signature",
            ),
            ("EdDSA with a key for ES256", "RFC 8725 §3.1", of_ed(&header("EdDSA", ours)), "wrong_algorithm"),
            ("EdDSA that poses as ES256", "RFC 8725 §3.1", of_ed(&header("ES256", ours)), "bad_signature"),
            (
                "HMAC with the public key of EdDSA",
                "CVE-2015-9235",
                {
                    let message = scene.unsigned(&header("HS256", "ed"));
                    format!("{message}.{}", hmac(&message, &point))
                },
                "wrong_algorithm",
            ),
            ("the other half of EdDSA", "RFC 8032 §8.4", beyond, "bad_signature"),
        ])
        .await;

    let mistaken = accept.replace("\"ed\"", &format!("\"{ours}\""));
    let refused = scene.stack.reload(|toml| toml.replace(accept, &mistaken)).await.unwrap_err();
    assert!(refused.contains("another key has the same kid"), "{refused}");
    let confused = accept.replace("EdDSA", "HS256");
    let refused = scene.stack.reload(|toml| toml.replace(accept, &confused)).await.unwrap_err();
    assert!(refused.contains("this holds a key"), "{refused}");
    assert_eq!(scene.status(&good).await, 200, "and the last good configuration stays");
}

/// The order of the base point of Ed25519 (RFC 8032 §5.1), the lowest byte first.
const ORDER_ED25519: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[tokio::test(flavor = "multi_thread")]
async fn what_may_differ_is_taken() {
    let scene = Scene::new().await;
    let now = scene.claims["iat"].as_i64().unwrap();
    let backwards: Vec<String> =
        scene.claims.as_object().unwrap().iter().rev().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
    for (name, token) in [
        ("its type in full", scene.header_with("typ", json!("application/at+jwt"))),
        ("its type in capitals", scene.header_with("typ", json!("AT+JWT"))),
        ("one audience of several", scene.claims_with("aud", json!(["other", "test"]))),
        ("a clock that is ahead", scene.claims_with("iat", json!(now + 2))),
        ("claims that mean nothing to us", scene.claims_with("client_id", json!({ "a": [1, { "b": null }] }))),
        ("another order and blanks", scene.claims_text(format!("{{ {} }}\n", backwards.join(" ,\n")))),
        ("any visible subject", scene.claims_with("sub", json!("auth0|a+b/c=d@e.test,\"x\"\\;<>"))),
    ] {
        assert_eq!(scene.status(&token).await, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_looked_at_as_closely() {
    let scene = Scene::of(Stack::builder(Kind::Embedded).extra("[cookies]\ndeliver = \"both\"\n").start().await).await;
    let good = scene.alice.access_token();
    let cookie = |token: &str| request("/echo/x", &format!("Cookie: a=b; portcullis-access={token}"));
    assert!(raw(scene.stack.address(), cookie(&good).as_bytes()).await.starts_with("HTTP/1.1 200"), "it is read there");
    let unsigned = scene.unsigned(&with(&scene.header, "alg", json!("none")));
    for (name, token) in [
        ("no algorithm", format!("{unsigned}.")),
        ("a key of its own", scene.header_with("jwk", json!({}))),
        ("another key", scene.header_with("kid", json!("other"))),
        ("another audience", scene.claims_with("aud", json!("other"))),
        ("an identity token", scene.header_with("typ", json!("JWT"))),
        ("a claim twice", scene.claims_text(led_by(r#""sub":"mallory""#, &scene.claims))),
        ("no end", scene.claims_with("exp", Value::Null)),
        ("in quotes", format!("\"{good}\"")),
        ("a refresh token", scene.alice.refresh_token()),
        ("too long", "x".repeat(8193)),
    ] {
        let attack = Attack::new(name, "RFC 8725", cookie(&token), "401 token_invalid");
        let before = scene.stack.recorder.seen().len();
        assert_eq!(attack.flaw(&scene.stack).await, None);
        assert_eq!(scene.stack.recorder.seen().len(), before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_no_bearer_token_to_us_is_none_to_anybody() {
    let scene = Scene::new().await;
    let good = scene.alice.access_token();
    let mut rows = Vec::new();
    for (name, line) in [
        ("a tab for a blank", format!("Authorization: Bearer\t{good}")),
        ("a comma for a blank", format!("Authorization: Bearer,{good}")),
        ("no blank", format!("Authorization: Bearer:{good}")),
        ("no token", "Authorization: Bearer".to_owned()),
        ("bytes beyond ASCII", format!("Authorization: Bearer {good}é")),
        ("two headers", format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}")),
        ("two schemes", format!("Authorization: Basic YTpi\r\nAuthorization: Bearer {good}")),
    ] {
        for path in ["/echo/x", "/optional/x", "/token/x"] {
            rows.push(Attack::new(
                name,
                "RFC 6750 §2.1, RFC 9110 §11.4",
                request(path, &line),
                "400 malformed_request",
            ));
        }
    }
    portcullis_tests::assert_refused(&scene.stack, &rows).await;
}
