//! The secret with the keys of a deployment.
//!
//! ```json
//! {"version": 1, "keys": [
//!   {"id": 0, "material": "…", "signs": 0},
//!   {"id": 1, "material": "…", "signs": 1798761600}]}
//! ```
//!
//! A new stack has a secret of another form: the text of a generated password. It is the material of
//! key 0, and gets the form above when a second key is added.
//!
//! A key signs from `signs` on, in seconds since the Unix epoch, until a later key does. What was
//! signed under a key is valid as long as the secret has that key.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::hex::hex;
use super::random::random_bytes;
use super::secrets::broken_json;
use super::stack_key::{KeyId, StackKey};
use crate::protocol::error::{Error, Result};

/// The version of the document that this release reads and writes.
const VERSION: u32 = 1;
/// The largest number of keys. Each request may be signed under any of them.
const MAX_KEYS: usize = 8;
/// How long a new key is in the secret before it signs, in seconds. Every process reads the secret
/// again after a minute ([`StackKeys`](super::StackKeys)), so by then all of them know the key.
pub(super) const SIGNS_AFTER_SECONDS: u64 = 2 * 60;
/// How long cursors and access tokens are valid, in seconds. For so long after a key has signed for the
/// last time, clients hold some that were made under it.
const HELD_SECONDS: u64 = 60 * 60;

/// The keys of a deployment, as they were read once.
pub struct StackSecret {
    /// In the order of their numbers. There is at least one.
    keys: Vec<DatedKey>,
    document: Document,
}

struct DatedKey {
    key: Arc<StackKey>,
    signs: u64,
}

/// The secret as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Document {
    version: u32,
    keys: Vec<StoredKey>,
    /// Members that only a newer release knows.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    id: KeyId,
    material: String,
    signs: u64,
    /// Members that only a newer release knows.
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// Why a text was not made by this stack, as far as can be said without reading anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSigned {
    /// It has another form, or was not made with the key that it names.
    Forged,
    /// It names a key that is not known. Another process may have made the key.
    UnknownKey,
}

/// One key, as operators see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyState {
    /// Its number.
    pub id: KeyId,
    /// When it begins to sign, in seconds since the Unix epoch; 0 for the first key.
    pub signs: u64,
    /// Whether it is the one that signs now.
    pub is_signing: bool,
}

impl StackSecret {
    /// Reads the secret.
    ///
    /// # Errors
    /// `Internal` if it is neither key material of 32 bytes or more nor a document of this form.
    pub fn parse(text: &str) -> Result<Self> {
        if !text.trim_start().starts_with('{') {
            return Self::of(Document {
                version: VERSION,
                keys: vec![StoredKey {
                    id: KeyId::FIRST,
                    material: text.to_owned(),
                    signs: 0,
                    unknown: Map::new(),
                }],
                unknown: Map::new(),
            });
        }
        let document: Document = serde_json::from_str(text).map_err(|error| {
            Error::internal("the stack secret cannot be read").with_source(broken_json(&error))
        })?;
        if document.version != VERSION {
            return Err(Error::internal(format!(
                "the stack secret has version {}, not {VERSION}",
                document.version
            )));
        }
        Self::of(document)
    }

