//! One tenant as the operators' commands see it: without a caller and without a request.

use super::REQUEST_BUDGET;
use super::pace::Pace;
use super::tenants::{Tenant, Tenants};
use crate::clock::Clock;
use crate::identity::{Cause, TenantId};
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{Meter, ResourcePage, Store, TenantConfig, TenantStore, Window};

/// The number of resources that are read at a time.
const PAGE: usize = 100;

/// One tenant as the operators' commands see it.
pub(super) struct Administration<'a> {
    /// The tenant.
    pub(super) tenant: &'a TenantId,
    /// The table of all tenants.
    pub(super) table: &'a Store,
    /// Why something is written.
    pub(super) cause: Cause,
    /// The cached configurations of this process.
    pub(super) tenants: &'a Tenants,
    /// The clock that the time of a change is read from.
    pub(super) clock: &'a dyn Clock,
    /// How far an examination goes.
    pub(super) pace: Pace,
}

impl Administration<'_> {
    /// The tenant's part of the table, for as long as a request may take.
    pub(super) fn store(&self) -> TenantStore {
        let cause = self.cause.clone();
        self.table
            .for_tenant(self.tenant, cause, Meter::default(), REQUEST_BUDGET)
    }

    /// Reads everything that the table holds of the tenant except its resources.
    pub(super) async fn config(&self) -> Result<TenantConfig> {
        Ok(self.store().configuration().read().await?)
    }

    /// Reads the tenant from the table.
    pub(super) async fn view(&self) -> Result<Tenant> {
        Tenant::new(self.tenant.clone(), self.config().await?)
    }

    /// Drops the tenant's configuration from the cache, so that this process reads it again.
    pub(super) fn forget(&self) {
        self.tenants.forget(self.tenant);
    }

    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now_millis()
    }

    /// The page of resources after an id, and a store for the work on that page. Each page gets its
    /// own store, because a store has the deadline of one request and all pages together may take
    /// longer.
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
