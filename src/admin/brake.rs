//! The operations `brake.*`: what the brake of a tenant's feed holds back.

use serde::{Deserialize, Serialize};

use super::{About, Admin, Asked, Failure, Operation, Time};
use crate::feed::brake::{release, status};
use crate::identity::TenantId;
use crate::store::Due;

/// Asks how many users lost their access within an hour, and what is held back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowBrake {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `brake.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownBrake {
    /// The number of active users.
    pub active_users: u64,
    /// The number of users that lost their access within an hour.
    pub leavers: u64,
    /// The brake trips at more than this.
    pub limit: u64,
    /// What is held back; `None` for nothing.
    pub held: Option<Held>,
}

/// What a brake holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The number of the first event.
    pub from: u64,
    /// Since when.
    pub since: Time,
    /// Until when, unless it is released before.
    pub until: Time,
}

/// Lets readers have the events that are held back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseBrake {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `brake.release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedBrake {
    /// Whether something was held back.
    pub released: bool,
}

impl Operation for ShowBrake {
    const NAME: &'static str = "brake.status";
    type Answer = ShownBrake;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<ShownBrake, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let store = admin.tenant_store(&self.tenant, asked);
        let view = admin.provider.tenants().get(&self.tenant, &store).await?;
        let status = status(&store, &view.rules.switches, &view.registry).await?;
        Ok(ShownBrake {
            active_users: status.active,
            leavers: status.leavers,
            limit: status.limit,
            held: status.hold.map(|(hold, until)| Held {
                from: hold.from,
                since: Time(hold.tripped),
                until: Time(until),
            }),
        })
    }
}

impl Operation for ReleaseBrake {
    const NAME: &'static str = "brake.release";
    type Answer = ReleasedBrake;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<ReleasedBrake, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let store = admin.tenant_store(&self.tenant, asked);
        let view = admin.provider.tenants().get(&self.tenant, &store).await?;
        let released = release(&store, &view.rules.switches).await?;
        if released {
            // Deliveries that were held look again within a minute by themselves; this is sooner.
            let due = Due::at_millis(admin.clock.now_millis(), Some(self.tenant.clone()));
            admin.stack_store().due().put(&due).await?;
        }
        Ok(ReleasedBrake { released })
    }
}
