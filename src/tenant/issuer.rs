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
use super::jwks::Jwks;
use super::random::random_bytes;
use super::secrets::SecretError;
use super::stack_key::StackKey;
use super::{
    Credential, CredentialKind, Credentials, Permissions, StackKeys, TenantSecret, Token, mac,
};
use crate::clock::Clock;
use crate::identity::{CredentialId, RequestId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::protocol::scopes::check_scopes;

/// The largest number of credentials of a tenant. A secret holds 64 KiB, which is 650 bytes for
/// each.
const MAX_CREDENTIALS: usize = 100;
/// The longest secret of Secrets Manager, in bytes.
const MAX_SECRET_BYTES: usize = 64 * 1024;
/// How long a credential is valid if its creator asks for nothing else, in days.
pub const DEFAULT_LIFETIME_DAYS: u64 = 365;
/// How long a request can be repeated, and replaces the credential that it has made, in seconds.
const REPEAT_SECONDS: u64 = 10 * 60;
/// The longest label, in bytes.
const MAX_LABEL_BYTES: usize = 100;

/// Manages tenants and their credentials.
pub struct Issuer {
    keys: Arc<StackKeys>,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
}

/// A credential to be issued.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// How it will be presented.
    pub kind: CredentialKind,
    /// Its name for people, 1 to 100 bytes. It is also the user name of a Basic credential.
    pub label: String,
    /// How long it is valid; without a limit if absent.
    pub lifetime_seconds: Option<u64>,
    /// Its own permissions. [`Permissions::All`] means the default: with a role, only the
    /// permissions of the role; with a user and no role, to read and change this user at `/Me`;
    /// otherwise everything.
    pub permissions: Permissions,
    /// The id of a role whose permissions it has in addition to its own.
    pub role: Option<String>,
    /// The id of the user that it belongs to, which is the resource at `/Me`.
    pub user: Option<String>,
    /// The public keys of a client that signs assertions. No other kind has any.
    pub jwks: Option<Jwks>,
}

