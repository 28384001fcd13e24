//! `tenant.show`: what a dashboard, or the settings page of a product, needs to know about one tenant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{TenantEntry, rules};
use crate::admin::credential::ListedCredential;
use crate::admin::{About, Admin, Asked, Failure, Operation, Time};
use crate::feed::brake;
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::protocol::profile::Profile;
use crate::provider::Tenant;
use crate::store::{Refusals, TenantStatus, TenantStore};

const HOUR_MILLIS: u64 = 60 * 60 * 1000;
/// The hours in which refusals are counted, with the present one.
const HOURS: u64 = 24;

/// Asks for everything about one tenant except its resources.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowTenant {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `tenant.show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownTenant {
    /// The tenant as it is in the list.
    #[serde(flatten)]
    pub entry: TenantEntry,
    /// Where clients reach it; `None` if the deployment does not know its own URL.
    pub urls: Option<TenantUrls>,
    /// The profile by which its requests are read.
    pub profile: Profile,
    /// All switches, by their names.
    pub switches: Map<String, Value>,
    /// The number of users.
    pub users: UserCounts,
    /// The number of groups.
    pub groups: u64,
    /// The credentials, the oldest first, with their last use.
    pub credentials: Vec<ListedCredential>,
    /// When the first request with a valid credential came; `None` if there has been none.
    pub first_request: Option<Time>,
    /// When the last one came, right to the hour.
    pub last_request: Option<Time>,
    /// When each milestone was reached.
    pub milestones: ReachedMilestones,
    /// The requests that were refused in the last day.
    pub refusals: RefusalCounts,
}

/// The base URLs of a tenant, for each view of it. They have no slash at their end.
///
/// A customer is shown those with the name of the tenant: a credential of another tenant is refused there, so a token
/// that was pasted into the wrong place changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantUrls {
    /// SCIM 2.0, for credentials of this tenant only.
    pub tenant_scim2: String,
    /// SCIM 1.1, for credentials of this tenant only.
    pub tenant_scim1: String,
    /// The Ionic API, for credentials of this tenant only.
    pub ionic: String,
    /// SCIM 2.0, for credentials of every tenant.
    pub scim2: String,
    /// SCIM 1.1, for credentials of every tenant.
    pub scim1: String,
}

/// The number of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCounts {
    /// All of them.
    pub total: u64,
    /// Those that are active, by the events of the feed; `None` if the feed does not have every change.
    pub active: Option<u64>,
}

/// When each milestone was reached; `None` for one that was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedMilestones {
    /// A client has created a user.
    pub user: Option<Time>,
    /// A client has created a group.
    pub group: Option<Time>,
    /// A client has made a resource a member of a group.
    pub membership: Option<Time>,
    /// A client has deactivated or deleted a user.
    pub deactivation: Option<Time>,
}

/// Requests with a valid credential that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCounts {
    /// Since when they are counted: the beginning of an hour.
    pub since: Time,
    /// The least number of refused requests, by the status of HTTP.
    pub statuses: BTreeMap<String, u64>,
}

impl Operation for ShowTenant {
    const NAME: &'static str = "tenant.show";
    type Answer = ShownTenant;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<ShownTenant, Failure> {
        let listed = admin.listed_tenant(&self.tenant).await?;
        let config = admin.provider.config(&self.tenant).await?;
        let tenant = Tenant::new(self.tenant.clone(), config).map_err(Error::internal)?;
        let store = admin.tenant_store(&self.tenant, asked);
        let hour = admin.clock.now_millis() / HOUR_MILLIS;
        let since = (hour + 1).saturating_sub(HOURS) * HOUR_MILLIS;
        let (credentials, status) = admin.used_credentials(&self.tenant, &store, since).await?;
        let groups = tenant.registry.resource_type("Group");
        Ok(ShownTenant {
            entry: TenantEntry::of(&listed),
            urls: admin.urls(&self.tenant),
            profile: tenant.rules.profile,
            switches: rules::shown(&tenant.rules.switches)?,
            users: users(&store, &tenant).await?,
            groups: match groups {
                Some(groups) => store.resources().total(groups).await.map_err(Error::from)?,
                None => 0,
            },
            credentials,
            first_request: status.first_request.map(Time),
            last_request: status.last_request.map(Time),
            milestones: ReachedMilestones::of(&status),
            refusals: RefusalCounts::of(since, &status.refusals),
        })
    }
}

async fn users(store: &TenantStore, tenant: &Tenant) -> Result<UserCounts, Failure> {
    let users = tenant.registry.resource_type("User");
    let total = match users {
        Some(users) => store.resources().total(users).await.map_err(Error::from)?,
        None => 0,
    };
    let active = brake::active_users(store).await?;
    Ok(UserCounts { total, active })
}

impl TenantUrls {
    /// Those of a tenant of the service at `root`, which has no slash at its end.
    #[must_use]
    pub fn at(root: &str, tenant: &TenantId) -> Self {
        Self {
            tenant_scim2: format!("{root}/t/{tenant}/scim/v2"),
            tenant_scim1: format!("{root}/t/{tenant}/scim/v1"),
            ionic: format!("{root}/v2/{tenant}/scim"),
            scim2: format!("{root}/scim/v2"),
            scim1: format!("{root}/scim/v1"),
        }
    }
}

impl Admin {
    /// The base URLs of a tenant; `None` if the deployment does not know its own URL.
    pub(super) fn urls(&self, tenant: &TenantId) -> Option<TenantUrls> {
        let origin = self.deployment.origin.as_deref();
        origin.map(|origin| TenantUrls::at(origin, tenant))
    }
}

impl ReachedMilestones {
    fn of(status: &TenantStatus) -> Self {
        Self {
            user: status.first_user.map(Time),
            group: status.first_group.map(Time),
            membership: status.first_membership.map(Time),
            deactivation: status.first_deactivation.map(Time),
        }
    }
}

impl RefusalCounts {
    fn of(since: u64, refusals: &[Refusals]) -> Self {
        let mut statuses = BTreeMap::new();
        for each in refusals {
            *statuses.entry(each.status.to_string()).or_default() += each.count;
        }
        Self {
            since: Time(since),
            statuses,
        }
    }
}
