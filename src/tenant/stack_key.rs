//! One key of the stack, from which the keys for all purposes are derived.
//!
//! Each purpose has its own key: the HMAC-SHA256 of a label under the stack's key. So the key of one
//! purpose reveals nothing about that of another.

use std::fmt;

use ring::digest::SHA256_OUTPUT_LEN;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::protocol::error::{Error, Result};

/// The number of a stack's key: 0 for the first, and one more for each key after it.
///
/// What is made under a key names it, so that it is found among several. What names no key was made
/// under key 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct KeyId(u32);

/// One key of the stack.
pub struct StackKey {
    id: KeyId,
    key: hmac::Key,
}

impl KeyId {
    /// The key that has no name in what is made under it.
    pub const FIRST: Self = Self(0);

    /// The number after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Reads a number of 1 to 9 digits, without leading zeros. Zero is not read, because the first key
    /// is never named.
    #[must_use]
    pub fn parse_named(text: &str) -> Option<Self> {
        let is_plain = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !is_plain || text.starts_with('0') {
            return None;
        }
        text.parse().ok().map(Self)
    }

    /// Whether it is the first key.
    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl From<u32> for KeyId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl StackKey {
    /// The shortest key material that is accepted, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// Uses key material of any form. A generated password of 64 characters is as good as 32 raw
    /// bytes.
    ///
    /// # Errors
    /// `Internal` if there are fewer than 32 bytes.
    pub(super) fn new(id: KeyId, material: &[u8]) -> Result<Self> {
        if material.len() < Self::MIN_BYTES {
            let found = material.len();
            return Err(Error::internal(format!(
                "key {id} of the stack secret has {found} bytes, fewer than {}",
                Self::MIN_BYTES
            )));
        }
        Ok(Self {
            id,
            key: hmac::Key::new(hmac::HMAC_SHA256, material),
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key for one purpose. Equal labels have equal keys.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; SHA256_OUTPUT_LEN] {
        let tag = hmac::sign(&self.key, label.as_bytes());
        let mut key = [0; SHA256_OUTPUT_LEN];
        key.copy_from_slice(tag.as_ref());
        key
    }

    /// The HMAC-SHA256 of `message` under the key for one purpose.
    pub(super) fn sign(&self, label: &str, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.purpose(label), message)
    }

    /// Whether `tag` is the HMAC-SHA256 of `message` under the key for one purpose. Takes the same time
    /// wherever the tags differ.
    pub(super) fn verify(&self, label: &str, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.purpose(label), message, tag).is_ok()
    }

    fn purpose(&self, label: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(label))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StackKey({}, ..)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(material: u8) -> StackKey {
        StackKey::new(KeyId::FIRST, &[material; 32]).unwrap()
    }

    #[test]
    fn each_label_and_each_key_gives_its_own_key() {
        assert_eq!(key(1).derive("cursor"), key(1).derive("cursor"));
        assert_ne!(key(1).derive("cursor"), key(1).derive("mac"));
        assert_ne!(key(1).derive("cursor"), key(2).derive("cursor"));
    }

    #[test]
    fn a_tag_is_that_of_one_label_message_and_key() {
        let tag = key(1).sign("a", b"message");
        assert!(key(1).verify("a", b"message", tag.as_ref()));
        assert!(!key(2).verify("a", b"message", tag.as_ref()));
        assert!(!key(1).verify("b", b"message", tag.as_ref()));
        assert!(!key(1).verify("a", b"massage", tag.as_ref()));
        assert!(!key(1).verify("a", b"message", &tag.as_ref()[..8]));
    }

    #[test]
    fn short_key_material_is_refused() {
        assert!(StackKey::new(KeyId::FIRST, &[1; 31]).is_err());
    }

    #[test]
    fn a_named_key_has_one_spelling() {
        assert_eq!(KeyId::parse_named("12"), Some(KeyId(12)));
        for text in ["", "0", "01", "+1", "-1", "1a", "9999999999"] {
            assert_eq!(KeyId::parse_named(text), None, "{text}");
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", key(7)), "StackKey(0, ..)");
    }
}
