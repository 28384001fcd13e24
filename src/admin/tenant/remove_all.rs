//! `stack.deleteTenants`.

use serde::{Deserialize, Serialize};

use super::{DeleteTenant, ListTenants};
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::identity::TenantId;
use crate::protocol::error::excerpt;

/// The number of tenants that one request deletes. Each takes three calls.
const TENANTS: usize = 100;

/// Asks to delete every tenant of the stack, before the stack is removed: their secrets belong to no stack of
/// CloudFormation.
///
/// A request deletes some tenants, and says how to go on. It is asked for again until `done`: everything is removed
/// by then.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteTenants {
    /// The name of the stack, so that no other one is meant.
    pub stack: String,
    /// The `next` of the request before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TenantId>,
}

/// The answer of `stack.deleteTenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedTenants {
    /// The number of tenants that this request has looked at: they are deleted now, if they were not before.
    pub deleted: usize,
    /// The keys of items on the list of tenants that cannot be read. Their tenants are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// The `after` of the next request; `None` if this request has looked at the last tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<TenantId>,
    /// Whether there are no tenants any more, and nothing of them.
    pub done: bool,
}

impl Operation for DeleteTenants {
    const NAME: &'static str = "stack.deleteTenants";
    type Answer = DeletedTenants;

    fn about(&self) -> About<'_> {
        About::default()
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<DeletedTenants, Failure> {
        if self.stack != admin.deployment.stack {
            return Err(Failure::new(
                Code::Invalid,
                format!(
                    "This stack has another name than {}; nothing was deleted",
                    excerpt(&self.stack)
                ),
            ));
        }
        let page = ListTenants {
            after: self.after.clone(),
            limit: Some(TENANTS),
        };
        let page = page.perform(admin, asked).await?;
        for entry in &page.tenants {
            let delete = DeleteTenant {
                tenant: entry.tenant.clone(),
                delete_after_days: None,
                now: true,
            };
            match delete.perform(admin, asked).await {
                Ok(_) => {}
                // It was purged since the page was read.
                Err(failure) if failure.code == Code::Unknown => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(DeletedTenants {
            deleted: page.tenants.len(),
            done: page.tenants.is_empty() && page.unreadable.is_empty() && self.after.is_none(),
            unreadable: page.unreadable,
            next: page.next,
        })
    }
}
