//! Which keys are in use: loaded from the configuration and the store, looked up again now and then, so
//! that a key made elsewhere is known everywhere before it signs. Until the first load succeeds there are
//! none, and nothing that needs one is answered with more than "try again".

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Serialize;
use thiserror::Error;

use super::keys::{KeyError, SigningKey, VerificationKey};
use super::verifier::Verifier;
use crate::clock::Timestamp;
use crate::config::{Algorithm, Signing, Tokens};
use crate::session::refresh_token::RefreshKeys;
use crate::store::{KeyPurpose, Store, StoreError, StoredKey};

/// How often the store is asked for new keys.
pub const RELOAD: Duration = Duration::from_secs(20);
/// How old a stored key must be before it signs: by then every gateway has it.
const ACTIVATION: Duration = Duration::from_mins(1);

/// Why keys can't be loaded.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// The store has not answered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key can't be used.
    #[error("the {what} key can't be used: {why}")]
    Key {
        /// Which.
        what: &'static str,
        /// Why.
        why: KeyError,
    },
}

/// All keys of one moment.
pub struct Keys {
    /// Signs access tokens.
    pub signing: SigningKey,
    /// Verifies access tokens with every key that may still be in use.
    pub verifier: Arc<Verifier>,
    /// Derive refresh tokens.
    pub refresh: RefreshKeys,
}

/// A JWK Set (RFC 7517 §5).
#[derive(Serialize)]
pub struct JwkSet<'a> {
    keys: Vec<&'a jsonwebtoken::jwk::Jwk>,
}

impl Keys {
    /// The public keys, for `jwks.json`.
    pub fn jwks(&self) -> JwkSet<'_> {
        JwkSet { keys: self.verifier.keys().iter().filter_map(VerificationKey::public_jwk).collect() }
    }
}

/// The keys of this moment, if they are known yet.
#[derive(Clone, Default)]
pub struct Keyring {
    current: Arc<ArcSwapOption<Keys>>,
}

impl Keyring {
    /// A keyring for another configuration, to be loaded: until then it holds what this one holds now.
    #[must_use]
    pub fn succeeded(&self) -> Self {
        Self { current: Arc::new(ArcSwapOption::new(self.current.load_full())) }
    }

    /// The keys of this moment.
    pub fn current(&self) -> Result<Arc<Keys>, StoreError> {
        self.current.load_full().ok_or_else(not_loaded)
    }

    /// What `question` learns from the keys of this moment, which takes no count that all cores share.
    pub fn ask<T>(&self, question: impl FnOnce(&Keys) -> T) -> Result<T, StoreError> {
        self.current.load().as_deref().map(question).ok_or_else(not_loaded)
    }

    /// Loads the keys, and makes those that the store is to keep and has not.
    pub async fn load(&self, store: &dyn Store, tokens: &Tokens, now: Timestamp) -> Result<(), KeyringError> {
        let (signing, mut verifying) = signing_keys(store, &tokens.signing, now).await?;
        for given in &tokens.also_accept {
            verifying
                .push(unusable("accepted", VerificationKey::read(given.algorithm, &given.key, given.kid.clone()))?);
        }
        unusable("accepted", one_name_each(&verifying))?;
        let refresh = refresh_keys(store, tokens, now).await?;
        let verifier = self.verifier(verifying, tokens);
        self.current.store(Some(Arc::new(Keys { signing, verifier, refresh })));
        Ok(())
    }

    /// The verifier of these keys and terms: the one in use, with what it knows, unless anything is another.
    fn verifier(&self, verifying: Vec<VerificationKey>, tokens: &Tokens) -> Arc<Verifier> {
        match self.current.load().as_ref() {
            Some(keys) if keys.verifier.is_of(&verifying, tokens) => Arc::clone(&keys.verifier),
            _ => Arc::new(Verifier::new(verifying, tokens)),
        }
    }
}

fn not_loaded() -> StoreError {
    StoreError::Unavailable("keys are not loaded yet".to_owned())
}

fn unusable<T>(what: &'static str, read: Result<T, KeyError>) -> Result<T, KeyringError> {
    read.map_err(|why| KeyringError::Key { what, why })
}

/// RFC 7517 §4.5: a name tells keys apart, or a token would be held against whichever comes first.
fn one_name_each(keys: &[VerificationKey]) -> Result<(), KeyError> {
    let mistaken = keys.iter().enumerate().any(|(at, key)| keys[..at].iter().any(|other| key.is_mistaken_for(other)));
    if mistaken { Err(KeyError::NameTaken) } else { Ok(()) }
}

