//! `tenant.create`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::{changed_rules, shown};
use super::{MAX_ATTEMPTS, TenantUrls, deleting};
use crate::admin::time::Time;
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::feed::lifecycle;
use crate::identity::TenantId;
use crate::protocol::error::ErrorKind;
use crate::protocol::profile::{Profile, Rules};
use crate::store::ListedTenant;

/// Asks for a new tenant, which has no credentials yet.
///
/// The same request again finds the tenant, also while it is suspended, and completes what a request that died has
/// left undone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateTenant {
    /// The name: 1 to 40 of the characters a-z, 0-9 and -, the first of which is not -.
    pub tenant: TenantId,
    /// The profile by which its requests are read; `default` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Switches that are not to have their defaults, by their names.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub switches: Map<String, Value>,
}

/// The answer of `tenant.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether there was such a tenant before, with the same rules.
    pub existed: bool,
    /// Where clients reach it; `None` if the deployment does not know its own URL.
    pub urls: Option<TenantUrls>,
    /// The profile by which its requests are read.
    pub profile: Profile,
    /// All switches.
    pub switches: Map<String, Value>,
}

impl Operation for CreateTenant {
    const NAME: &'static str = "tenant.create";
    type Answer = CreatedTenant;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<CreatedTenant, Failure> {
        let rules = changed_rules(&Rules::default(), self.profile, &self.switches)?;
        let existed = self.create(admin, asked, &rules).await?;
        Ok(CreatedTenant {
            tenant: self.tenant.clone(),
            existed,
            urls: admin.urls(&self.tenant),
            profile: rules.profile,
            switches: shown(&rules.switches)?,
        })
    }
}

impl CreateTenant {
    /// Creates the tenant with these rules, or finds it. Returns whether it existed.
    async fn create(&self, admin: &Admin, asked: &Asked, rules: &Rules) -> Result<bool, Failure> {
        let (tenant, stack) = (&self.tenant, admin.stack_store());
        for _ in 0..MAX_ATTEMPTS {
            match stack.tenant_list().get(tenant).await? {
                Some(ListedTenant {
                    deletion: Some(deletion),
                    ..
                }) => return Err(deleting(tenant, deletion.stage)),
                Some(_) => {
                    self.check_same(admin, rules).await?;
                    // The secret is made last. So a request that has died has left something undone only if there
                    // is no secret.
                    if admin.credentials.read(tenant).await?.is_none() {
                        self.complete(admin, asked, rules).await?;
                    }
                    return Ok(true);
                }
                None => {}
            }
            if admin.credentials.read(tenant).await?.is_some() {
                // An early version has created the tenant, and it is not on the list.
                stack.list_tenant(tenant).await?;
                continue;
            }
            tenant.check_new()?;
            let store = admin.tenant_store(tenant, asked);
            if let Some(until) = lifecycle::retired_until(&store).await? {
                return Err(retired(tenant, until));
            }
            let now = admin.clock.now_millis();
            if stack.tenant_list().create(tenant, rules, now).await? {
                self.complete(admin, asked, rules).await?;
                admin.provider.tenants().forget(tenant);
                return Ok(false);
            }
            // Another request has created a tenant of this name since, or an attempt whose answer was lost has.
        }
        Err(Failure::new(
            Code::Later,
            format!("Others change the tenant {tenant} at the same time; try again"),
        ))
    }

    /// Fails if the tenant has other rules than the request asks for.
    async fn check_same(&self, admin: &Admin, rules: &Rules) -> Result<(), Failure> {
        let tenant = &self.tenant;
        match admin.provider.rules(tenant).await? == *rules {
            true => Ok(()),
            false => Err(Failure::new(
                Code::Taken,
                format!(
                    "There is a tenant {tenant} with another profile or other switches; change them, or choose another name"
                ),
            )),
        }
    }

    /// Makes what a tenant on the list needs before it has credentials. Each step may have been made before.
    async fn complete(&self, admin: &Admin, asked: &Asked, rules: &Rules) -> Result<(), Failure> {
        let store = admin.tenant_store(&self.tenant, asked);
        store.configuration().begin_index_version().await?;
        if rules.switches.max_active_users > 0 {
            // Active users are counted from the first one on, while the tenant has no credential yet.
            admin.provider.set_first_rules(&self.tenant, rules).await?;
        }
        // The feed begins while the tenant has no credential yet, so no resource can be created before it.
        lifecycle::create(&store).await?;
        match admin.issuer.create_tenant(&self.tenant).await {
            // Another request has completed the same tenant at the same time.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            made => Ok(made?),
        }
    }
}

fn retired(tenant: &TenantId, until: u64) -> Failure {
    Failure::new(
        Code::NameRetired,
        format!(
            "A tenant {tenant} was purged a short time ago; the name can be used again from {} on",
            String::from(Time(until))
        ),
    )
}