    fn of(mut document: Document) -> Result<Self> {
        document.keys.sort_by_key(|key| key.id);
        let is_doubled = document.keys.windows(2).any(|two| two[0].id == two[1].id);
        if document.keys.is_empty() || is_doubled {
            return Err(Error::internal(
                "the stack secret does not have each key once",
            ));
        }
        let keys = document.keys.iter().map(|stored| {
            let key = StackKey::new(stored.id, stored.material.as_bytes())?;
            Ok(DatedKey {
                key: Arc::new(key),
                signs: stored.signs,
            })
        });
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
            document,
        })
    }

    /// Random key material, as the secret of a new deployment.
    ///
    /// # Errors
    /// `Internal` if the random number generator fails.
    pub(super) fn random_material() -> Result<String> {
        Ok(hex(&random_bytes::<32>(&SystemRandom::new())?))
    }

    /// The secret as text.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(&self.document).expect("every map in the document has string keys")
    }

    /// The key with this number.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&Arc<StackKey>> {
        let found = self.keys.iter().find(|dated| dated.key.id() == id);
        found.map(|dated| &dated.key)
    }

    /// The key that a text names; key 0 if it names none.
    pub(super) fn named(&self, name: Option<&str>) -> std::result::Result<&StackKey, NotSigned> {
        let id = match name {
            None => KeyId::FIRST,
            Some(name) => KeyId::parse_named(name).ok_or(NotSigned::Forged)?,
        };
        self.key(id).map(AsRef::as_ref).ok_or(NotSigned::UnknownKey)
    }

    /// The key that signs at `now`, in seconds since the Unix epoch: the latest that has begun. If the
    /// clock is so far off that none has, it is the first.
    #[must_use]
    pub fn signing(&self, now: u64) -> &Arc<StackKey> {
        let mut latest_first = self.keys.iter().rev();
        let begun = latest_first.find(|dated| dated.signs <= now);
        &begun.unwrap_or(&self.keys[0]).key
    }

    /// All keys, in the order of their numbers.
    #[must_use]
    pub fn states(&self, now: u64) -> Vec<KeyState> {
        let signing = self.signing(now).id();
        let states = self.keys.iter().map(|dated| KeyState {
            id: dated.key.id(),
            signs: dated.signs,
            is_signing: dated.key.id() == signing,
        });
        states.collect()
    }

    /// The same with one more key, which will sign two minutes after `now`. If the latest key has not
    /// begun to sign yet, it is this one: nothing is added.
    ///
    /// # Errors
    /// `TooMany` for more than 8 keys; `Internal` if the random number generator fails.
    pub(super) fn with_new_key(&self, now: u64) -> Result<Self> {
        let mut document = self.document.clone();
        let latest = &self.keys[self.keys.len() - 1];
        if latest.signs > now {
            return Self::of(document);
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(Error::too_many(format!(
                "The stack has {MAX_KEYS} keys already; retire one first"
            )));
        }
        document.keys.push(StoredKey {
            id: latest.key.id().next(),
            material: Self::random_material()?,
            signs: now + SIGNS_AFTER_SECONDS,
            unknown: Map::new(),
        });
        Self::of(document)
    }

    /// The same without a key. If the key was removed before, this is the same secret.
    ///
    /// # Errors
    /// `NotFound` if there is no such key; `Conflict` if it signs, or if processes that have read the
    /// secret a minute ago may still sign with it.
    pub(super) fn without_key(&self, id: KeyId, now: u64) -> Result<Self> {
        let latest = &self.keys[self.keys.len() - 1];
        if self.key(id).is_none() && id < latest.key.id() {
            return Self::of(self.document.clone());
        }
        let Some(since) = self.silent_since(id)? else {
            return Err(Error::conflict(format!(
                "Key {id} is the one that signs; rotate the key first"
            )));
        };
        // Until then another process may sign under the key and hand out what no process accepts.
        if now < since + SIGNS_AFTER_SECONDS {
            return Err(Error::conflict(format!(
                "Key {id} signs until {SIGNS_AFTER_SECONDS} seconds after the next key begins; try \
                 again in a few minutes"
            )));
        }
        let mut document = self.document.clone();
        document.keys.retain(|stored| stored.id != id);
        Self::of(document)
    }

    /// Whether clients may still hold cursors and access tokens that were made under a key.
    pub(super) fn is_held(&self, id: KeyId, now: u64) -> bool {
        // A key that was removed holds nothing.
        let Ok(since) = self.silent_since(id) else {
            return false;
        };
        since.is_none_or(|since| now < since + SIGNS_AFTER_SECONDS + HELD_SECONDS)
    }

    /// Since when a later key signs instead of this one, in seconds since the Unix epoch. `None` for the
    /// latest key.
    fn silent_since(&self, id: KeyId) -> Result<Option<u64>> {
        if self.key(id).is_none() {
            return Err(Error::not_found(format!("The stack has no key {id}")));
        }
        let later = self.keys.iter().find(|dated| dated.key.id() > id);
        Ok(later.map(|dated| dated.signs))
    }
}