/// The key that signs, and all that verify.
async fn signing_keys(
    store: &dyn Store,
    signing: &Signing,
    now: Timestamp,
) -> Result<(SigningKey, Vec<VerificationKey>), KeyringError> {
    let algorithm = match signing {
        Signing::Stored(algorithm) => *algorithm,
        Signing::Given { algorithm, key, kid } => {
            let key = unusable("signing", SigningKey::read(*algorithm, key, kid.clone()))?;
            let public = key.public().clone();
            return Ok((key, vec![public]));
        }
    };
    let stored = match store.keys(KeyPurpose::Signing).await? {
        stored if stored.iter().any(|key| key.algorithm == algorithm.name()) => stored,
        stored if stored.is_empty() => store.found_keys(&new_signing_key(algorithm, now)).await?,
        _ => {
            store.add_key(&new_signing_key(algorithm, now)).await?;
            store.keys(KeyPurpose::Signing).await?
        }
    };
    let read = |key: &StoredKey| {
        let algorithm = Algorithm::parse(&key.algorithm).ok_or(KeyError::Unreadable("any algorithm we know"));
        unusable("stored signing", algorithm.and_then(|algorithm| SigningKey::read(algorithm, &key.material, None)))
    };
    let keys = stored.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let verifying = keys.iter().map(|key| key.public().clone()).collect();
    let candidates = || stored.iter().zip(0..).filter(|(key, _)| key.algorithm == algorithm.name());
    let known_everywhere = candidates().find(|(key, _)| now.since(key.created_at) >= ACTIVATION);
    let (_, chosen) = known_everywhere
        .or_else(|| candidates().last())
        .ok_or_else(|| StoreError::Corrupt("the signing key that was just made is not there".to_owned()))?;
    let signing = keys.into_iter().nth(chosen).expect("`chosen` counts the keys");
    Ok((signing, verifying))
}

/// A fresh signing key, named by its thumbprint.
pub fn new_signing_key(algorithm: Algorithm, now: Timestamp) -> StoredKey {
    let material = SigningKey::generate(algorithm);
    let key = SigningKey::read(algorithm, &material, None).expect("a key that was just made is a key");
    StoredKey {
        purpose: KeyPurpose::Signing,
        name: key.public().kid().to_string(),
        algorithm: algorithm.name().to_owned(),
        material,
        created_at: now,
    }
}

async fn refresh_keys(store: &dyn Store, tokens: &Tokens, now: Timestamp) -> Result<RefreshKeys, KeyringError> {
    if let Some(given) = &tokens.refresh_secret {
        return Ok(RefreshKeys::new(given, &[]));
    }
    let first = StoredKey {
        purpose: KeyPurpose::Refresh,
        name: "1".to_owned(),
        algorithm: Algorithm::Hs256.name().to_owned(),
        material: SigningKey::generate(Algorithm::Hs256),
        created_at: now,
    };
    let stored = store.found_keys(&first).await?;
    let mut secrets = stored.into_iter().map(|key| key.material);
    let newest = secrets.next().ok_or_else(|| StoreError::Corrupt("the refresh key is not there".to_owned()))?;
    Ok(RefreshKeys::new(&newest, &secrets.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::verify::VerifyError;
    use crate::auth::verify::tests::{NOW, claims, header, key, signed, tokens};
    use crate::config::VerifyingKey;
    use crate::store::embedded::EmbeddedStore;

    /// A store, and the tokens' terms with a shared key whose tokens are accepted; the token is signed with it.
    async fn scene() -> (tempfile::TempDir, EmbeddedStore, Tokens, String) {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path().join("store.db")).await.unwrap();
        let key = key(Algorithm::Hs256);
        let token = signed(&key, &header(&key), &claims().to_string());
        let material = crate::secret::Secret::new(shared_bytes(key.public()));
        let accepted = VerifyingKey { algorithm: Algorithm::Hs256, key: material, kid: None };
        (folder, store, Tokens { also_accept: vec![accepted], ..tokens() }, token)
    }

    fn shared_bytes(key: &VerificationKey) -> Vec<u8> {
        use base64::Engine as _;
        let jwk = serde_json::to_value(key.jwk_for_test()).unwrap();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk["k"].as_str().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn keys_that_stay_keep_the_tokens_that_are_known_and_others_do_not() {
        let (_folder, store, tokens, token) = scene().await;
        let keyring = Keyring::default();
        keyring.load(&store, &tokens, NOW).await.unwrap();
        keyring.current().unwrap().verifier.verify(&token, NOW).unwrap();
        keyring.load(&store, &tokens, NOW.after(RELOAD)).await.unwrap();
        let known = |keyring: &Keyring| keyring.current().unwrap().verifier.recall(&token, NOW).is_some();
        assert!(known(&keyring), "nothing changed");
        let succeeded = keyring.succeeded();
        succeeded.load(&store, &tokens, NOW).await.unwrap();
        assert!(known(&succeeded), "nor did the configuration");
        succeeded.load(&store, &Tokens { audience: "other".to_owned(), ..tokens.clone() }, NOW).await.unwrap();
        assert!(!known(&succeeded), "other terms");
        assert!(known(&keyring), "and the keyring of before is its own");
        store.add_key(&new_signing_key(Algorithm::Es256, NOW)).await.unwrap();
        keyring.load(&store, &tokens, NOW).await.unwrap();
        assert!(!known(&keyring), "another key in the store");
    }

    #[tokio::test]
    async fn a_token_whose_key_is_gone_is_refused_though_it_was_known() {
        let (_folder, store, tokens, token) = scene().await;
        let keyring = Keyring::default();
        keyring.load(&store, &tokens, NOW).await.unwrap();
        keyring.current().unwrap().verifier.verify(&token, NOW).unwrap();
        keyring.load(&store, &Tokens { also_accept: Vec::new(), ..tokens }, NOW).await.unwrap();
        let verifier = Arc::clone(&keyring.current().unwrap().verifier);
        assert_eq!(verifier.recall(&token, NOW), None);
        assert_eq!(verifier.verify(&token, NOW), Err(VerifyError::UnknownKey));
    }
}
