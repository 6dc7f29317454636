//! Keys that sign and verify access tokens, each bound to one algorithm and named by its RFC 7638
//! thumbprint. Private material never leaves this file but as a [`Secret`] on its way to the store.
//! Which key is used when is decided in `keyring.rs`.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use thiserror::Error;

use super::claims::{ACCESS_TOKEN_TYPE, Claims, Header};
use crate::config::Algorithm;
use crate::ids::{Kid, random_bytes};
use crate::secret::Secret;

/// Why a key can't be used. Never holds any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not a key of this algorithm.
    #[error("it is not a key for {0}, in PEM (a private key as PKCS#8: `BEGIN PRIVATE KEY`)")]
    Unreadable(&'static str),
    /// An HMAC secret that can be guessed.
    #[error("an HS256 secret needs at least 32 bytes")]
    TooShort,
    /// Another key has its name, so that one of them would never be found.
    #[error("another key has the same kid; give each its own")]
    NameTaken,
}

/// A private key and its name.
pub struct SigningKey {
    algorithm: Algorithm,
    private: EncodingKey,
    public: VerificationKey,
}

/// A public key (or shared secret), the one algorithm that it is for, and its name.
#[derive(Clone)]
pub struct VerificationKey {
    kid: Kid,
    algorithm: Algorithm,
    /// base64url of the header of every token that this gateway signs with the key.
    header: String,
    /// The key as the library verifies with it, read once.
    material: Material,
    jwk: Jwk,
}

/// What verifies signatures.
#[derive(Clone)]
enum Material {
    Public(ParsedPublicKey),
    Shared(Box<hmac::Key>),
}

/// The most bytes of a signature: RSA with 8192 bits, the most that are taken.
const MAX_SIGNATURE: usize = 1024;

/// RFC 7518 §3.2: a key as long as the hash, or longer.
const MIN_HMAC_SECRET: usize = 32;

impl SigningKey {
    /// Reads a private key in PEM (PKCS#8), or for HS256 the secret bytes.
    pub fn read(algorithm: Algorithm, material: &Secret, kid: Option<Kid>) -> Result<Self, KeyError> {
        let unreadable = |_| KeyError::Unreadable(algorithm.name());
        let bytes = material.expose();
        let private = match algorithm {
            Algorithm::Es256 => EncodingKey::from_ec_pem(bytes),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(bytes),
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(bytes),
            Algorithm::Hs256 if bytes.len() < MIN_HMAC_SECRET => return Err(KeyError::TooShort),
            Algorithm::Hs256 => Ok(EncodingKey::from_secret(bytes)),
        }
        .map_err(unreadable)?;
        let jwk = Jwk::from_encoding_key(&private, registered(algorithm)).map_err(unreadable)?;
        let public = VerificationKey::from_jwk(algorithm, jwk, kid)?;
        let key = Self { algorithm, private, public };
        key.sign("probe").map_err(unreadable)?; // A key too weak for its library fails here, not at a login.
        Ok(key)
    }

