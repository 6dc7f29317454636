//! Keys that all contenders share, in every form that one of them reads, and tokens of our own making. They are made anew
//! for each run and guard nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::auth::claims::{Audience, Claims, Others, Text};
use portcullis::auth::keys::SigningKey;
use portcullis::clock::Clock;
use portcullis::config;
use portcullis::ids::{Jti, Partition, PartitionCount, SessionId, Subject, random_bytes};
use portcullis::secret::Secret;
use serde_json::json;

use crate::Wrong;
use crate::cells::Algorithm;

/// The keys, and a folder with their files.
pub(crate) struct Keys {
    folder: PathBuf,
    hs256: SigningKey,
    es256: SigningKey,
    secret: String,
    now: i64,
}

/// What expired so long ago is expired to everybody.
const LONG_AGO: i64 = 24 * 60 * 60;
/// How long tokens live: longer than a run.
const LIFE: i64 = 60 * 60;

impl Keys {
    /// Makes them and writes them to `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self, Wrong> {
        let wrong = |why: &dyn std::fmt::Display| format!("the keys: {why}");
        let secret = random_bytes::<32>().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let pem = SigningKey::generate(config::Algorithm::Es256);
        let read =
            |algorithm, material: &Secret| SigningKey::read(algorithm, material, None).map_err(|why| wrong(&why));
        let es256 = read(config::Algorithm::Es256, &pem)?;
        let hs256 = read(config::Algorithm::Hs256, &Secret::new(secret.clone()))?;
        let text = pem.expose_str().ok_or_else(|| wrong(&"no PEM"))?;
        let public = rcgen::KeyPair::from_pem(text).map_err(|why| wrong(&why))?;
        let octets = json!({ "keys": [{
            "kty": "oct", "use": "sig", "alg": "HS256", "kid": hs256.public().kid().as_str(),
            "k": URL_SAFE_NO_PAD.encode(&secret),
        }] });
        let write = |name: &str, content: String| std::fs::write(folder.join(name), content).map_err(|why| wrong(&why));
        write("es256.pem", text.to_owned())?;
        write("es256.pub", public.public_key_pem())?;
        write("es256.json", json!({ "keys": [es256.public().public_jwk()] }).to_string())?;
        write("hs256.secret", secret.clone())?;
        write("hs256.json", octets.to_string())?;
        let now = Clock::system().now().as_secs();
        Ok(Self { folder: folder.to_owned(), hs256, es256, secret, now })
    }

    /// A file of one of the keys.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The secret itself.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The user whose tokens have this number.
    pub(crate) fn user(number: usize) -> String {
        format!("user-{number:05}")
    }

    /// A good token.
    pub(crate) fn token(&self, algorithm: Algorithm, number: usize) -> Result<String, Wrong> {
        self.sign(algorithm, &self.claims(number)?)
    }

    /// One that expired.
    pub(crate) fn expired(&self, algorithm: Algorithm) -> Result<String, Wrong> {
        self.sign(algorithm, &self.long_ago(self.claims(0)?))
    }

    /// The same token as if it had expired.
    pub(crate) fn expire(&self, token: &str) -> Result<String, Wrong> {
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
        let claims = serde_json::from_slice(&claims).map_err(|why| format!("a token: {why}"))?;
        self.sign(Algorithm::Es256, &self.long_ago(claims))
    }

    fn long_ago<'a>(&self, claims: Claims<'a>) -> Claims<'a> {
        Claims { iat: self.now - LONG_AGO - LIFE, exp: self.now - LONG_AGO, ..claims }
    }

    fn sign(&self, algorithm: Algorithm, claims: &Claims<'_>) -> Result<String, Wrong> {
        let key = match algorithm {
            Algorithm::Hs256 => &self.hs256,
            Algorithm::Es256 => &self.es256,
        };
        key.token(claims).map_err(|why| format!("a token: {why}"))
    }

    fn claims(&self, number: usize) -> Result<Claims<'static>, Wrong> {
        let subject = Subject::parse(&Self::user(number)).map_err(|why| why.to_string())?;
        let sid = SessionId::random(Partition::of(&subject, PartitionCount::ONE));
        Ok(Claims {
            iss: "http://gateway.test".into(),
            aud: Audience::One("bench".into()),
            sub: subject.as_str().to_owned().into(),
            sid: sid.to_string().into(),
            jti: Jti::random().to_string().into(),
            iat: self.now - 1,
            exp: self.now - 1 + LIFE,
            auth_time: Some(self.now - 1),
            nbf: None,
            epoch: 0,
            roles: vec![Text("reader".into())],
            scope: "posts:read posts:write".into(),
            others: Others,
        })
    }
}

/// The token with another signature, which is well-formed and does not hold.
pub(crate) fn tampered(token: &str) -> String {
    let at = token.len() - 20;
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    let mut token = token.to_owned();
    token.replace_range(at..=at, other);
    token
}
