//! The JSON document that a tenant's secret holds.
//!
//! ```json
//! {"version": 1, "credentials": [
//!   {"id": "5f0c9a1e7d3b2846", "kind": "bearer", "label": "okta", "created": 1767225600,
//!    "expires": 1798761600, "hash": "9f86d0…", "permissions": ["users:read"]}]}
//! ```
//!
//! A release must be able to share the document with an older or newer one: members it does not
//! know are kept when it writes, and credentials it cannot read authenticate nobody and are kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Permissions;
use super::secrets::broken_json;
use crate::identity::CredentialId;
use crate::protocol::error::BoxError;
use crate::protocol::profile::Switches;

/// The version of the document that this release reads and writes.
const VERSION: u32 = 1;

/// Every credential of one tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantSecret {
    version: u32,
    credentials: Vec<Entry>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// An element of `credentials`, understood or only kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Known(Box<Credential>),
    Unknown(Value),
}

/// One credential as it is kept: enough to recognise it, not enough to present it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Its name within the tenant.
    pub id: CredentialId,
    /// How it is presented.
    pub kind: CredentialKind,
    /// What people call it; the user name of a Basic credential.
    pub label: String,
    /// When it was made, in seconds since the Unix epoch.
    pub created: u64,
    /// When it stops being valid, in seconds since the Unix epoch; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The SHA-256 of its token in lower-case hex. A MAC key is derived again when it is needed,
    /// so a MAC credential has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What it may do. If absent, its role decides; without a role it may do everything, or what
    /// `/Me` takes if it stands for a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<BTreeSet<String>>,
    /// The id of the role whose permissions it has beside its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The id of the user that `/Me` stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Members of a newer release.
    #[serde(flatten)]
    pub(super) unknown: Map<String, Value>,
}

/// How a credential is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// `Authorization: Bearer {token}` (RFC 6750 §2.1).
    Bearer,
    /// `Authorization: Basic base64({label}@{tenant}:{token})` (RFC 7617 §2).
    Basic,
    /// `Authorization: IONIC {key id}:{signature}`.
    Mac,
}

impl CredentialKind {
    /// Its name in the stored document, which is also that of the tenant's switch: `basic`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Mac => "mac",
        }
    }

    /// Whether a tenant with these switches takes credentials of this kind.
    #[must_use]
    pub fn is_enabled(self, switches: &Switches) -> bool {
        match self {
            Self::Bearer => true,
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
    /// Says what is wrong if it is not JSON of this shape or of a version this release cannot read.
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

    /// The credentials that this release understands, oldest first.
    pub fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter_map(|entry| match entry {
            Entry::Known(credential) => Some(credential.as_ref()),
            Entry::Unknown(_) => None,
        })
    }

    /// The credential called `id`.
    #[must_use]
    pub fn credential(&self, id: &CredentialId) -> Option<&Credential> {
        self.credentials().find(|credential| credential.id == *id)
    }

    /// Adds a credential.
    pub fn add(&mut self, credential: Credential) {
        self.credentials.push(Entry::Known(Box::new(credential)));
    }

    /// Removes the credential called `id`, of whatever kind; false if there is none.
    pub fn remove(&mut self, id: &CredentialId) -> bool {
        let before = self.credentials.len();
        self.credentials
            .retain(|entry| entry.id() != Some(id.as_str()));
        self.credentials.len() < before
    }

    /// How many credentials there are, understood or not.
    pub(super) fn len(&self) -> usize {
        self.credentials.len()
    }
}

impl Entry {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Known(credential) => Some(credential.id.as_str()),
            Self::Unknown(value) => value.get("id").and_then(Value::as_str),
        }
    }
}

impl Credential {
    /// What the credential itself permits; the permissions of its role come on top.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        match (&self.permissions, &self.role, &self.user) {
            (Some(permissions), _, _) => {
                Permissions::of_credential(permissions.iter().map(String::as_str))
            }
            // A role that was not looked up yet must not mean everything.
            (None, Some(_), _) => Permissions::of_role([]),
            (None, None, Some(_)) => Permissions::of_user(),
            (None, None, None) => Permissions::All,
        }
    }

    /// Whether it has stopped being valid at `now`, in seconds since the Unix epoch.
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
             "hash": "00", "permissions": ["users:read"], "role": "r", "user": "u"},
            {"id": "b", "kind": "mac", "label": "sync", "created": 1}]}));
        // What a newer release may write.
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
        // A token of a user that was stored before there were scopes for `/Me`.
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
