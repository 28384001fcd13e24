//! The credentials of every tenant of a stack, each tenant's in one secret.

use std::sync::Arc;

use super::credential::TenantSecret;
use super::secrets::SecretVersion;
use super::secrets::{SecretError, SecretStore};
use crate::identity::TenantId;

/// How often a change is made anew after somebody else's came first.
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

    /// Makes `tenant` with no credentials.
    ///
    /// # Errors
    /// `Conflict` if there is one already, `Backend` if secrets are out of reach.
    pub async fn create(&self, tenant: &TenantId) -> Result<(), SecretError> {
        let text = TenantSecret::default().to_text();
        let put = self.secrets.put(&self.name(tenant), &text, None).await;
        put.map(|_| ())
    }

    /// Lets `change` work on the secret of `tenant` and writes the result, once more on the new
    /// state whenever somebody else was faster. `None` if there is no such tenant.
    ///
    /// # Errors
    /// What `change` returns, which leaves the secret as it is; `Conflict` if others kept being
    /// faster; `Malformed` and `Backend` as for [`read`](Self::read).
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
