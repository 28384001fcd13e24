//! Issues, lists and revokes credentials.
//!
//! Running processes read a change within a minute, and a new credential when it is used for the
//! first time.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use serde_json::Map;

use super::authorization::mac_key_id;
use super::client_id::ClientId;
use super::hex::hex;
use super::random::random_bytes;
use super::secrets::SecretError;
use super::stack_key::StackKey;
use super::{
    Credential, CredentialKind, Credentials, NewCredential, Permissions, Rotation, StackKeys,
    TenantSecret, Token, mac,
};
use crate::clock::Clock;
use crate::identity::{CredentialId, RequestId, TenantId};
use crate::protocol::error::{Error, Result};

/// The largest number of credentials of a tenant. A secret holds 64 KiB, which is 650 bytes for
/// each.
const MAX_CREDENTIALS: usize = 100;
/// The longest secret of Secrets Manager, in bytes.
const MAX_SECRET_BYTES: usize = 64 * 1024;
/// How long a request can be repeated, and replaces the credential that it has made, in seconds.
const REPEAT_SECONDS: u64 = 10 * 60;
/// Manages tenants and their credentials.
pub struct Issuer {
    keys: Arc<StackKeys>,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
}

/// An issued credential, with its secret, which can be handed over only now: it is not stored.
pub struct Issued {
    /// The credential as it is stored.
    pub credential: Credential,
    /// What a client presents: the token of a Bearer credential, the password of a Basic one, the
    /// key of a MAC one in base64, the secret of an OAuth client. Empty for a client that signs assertions:
    /// its secret is its own private key.
    pub secret: String,
    /// The user name of a Basic credential, `{label}@{tenant}`, or the key id of a MAC one,
    /// `{credential}@{tenant}`. The part from the `@` on may be left out of a Basic user name, and
    /// of a key id if the path names the tenant. The client id of an OAuth client.
    pub user_name: Option<String>,
}

