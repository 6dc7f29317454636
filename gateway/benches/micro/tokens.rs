//! Verifying an access token: known again, anew by each algorithm, with a header that another issuer wrote, and refused.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{Bencher, black_box};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use portcullis::auth::bad_tokens::BadTokens;
use portcullis::auth::claims::{Audience, Claims, Others, Text};
use portcullis::auth::credential;
use portcullis::auth::keys::SigningKey;
use portcullis::auth::verifier::Verifier;
use portcullis::config::{Algorithm, Tokens};
use portcullis::ids::{Jti, Partition, PartitionCount, SessionId, Subject};
use portcullis::limit::Quota;

use crate::{NOW, config};

const ALGORITHMS: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Es256];

/// A key, what verifies its tokens, and such tokens.
struct Scene {
    key: SigningKey,
    verifier: Verifier,
}

impl Scene {
    fn new(algorithm: Algorithm, cache: u64) -> Self {
        let key = SigningKey::read(algorithm, &SigningKey::generate(algorithm), None).unwrap();
        let tokens = Tokens { cache, ..config("").tokens };
        Self { verifier: Verifier::new(vec![key.public().clone()], &tokens), key }
    }

    /// A token like those of a login: two roles, three scopes.
    fn token(&self) -> String {
        let subject = Subject::parse("4f7c1d0e-2b1a-4d55-9e0c-0f5b7a9c3e11").unwrap();
        let sid = SessionId::random(Partition::of(&subject, PartitionCount::ONE));
        let claims = Claims {
            iss: "https://api.example.com".into(),
            aud: Audience::One("https://api.example.com".into()),
            sub: subject.as_str().into(),
            sid: sid.to_string().into(),
            jti: Jti::random().to_string().into(),
            iat: NOW.as_secs(),
            exp: NOW.as_secs() + 900,
            auth_time: Some(NOW.as_secs()),
            nbf: None,
            epoch: 1,
            roles: vec![Text("editor".into()), Text("user".into())],
            scope: "posts:read posts:write users:read".into(),
            others: Others,
        };
        self.key.token(&claims).unwrap()
    }

    /// The same with a header of other spelling, which has to be read.
    fn foreign_token(&self) -> String {
        let (alg, kid) = (self.key.public().algorithm().name(), self.key.public().kid());
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{kid}"}}"#));
        let token = self.token();
        let (_, rest) = token.split_once('.').unwrap();
        format!("{header}.{rest}")
    }
}

#[divan::bench]
fn bearer_is_found(bencher: Bencher<'_, '_>) {
    let token = Scene::new(Algorithm::Es256, 0).token();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    bencher.bench_local(|| credential::read(black_box(&headers), None).is_ok());
}

#[divan::bench]
fn known_again(bencher: Bencher<'_, '_>) {
    let scene = Scene::new(Algorithm::Es256, 16 << 20);
    let token = scene.token();
    scene.verifier.verify(&token, NOW).unwrap();
    bencher.bench(|| scene.verifier.recall(black_box(&token), NOW).unwrap());
}

/// Each time another of so many tokens.
#[divan::bench(args = [100, 1_000, 10_000])]
fn known_again_among(bencher: Bencher<'_, '_>, count: usize) {
    let scene = Scene::new(Algorithm::Hs256, 64 << 20);
    let tokens: Vec<String> = (0..count).map(|_| scene.token()).collect();
    for token in &tokens {
        scene.verifier.verify(token, NOW).unwrap();
    }
    let mut next = tokens.iter().cycle();
    bencher.bench_local(|| scene.verifier.recall(next.next().unwrap(), NOW).unwrap());
}

#[divan::bench]
fn not_known(bencher: Bencher<'_, '_>) {
    let scene = Scene::new(Algorithm::Es256, 16 << 20);
    let (one, other) = (scene.token(), scene.token());
    scene.verifier.verify(&one, NOW).unwrap();
    bencher.bench(|| scene.verifier.recall(black_box(&other), NOW).is_none());
}

#[divan::bench(args = ALGORITHMS)]
fn anew(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let scene = Scene::new(algorithm, 0);
    let token = scene.token();
    bencher.bench(|| scene.verifier.verify(black_box(&token), NOW).unwrap());
}

/// With what keeps it: a cache that is full of others.
#[divan::bench(args = [Algorithm::Hs256])]
fn anew_and_kept(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let scene = Scene::new(algorithm, 1 << 20);
    let tokens: Vec<String> = (0..10_000).map(|_| scene.token()).collect();
    let mut next = tokens.iter().cycle();
    bencher.bench_local(|| scene.verifier.verify(next.next().unwrap(), NOW).unwrap());
}

#[divan::bench(args = ALGORITHMS)]
fn bad_signature(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let scene = Scene::new(algorithm, 16 << 20);
    let (one, other) = (scene.token(), scene.token());
    let token = format!("{}.{}", one.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    bencher.bench(|| scene.verifier.verify(black_box(&token), NOW).unwrap_err());
}

/// A header that has to be read, and a signature that does not hold.
#[divan::bench(args = [Algorithm::Hs256])]
fn bad_signature_under_a_foreign_header(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let scene = Scene::new(algorithm, 16 << 20);
    let token = scene.foreign_token();
    bencher.bench(|| scene.verifier.verify(black_box(&token), NOW).unwrap_err());
}

#[divan::bench]
fn garbage(bencher: Bencher<'_, '_>) {
    let scene = Scene::new(Algorithm::Es256, 16 << 20);
    bencher.bench(|| scene.verifier.verify(black_box("eyJhbGciOiJIUzI1NiJ9.e30.x"), NOW).unwrap_err());
}

/// Whether a sender's tokens may be checked, while somebody is being counted.
#[divan::bench]
fn patience(bencher: Bencher<'_, '_>) {
    let bad = BadTokens::default();
    let quota = Quota::new(20, Duration::from_secs(1), 100).unwrap();
    let token = Scene::new(Algorithm::Es256, 0).token();
    bad.failed(IpAddr::V4(Ipv4Addr::LOCALHOST), quota, NOW);
    bencher.bench(|| bad.may_check(black_box(&token), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), quota, NOW));
}

#[divan::bench(args = ALGORITHMS)]
fn signed(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let scene = Scene::new(algorithm, 0);
    bencher.bench(|| scene.token());
}

#[divan::bench]
fn a_role_is_looked_up(bencher: Bencher<'_, '_>) {
    let roles: BTreeSet<_> = ["editor", "user"].map(|role| portcullis::ids::Role::parse(role).unwrap()).into();
    let needed: BTreeSet<_> = [portcullis::ids::Role::parse("user").unwrap()].into();
    bencher.bench(|| !black_box(&needed).is_disjoint(black_box(&roles)));
}
