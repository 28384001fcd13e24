//! The two names a credential consists of: its tenant's and its own.
//!
//! Neither may contain `_`, which separates the parts of a token, nor anything that a path, a
//! table key or a secret's name would have to escape.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::error::{Error, Result};

/// The name of a tenant: `[a-z0-9-]{1,40}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(String);

impl TenantId {
    /// The longest tenant name, in characters.
    pub const MAX_CHARACTERS: usize = 40;

    /// Reads a tenant name such as `acme-emea`.
    ///
    /// # Errors
    /// `InvalidValue` for anything but 1 to 40 of the characters `a-z`, `0-9` and `-`.
    pub fn parse(text: &str) -> Result<Self> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if (1..=Self::MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_value(format!(
            "A tenant name has 1 to {} of the characters a-z, 0-9 and -",
            Self::MAX_CHARACTERS
        )))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a credential within its tenant: `[a-z0-9]{1,32}`, 16 random hex digits when made
/// here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialId(String);

impl CredentialId {
    const MAX_CHARACTERS: usize = 32;

    /// Reads a credential id such as `5f0c9a1e7d3b2846`.
    ///
    /// # Errors
    /// `InvalidValue` for anything but 1 to 32 of the characters `a-z` and `0-9`.
    pub fn parse(text: &str) -> Result<Self> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        if (1..=Self::MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_value(format!(
            "A credential id has 1 to {} of the characters a-z and 0-9",
            Self::MAX_CHARACTERS
        )))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CredentialId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<CredentialId> for String {
    fn from(id: CredentialId) -> Self {
        id.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_names_keep_to_lower_case_digits_and_hyphens() {
        fn check(text: &str, allowed: bool) {
            assert_eq!(TenantId::parse(text).is_ok(), allowed, "{text:?}");
        }
        check("a", true);
        check("acme-emea-2", true);
        check(&"x".repeat(40), true);
        check(&"x".repeat(41), false);
        check("", false);
        check("Acme", false);
        check("a_b", false);
        check("a/b", false);
        check("zürich", false);
        check("a\n", false);
    }

    #[test]
    fn credential_ids_have_no_separators() {
        fn check(text: &str, allowed: bool) {
            assert_eq!(CredentialId::parse(text).is_ok(), allowed, "{text:?}");
        }
        check("5f0c9a1e7d3b2846", true);
        check("", false);
        check("a-b", false);
        check("a_b", false);
        check(&"0".repeat(33), false);
    }
}
