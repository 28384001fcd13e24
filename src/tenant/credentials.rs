//! The credentials of a stack. Those of one tenant are in one secret.

use std::sync::Arc;

use super::credential::TenantSecret;
use super::secrets::SecretVersion;
use super::secrets::{SecretError, SecretStore};
use crate::identity::TenantId;

/// The largest number of attempts of a change, of which each but the first follows a change by
/// another process.
const MAX_ATTEMPTS: usize = 5;

/// Reads and changes the secrets `{stack}/tenants/{tenant}`.
#[derive(Clone)]
pub struct Credentials {
    secrets: Arc<dyn SecretStore>,
    prefix: String,
}

impl Credentials {
    /// The credentials of the stack called `stack`.
    #[must_use]
    pub fn new(secrets: Arc<dyn SecretStore>, stack: &str) -> Self {
        Self {
            secrets,
            prefix: format!("{stack}/tenants/"),
        }
    }

    /// The secret of `tenant`, `None` if there is no such tenant.
    ///
    /// # Errors
    /// `Malformed` if it cannot be read as credentials, `Backend` if it is out of reach.
    pub async fn read(&self, tenant: &TenantId) -> Result<Option<TenantSecret>, SecretError> {
        let found = self.read_versioned(tenant).await?;
        Ok(found.map(|(secret, _)| secret))
    }

    /// Creates `tenant`, without credentials.
    ///
    /// # Errors
    /// `Conflict` if it exists already, `Backend` if secrets are out of reach.
    pub async fn create(&self, tenant: &TenantId) -> Result<(), SecretError> {
        let text = TenantSecret::default().to_text();
        let put = self.secrets.put(&self.name(tenant), &text, None).await;
        put.map(|_| ())
    }

    /// Removes the secret of `tenant` for good; afterwards there is no such tenant. It may be removed already.
    ///
    /// # Errors
    /// `Backend` if secrets are out of reach.
    #[cfg(feature = "worker")]
    pub async fn remove(&self, tenant: &TenantId) -> Result<(), SecretError> {
        self.secrets.remove(&self.name(tenant)).await
    }

    /// Changes the secret of `tenant` by `change`, and writes it. If another process has written the
    /// secret in between, it is read and changed again. `None` if there is no such tenant.
    ///
    /// # Errors
    /// The errors of `change`, after which nothing is written; `Conflict` if another process was
    /// faster in each of `MAX_ATTEMPTS` attempts; `Malformed` and `Backend` as for
    /// [`read`](Self::read).
    pub async fn change<T, E: From<SecretError>>(
        &self,
        tenant: &TenantId,
        mut change: impl FnMut(&mut TenantSecret) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        for _ in 0..MAX_ATTEMPTS {
            let Some((mut secret, version)) = self.read_versioned(tenant).await? else {
                return Ok(None);
            };
            let outcome = change(&mut secret)?;
            let text = secret.to_text();
            match self
                .secrets
                .put(&self.name(tenant), &text, Some(&version))
                .await
            {
                Ok(_) => return Ok(Some(outcome)),
                // Another process has written the secret since it was read. The next attempt works
                // on its new state.
                Err(SecretError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::Conflict.into())
    }

    /// Every tenant of the stack, in alphabetical order.
    ///
    /// # Errors
    /// `Backend` if secrets are out of reach.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, SecretError> {
        let names = self.secrets.names(&self.prefix).await?;
        let mut tenants: Vec<TenantId> = names
            .iter()
            .filter_map(|name| TenantId::parse(name.strip_prefix(&self.prefix)?).ok())
            .collect();
        tenants.sort();
        Ok(tenants)
    }

    async fn read_versioned(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<(TenantSecret, SecretVersion)>, SecretError> {
        let name = self.name(tenant);
        let Some(found) = self.secrets.get(&name).await? else {
            return Ok(None);
        };
        let secret = TenantSecret::parse(&found.value)
            .map_err(|source| SecretError::malformed(name, source))?;
        Ok(Some((secret, found.version)))
    }

    fn name(&self, tenant: &TenantId) -> String {
        format!("{}{tenant}", self.prefix)
    }
}
