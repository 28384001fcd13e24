//! `credential.list`.

use serde::{Deserialize, Serialize};

use super::ListedCredential;
use crate::admin::{About, Admin, Asked, Failure, Operation};
use crate::identity::TenantId;

/// Asks for the credentials of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListCredentials {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `credential.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialList {
    /// The credentials, at most 100, the oldest first. Those that expired are among them until they are revoked.
    pub credentials: Vec<ListedCredential>,
}

impl Operation for ListCredentials {
    const NAME: &'static str = "credential.list";
    type Answer = CredentialList;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<CredentialList, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let store = admin.tenant_store(&self.tenant, asked);
        let used = admin.used_credentials(&self.tenant, &store, admin.clock.now_millis());
        let (credentials, _) = used.await?;
        Ok(CredentialList { credentials })
    }
}
