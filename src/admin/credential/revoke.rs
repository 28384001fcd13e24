//! `credential.revoke` and `credential.revokeAll`.

use serde::{Deserialize, Serialize};

use crate::admin::{About, Admin, Asked, Failure, Operation};
use crate::identity::{CredentialId, TenantId};

/// Revokes a credential for good. Every process refuses it within a minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeCredential {
    /// The tenant.
    pub tenant: TenantId,
    /// The credential.
    pub id: CredentialId,
}

/// The answer of `credential.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCredential {
    /// The id of the credential.
    pub id: CredentialId,
    /// Whether there was something to revoke; false if it had been revoked before.
    pub existed: bool,
}

/// Revokes every credential of a tenant for good.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeAllCredentials {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `credential.revokeAll`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCredentials {
    /// The number of credentials that were revoked.
    pub revoked: usize,
}

impl Operation for RevokeCredential {
    const NAME: &'static str = "credential.revoke";
    type Answer = RevokedCredential;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::credential(&self.id)
        }
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<RevokedCredential, Failure> {
        let existed = admin.issuer.revoke(&self.tenant, &self.id).await?;
        Ok(RevokedCredential {
            id: self.id.clone(),
            existed,
        })
    }
}

impl Operation for RevokeAllCredentials {
    const NAME: &'static str = "credential.revokeAll";
    type Answer = RevokedCredentials;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<RevokedCredentials, Failure> {
        let revoked = admin.issuer.revoke_all(&self.tenant).await?;
        Ok(RevokedCredentials { revoked })
    }
}
