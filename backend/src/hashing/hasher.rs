//! What one worker does: makes today's hashes, and checks today's and yesterday's. Every hash that it
//! computes is counted. Runs for tens of milliseconds, so never call it from an async task.

use std::ops::RangeInclusive;

use bcrypt::HashParts;
use prometheus::IntCounter;

use super::argon::{Argon, ArgonHash};
use super::{HashingError, StoredHash, Verdict};
use crate::metrics::Metrics;
use crate::password::Password;

/// A hash of today's cost that no password has: what to check when there is nothing to check.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// bcrypt doubles its time with each step; 14 is about a second.
const BCRYPT_COSTS: RangeInclusive<u32> = 4..=14;

/// Makes and checks hashes, one at a time.
pub(super) struct Hasher {
    argon: Argon,
    /// How many bcrypt hashes were computed.
    bcrypts: IntCounter,
}

/// A stored hash, by who can check it.
enum Kind {
    Argon(Box<ArgonHash>),
    Bcrypt,
    Unfit,
}

impl Hasher {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let computed = |algorithm| metrics.password_hashes.with_label_values(&[algorithm]);
        Self { argon: Argon::new(computed("argon2")), bcrypts: computed("bcrypt") }
    }

    /// Hashes a password to be kept.
    pub(super) fn hash(&mut self, password: &Password) -> Result<StoredHash, HashingError> {
        self.argon.hash(password)
    }

    /// Checks a password against a stored hash, or against nothing at the same cost.
    pub(super) fn check(&mut self, password: &Password, stored: Option<&StoredHash>) -> Result<Verdict, HashingError> {
        let (right, todays) = match stored.map(|stored| (stored, kind(stored))) {
            Some((_, Kind::Argon(hash))) => (self.argon.check(password, &hash)?, hash.is_todays()),
            Some((stored, Kind::Bcrypt)) => (self.check_bcrypt(password, stored), false),
            Some((_, Kind::Unfit)) => {
                tracing::error!(target: "error", "a stored password hash is of no known kind, or too costly to check");
                return self.check_decoy(password);
            }
            None => return self.check_decoy(password),
        };
        match (right, todays) {
            (false, _) => Ok(Verdict::Wrong),
            (true, true) => Ok(Verdict::Right { renewed: None }),
            (true, false) => Ok(Verdict::Right { renewed: Some(self.hash(password)?) }),
        }
    }

    fn check_bcrypt(&self, password: &Password, stored: &StoredHash) -> bool {
        self.bcrypts.inc();
        // `kind` has read the hash already, so there is no error left to come.
        bcrypt::verify(password.expose(), stored.expose()).unwrap_or(false)
    }

    fn check_decoy(&mut self, password: &Password) -> Result<Verdict, HashingError> {
        let decoy = ArgonHash::parse(DECOY).expect("the decoy is a hash of today's");
        self.argon.check(password, &decoy)?;
        Ok(Verdict::Wrong)
    }
}

fn kind(stored: &StoredHash) -> Kind {
    let text = stored.expose();
    // `$2x$` is a buggy implementation's, which bcrypt would check as if it were not.
    if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
        return match text.parse::<HashParts>() {
            Ok(parts) if BCRYPT_COSTS.contains(&parts.get_cost()) => Kind::Bcrypt,
            _ => Kind::Unfit,
        };
    }
    ArgonHash::parse(text).map_or(Kind::Unfit, |hash| Kind::Argon(Box::new(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "a fine password";

    fn hasher() -> Hasher {
        Hasher::new(&Metrics::new())
    }

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).expect("not empty, not long")
    }

    fn argon(memory: u32, passes: u32, lanes: u32) -> StoredHash {
        use argon2::{Argon2, Params, PasswordHasher as _};
        let params = Params::new(memory, passes, lanes, None).expect("valid parameters");
        let hash = Argon2::from(params).hash_password(PASSWORD.as_bytes()).expect("it can be hashed");
        StoredHash::new(hash.to_string())
    }

    #[test]
    fn a_new_hash_is_of_owasps_parameters_and_fits_its_password_alone() {
        let mut hasher = hasher();
        let stored = hasher.hash(&password(PASSWORD)).expect("it can be hashed");
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(hasher.check(&password(PASSWORD), Some(&stored)), Ok(Verdict::Right { renewed: None }));
        assert_eq!(hasher.check(&password("another password"), Some(&stored)), Ok(Verdict::Wrong));
        assert_ne!(hasher.hash(&password(PASSWORD)).expect("it can be hashed"), stored, "the salt is new each time");
    }

    #[test]
    fn nothing_to_check_against_costs_as_much_as_a_wrong_password() {
        let mut hasher = hasher();
        assert_eq!(hasher.check(&password(PASSWORD), None), Ok(Verdict::Wrong));
        assert_eq!(hasher.argon.computed.get(), 1);
        assert!(ArgonHash::parse(DECOY).is_some_and(|decoy| decoy.is_todays()), "the decoy costs what a check costs");
    }

    #[test]
    fn imported_bcrypt_hashes_are_checked_and_renewed() {
        use bcrypt::Version;
        let mut hasher = hasher();
        for version in [Version::TwoA, Version::TwoB, Version::TwoY] {
            let hash = bcrypt::hash_with_result(PASSWORD, 4).expect("it can be hashed").format_for_version(version);
            let stored = StoredHash::new(hash);
            assert_eq!(hasher.check(&password("another password"), Some(&stored)), Ok(Verdict::Wrong));
            let Ok(Verdict::Right { renewed: Some(renewed) }) = hasher.check(&password(PASSWORD), Some(&stored)) else {
                panic!("it is the password, and bcrypt is renewed");
            };
            assert_eq!(hasher.check(&password(PASSWORD), Some(&renewed)), Ok(Verdict::Right { renewed: None }));
        }
    }

    #[test]
    fn hashes_of_other_parameters_are_checked_and_renewed() {
        let mut hasher = hasher();
        for stored in [argon(8 * 1024, 1, 1), argon(64 * 1024, 1, 4)] {
            let verdict = hasher.check(&password(PASSWORD), Some(&stored));
            assert!(matches!(verdict, Ok(Verdict::Right { renewed: Some(_) })), "{verdict:?}");
        }
    }

    #[test]
    fn a_hash_that_is_unknown_or_too_costly_is_never_right() {
        let mut hasher = hasher();
        let bcrypt = bcrypt::hash_with_result(PASSWORD, 4).expect("it can be hashed");
        let unfit = [
            argon(64 * 1024 + 4, 1, 1),
            argon(64, 6, 1),
            argon(64, 1, 5),
            StoredHash::new(bcrypt.format_for_version(bcrypt::Version::TwoX)),
            StoredHash::new("$2b$15$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"),
            StoredHash::new("$2b$xx$"),
            StoredHash::new("$2b$04$short"),
            StoredHash::new(PASSWORD),
            StoredHash::new(""),
        ];
        for stored in &unfit {
            assert_eq!(hasher.check(&password(PASSWORD), Some(stored)), Ok(Verdict::Wrong), "{}", stored.expose());
        }
        assert_eq!(hasher.argon.computed.get(), unfit.len() as u64, "each costs a check");
        assert_eq!(hasher.bcrypts.get(), 0);
    }
}
