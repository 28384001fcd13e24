//! Credentials on their way out of a deployment, and back into it.
//!
//! What leaves is what the tenant's secret holds: hashes, public keys and names, but no token, password or key. So a
//! credential is of use only where its tokens verify: in the stack that made it, while that has the key it was made
//! under, in a tenant of the same name. A seal that goes with each credential says so: an HMAC of the tenant's name and
//! the credential, under that key. A credential that was changed on the way has a wrong seal as well.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::credential::{Credential, TenantSecret};
use super::issuer::add;
use super::stack_keys::StackKeys;
use super::stack_secret::StackSecret;
use super::{Credentials, StackKey};
use crate::identity::{CredentialId, TenantId};
use crate::protocol::error::{Error, Result};

const LABEL: &str = "exported credential";

/// A credential outside its deployment.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedCredential {
    /// The HMAC in base64url.
    seal: String,
    /// The credential as it is stored.
    stored: Value,
}

/// What happens to a credential that is there already in another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfChanged {
    /// It is refused, and stays as it is.
    Refuse,
    /// It stays as it is.
    Keep,
    /// It gets the state of the file.
    Replace,
}

/// What became of a credential that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// It is there again.
    Added(CredentialId),
    /// It was there in another state, and has that of the file.
    Changed(CredentialId),
    /// It was there in the same state.
    Same,
    /// It was there in another state, and stays so.
    Kept,
    /// It has expired, so it was left out.
    Expired,
    /// It can never be used here: another stack made it, or it belongs to a tenant of another name, or the stack has
    /// no longer the key that it was made under, or it was changed on the way.
    Foreign,
}

/// Takes the credentials of a tenant out of a deployment, and brings them back.
pub struct CredentialArchive<'a> {
    /// The keys of the stack.
    pub keys: &'a StackKeys,
    /// Where the credentials are.
    pub credentials: &'a Credentials,
    /// The time, in seconds since the Unix epoch.
    pub now: u64,
}

impl CredentialArchive<'_> {
    /// The credentials of a tenant, oldest first, without those whose key the stack has no longer, which can never
    /// be used again. Those that this release cannot read are left out too.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant; `Unavailable` if secrets are out of reach.
    pub async fn take_out(&self, tenant: &TenantId) -> Result<Vec<SealedCredential>> {
        let keys = self.keys.recent().await;
        let secret = self.credentials.read(tenant).await?;
        let secret = secret.ok_or_else(|| no_tenant(tenant))?;
        let sealed = secret.credentials().filter_map(|credential| {
            let key = keys.key(credential.key)?;
            Some(SealedCredential::new(key, tenant, credential))
        });
        sealed.collect()
    }

    /// Brings credentials back under their ids, by one change of the tenant's secret; none if they are all there. In a
    /// dry run nothing is changed. Credentials that the tenant has beside them stay.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant; `Unavailable` if secrets are out of reach. Of one credential: `Uniqueness`
    /// if it is there in another state, `TooMany` if the tenant has as many as it can.
    pub async fn bring_back(
        &self,
        tenant: &TenantId,
        sealed: &[SealedCredential],
        if_changed: IfChanged,
        is_dry: bool,
    ) -> Result<Vec<Result<Returned>>> {
        let keys = self.keys.recent().await;
        let opened: Vec<_> = sealed.iter().map(|one| one.open(&keys, tenant)).collect();
        let bring = |secret: &mut TenantSecret| -> Vec<Result<Returned>> {
            let each = opened.iter().map(|credential| match credential {
                Some(credential) => self.bring_one(secret, credential, if_changed),
                None => Ok(Returned::Foreign),
            });
            each.collect()
        };
        let secret = self.credentials.read(tenant).await?;
        let mut tried = secret.ok_or_else(|| no_tenant(tenant))?;
        let outcome = bring(&mut tried);
        let is_change = |outcome: &Result<Returned>| {
            matches!(outcome, Ok(Returned::Added(_) | Returned::Changed(_)))
        };
        // A secret takes few changes, so one that changes nothing is not made.
        if is_dry || !outcome.iter().any(is_change) {
            return Ok(outcome);
        }
        let change = self
            .credentials
            .change(tenant, |secret| Ok::<_, Error>(bring(secret)));
        change.await?.ok_or_else(|| no_tenant(tenant))
    }

    fn bring_one(
        &self,
        secret: &mut TenantSecret,
        credential: &Credential,
        if_changed: IfChanged,
    ) -> Result<Returned> {
        let id = credential.id.clone();
        if secret.credential(&id) == Some(credential) {
            return Ok(Returned::Same);
        }
        if credential.is_expired(self.now) {
            return Ok(Returned::Expired);
        }
        let before = secret.clone();
        let returned = match (secret.has(&id), if_changed) {
            (false, _) => Returned::Added(id),
            (true, IfChanged::Refuse) => {
                return Err(Error::uniqueness(format!(
                    "The credential {id} exists in another state"
                )));
            }
            (true, IfChanged::Keep) => return Ok(Returned::Kept),
            (true, IfChanged::Replace) => {
                secret.remove(&id);
                Returned::Changed(id)
            }
        };
        if let Err(error) = add(secret, credential) {
            *secret = before;
            return Err(error);
        }
        Ok(returned)
    }
}

