//! How a key of ours is written into one field of a hash: when it was made, its algorithm and its material.
//! Reading checks all three. Nothing here prints any of them.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::store::text::corrupt;
use crate::store::{KeyPurpose, StoreError, StoredKey};

pub(super) fn write(key: &StoredKey) -> String {
    let StoredKey { purpose: _, name: _, algorithm, material, created_at } = key;
    format!("{} {algorithm} {}", created_at.as_micros(), STANDARD.encode(material.expose()))
}

/// All keys of a purpose, by name, as a list with the newest first.
pub(super) fn newest_first(purpose: KeyPurpose, fields: HashMap<String, String>) -> Result<Vec<StoredKey>, StoreError> {
    let mut keys = fields
        .into_iter()
        .map(|(name, text)| read(purpose, name, &text).ok_or_else(|| corrupt("a key that is none")))
        .collect::<Result<Vec<_>, _>>()?;
    keys.sort_by(|one, other| other.created_at.cmp(&one.created_at).then_with(|| one.name.cmp(&other.name)));
    Ok(keys)
}

fn read(purpose: KeyPurpose, name: String, text: &str) -> Option<StoredKey> {
    let mut parts = text.splitn(3, ' ');
    let created_at = Timestamp::from_micros(parts.next()?.parse().ok()?);
    let algorithm = parts.next()?.to_owned();
    let material = Secret::new(STANDARD.decode(parts.next()?).ok()?);
    Some(StoredKey { purpose, name, algorithm, material, created_at })
}
