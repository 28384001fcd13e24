//! Passwords: checked and forgotten, or kept as argon2id hashes (RFC 7643 §4.1.1, §9.2).

use argon2::Argon2;
use argon2::password_hash::{
    PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash, phc::Salt,
};

use crate::protocol::error::{Error, Result};
use crate::protocol::profile::{Passwords, Rules};
use crate::protocol::resource::{Password, PasswordChange};

/// The hash that a resource has after a request, given the one it had.
pub(super) async fn changed(
    change: Option<&PasswordChange>,
    current: Option<&str>,
    rules: &Rules,
) -> Result<Option<String>> {
    match (change, rules.switches.passwords) {
        (None, _) | (Some(PasswordChange::Set(_)), Passwords::Discard) => {
            Ok(current.map(str::to_owned))
        }
        (Some(PasswordChange::Clear), _) => Ok(None),
        (Some(PasswordChange::Set(password)), Passwords::Hash) => {
            let (password, current) = (password.clone(), current.map(str::to_owned));
            // Hashing takes tens of milliseconds of CPU on purpose, which must not stop other requests.
            let task = tokio::task::spawn_blocking(move || kept_or_hashed(&password, current));
            task.await.map_err(Error::internal)?.map(Some)
        }
    }
}

/// The present hash if it is of this password already, so that setting it again changes nothing.
fn kept_or_hashed(password: &Password, current: Option<String>) -> Result<String> {
    let bytes = password.as_str().as_bytes();
    if let Some(current) = current {
        let hash =
            PasswordHash::new(&current).map_err(|error| Error::internal(error.to_string()))?;
        if Argon2::default().verify_password(bytes, &hash).is_ok() {
            return Ok(current);
        }
    }
    let salt = Salt::generate();
    let hash = Argon2::default().hash_password_with_salt(bytes, &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| Error::internal(error.to_string()))
}