    /// Makes a key: PKCS#8 PEM, or for HS256 the secret bytes.
    pub fn generate(algorithm: Algorithm) -> Secret {
        const WORKS: &str = "generating a key fails only where there is no randomness or memory";
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::Es256 => {
                pem(EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect(WORKS).as_ref())
            }
            Algorithm::EdDsa => pem(Ed25519KeyPair::generate_pkcs8v1(&random).expect(WORKS).as_ref()),
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect(WORKS);
                pem(pair.as_der().expect(WORKS).as_ref())
            }
            Algorithm::Hs256 => Secret::new(random_bytes::<MIN_HMAC_SECRET>()),
        }
    }

    /// Signs claims: a whole token.
    pub fn token(&self, claims: &Claims<'_>) -> Result<String, KeyError> {
        let mut token = format!("{}.{}", self.public.header, encoded(claims));
        let signature = self.sign(&token).map_err(|_| KeyError::Unreadable(self.algorithm.name()))?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    fn sign(&self, message: &str) -> Result<String, jsonwebtoken::errors::Error> {
        crypto::sign(message.as_bytes(), &self.private, registered(self.algorithm))
    }

    /// Signs anything at all, to forge what `token` never would.
    #[cfg(test)]
    pub fn sign_for_test(&self, message: &str) -> String {
        self.sign(message).expect("the key signs")
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> &VerificationKey {
        &self.public
    }
}

impl VerificationKey {
    /// Reads a public key in PEM, or for HS256 the secret bytes.
    pub fn read(algorithm: Algorithm, material: &Secret, kid: Option<Kid>) -> Result<Self, KeyError> {
        let unreadable = |_| KeyError::Unreadable(algorithm.name());
        let bytes = material.expose();
        let key = match algorithm {
            Algorithm::Es256 => DecodingKey::from_ec_pem(bytes),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(bytes),
            Algorithm::Rs256 => DecodingKey::from_rsa_pem(bytes),
            Algorithm::Hs256 if bytes.len() < MIN_HMAC_SECRET => return Err(KeyError::TooShort),
            Algorithm::Hs256 => Ok(DecodingKey::from_secret(bytes)),
        }
        .map_err(unreadable)?;
        let jwk = Jwk::from_decoding_key(&key, Some(registered(algorithm))).map_err(unreadable)?;
        Self::from_jwk(algorithm, jwk, kid)
    }

    fn from_jwk(algorithm: Algorithm, mut jwk: Jwk, kid: Option<Kid>) -> Result<Self, KeyError> {
        let unreadable = KeyError::Unreadable(algorithm.name());
        let material = Material::read(algorithm, &jwk).ok_or(unreadable)?;
        let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| unreadable)?;
        let kid = kid.map_or_else(|| Kid::parse(&thumbprint), Ok).map_err(|_| unreadable)?;
        jwk.common.key_id = Some(kid.to_string());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let header = encoded(&Header {
            typ: ACCESS_TOKEN_TYPE.to_owned(),
            alg: algorithm.name().to_owned(),
            kid: kid.to_string(),
        });
        Ok(Self { kid, algorithm, header, material, jwk })
    }

    /// Its name.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// base64url of the header that this gateway gives to tokens of this key: whichever begins with it is of the right
    /// type, and names this key and its algorithm.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Whether `other` is this key, of the same name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.jwk == other.jwk
    }

    /// Whether `other` is another key of the same name.
    pub fn is_mistaken_for(&self, other: &Self) -> bool {
        self.kid == other.kid && self.jwk != other.jwk
    }

    /// The one algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature`, in base64url, is this key's of `message`.
    pub fn verify(&self, message: &str, signature: &str) -> bool {
        let mut bytes = [0; MAX_SIGNATURE];
        // Base64url in its one spelling: nothing but the alphabet, no padding, no bits to spare.
        let Ok(length) = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes) else { return false };
        let (message, signature) = (message.as_bytes(), &bytes[..length]);
        match &self.material {
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
            Material::Shared(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    /// The key, shared secrets included, for another verifier than this one.
    #[cfg(test)]
    pub fn jwk_for_test(&self) -> &Jwk {
        &self.jwk
    }

    /// The key as anybody may see it; nothing for a shared secret.
    pub fn public_jwk(&self) -> Option<&Jwk> {
        (!matches!(self.jwk.algorithm, AlgorithmParameters::OctetKey(_))).then_some(&self.jwk)
    }
}

impl Material {
    /// The key that `jwk` describes (RFC 7518 §6, RFC 8037 §2), if it is one for `algorithm`.
    fn read(algorithm: Algorithm, jwk: &Jwk) -> Option<Self> {
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let key = match (algorithm, &jwk.algorithm) {
            (Algorithm::Es256, AlgorithmParameters::EllipticCurve(point)) if point.curve == EllipticCurve::P256 => {
                // SEC 1 §2.3.3: a point, not compressed.
                let point = [vec![4], decoded(&point.x)?, decoded(&point.y)?].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            (Algorithm::EdDsa, AlgorithmParameters::OctetKeyPair(pair)) if pair.curve == EllipticCurve::Ed25519 => {
                ParsedPublicKey::new(&ED25519, decoded(&pair.x)?)
            }
            (Algorithm::Rs256, AlgorithmParameters::RSA(rsa)) => {
                let components = RsaPublicKeyComponents { n: decoded(&rsa.n)?, e: decoded(&rsa.e)? };
                components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            }
            (Algorithm::Hs256, AlgorithmParameters::OctetKey(key)) => {
                return Some(Self::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &decoded(&key.value)?))));
            }
            _ => return None,
        };
        key.ok().map(Self::Public)
    }
}

pub(super) fn registered(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    }
}

fn encoded(part: &impl serde::Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("text, numbers and lists are always JSON"))
}

/// RFC 7468 §2 with the label of §10.
fn pem(pkcs8: &[u8]) -> Secret {
    let body = STANDARD.encode(pkcs8);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_what_its_public_key_verifies() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Hs256] {
            let key = SigningKey::read(algorithm, &SigningKey::generate(algorithm), None).unwrap();
            let signature = key.sign("a.b").unwrap();
            assert!(key.public().verify("a.b", &signature), "{algorithm:?}");
            assert!(!key.public().verify("a.c", &signature), "{algorithm:?}");
            let other = SigningKey::read(algorithm, &SigningKey::generate(algorithm), None).unwrap();
            assert!(!other.public().verify("a.b", &signature), "{algorithm:?}");
            assert_ne!(key.public().kid(), other.public().kid());
        }
    }

    #[test]
    fn a_shared_secret_is_never_published() {
        let key = SigningKey::read(Algorithm::Hs256, &Secret::new([7; 32]), None).unwrap();
        assert!(key.public().public_jwk().is_none());
    }

    #[test]
    fn a_key_is_mistaken_for_another_of_its_name_but_not_for_itself() {
        let named = |material: &Secret| {
            SigningKey::read(Algorithm::Hs256, material, Some(Kid::parse("a").unwrap())).unwrap().public().clone()
        };
        let (one, other) = (named(&Secret::new([7; 32])), named(&Secret::new([8; 32])));
        assert!(one.is_mistaken_for(&other));
        assert!(!one.is_mistaken_for(&one));
    }

    #[test]
    fn a_published_key_has_no_private_part() {
        let key = SigningKey::read(Algorithm::Es256, &SigningKey::generate(Algorithm::Es256), None).unwrap();
        let jwk = serde_json::to_value(key.public().public_jwk().unwrap()).unwrap();
        let mut names: Vec<&str> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let es256 = SigningKey::generate(Algorithm::Es256);
        for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
            let refused = SigningKey::read(algorithm, &es256, None).err();
            assert_eq!(refused, Some(KeyError::Unreadable(algorithm.name())));
        }
        assert_eq!(SigningKey::read(Algorithm::Hs256, &Secret::new([1; 31]), None).err(), Some(KeyError::TooShort));
    }
}
