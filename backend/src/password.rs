//! What a password may be, when one is chosen and when one is typed. Rules follow NIST SP 800-63B §3.1.1:
//! length and a list of the commonest, no composition. Text is wiped when dropped and never printed.

use std::fmt;

use zeroize::Zeroizing;

/// The passwords that guessing starts with: sorted, in lower case, one a line.
const COMMON: &str = include_str!("password/common.txt");

const MAX_CHARACTERS: usize = 256;
const TOO_LONG: &str = "must be at most 256 characters long";

/// A password as someone typed it; whether it is right is another matter.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes what was typed: 1 to 256 characters, since nothing longer could ever have been chosen.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        let password = Self(Zeroizing::new(text));
        match password.0.chars().count() {
            0 => Err("must not be empty"),
            1..=MAX_CHARACTERS => Ok(password),
            _ => Err(TOO_LONG),
        }
    }

    /// The bytes to hash; the name is there to be found in review.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password that is good enough to be chosen.
#[derive(Clone, Debug)]
pub struct NewPassword(Password);

impl NewPassword {
    /// Takes a choice of 8 to 256 characters that is not among the commonest.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        let text = Zeroizing::new(text);
        match text.chars().count() {
            0..8 => Err("must be at least 8 characters long"),
            8..=MAX_CHARACTERS if is_common(&text) => Err("is one of the most common passwords; choose another"),
            8..=MAX_CHARACTERS => Ok(Self(Password(text))),
            _ => Err(TOO_LONG),
        }
    }

    /// Whether it is the user's own name, in any case.
    pub fn is(&self, username: &str) -> bool {
        self.0.0.eq_ignore_ascii_case(username)
    }

    /// The password, to be hashed.
    pub fn into_password(self) -> Password {
        self.0
    }
}

fn is_common(text: &str) -> bool {
    let lower = Zeroizing::new(text.to_lowercase());
    COMMON.lines().any(|common| common == lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_common_passwords_is_sorted_lower_case_and_not_refused_already() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 200, "{} passwords", lines.len());
        assert!(lines.is_sorted_by(|a, b| a < b), "sorted, without duplicates");
        for line in lines {
            assert_eq!(line, line.to_lowercase());
            assert!(line.chars().count() >= 8, "{line:?} is too short anyway");
        }
    }

    #[test]
    fn length_is_the_only_rule_of_form() {
        for good in ["xkcd 936", "ÄÖÜäöüßé", "kkkkkkkkk", &"🔑".repeat(256)] {
            assert!(NewPassword::parse(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "1234567", "ÄÖÜäöüß", &"🔑".repeat(257)] {
            assert!(NewPassword::parse(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn common_passwords_are_refused_in_any_case() {
        for bad in ["password", "PassWord1", "QWERTYUIOP", "12345678"] {
            assert!(NewPassword::parse(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_that_was_once_allowed_can_still_be_typed() {
        assert!(Password::parse("short".to_owned()).is_ok());
        assert!(Password::parse(String::new()).is_err());
        assert!(Password::parse("x".repeat(257)).is_err());
    }

    #[test]
    fn a_password_is_never_printed() {
        let password = NewPassword::parse("a fine password".to_owned()).expect("it is fine");
        assert_eq!(format!("{password:?}"), "NewPassword(Password(…))");
    }
}