impl Issuer {
    /// An issuer for one stack.
    #[must_use]
    pub fn new(keys: Arc<StackKeys>, credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            credentials,
            clock,
            random: SystemRandom::new(),
        }
    }

    /// Creates a tenant without credentials.
    ///
    /// # Errors
    /// `Conflict` if a tenant of this name exists; `Unavailable` if secrets are out of reach.
    pub async fn create_tenant(&self, tenant: &TenantId) -> Result<()> {
        match self.credentials.create(tenant).await {
            Err(SecretError::Conflict) => Err(Error::conflict(format!(
                "There is a tenant {tenant} already"
            ))),
            outcome => Ok(outcome?),
        }
    }

    /// Every tenant, in alphabetical order.
    ///
    /// # Errors
    /// `Unavailable` if secrets are out of reach.
    pub async fn tenants(&self) -> Result<Vec<TenantId>> {
        Ok(self.credentials.tenants().await?)
    }

    /// Issues a credential of `tenant`.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant; `InvalidValue` for a label that cannot be presented, a
    /// permission that is not in the catalogue, or keys that the kind does not have; `TooMany` if the tenant
    /// has 100 credentials, or as many as its secret holds; `Unavailable` if secrets are out of reach.
    pub async fn create_credential(&self, tenant: &TenantId, new: NewCredential) -> Result<Issued> {
        new.check()?;
        self.keys.recent().await;
        let issued = self.issue(&self.keys.signing(), tenant, new)?;
        let change = |secret: &mut TenantSecret| add(secret, &issued.credential);
        let add = self.credentials.change(tenant, change);
        add.await?.ok_or_else(|| no_tenant(tenant))?;
        Ok(issued)
    }

    /// Issues a credential of `tenant` for a request that may be repeated: within ten minutes, the credential that
    /// this request has made is revoked, because its secret never arrived, and another one is issued.
    ///
    /// # Errors
    /// As [`create_credential`](Self::create_credential); `Conflict` if the request has made another credential.
    pub async fn create_once(
        &self,
        tenant: &TenantId,
        new: NewCredential,
        request: &RequestId,
    ) -> Result<Issued> {
        new.check()?;
        self.keys.recent().await;
        let mut issued = self.issue(&self.keys.signing(), tenant, new)?;
        issued.credential.request = Some(request.clone());
        let created = &issued.credential;
        let add = self.credentials.change(tenant, |secret| {
            if let Some(lost) = lost(secret, request, created.created) {
                if !lost.is_like(created) {
                    return Err(made_another());
                }
                let id = lost.id.clone();
                secret.remove(&id);
            }
            add(secret, created)
        });
        add.await?.ok_or_else(|| no_tenant(tenant))?;
        Ok(issued)
    }

    /// Issues a credential with the kind, the label, the permissions, the role and the user of another one, and
    /// lets that one end. Returns the new one, and when the old one expires, in seconds since the Unix epoch; `None`
    /// if it is revoked at once. The same request, repeated within ten minutes, revokes the new one that it has made,
    /// whose secret never arrived, and issues another.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant or credential; `Conflict` if the request has made another credential;
    /// `TooMany` if the tenant has 100 credentials; `Unavailable` if secrets are out of reach.
    pub async fn rotate(
        &self,
        tenant: &TenantId,
        id: &CredentialId,
        rotation: Rotation,
        request: &RequestId,
    ) -> Result<(Issued, Option<u64>)> {
        self.keys.recent().await;
        let rotate = self.credentials.change(tenant, |secret| {
            let now = self.clock.now_seconds();
            let lost = lost(secret, request, now).cloned();
            if let Some(lost) = &lost {
                if lost.replaces.as_ref() != Some(id) {
                    return Err(made_another());
                }
                secret.remove(&lost.id);
            }
            // Without a grace the first attempt has revoked the old one, and the lost one is like it.
            let old = secret.credential(id).cloned().or(lost);
            let old = old.ok_or_else(|| no_credential(tenant, id))?;
            let new = rotation.of(&old);
            new.check_keys()?;
            let mut issued = self.issue(&self.keys.signing(), tenant, new)?;
            issued.credential.permissions = old.permissions;
            issued.credential.request = Some(request.clone());
            issued.credential.replaces = Some(id.clone());
            let until = match rotation.grace_seconds {
                0 => {
                    secret.remove(id);
                    None
                }
                grace => secret.end(id, now.saturating_add(grace)),
            };
            add(secret, &issued.credential)?;
            Ok((issued, until))
        });
        rotate.await?.ok_or_else(|| no_tenant(tenant))
    }

    /// The credentials of `tenant`, oldest first.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant; `Unavailable` if secrets are out of reach.
    pub async fn credentials(&self, tenant: &TenantId) -> Result<Vec<Credential>> {
        let secret = self.credentials.read(tenant).await?;
        let secret = secret.ok_or_else(|| no_tenant(tenant))?;
        Ok(secret.credentials().cloned().collect())
    }

    /// Revokes a credential of `tenant` for good. False if there is none.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant; `Unavailable` if secrets are out of reach.
    pub async fn revoke(&self, tenant: &TenantId, credential: &CredentialId) -> Result<bool> {
        let known = self.credentials.read(tenant).await?;
        let known = known.ok_or_else(|| no_tenant(tenant))?;
        if !known.has(credential) {
            // A secret takes few changes, so one that changes nothing is not made.
            return Ok(false);
        }
        let remove = |secret: &mut TenantSecret| Ok::<_, Error>(secret.remove(credential));
        let removed = self.credentials.change(tenant, remove).await?;
        removed.ok_or_else(|| no_tenant(tenant))
    }

    /// Revokes every credential of `tenant` for good, also those that this release cannot read, and returns their
    /// number.
    ///
    /// # Errors
    /// `NotFound` if there is no such tenant; `Unavailable` if secrets are out of reach.
    pub async fn revoke_all(&self, tenant: &TenantId) -> Result<usize> {
        let known = self.credentials.read(tenant).await?;
        if known.ok_or_else(|| no_tenant(tenant))?.len() == 0 {
            return Ok(0);
        }
        let clear = |secret: &mut TenantSecret| Ok::<_, Error>(secret.clear());
        let cleared = self.credentials.change(tenant, clear).await?;
        cleared.ok_or_else(|| no_tenant(tenant))
    }

    fn issue(&self, key: &StackKey, tenant: &TenantId, new: NewCredential) -> Result<Issued> {
        let id = CredentialId::parse(&hex(&random_bytes::<8>(&self.random)?))?;
        let (secret, hash) = match new.kind {
            CredentialKind::Bearer | CredentialKind::Basic | CredentialKind::OAuth => {
                let token = Token::mint(key, tenant, &id, random_bytes(&self.random)?);
                (token.as_str().to_owned(), Some(token.sha256()))
            }
            CredentialKind::Mac => (mac::secret(key, tenant, &id), None),
            CredentialKind::OAuthJwt => (String::new(), None),
        };
        let user_name = match new.kind {
            CredentialKind::Bearer => None,
            CredentialKind::Basic => Some(format!("{}@{tenant}", new.label)),
            CredentialKind::Mac => Some(mac_key_id(tenant, &id, key.id())),
            CredentialKind::OAuth | CredentialKind::OAuthJwt => {
                Some(ClientId::mint(key, tenant, &id).to_string())
            }
        };
        let created = self.clock.now_seconds();
        let permissions = match new.kept_permissions() {
            Permissions::All => None,
            Permissions::Only(permissions) => Some(permissions),
        };
        let credential = Credential {
            id,
            kind: new.kind,
            label: new.label,
            created,
            expires: new
                .lifetime_seconds
                .map(|life| created.saturating_add(life)),
            hash,
            key: key.id(),
            jwks: new.jwks,
            permissions,
            role: new.role,
            user: new.user,
            request: None,
            replaces: None,
            unknown: Map::new(),
        };
        Ok(Issued {
            credential,
            secret,
            user_name,
        })
    }
}

/// Adds a credential to those of a tenant.
///
/// # Errors
/// `TooMany` if the tenant has as many as it can; then the secret must not be written.
pub(super) fn add(secret: &mut TenantSecret, credential: &Credential) -> Result<()> {
    if secret.len() >= MAX_CREDENTIALS {
        return Err(Error::too_many(format!(
            "A tenant has at most {MAX_CREDENTIALS} credentials; revoke one first"
        )));
    }
    secret.add(credential.clone());
    if secret.to_text().len() > MAX_SECRET_BYTES {
        return Err(Error::too_many(
            "The credentials of a tenant take at most 64 KB; revoke one first",
        ));
    }
    Ok(())
}

/// The credential that an earlier attempt of a request has made, whose secret never arrived.
fn lost<'s>(secret: &'s TenantSecret, request: &RequestId, now: u64) -> Option<&'s Credential> {
    let is_it = |credential: &&Credential| {
        credential.request.as_ref() == Some(request) && now < credential.created + REPEAT_SECONDS
    };
    secret.credentials().find(is_it)
}

fn made_another() -> Error {
    Error::conflict(
        "A request with this `requestId` has made another credential; name each request differently",
    )
}

fn no_credential(tenant: &TenantId, id: &CredentialId) -> Error {
    Error::not_found(format!("The tenant {tenant} has no credential {id}"))
}

fn no_tenant(tenant: &TenantId) -> Error {
    Error::not_found(format!("There is no tenant {tenant}"))
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({}, ..)", self.credential.id)
    }
}

#[cfg(test)]
mod tests;
