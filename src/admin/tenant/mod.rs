//! The operations `tenant.*`: which tenants there are, by which rules their requests are read, and whether they
//! are answered.
//!
//! The stack's list of tenants says what the state of a tenant is. Each change is made on the condition that the
//! tenant is as it was read, so of two operators at the same time one looks again at what the other has done.

mod create;
mod list;
mod remove_all;
mod rules;
mod show;
mod state;

use serde::{Deserialize, Serialize};

pub use create::{CreateTenant, CreatedTenant};
pub use list::{ListTenants, TenantList};
pub use remove_all::{DeleteTenants, DeletedTenants};
pub use rules::{SetTenant, TenantRules, changed_rules};
pub use show::{ReachedMilestones, RefusalCounts, ShowTenant, ShownTenant, TenantUrls, UserCounts};
pub use state::{ChangedTenant, DeleteTenant, RestoreTenant, ResumeTenant, SuspendTenant};

use super::time::Time;
use super::{Admin, Code, Failure};
use crate::identity::TenantId;
use crate::store::{ListedTenant, PurgeStage};

/// How often a change is tried while other processes change the tenant first.
const MAX_ATTEMPTS: usize = 10;

/// Whether a tenant's requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateName {
    /// They are.
    Active,
    /// They are refused until the tenant is resumed.
    Suspended,
    /// They are refused. The tenant can be restored.
    Deleting,
    /// They are refused. Everything of the tenant is being removed.
    Purging,
    /// A state that only a later version has.
    #[serde(other)]
    Other,
}

/// A tenant as operators see it in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantEntry {
    /// The name.
    pub tenant: TenantId,
    /// Whether its requests are answered.
    pub state: StateName,
    /// When it was created; `None` if an early version created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// Since when it has been suspended; also of a deleted tenant that was suspended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Time>,
    /// Why it is suspended, for the people who run the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it has been deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Time>,
    /// When everything of it is removed, unless it is restored before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Time>,
}

impl TenantEntry {
    /// What operators see of a tenant on the list.
    fn of(tenant: &ListedTenant) -> Self {
        let (suspension, deletion) = (tenant.suspension.as_ref(), tenant.deletion);
        Self {
            tenant: tenant.id.clone(),
            state: match deletion.map(|deletion| deletion.stage) {
                None if suspension.is_some() => StateName::Suspended,
                None => StateName::Active,
                Some(PurgeStage::Waiting) => StateName::Deleting,
                Some(PurgeStage::Begun | PurgeStage::Emptied) => StateName::Purging,
            },
            created: tenant.created.map(Time),
            suspended: suspension.map(|suspension| Time(suspension.since)),
            reason: suspension.and_then(|suspension| suspension.reason.clone()),
            deleted: deletion.map(|deletion| Time(deletion.since)),
            purge_at: deletion.map(|deletion| Time(deletion.purge_at)),
        }
    }
}

impl Admin {
    /// A tenant. One that an early version has created may not be on the list; it has a secret.
    ///
    /// # Errors
    /// `unknown`, `later`.
    pub(super) async fn listed_tenant(&self, tenant: &TenantId) -> Result<ListedTenant, Failure> {
        let stack = self.stack_store();
        if let Some(listed) = stack.tenant_list().get(tenant).await? {
            return Ok(listed);
        }
        match self.credentials.read(tenant).await? {
            Some(_) => Ok(ListedTenant::unlisted(tenant.clone())),
            None => Err(Failure::new(
                Code::Unknown,
                format!("There is no tenant {tenant}"),
            )),
        }
    }

    /// Changes the state of a tenant to what `next` makes of it, if it makes something. Returns the tenant as it is
    /// then, and whether it was changed.
    ///
    /// # Errors
    /// The failures of `next`; `unknown`, `later`.
    async fn change_tenant(
        &self,
        tenant: &TenantId,
        next: impl Fn(&ListedTenant) -> Result<Option<ListedTenant>, Failure>,
    ) -> Result<(ListedTenant, bool), Failure> {
        let stack = self.stack_store();
        for _ in 0..MAX_ATTEMPTS {
            let seen = self.listed_tenant(tenant).await?;
            let Some(changed) = next(&seen)? else {
                return Ok((seen, false));
            };
            if stack.tenant_list().change(&seen, &changed).await? {
                self.provider.tenants().forget(tenant);
                return Ok((changed, true));
            }
            // Another process has changed the tenant since it was read.
        }
        Err(Failure::new(
            Code::Later,
            format!("Others change the tenant {tenant} at the same time; try again"),
        ))
    }
}

/// Why a deleted tenant takes no changes.
pub(super) fn deleting(tenant: &TenantId, stage: PurgeStage) -> Failure {
    let detail = match stage {
        PurgeStage::Waiting => {
            format!(
                "The tenant {tenant} is deleted; restoring it brings it back until it is purged"
            )
        }
        PurgeStage::Begun | PurgeStage::Emptied => {
            format!("The tenant {tenant} is being purged and cannot be restored any more")
        }
    };
    Failure::new(Code::Deleting, detail)
}