impl fmt::Debug for StackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StackSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RAW: &str = "0123456789abcdef0123456789abcdef";

    fn ids(secret: &StackSecret) -> Vec<KeyId> {
        secret.keys.iter().map(|dated| dated.key.id()).collect()
    }

    #[test]
    fn a_plain_text_is_the_first_key() {
        let secret = StackSecret::parse(RAW).unwrap();
        let key = StackKey::new(KeyId::FIRST, RAW.as_bytes()).unwrap();
        assert_eq!(secret.signing(0).derive("any"), key.derive("any"));
        let again = StackSecret::parse(&secret.to_text()).unwrap();
        assert_eq!(again.signing(0).derive("any"), key.derive("any"));
    }

    #[test]
    fn a_new_key_signs_two_minutes_after_it_was_added() {
        let one = StackSecret::parse(RAW).unwrap();
        let two = one.with_new_key(1000).unwrap();
        let two = StackSecret::parse(&two.to_text()).unwrap();
        assert_eq!(ids(&two), [KeyId::from(0), KeyId::from(1)]);
        assert_eq!(two.signing(1119).id(), KeyId::from(0));
        assert_eq!(two.signing(1120).id(), KeyId::from(1));
        let first = |secret: &StackSecret| secret.key(KeyId::FIRST).unwrap().derive("any");
        assert_eq!(first(&one), first(&two));
    }

    #[test]
    fn a_key_is_not_added_while_another_one_waits() {
        let two = StackSecret::parse(RAW).unwrap().with_new_key(1000).unwrap();
        assert_eq!(ids(&two.with_new_key(1119).unwrap()).len(), 2);
        assert_eq!(ids(&two.with_new_key(1120).unwrap()).len(), 3);
    }

    #[test]
    fn a_key_goes_when_no_process_can_sign_with_it_and_its_number_does_not_come_again() {
        let two = StackSecret::parse(RAW).unwrap().with_new_key(1000).unwrap();
        assert!(two.without_key(KeyId::from(0), 1239).is_err());
        assert!(two.without_key(KeyId::from(1), 9999).is_err());
        assert!(two.without_key(KeyId::from(2), 9999).is_err());
        let one = two.without_key(KeyId::from(0), 1240).unwrap();
        assert_eq!(ids(&one), [KeyId::from(1)]);
        assert_eq!(
            ids(&one.without_key(KeyId::from(0), 1240).unwrap()),
            ids(&one)
        );
        let next = one.with_new_key(2000).unwrap();
        assert_eq!(ids(&next), [KeyId::from(1), KeyId::from(2)]);
    }

    #[test]
    fn what_a_key_has_signed_is_held_for_an_hour() {
        let two = StackSecret::parse(RAW).unwrap().with_new_key(1000).unwrap();
        assert!(two.is_held(KeyId::from(1), 99_999));
        assert!(two.is_held(KeyId::from(0), 1120 + 120 + 3599));
        assert!(!two.is_held(KeyId::from(0), 1120 + 120 + 3600));
    }

    #[test]
    fn there_are_at_most_eight_keys() {
        let mut secret = StackSecret::parse(RAW).unwrap();
        for n in 1..8 {
            secret = secret.with_new_key(n * 1000).unwrap();
        }
        assert!(secret.with_new_key(9000).is_err());
    }

    #[test]
    fn a_document_is_written_as_it_was_read() {
        let document = json!({"version": 1, "owner": "x", "keys": [
            {"id": 3, "material": RAW, "signs": 7, "note": "y"}]});
        let secret = StackSecret::parse(&document.to_string()).unwrap();
        let written: Value = serde_json::from_str(&secret.to_text()).unwrap();
        assert_eq!(written, document);
    }

    #[test]
    fn other_texts_are_refused_without_showing_them() {
        let twice = json!({"version": 1, "keys": [
            {"id": 1, "material": RAW, "signs": 7}, {"id": 1, "material": RAW, "signs": 8}]});
        for text in [
            "short",
            "{",
            r#"{"version":2,"keys":[]}"#,
            r#"{"version":1,"keys":[]}"#,
            r#"{"version":1,"keys":[{"id":0,"material":"hunter2","signs":0}]}"#,
            &twice.to_string(),
        ] {
            let error = StackSecret::parse(text).unwrap_err();
            let shown = format!("{error:?} {}", error.causes());
            assert!(
                !shown.contains("hunter2") && !shown.contains(RAW),
                "{shown}"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let secret = StackSecret::parse(RAW).unwrap();
        assert_eq!(format!("{secret:?}"), "StackSecret(..)");
    }
}
