//! `role.addOwn`.

use serde::{Deserialize, Serialize};

use crate::admin::{About, Admin, Asked, Failure, Operation};
use crate::identity::TenantId;

/// Gives a tenant the service's own roles: Administrator, Provisioner and Reader, except those whose names it has
/// already.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddOwnRoles {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `role.addOwn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedRoles {
    /// The roles that were created; none if the tenant has had them all.
    pub roles: Vec<OwnRole>,
}

/// A role that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRole {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

impl Operation for AddOwnRoles {
    const NAME: &'static str = "role.addOwn";
    type Answer = AddedRoles;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<AddedRoles, Failure> {
        admin.check_kept(&self.tenant).await?;
        let made = admin.provider.add_own_roles(&self.tenant).await?;
        let roles = made.into_iter().map(|(name, id)| OwnRole { name, id });
        Ok(AddedRoles {
            roles: roles.collect(),
        })
    }
}