/// How a credential is replaced.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// How long the old one stays valid, in seconds; with 0 it is revoked at once.
    pub grace_seconds: u64,
    /// How long the new one is valid, in seconds; without a limit if absent.
    pub lifetime_seconds: Option<u64>,
    /// Other public keys for a client that signs assertions; those of the old one if absent.
    pub jwks: Option<Jwks>,
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
        check(&new)?;
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
        check(&new)?;
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
            check_keys(&new)?;
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
        let permissions = match kept_permissions(&new) {
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

/// The permissions that are stored. For a credential of a user the default is stored explicitly,
/// because an earlier release, which does not know this default, would read no permissions as all of
/// them.
fn kept_permissions(new: &NewCredential) -> Permissions {
    match (&new.permissions, &new.role, &new.user) {
        (Permissions::All, None, Some(_)) => Permissions::of_user(),
        (permissions, _, _) => permissions.clone(),
    }
}

/// Checks what can be checked without the tenant.
fn check(new: &NewCredential) -> Result<()> {
    check_label(new)?;
    check_keys(new)?;
    match &new.permissions {
        Permissions::All => Ok(()),
        Permissions::Only(permissions) => check_scopes(permissions.iter().map(String::as_str)),
    }
}

fn add(secret: &mut TenantSecret, credential: &Credential) -> Result<()> {
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

impl Rotation {
    /// The credential that takes the place of `old`.
    fn of(&self, old: &Credential) -> NewCredential {
        NewCredential {
            kind: old.kind,
            label: old.label.clone(),
            lifetime_seconds: self.lifetime_seconds,
            // Those of the old one are taken over as they are stored.
            permissions: Permissions::All,
            role: old.role.clone(),
            user: old.user.clone(),
            jwks: self.jwks.clone().or_else(|| old.jwks.clone()),
        }
    }
}

fn check_label(new: &NewCredential) -> Result<()> {
    let label = new.label.as_str();
    // In Basic a colon ends the user name (RFC 7617 §2).
    let has_colon = new.kind == CredentialKind::Basic && label.contains(':');
    let fits = (1..=MAX_LABEL_BYTES).contains(&label.len());
    if fits && !has_colon && !label.contains(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid_value(format!(
        "A label has 1 to {MAX_LABEL_BYTES} bytes, no control characters and, for Basic, no colon"
    )))
}

fn check_keys(new: &NewCredential) -> Result<()> {
    match (new.kind, &new.jwks) {
        (CredentialKind::OAuthJwt, None) => Err(Error::invalid_value(
            "A client of the kind oauth-jwt has public keys, a JWK set",
        )),
        (CredentialKind::OAuthJwt, Some(_)) | (_, None) => Ok(()),
        (kind, Some(_)) => Err(Error::invalid_value(format!(
            "A credential of the kind {} has no keys of its own",
            kind.name()
        ))),
    }
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
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;
    use crate::protocol::error::ErrorKind;
    use crate::tenant::test_keys::keys_of;
    use crate::tenant::test_secrets::TestSecrets;

    fn issuer(secrets: &Arc<TestSecrets>) -> Issuer {
        let keys = Arc::new(keys_of(&"7".repeat(32), 1000));
        let credentials = Credentials::new(secrets.clone(), "test");
        Issuer::new(keys, credentials, Arc::new(ManualClock::at_seconds(1000)))
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn new(kind: CredentialKind, label: &str) -> NewCredential {
        NewCredential {
            kind,
            label: label.to_owned(),
            lifetime_seconds: Some(500),
            permissions: Permissions::All,
            role: None,
            user: None,
            jwks: None,
        }
    }

    #[tokio::test]
    async fn the_stored_credential_does_not_contain_its_secret() {
        let secrets = Arc::new(TestSecrets::default());
        let issuer = issuer(&secrets);
        let acme = tenant("acme");
        issuer.create_tenant(&acme).await.unwrap();
        for kind in [
            CredentialKind::Bearer,
            CredentialKind::Basic,
            CredentialKind::Mac,
        ] {
            let issue = issuer.create_credential(&acme, new(kind, "okta"));
            let issued = issue.await.unwrap();
            let kept = secrets.value("test/tenants/acme");
            assert!(kept.contains(issued.credential.id.as_str()));
            assert!(!kept.contains(&issued.secret));
            assert_eq!(issued.credential.expires, Some(1500));
            assert!(!format!("{issued:?}").contains(&issued.secret));
        }
    }

    #[tokio::test]
    async fn credentials_are_listed_until_they_are_revoked() {
        let issuer = issuer(&Arc::default());
        let acme = tenant("acme");
        issuer.create_tenant(&acme).await.unwrap();
        let mut ids = Vec::new();
        for label in ["first", "second"] {
            let issue = issuer.create_credential(&acme, new(CredentialKind::Bearer, label));
            ids.push(issue.await.unwrap().credential.id);
        }
        assert!(issuer.revoke(&acme, &ids[0]).await.unwrap());
        let left = issuer.credentials(&acme).await.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].id, ids[1]);
        assert!(!issuer.revoke(&acme, &ids[0]).await.unwrap());
        assert_eq!(issuer.revoke_all(&acme).await.unwrap(), 1);
        assert_eq!(issuer.revoke_all(&acme).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn tenants_are_created_once_and_listed() {
        let issuer = issuer(&Arc::default());
        for name in ["beta", "acme"] {
            issuer.create_tenant(&tenant(name)).await.unwrap();
        }
        let again = issuer.create_tenant(&tenant("acme")).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict);
        let tenants = issuer.tenants().await.unwrap();
        assert_eq!(tenants, [tenant("acme"), tenant("beta")]);
    }

    #[tokio::test]
    async fn an_unknown_tenant_is_named() {
        let issuer = issuer(&Arc::default());
        let nobody = tenant("nobody");
        let error = issuer.credentials(&nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.detail().contains("nobody"));
        let new = new(CredentialKind::Bearer, "okta");
        let error = issuer.create_credential(&nobody, new).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn only_permissions_of_the_catalogue_are_given() {
        let issuer = issuer(&Arc::default());
        let acme = tenant("acme");
        issuer.create_tenant(&acme).await.unwrap();
        let issue = |permission: &str| {
            let permissions = Permissions::of_credential([permission]);
            let new = NewCredential {
                permissions,
                ..new(CredentialKind::Bearer, "okta")
            };
            issuer.create_credential(&acme, new)
        };
        assert!(issue("users:read").await.is_ok());
        let error = issue("users:raed").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
        assert!(error.detail().contains("users:raed"), "{error}");
    }

    #[tokio::test]
    async fn a_token_of_a_user_is_stored_with_what_it_may_do() {
        let issuer = issuer(&Arc::default());
        let acme = tenant("acme");
        issuer.create_tenant(&acme).await.unwrap();
        let of_user = NewCredential {
            user: Some("ada".to_owned()),
            ..new(CredentialKind::Bearer, "okta")
        };
        let with_role = NewCredential {
            role: Some("reader".to_owned()),
            ..of_user.clone()
        };
        let issue = async |new| {
            let issued = issuer.create_credential(&acme, new).await.unwrap();
            issued.credential.permissions
        };
        let expected = Permissions::of_user();
        assert_eq!(issue(of_user).await.map(Permissions::Only), Some(expected));
        assert_eq!(issue(with_role).await, None);
    }

    #[tokio::test]
    async fn issuers_at_the_same_time_lose_no_credential() {
        let secrets = Arc::new(TestSecrets::default());
        let (one, two) = (issuer(&secrets), issuer(&secrets));
        let acme = tenant("acme");
        one.create_tenant(&acme).await.unwrap();
        let made = tokio::join!(
            one.create_credential(&acme, new(CredentialKind::Bearer, "one")),
            two.create_credential(&acme, new(CredentialKind::Bearer, "two")),
        );
        assert!(made.0.is_ok() && made.1.is_ok());
        assert_eq!(one.credentials(&acme).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_tenant_has_at_most_a_hundred_credentials() {
        let issuer = issuer(&Arc::default());
        let acme = tenant("acme");
        issuer.create_tenant(&acme).await.unwrap();
        for _ in 0..MAX_CREDENTIALS {
            let issue = issuer.create_credential(&acme, new(CredentialKind::Mac, "sync"));
            issue.await.unwrap();
        }
        let one_more = issuer.create_credential(&acme, new(CredentialKind::Mac, "sync"));
        assert_eq!(one_more.await.unwrap_err().kind(), ErrorKind::TooMany);
    }

    #[test]
    fn labels_can_be_presented() {
        fn check(kind: CredentialKind, label: &str, allowed: bool) {
            assert_eq!(check_label(&new(kind, label)).is_ok(), allowed, "{label:?}");
        }
        check(CredentialKind::Bearer, "okta: production", true);
        check(CredentialKind::Basic, "api@example.com", true);
        check(CredentialKind::Basic, "a:b", false);
        check(CredentialKind::Bearer, "", false);
        check(CredentialKind::Bearer, "a\nb", false);
        check(CredentialKind::Bearer, &"x".repeat(101), false);
    }
}
