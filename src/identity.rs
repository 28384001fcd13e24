//! The names of tenants, credentials, subscriptions and requests, and the cause of a write.
//!
//! The names of tenants and credentials do not contain `_`, because it separates the parts of a
//! token. They contain no character that would have to be escaped in a path, in a key of the table
//! or in the name of a secret.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::protocol::error::{Error, Result};

/// The name of a tenant: `[a-z0-9-]{1,40}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

    /// Checks that a new tenant may have the name. One that begins with `-` looks like an option of a command; tenants
    /// of an early version may have such a name, and keep it.
    ///
    /// # Errors
    /// `InvalidValue` if it does not begin with a letter or a digit.
    pub fn check_new(&self) -> Result<()> {
        match self.0.starts_with('-') {
            true => Err(Error::invalid_value(
                "The name of a new tenant begins with a letter or a digit",
            )),
            false => Ok(()),
        }
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
    /// Reads a credential id such as `5f0c9a1e7d3b2846`.
    ///
    /// # Errors
    /// `InvalidValue` for anything but 1 to 32 of the characters `a-z` and `0-9`.
    pub fn parse(text: &str) -> Result<Self> {
        letters_and_digits(text, "credential").map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a subscription to events within its stack: `[a-z0-9]{1,32}`, 16 random hex digits when
/// made here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubscriptionId(String);

impl SubscriptionId {
    /// Reads a subscription id such as `5f0c9a1e7d3b2846`.
    ///
    /// # Errors
    /// `InvalidValue` for anything but 1 to 32 of the characters `a-z` and `0-9`.
    pub fn parse(text: &str) -> Result<Self> {
        letters_and_digits(text, "subscription").map(Self)
    }

    /// A new id that no other subscription has, such as `5f0c9a1e7d3b2846`.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of one request: 1 to 36 ASCII letters, digits and characters of `-_.:+/=`.
///
/// It is stored in the items that the request writes, so it is no longer than a UUID. A client may
/// choose it, so two requests can have the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestId(String);

impl RequestId {
    /// The longest name of a request, in characters: a UUID with its hyphens.
    pub const MAX_CHARACTERS: usize = 36;

    /// Reads a name. `None` if it is too long or has other characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits =
            (1..=Self::MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(Self::may_contain);
        fits.then(|| Self(text.to_owned()))
    }

    /// A new name that no other request has: a UUIDv7, such as `0199c3a7-15be-7aaa-8bbb-0123456789ab`.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Whether the name of a request may contain this byte.
    #[must_use]
    pub fn may_contain(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(&byte)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The cause of a write: the request that asked for it, the credential of that request, and the kind
/// of request.
///
/// **Shape**: `{"request":"0199c3a7-15be-7aaa-8bbb-0123456789ab","credential":"5f0c9a1e7d3b2846","kind":"scim2"}`
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The request. All operations of a bulk request have the name of the bulk request, which its
    /// answer and its log line have too. Which of its resources an operation was about is known from
    /// the event.
    pub request: RequestId,
    /// The credential of the request. `None` for writes that the service makes by itself, and for
    /// commands.
    pub credential: Option<CredentialId>,
    /// The kind of request.
    pub kind: CauseKind,
}

/// What kind of request has caused a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CauseKind {
    /// A request of SCIM 2.0.
    Scim2,
    /// A request of SCIM 1.1.
    Scim1,
    /// A request of the Ionic API.
    Ionic,
    /// An operation of a bulk request, of SCIM 2.0 or 1.1.
    Bulk,
    /// A command of an operator of the service.
    Command,
    /// A correction by `scim doctor --repair`.
    Repair,
    /// A bulk load into an empty directory.
    Import,
    /// The service itself, such as the finisher of a change whose journal entry has no cause.
    Service,
}

impl Cause {
    /// The cause of a write by the service itself or by a command, with a new name of a request.
    #[must_use]
    pub fn without_credential(kind: CauseKind) -> Self {
        Self {
            request: RequestId::random(),
            credential: None,
            kind,
        }
    }
}

impl TryFrom<String> for RequestId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no name of a request")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Has these names written as their text, and read as [`parse`](TenantId::parse) does.
macro_rules! written_as_text {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

written_as_text!(TenantId, CredentialId, SubscriptionId);

/// The longest id of a credential or a subscription, in characters.
const MAX_ID_CHARACTERS: usize = 32;

/// Reads the id of something.
///
/// # Errors
/// `InvalidValue` for anything but 1 to [`MAX_ID_CHARACTERS`] of the characters `a-z` and `0-9`.
fn letters_and_digits(text: &str, of: &str) -> Result<String> {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if (1..=MAX_ID_CHARACTERS).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid_value(format!(
        "A {of} id has 1 to {MAX_ID_CHARACTERS} of the characters a-z and 0-9"
    )))
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

    #[test]
    fn subscription_ids_are_made_as_they_are_read() {
        let id = SubscriptionId::random();
        assert_eq!(id.as_str().len(), 16);
        assert_eq!(SubscriptionId::parse(id.as_str()).unwrap(), id);
        for text in ["", "A", "a-b", "*", &"0".repeat(33)] {
            assert!(SubscriptionId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn request_ids_are_short_and_plain() {
        fn check(text: &str, allowed: bool) {
            assert_eq!(RequestId::parse(text).is_some(), allowed, "{text:?}");
        }
        check(RequestId::random().as_str(), true);
        check("Root=1-67891233-abcdef01", true);
        check(&"a".repeat(36), true);
        check(&"a".repeat(37), false);
        check("", false);
        check("a b", false);
        check("a~b", false);
        check("zürich", false);
    }

    #[test]
    fn a_cause_is_written_with_all_its_members() {
        let cause = Cause {
            request: RequestId::parse("r-1").unwrap(),
            credential: Some(CredentialId::parse("c1").unwrap()),
            kind: CauseKind::Scim2,
        };
        let json = serde_json::to_string(&cause).unwrap();
        assert_eq!(
            json,
            r#"{"request":"r-1","credential":"c1","kind":"scim2"}"#
        );
        let own = Cause::without_credential(CauseKind::Service);
        let json = serde_json::to_value(&own).unwrap();
        assert_eq!(
            (&json["credential"], &json["kind"]),
            (&serde_json::Value::Null, &"service".into())
        );
    }
}
