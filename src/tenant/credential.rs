//! The JSON document that a tenant's secret holds.
//!
//! ```json
//! {"version": 1, "credentials": [
//!   {"id": "5f0c9a1e7d3b2846", "kind": "bearer", "label": "okta", "created": 1767225600,
//!    "expires": 1798761600, "hash": "9f86d0…", "permissions": ["users:read"]}]}
//! ```
//!
//! Releases of different age share the document. Members that a release does not know are kept when
//! it writes. A credential that it cannot read is kept too, and authenticates no request.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Permissions;
use super::jwks::Jwks;
use super::secrets::broken_json;
use super::stack_key::KeyId;
use crate::identity::{CredentialId, RequestId};
use crate::protocol::error::BoxError;
use crate::protocol::profile::Switches;

/// The version of the document that this release reads and writes.
const VERSION: u32 = 1;

/// Every credential of one tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantSecret {
    version: u32,
    credentials: Vec<StoredCredential>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// An element of `credentials`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredCredential {
    Known(Box<Credential>),
    Unknown(Value),
}

/// A stored credential. It is enough to recognise the credential, but not enough to present it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Its name within the tenant.
    pub id: CredentialId,
    /// How it is presented.
    pub kind: CredentialKind,
    /// Its name for people. It is also the user name of a Basic credential.
    pub label: String,
    /// When it was made, in seconds since the Unix epoch.
    pub created: u64,
    /// When it expires, in seconds since the Unix epoch; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The SHA-256 of its token in lower-case hex. A MAC credential has none, because its key is
    /// derived when it is needed, and a client that signs assertions has none either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The stack's key under which its token, key or client id was made. Without that key it is refused.
    #[serde(default, skip_serializing_if = "KeyId::is_first")]
    pub key: KeyId,
    /// The public keys of a client that signs assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// Its own permissions. If they are absent, it has those of its role. If it has no role either,
    /// it may read and change its user at `/Me`, or do everything if it has no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeSet<String>>,
    /// The id of the role whose permissions it has in addition to its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The id of the user that it belongs to, which is the resource at `/Me`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The request that has asked for it, if that may be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The credential that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<CredentialId>,
    /// Members that only a newer release knows.
    #[serde(flatten)]
    pub(super) unknown: Map<String, Value>,
}

/// How a credential is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// `Authorization: Bearer {token}` (RFC 6750 §2.1).
    Bearer,
    /// `Authorization: Basic base64({label}@{tenant}:{token})` (RFC 7617 §2).
    Basic,
    /// `Authorization: IONIC {key id}:{signature}`.
    Mac,
    /// An OAuth client with a secret, which gets access tokens for it (RFC 6749 §4.4).
    #[serde(rename = "oauth")]
    OAuth,
    /// An OAuth client that signs assertions, and gets access tokens for them (RFC 7523 §2.2).
    #[serde(rename = "oauth-jwt")]
    OAuthJwt,
}

impl CredentialKind {
    /// Whether it is an OAuth client, which gets access tokens.
    #[must_use]
    pub fn is_client(self) -> bool {
        matches!(self, Self::OAuth | Self::OAuthJwt)
    }

    /// Its name in the stored document, such as `basic`. If it needs a switch of the tenant, the switch has
    /// the same name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Mac => "mac",
            Self::OAuth => "oauth",
            Self::OAuthJwt => "oauth-jwt",
        }
    }

    /// Whether a tenant with these switches accepts credentials of this kind.
    #[must_use]
    pub fn is_enabled(self, switches: &Switches) -> bool {
        match self {
            Self::Bearer | Self::OAuth | Self::OAuthJwt => true,
            Self::Basic => switches.basic,
            Self::Mac => switches.mac,
        }
    }
}

impl Default for TenantSecret {
    fn default() -> Self {
        Self {
            version: VERSION,
            credentials: Vec::new(),
            unknown: Map::new(),
        }
    }
}

