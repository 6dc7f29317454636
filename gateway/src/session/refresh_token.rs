//! Refresh tokens: how one is written, read and followed. A token is derived from its session and
//! generation under a secret key, so garbage is refused without asking the store, and the answer to a
//! lost rotation can be given again though no token is ever stored. Whether one may be spent is not
//! decided here.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::ids::{Jti, SessionId};
use crate::secret::Secret;
use crate::session::{Presented, TokenHash};

const VERSION: u8 = 1;
/// version ‖ sid ‖ generation.
const BODY: usize = 1 + 16 + 4;
const LENGTH: usize = BODY + 32;
/// 53 bytes in base64url without padding.
const TEXT_LENGTH: usize = 71;

/// A refresh token in its outward form; prints as a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(Zeroizing<String>);

impl RefreshToken {
    /// The token itself, for the response it belongs in.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The id of the access token that goes with it: only who can derive the one can tell the other, and
    /// neither can be told from it.
    pub fn access_id(&self) -> Jti {
        let mut id = [0; 16];
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        id.copy_from_slice(&hmac::sign(&key, b"access token").as_ref()[..16]);
        Jti::from_bytes(id)
    }

    /// What the store keeps of it.
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        TokenHash(hash)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// Derives and reads refresh tokens under the newest of its keys, and still honours the older ones.
pub struct RefreshKeys {
    newest: hmac::Key,
    older: Vec<hmac::Key>,
}

impl RefreshKeys {
    /// Derives under `newest`; tokens derived under one of `older` are still read.
    pub fn new(newest: &Secret, older: &[Secret]) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        Self { newest: key(newest), older: older.iter().map(key).collect() }
    }

    /// The token of `sid` at `generation`.
    pub fn derive(&self, sid: SessionId, generation: u32) -> RefreshToken {
        derive(&self.newest, sid, generation)
    }

    /// The token of `sid` at `generation` whose hash is `hash`, whichever key it was derived under.
    pub fn find(&self, sid: SessionId, generation: u32, hash: TokenHash) -> Option<RefreshToken> {
        self.keys().map(|key| derive(key, sid, generation)).find(|token| token.hash() == hash)
    }

    /// Reads a token that a client sent; `None` for whatever we did not derive.
    pub fn read(&self, raw: &str) -> Option<Presented> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        if raw.len() != TEXT_LENGTH || URL_SAFE_NO_PAD.decode_slice(raw, bytes.as_mut_slice()) != Ok(LENGTH) {
            return None;
        }
        let (body, tag) = bytes.split_at(BODY);
        let signed =
            |key: &hmac::Key| constant_time::verify_slices_are_equal(hmac::sign(key, body).as_ref(), tag).is_ok();
        if body[0] != VERSION || !self.keys().any(signed) {
            return None;
        }
        let sid = SessionId::from_bytes(body[1..17].try_into().ok()?);
        let generation = u32::from_be_bytes(body[17..].try_into().ok()?);
        let presented = RefreshToken(Zeroizing::new(raw.to_owned()));
        let successor = self.derive(sid, generation.checked_add(1)?).hash();
        Some(Presented { sid, generation, hash: presented.hash(), successor })
    }

    fn keys(&self) -> impl Iterator<Item = &hmac::Key> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

/// Whether this may be a refresh token of ours, whichever key it was derived under.
pub fn has_shape(raw: &[u8]) -> bool {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    raw.len() == TEXT_LENGTH
        && URL_SAFE_NO_PAD.decode_slice(raw, bytes.as_mut_slice()) == Ok(LENGTH)
        && bytes[0] == VERSION
}

