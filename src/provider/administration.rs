//! One tenant, as a command of the people who run the service works on it.

use std::time::Duration;

use super::REQUEST_BUDGET;
use super::tenants::{Tenant, Tenants};
use crate::clock::Clock;
use crate::identity::{Cause, TenantId};
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{Meter, ResourcePage, Store, TenantConfig, TenantStore, Window};

/// Resources that are looked at in one step.
const PAGE: usize = 100;

/// One tenant, as a command works on it.
#[derive(Clone)]
pub(super) struct Administration<'a> {
    /// The tenant.
    pub(super) tenant: &'a TenantId,
    /// The table of all tenants.
    pub(super) table: &'a Store,
    /// Why something is written.
    pub(super) cause: Cause,
    /// The configurations that this process remembers.
    pub(super) tenants: &'a Tenants,
    /// Tells the time of a change.
    pub(super) clock: &'a dyn Clock,
}

impl Administration<'_> {
    /// The tenant's part of the table, for as long as a request may take.
    pub(super) fn store(&self) -> TenantStore {
        self.store_for(REQUEST_BUDGET)
    }

    /// The tenant's part of the table, for this long.
    pub(super) fn store_for(&self, budget: Duration) -> TenantStore {
        let cause = self.cause.clone();
        self.table
            .for_tenant(self.tenant, cause, Meter::default(), budget)
    }

    /// What the table holds of the tenant besides its resources, as it is now.
    pub(super) async fn config(&self) -> Result<TenantConfig> {
        Ok(self.store().configuration().read().await?)
    }

    /// The tenant, as the table has it now.
    pub(super) async fn view(&self) -> Result<Tenant> {
        Tenant::new(self.tenant.clone(), self.config().await?)
    }

    /// Makes this process read the tenant's configuration again.
    pub(super) fn forget(&self) {
        self.tenants.forget(self.tenant);
    }

    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now_millis()
    }

    /// The page of resources after an id, and a store for what is done with it: a store is for one
    /// request, and all pages may take as long as the directory is large.
    pub(super) async fn page(
        &self,
        resource_type: &ResourceType,
        after: Option<&str>,
    ) -> Result<(TenantStore, ResourcePage)> {
        let store = self.store();
        let window = Window {
            after,
            limit: Some(PAGE),
            ..Window::default()
        };
        let page = store.resources().page(resource_type, window).await?;
        Ok((store, page))
    }
}