impl TenantSecret {
    /// Reads the document.
    ///
    /// # Errors
    /// Names the fault if the text is not JSON of this shape, or has a version that this release
    /// cannot read.
    pub fn parse(text: &str) -> Result<Self, BoxError> {
        let secret: Self = serde_json::from_str(text).map_err(|error| broken_json(&error))?;
        if secret.version == VERSION {
            return Ok(secret);
        }
        Err(format!("version {} is not {VERSION}", secret.version).into())
    }

    /// The document as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("every map in the document has string keys")
    }

    /// The credentials that this release can read, oldest first.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter_map(|entry| match entry {
            StoredCredential::Known(credential) => Some(credential.as_ref()),
            StoredCredential::Unknown(_) => None,
        })
    }

    /// The credential called `id`.
    #[must_use]
    pub fn credential(&self, id: &CredentialId) -> Option<&Credential> {
        self.credentials().find(|credential| credential.id == *id)
    }

    /// Whether there is a credential called `id`, also one that this release cannot read.
    pub(super) fn has(&self, id: &CredentialId) -> bool {
        let mut entries = self.credentials.iter();
        entries.any(|entry| entry.id() == Some(id.as_str()))
    }

    /// Adds a credential, after those that are as old or older.
    pub fn add(&mut self, credential: Credential) {
        let is_later = |entry: &StoredCredential| match entry {
            StoredCredential::Known(known) => known.created > credential.created,
            StoredCredential::Unknown(_) => false,
        };
        let later = self.credentials.iter().position(is_later);
        let place = later.unwrap_or(self.credentials.len());
        let new = StoredCredential::Known(Box::new(credential));
        self.credentials.insert(place, new);
    }

    /// Removes the credential called `id`, also one that this release cannot read. False if there is
    /// none.
    pub fn remove(&mut self, id: &CredentialId) -> bool {
        let before = self.credentials.len();
        self.credentials
            .retain(|entry| entry.id() != Some(id.as_str()));
        self.credentials.len() < before
    }

    /// Whether it has a client that can get access tokens at `now`, in seconds since the Unix epoch.
    pub(super) fn has_client(&self, now: u64) -> bool {
        let mut clients = self.credentials().filter(|known| known.kind.is_client());
        clients.any(|client| !client.is_expired(now))
    }

    /// Removes all credentials, and returns their number.
    pub(super) fn clear(&mut self) -> usize {
        let before = self.credentials.len();
        self.credentials.clear();
        before
    }

    /// Lets the credential called `id` expire at `end`, in seconds since the Unix epoch, if it does not expire
    /// earlier. Returns when it expires; `None` if there is none that this release can read.
    pub(super) fn end(&mut self, id: &CredentialId, end: u64) -> Option<u64> {
        let found = self.credentials.iter_mut().find_map(|entry| match entry {
            StoredCredential::Known(known) if known.id == *id => Some(known),
            StoredCredential::Known(_) | StoredCredential::Unknown(_) => None,
        })?;
        let end = found.expires.map_or(end, |expires| expires.min(end));
        found.expires = Some(end);
        Some(end)
    }

    /// The number of credentials, including those that this release cannot read.
    pub(super) fn len(&self) -> usize {
        self.credentials.len()
    }
}

impl StoredCredential {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Known(credential) => Some(credential.id.as_str()),
            Self::Unknown(value) => value.get("id").and_then(Value::as_str),
        }
    }
}

