//! Tokens that the gateway never issued: any header, any claims, signed with its real key or with another.
//! What a good one looks like is known here and changed by the test.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::auth::keys::SigningKey;
use portcullis::config;
use portcullis::secret::Secret;
use serde_json::{Value, json};

/// Signs anything with the gateway's ES256 key.
pub struct Forge {
    key: EncodingKey,
    kid: String,
}

impl Forge {
    /// Signs with this private key.
    ///
    /// # Panics
    /// If it is no ES256 key in PEM.
    pub fn new(pem: &Secret) -> Self {
        let read = SigningKey::read(config::Algorithm::Es256, pem, None).expect("an ES256 key");
        let key = EncodingKey::from_ec_pem(pem.expose()).expect("an ES256 key");
        Self { key, kid: read.public().kid().to_string() }
    }

    /// The header of a good token.
    pub fn header(&self) -> Value {
        json!({ "typ": "at+jwt", "alg": "ES256", "kid": self.kid })
    }

    /// The claims of a token, to be changed.
    ///
    /// # Panics
    /// If it is no token.
    pub fn claims_of(token: &str) -> Value {
        let claims = token.split('.').nth(1).expect("a JWT");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON")
    }

    /// A token of exactly this header and these claims, signed for real.
    ///
    /// # Panics
    /// If the key does not sign.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header.to_string(), claims.to_string())
    }

    /// The same of exactly these bytes, be they JSON or not.
    ///
    /// # Panics
    /// If the key does not sign.
    pub fn sign_text(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_message(&format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)))
    }

    /// Whatever this is, and its real signature.
    ///
    /// # Panics
    /// If the key does not sign.
    pub fn sign_message(&self, message: &str) -> String {
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256);
        format!("{message}.{}", signature.expect("the key signs"))
    }
}
