//! The access tokens that held, so that one that comes again costs no signature: bounded in bytes, and such that tokens
//! seen once can't push out those in use. It relies on its owner to add nothing that was not verified, and to check
//! again what time changes. It never holds for other keys or terms: each [`super::verifier::Verifier`] has its own.

use std::hash::{Hash, Hasher, RandomState};
use std::mem::size_of;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

use super::verify::Verified;
use crate::policy::Known;

/// Bytes of a usual entry, by which room for what was pushed out lately is reckoned.
const USUAL: u64 = 1024;
/// So many of its last bytes find a token: 192 bits of a signature, which nobody chooses but who holds the key.
const TAIL: usize = 32;
/// Bytes of an entry beside what it points to: its place in the list and in the map, both of which grow by doubling.
const PLACE: usize = 2 * (size_of::<Token>() + size_of::<Verified>() + 40);
/// What the allocator adds to one block.
const BLOCK: usize = 16;

/// Access tokens that held.
///
/// They are told apart by all of their bytes, not by a hash, so no two are ever taken for each other; a hash over so many
/// bytes that it could not be forged would cost more than comparing them.
pub struct VerifiedTokens {
    tokens: Cache<Token, Verified, Bytes, RandomState>,
}

/// How much of the cache is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens.
    pub tokens: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

impl VerifiedTokens {
    /// A cache of at most `bytes`.
    pub fn of(bytes: u64) -> Self {
        let usual = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new().estimated_items_capacity(usual).weight_capacity(bytes).build();
        let options = options.expect("both numbers that it needs are set");
        Self { tokens: Cache::with_options(options, Bytes, RandomState::new(), DefaultLifecycle::default()) }
    }

    /// What `token` said when it held.
    pub fn find(&self, token: &str) -> Option<Verified> {
        self.tokens.get(&Presented(token))
    }

    /// Keeps a token that holds, if it is worth its place.
    pub fn add(&self, token: &str, verified: &Verified) {
        let bytes = PLACE + BLOCK + token.len() + heap_of(verified.known());
        self.tokens.insert(Token { text: token.into(), bytes: bytes as u64 }, verified.clone());
    }

    /// How much is in use.
    pub fn usage(&self) -> Usage {
        Usage { tokens: self.tokens.len() as u64, bytes: self.tokens.weight() }
    }
}

/// A token in the cache, and the bytes of its entry.
#[derive(PartialEq, Eq)]
struct Token {
    text: Box<str>,
    bytes: u64,
}

/// A token of a request.
struct Presented<'a>(&'a str);

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Presented(&self.text).hash(state);
    }
}

impl Hash for Presented<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = self.0.as_bytes();
        state.write(&bytes[bytes.len().saturating_sub(TAIL)..]);
    }
}

impl Equivalent<Token> for Presented<'_> {
    fn equivalent(&self, token: &Token) -> bool {
        *self.0 == *token.text
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Token, Verified> for Bytes {
    fn weight(&self, token: &Token, _: &Verified) -> u64 {
        token.bytes
    }
}

/// Bytes that a user takes beside the pointer to it, rounded up.
fn heap_of(known: &Known) -> usize {
    /// An `Arc` counts its owners.
    const SHARED: usize = BLOCK + 2 * size_of::<usize>();
    /// A leaf of a `BTreeSet` has room for 11, and at least 5 are in use where there is more than one.
    const LEAF: usize = BLOCK + 11 * size_of::<Arc<str>>() + 16;
    let set = |count: usize, bytes: usize| count * SHARED + bytes + count.div_ceil(5) * LEAF;
    let roles = known.grants.roles.iter().map(|role| role.as_str().len());
    let scopes = known.grants.scopes.iter().map(|scope| scope.as_str().len());
    let grants = set(roles.len(), roles.sum()) + set(scopes.len(), scopes.sum());
    SHARED + size_of::<Known>() + SHARED + known.subject.as_str().len() + grants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::verifier::Verifier;
    use crate::auth::verify::tests::{NOW, claims, header, key, signed, tokens};
    use crate::config::Algorithm;

    /// A cache of so many bytes, and what it is filled with.
    fn cache(bytes: u64) -> (VerifiedTokens, Verified) {
        let key = key(Algorithm::Hs256);
        let token = signed(&key, &header(&key), &claims().to_string());
        let verified = Verifier::new(vec![key.public().clone()], &tokens()).verify(&token, NOW);
        (VerifiedTokens::of(bytes), verified.unwrap())
    }

    /// A text as long as a token, and as different from any other at its end.
    fn token(number: u64) -> String {
        format!(
            "{}{:043}",
            "x".repeat(457),
            u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        )
    }

    #[test]
    fn no_flood_of_good_tokens_outgrows_the_cache() {
        for bytes in [1 << 20, 1 << 16, 1] {
            let (cache, verified) = cache(bytes);
            for number in 0..100_000 {
                cache.add(&token(number), &verified);
            }
            let Usage { tokens, bytes: used } = cache.usage();
            assert!(used <= bytes + bytes / 100, "{used} of {bytes}");
            assert!(tokens * 500 <= used, "{tokens} tokens of 500 characters can't fit into {used} bytes");
            assert!(bytes < 1 << 16 || used > bytes / 2, "what there is is used: {used} of {bytes}");
        }
    }

    /// Sends so many tokens that nobody sends twice, and before every tenth the next one of `used`: how many of those
    /// were not known any more.
    fn flood(cache: &VerifiedTokens, verified: &Verified, used: &[String], first: u64) -> usize {
        let mut used = used.iter().cycle();
        let mut forgotten = 0;
        for number in first..first + 50_000 {
            if number % 10 == 0 {
                let token = used.next().unwrap();
                if cache.find(token).is_none() {
                    forgotten += 1;
                    cache.add(token, verified);
                }
            }
            cache.add(&token(number), verified);
        }
        forgotten
    }

    #[test]
    fn tokens_that_are_seen_once_do_not_push_out_those_in_use() {
        let (cache, verified) = cache(1 << 20);
        let used: Vec<String> = (0..300).map(token).collect();
        for token in used.iter().chain(&used) {
            if cache.find(token).is_none() {
                cache.add(token, &verified);
            }
        }
        assert_eq!(flood(&cache, &verified, &used, 1000), 0, "not even once in 3000 tokens of others");
    }

    #[test]
    fn tokens_in_use_find_a_place_though_it_is_full() {
        let (cache, verified) = cache(1 << 20);
        flood(&cache, &verified, &[token(0)], 100_000);
        let used: Vec<String> = (1..30).map(token).collect();
        let forgotten = flood(&cache, &verified, &used, 200_000);
        assert!(forgotten <= 3 * used.len(), "verified {forgotten} times, not one or two times each");
    }
}