impl Credential {
    /// The permissions of the credential itself, without those of its role.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        match (&self.permissions, &self.role, &self.user) {
            (Some(permissions), _, _) => {
                Permissions::of_credential(permissions.iter().map(String::as_str))
            }
            // Until its role is read, a credential with a role has no permissions. It must not have
            // all of them.
            (None, Some(_), _) => Permissions::of_role([]),
            (None, None, Some(_)) => Permissions::of_user(),
            (None, None, None) => Permissions::All,
        }
    }

    /// Whether a request for one could have asked for the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let asked = |of: &Self| (of.kind, of.replaces.is_some());
        asked(self) == asked(other)
            && self.label == other.label
            && self.permissions == other.permissions
            && self.role == other.role
            && self.user == other.user
            && self.jwks == other.jwks
    }

    /// Whether it has expired at `now`, in seconds since the Unix epoch.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> TenantSecret {
        TenantSecret::parse(&value.to_string()).unwrap()
    }

    fn id(text: &str) -> CredentialId {
        CredentialId::parse(text).unwrap()
    }

    #[test]
    fn a_document_is_written_as_it_was_read() {
        fn check(document: &Value) {
            let written = parse(document).to_text();
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), *document);
        }
        check(&json!({"version": 1, "credentials": []}));
        check(&json!({"version": 1, "credentials": [
            {"id": "a", "kind": "bearer", "label": "okta", "created": 1, "expires": 2,
             "hash": "00", "permissions": ["users:read"], "role": "r", "user": "u",
             "request": "r-1", "replaces": "b"},
            {"id": "c", "kind": "oauth", "label": "entra", "created": 1, "hash": "00", "key": 2},
            {"id": "d", "kind": "oauth-jwt", "label": "okta", "created": 1,
             "jwks": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]},
            {"id": "b", "kind": "mac", "label": "sync", "created": 1}]}));
        // A document that a newer release may write.
        check(&json!({"version": 1, "owner": "x", "credentials": [
            {"id": "a", "kind": "bearer", "label": "okta", "created": 1, "networks": ["10/8"]},
            {"id": "b", "kind": "passkey", "shape": {"of": "its own"}}]}));
    }

    #[test]
    fn other_versions_and_shapes_are_refused() {
        fn check(text: &str) {
            assert!(TenantSecret::parse(text).is_err(), "{text}");
        }
        check("");
        check("[]");
        check(r#"{"credentials":[]}"#);
        check(r#"{"version":2,"credentials":[]}"#);
    }

    #[test]
    fn an_unknown_kind_is_removed_by_id_and_never_found() {
        let mut secret = parse(&json!({"version": 1, "credentials": [
            {"id": "b", "kind": "passkey"}]}));
        assert_eq!(secret.credential(&id("b")), None);
        assert!(secret.remove(&id("b")));
        assert!(!secret.remove(&id("b")));
    }

    #[test]
    fn permissions_follow_from_set_and_role() {
        fn check(members: &Value, expected: &Permissions) {
            let mut document = json!({"id": "a", "kind": "bearer", "label": "l", "created": 1});
            let object = document.as_object_mut().unwrap();
            object.extend(members.as_object().unwrap().clone());
            let credential: Credential = serde_json::from_value(document).unwrap();
            assert_eq!(credential.permissions(), *expected, "{members}");
        }
        let one = Permissions::of_credential(["users:read"]);
        check(&json!({}), &Permissions::All);
        check(&json!({"permissions": ["users:read"]}), &one);
        check(&json!({"permissions": ["users:read"], "role": "r"}), &one);
        let none = Permissions::of_credential([]);
        check(&json!({"permissions": []}), &none);
        check(&json!({"role": "r"}), &Permissions::of_role([]));
        // The token of a user that was stored before there were permissions for `/Me`.
        check(&json!({"user": "u"}), &Permissions::of_user());
        check(&json!({"user": "u", "permissions": ["users:read"]}), &one);
        check(
            &json!({"user": "u", "role": "r"}),
            &Permissions::of_role([]),
        );
    }

    #[test]
    fn a_credential_expires_at_its_second() {
        fn check(expires: Option<u64>, now: u64, expected: bool) {
            let mut document = json!({"id": "a", "kind": "bearer", "label": "l", "created": 1});
            if let Some(expires) = expires {
                document["expires"] = expires.into();
            }
            let credential: Credential = serde_json::from_value(document).unwrap();
            assert_eq!(credential.is_expired(now), expected, "{expires:?} at {now}");
        }
        check(None, u64::MAX, false);
        check(Some(10), 9, false);
        check(Some(10), 10, true);
    }
}