fn derive(key: &hmac::Key, sid: SessionId, generation: u32) -> RefreshToken {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    bytes[0] = VERSION;
    bytes[1..17].copy_from_slice(sid.as_bytes());
    bytes[17..BODY].copy_from_slice(&generation.to_be_bytes());
    let tag = hmac::sign(key, &bytes[..BODY]);
    bytes[BODY..].copy_from_slice(tag.as_ref());
    RefreshToken(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> RefreshKeys {
        RefreshKeys::new(&Secret::new([1; 32]), &[])
    }

    const SID: SessionId = SessionId::from_bytes([7; 16]);

    #[test]
    fn a_token_reads_back_and_names_its_successor() {
        let token = keys().derive(SID, 4);
        let presented = keys().read(token.expose()).unwrap();
        assert_eq!((presented.sid, presented.generation, presented.hash), (SID, 4, token.hash()));
        assert_eq!(presented.successor, keys().derive(SID, 5).hash());
        assert_eq!(token.expose().len(), TEXT_LENGTH);
    }

    #[test]
    fn every_changed_character_is_refused() {
        let token = keys().derive(SID, 4);
        for place in 0..TEXT_LENGTH {
            let mut changed = token.expose().as_bytes().to_vec();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys().read(std::str::from_utf8(&changed).unwrap()), None, "character {place}");
        }
        assert_eq!(keys().read(""), None);
        assert_eq!(keys().read(&format!("{}=", token.expose())), None);
    }

    #[test]
    fn a_token_of_an_older_key_is_honoured_and_followed_by_one_of_the_newest() {
        let old = Secret::new([1; 32]);
        let token = RefreshKeys::new(&old, &[]).derive(SID, 0);
        let both = RefreshKeys::new(&Secret::new([2; 32]), &[old]);
        let presented = both.read(token.expose()).unwrap();
        assert_eq!(presented.successor, both.derive(SID, 1).hash());
        assert_eq!(both.find(SID, 0, token.hash()), Some(token.clone()));
        assert_eq!(RefreshKeys::new(&Secret::new([2; 32]), &[]).read(token.expose()), None);
    }

    #[test]
    fn a_token_has_one_spelling() {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let token = keys().derive(SID, 4);
        let (rest, last) = token.expose().split_at(TEXT_LENGTH - 1);
        let place = ALPHABET.iter().position(|byte| [*byte] == last.as_bytes()).unwrap();
        for spare_bits in 1..4 {
            let other = format!("{rest}{}", char::from(ALPHABET[place + spare_bits]));
            assert_eq!(keys().read(&other), None, "{spare_bits}");
            assert!(!has_shape(other.as_bytes()), "{spare_bits}");
        }
        for other in [format!("{rest}="), format!("{rest} "), format!(" {rest}"), token.expose().replace('-', "+")] {
            assert!(other == token.expose() || keys().read(&other).is_none(), "{other}");
        }
    }

    mod properties {
        use super::*;

        proptest! {
            #[test]
            fn any_session_and_generation_reads_back(sid: [u8; 16], generation in 0..u32::MAX) {
                let token = keys().derive(SessionId::from_bytes(sid), generation);
                let presented = keys().read(token.expose()).unwrap();
                prop_assert_eq!((presented.sid, presented.generation), (SessionId::from_bytes(sid), generation));
                prop_assert!(has_shape(token.expose().as_bytes()));
            }

            #[test]
            fn no_text_but_one_of_ours_is_read(
                raw in "(AQ[A-Za-z0-9_-]{69}|[A-Za-z0-9_-]{0,80}|\\PC{0,80})", place in 0..TEXT_LENGTH, with in "[ -~]",
            ) {
                prop_assert_eq!(keys().read(&raw), None, "{}", raw);
                let _ = has_shape(raw.as_bytes());
                let token = keys().derive(SID, 4);
                let mut spoilt = token.expose().to_owned();
                spoilt.replace_range(place..=place, &with);
                prop_assert_eq!(keys().read(&spoilt).is_some(), spoilt == token.expose(), "{}", spoilt);
            }
        }
    }

    #[test]
    fn the_last_generation_has_no_successor_and_is_refused() {
        assert_eq!(keys().read(keys().derive(SID, u32::MAX).expose()), None);
    }

    #[test]
    fn a_token_is_never_printed() {
        assert_eq!(format!("{:?}", keys().derive(SID, 0)), "RefreshToken(…)");
    }
}
