//! Reads secrets from the environment or from files, never from the configuration itself, and refuses those
//! that could be guessed. Files are sought from the configuration's folder. No message here ever holds a
//! secret, or a text that may have been meant as one.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::hints::quoted;
use super::reader::{Read, Value};
use crate::secret::Secret;

/// RFC 7518 §3.2: a key for HMAC with SHA-256 has at least 256 bits.
const HMAC_BYTES: usize = 32;
/// No key or URL is longer.
const MOST_BYTES: u64 = 64 * 1024;

/// A secret, from where it is.
pub(super) fn secret(value: &Value<'_>) -> Read<Secret> {
    located(value).map(|(secret, _)| secret)
}

/// A secret, and the file that it is in, if it is in one.
pub(super) fn located(value: &Value<'_>) -> Read<(Secret, Option<PathBuf>)> {
    if value.as_text().is_some() {
        return Err(value.refuse(
            "a secret never stands in this file; write { env = \"NAME\" } or { file = \"PATH\" }, and change it if it was real",
        ));
    }
    value.table(|table| {
        let env = table.optional("env", from_env);
        let file = table.optional("file", from_file);
        match (env?, file?) {
            (Some(secret), None) => Ok((secret, None)),
            (None, Some((secret, path))) => Ok((secret, Some(path))),
            _ => Err(table.refuse("write either { env = \"NAME\" } or { file = \"PATH\" }")),
        }
    })
}

fn from_env(value: &Value<'_>) -> Read<Secret> {
    let name = value.parse(Ok)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(value.refuse("this is no name of an environment variable; write letters, digits and \"_\""));
    }
    match (value.reading().env)(name) {
        Some(text) if !text.is_empty() => Ok(Secret::new(text)),
        // A name in capitals is one; anything else may be the secret itself, put in the wrong place.
        _ if name.bytes().all(|byte| !byte.is_ascii_lowercase()) => {
            Err(value.refuse(format_args!("the environment variable {} is not set; set it", quoted(name))))
        }
        _ => Err(value.refuse("the environment variable that this names is not set; set it")),
    }
}

fn from_file(value: &Value<'_>) -> Read<(Secret, PathBuf)> {
    let path = value.parse(Ok)?;
    let place = value.reading().folder.join(path);
    let bytes = read_file(&place)
        .map_err(|why| value.refuse(format_args!("the file {} can't be read: {why}", quoted(path))))?;
    let line_ends = bytes.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    match &bytes[..bytes.len() - line_ends] {
        [] => Err(value.refuse(format_args!("the file {} is empty", quoted(path)))),
        secret => Ok((Secret::new(secret), place)),
    }
}

fn read_file(path: &Path) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let read = std::fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MOST_BYTES {
        return Err(std::io::Error::other("it is larger than 64 KiB"));
    }
    Ok(bytes)
}

/// A secret that others must not guess: 32 bytes at least, and nothing well known.
pub(super) fn hmac_secret(value: &Value<'_>) -> Read<Secret> {
    const REMEDY: &str = "make one by `openssl rand -base64 48`";
    let secret = secret(value)?;
    let bytes = secret.expose();
    if bytes.len() < HMAC_BYTES {
        return Err(value.refuse(format_args!("this secret has {} bytes, but needs 32; {REMEDY}", bytes.len())));
    }
    if is_a_key(bytes) {
        return Err(value.refuse(format_args!("this holds a key, which others may know, and no secret; {REMEDY}")));
    }
    if is_well_known(bytes) {
        return Err(value.refuse(format_args!("this secret is well known or a placeholder; {REMEDY}")));
    }
    if is_regular(bytes) {
        return Err(value.refuse(format_args!("this secret is too regular to be random; {REMEDY}")));
    }
    Ok(secret)
}

/// [`hmac_secret`] that can be sent as `Authorization: Bearer …` (RFC 6750 §2.1).
pub(super) fn bearer_token(value: &Value<'_>) -> Read<Secret> {
    let secret = hmac_secret(value)?;
    let sendable = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if !secret.expose().iter().all(sendable) {
        return Err(value.refuse("this secret can't be sent in a header; make one by `openssl rand -base64 48`"));
    }
    Ok(secret)
}

/// A key in PEM or JWK. As an HMAC secret, a public one would let anybody sign (CVE-2015-9235 by configuration).
fn is_a_key(bytes: &[u8]) -> bool {
    ["-----BEGIN ", "\"kty\""].iter().any(|mark| bytes.windows(mark.len()).any(|window| window == mark.as_bytes()))
}

/// Words that random text does not hold, but samples, defaults and placeholders do.
fn is_well_known(bytes: &[u8]) -> bool {
    const WORDS: [&str; 12] = [
        "secret",
        "password",
        "changeme",
        "replaceme",
        "example",
        "placeholder",
        "default",
        "256bit",
        "512bit",
        "portcullis",
        "insertyour",
        "qwerty",
    ];
    let folded: Vec<u8> =
        bytes.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    WORDS.iter().any(|word| folded.windows(word.len()).any(|window| window == word.as_bytes()))
}

/// Few different bytes, a repetition, or a sequence.
fn is_regular(bytes: &[u8]) -> bool {
    let different = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
    let repeats = |period: usize| bytes.iter().zip(&bytes[period..]).all(|(one, other)| one == other);
    let steps = bytes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count();
    different < 8 || (1..=bytes.len() / 2).any(repeats) || steps * 2 > bytes.len()
}