impl SealedCredential {
    fn new(key: &StackKey, tenant: &TenantId, credential: &Credential) -> Result<Self> {
        let stored = serde_json::to_value(credential).map_err(Error::internal)?;
        let seal = URL_SAFE_NO_PAD.encode(key.sign(LABEL, &message(tenant, &stored)));
        Ok(Self { seal, stored })
    }

    /// The credential, if this stack has sealed it for a tenant of this name.
    fn open(&self, keys: &StackSecret, tenant: &TenantId) -> Option<Credential> {
        let credential: Credential = serde_json::from_value(self.stored.clone()).ok()?;
        let key = keys.key(credential.key)?;
        let seal = URL_SAFE_NO_PAD.decode(&self.seal).ok()?;
        let is_right = key.verify(LABEL, &message(tenant, &self.stored), &seal);
        is_right.then_some(credential)
    }
}

impl std::fmt::Debug for SealedCredential {
    /// Without the credential, which has the hash of a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedCredential").finish_non_exhaustive()
    }
}

/// What the seal is of. Programs that read and write JSON may change the order of members, so it does not count.
fn message(tenant: &TenantId, stored: &Value) -> Vec<u8> {
    let mut stored = stored.clone();
    stored.sort_all_objects();
    format!("{tenant}\n{stored}").into_bytes()
}

fn no_tenant(tenant: &TenantId) -> Error {
    Error::not_found(format!("There is no tenant {tenant}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tenant::KeyId;
    use crate::tenant::test_keys::two_keys;

    fn credential(key: u32) -> Credential {
        let stored = json!({
            "id": "a", "kind": "bearer", "label": "okta", "created": 1, "hash": "00", "key": key, "later": {"b": 1, "a": 2},
        });
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn a_seal_opens_for_its_key_its_tenant_and_its_credential_only() {
        let keys = two_keys(0);
        let [acme, other] = ["acme", "other"].map(|name| TenantId::parse(name).unwrap());
        for key in keys.states(10).into_iter().map(|state| state.id) {
            let number = u32::from(key != KeyId::FIRST);
            let credential = credential(number);
            let sealed = keys.key(key).unwrap();
            let sealed = SealedCredential::new(sealed, &acme, &credential).unwrap();
            assert_eq!(sealed.open(&keys, &acme), Some(credential));
            assert_eq!(sealed.open(&keys, &other), None);
            let of_another_stack = StackSecret::parse(&"9".repeat(32)).unwrap();
            assert_eq!(sealed.open(&of_another_stack, &acme), None);
            // Key 1 was retired.
            let one_key = StackSecret::parse(&"7".repeat(32)).unwrap();
            assert_eq!(sealed.open(&one_key, &acme).is_some(), key == KeyId::FIRST);
            let mut changed = sealed.clone();
            changed.stored["hash"] = json!("01");
            assert_eq!(changed.open(&keys, &acme), None);
            assert!(!format!("{sealed:?}").contains("okta"));
        }
    }
}
