//! The secret from which all keys of a deployment are derived.
//!
//! Each purpose has its own key: the HMAC-SHA256 of a label under the stack secret. So the key of
//! one purpose reveals nothing about that of another. If the stack secret is replaced, every
//! credential of the stack becomes invalid.

use std::fmt;

use ring::digest::SHA256_OUTPUT_LEN;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::secrets::{SecretError, SecretStore};
use super::token::hex;
use crate::protocol::error::{Error, Result};

/// The key material of a deployment.
pub struct StackSecret(hmac::Key);

impl StackSecret {
    /// The shortest key material that is accepted, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// Uses key material of any form. A generated password of 64 characters is as good as 32 raw
    /// bytes.
    ///
    /// # Errors
    /// `Internal` if there are fewer than 32 bytes.
    pub fn from_bytes(material: &[u8]) -> Result<Self> {
        if material.len() < Self::MIN_BYTES {
            let found = material.len();
            return Err(Error::internal(format!(
                "the stack secret has {found} bytes, fewer than {}",
                Self::MIN_BYTES
            )));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, material)))
    }

    /// Reads the stack secret called `name`.
    ///
    /// # Errors
    /// `Internal` if there is none or it is too short, `Unavailable` if the store is out of reach.
    pub async fn read(secrets: &dyn SecretStore, name: &str) -> Result<Self> {
        let Some(secret) = secrets.get(name).await? else {
            return Err(Error::internal(format!("there is no secret {name}")));
        };
        Self::from_bytes(secret.value.as_bytes())
    }

    /// Reads the stack secret called `name`. If there is none, a random one is created.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_or_create(secrets: &dyn SecretStore, name: &str) -> Result<Self> {
        if secrets.get(name).await?.is_none() {
            let material = hex(&random_bytes::<32>(&SystemRandom::new())?);
            match secrets.put(name, &material, None).await {
                // Another process has created the secret in the meantime. That one is read below.
                Ok(_) | Err(SecretError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::read(secrets, name).await
    }

    /// The key for one purpose. Equal labels have equal keys.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; SHA256_OUTPUT_LEN] {
        let tag = hmac::sign(&self.0, label.as_bytes());
        let mut key = [0; SHA256_OUTPUT_LEN];
        key.copy_from_slice(tag.as_ref());
        key
    }

    /// The HMAC-SHA256 of `message` under the key for one purpose.
    pub(super) fn sign(&self, label: &str, message: &[u8]) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.derive(label));
        hmac::sign(&key, message)
    }
}

/// `N` bytes from the operating system's generator.
pub(super) fn random_bytes<const N: usize>(random: &SystemRandom) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    random
        .fill(&mut bytes)
        .map_err(|_| Error::internal("the random number generator failed"))?;
    Ok(bytes)
}

impl fmt::Debug for StackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StackSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_and_each_secret_gives_its_own_key() {
        let one = StackSecret::from_bytes(&[1; 32]).unwrap();
        let two = StackSecret::from_bytes(&[2; 32]).unwrap();
        assert_eq!(one.derive("cursor"), one.derive("cursor"));
        assert_ne!(one.derive("cursor"), one.derive("mac"));
        assert_ne!(one.derive("cursor"), two.derive("cursor"));
    }

    #[test]
    fn short_key_material_is_refused() {
        assert!(StackSecret::from_bytes(&[1; 31]).is_err());
    }

    #[test]
    fn debug_output_shows_no_key() {
        let secret = StackSecret::from_bytes(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "StackSecret(..)");
    }
}
