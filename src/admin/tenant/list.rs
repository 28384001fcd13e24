//! `tenant.list`.

use serde::{Deserialize, Serialize};

use super::TenantEntry;
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::identity::TenantId;

/// The number of tenants on a page, if the request names none.
const DEFAULT_LIMIT: usize = 100;
/// The largest number of tenants on a page. One call reads as many.
const MAX_LIMIT: usize = 1_000;

/// Asks for the tenants in the order of their names, some at a time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListTenants {
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TenantId>,
    /// The number of tenants: 1 to 1,000, 100 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The answer of `tenant.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantList {
    /// The tenants.
    pub tenants: Vec<TenantEntry>,
    /// The keys of items between them that cannot be read: only damage to the table makes such items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// The `after` of the next page; `None` on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<TenantId>,
}

impl Operation for ListTenants {
    const NAME: &'static str = "tenant.list";
    type Answer = TenantList;

    fn about(&self) -> About<'_> {
        About::default()
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<TenantList, Failure> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Failure::new(
                Code::Invalid,
                format!("`limit` takes 1 to {MAX_LIMIT}"),
            ));
        }
        let stack = admin.stack_store();
        let page = stack.tenant_list().page(self.after.as_ref(), limit);
        let page = page.await?;
        Ok(TenantList {
            tenants: page.tenants.iter().map(TenantEntry::of).collect(),
            unreadable: page.unreadable,
            next: page.next,
        })
    }
}
