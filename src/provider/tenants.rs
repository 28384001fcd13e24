//! A tenant's rules and registry, cached.

use std::sync::Arc;
use std::time::Duration;

use super::REQUEST_BUDGET;
use crate::cache::{Cache, CacheLimits, Freshness};
use crate::clock::{CLOCKS_DIFFER_MILLIS, Clock};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Rules;
use crate::protocol::schema::{Index, Registry};
use crate::store::{
    IndexEntries, IndexVersion, SeatCount, Store, StoreError, TenantConfig, TenantState,
    TenantStore,
};

/// How long a process uses a configuration that it has read, in milliseconds.
const CACHE_MILLIS: u64 = 60_000;
/// How long after a change of the configuration a request may still use the earlier one, in
/// milliseconds.
pub(super) const LATEST_MILLIS: u64 = CACHE_MILLIS + REQUEST_BUDGET.as_secs() * 1_000;
/// A configuration is never used longer than [`CACHE_MILLIS`]. The building of an index relies on
/// it: after this time every process maintains the index.
const LIMITS: CacheLimits = CacheLimits {
    what: "A tenant's configuration",
    fresh_millis: CACHE_MILLIS,
    stale_millis: CACHE_MILLIS,
    retry_millis: 0,
    early_reads: 0,
    early_interval_millis: 0,
    max_keys: 10_000,
};

/// A tenant: its name, its rules, and its schemas and resource types.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The name.
    pub id: TenantId,
    /// Its profile and switches.
    pub rules: Rules,
    /// Its schemas and resource types.
    pub registry: Arc<Registry>,
    /// The version of the index entries that its resources have.
    pub index_version: IndexVersion,
    /// The count of active users, if there is a limit.
    pub seats: Option<SeatCount>,
    /// Whether its requests are answered.
    pub state: TenantState,
}

impl Tenant {
    /// Makes a tenant from the configuration in the table.
    ///
    /// # Errors
    /// `InvalidValue` when a registered schema or resource type is not valid.
    pub fn new(id: TenantId, config: TenantConfig) -> Result<Self> {
        let mut registry = Registry::builtin().clone();
        for schema in &config.schemas {
            registry.add_schema(schema)?;
        }
        for resource_type in &config.resource_types {
            registry.add_resource_type(resource_type)?;
        }
        registry.index_last_modified(|resource_type| {
            config.rules.switches.last_modified_index
                || config.building.iter().any(|index| {
                    index.path == Index::LAST_MODIFIED && index.resource_type == resource_type.name
                })
        });
        for index in &config.building {
            registry.mark_building(&index.resource_type, &index.path);
        }
        // With entries of another version a query by an index would miss resources.
        if config.index_version.entries() != IndexEntries::Complete {
            registry.mark_all_building();
        }
        Ok(Self {
            id,
            rules: config.rules,
            registry: Arc::new(registry),
            index_version: config.index_version,
            seats: config.seats,
            state: config.state,
        })
    }

    /// Checks that the tenant's requests are answered: it is neither suspended nor deleted. The reason of
    /// a suspension is for the people who run the service, so no client learns it.
    ///
    /// # Errors
    /// `Forbidden`, with a text for the administrator of the identity provider.
    pub fn check_active(&self) -> Result<()> {
        match self.state {
            TenantState::Active => Ok(()),
            TenantState::Suspended { .. } => Err(Error::forbidden(
                "The application has suspended provisioning for this tenant; nothing is changed until its \
                 support resumes it",
            )),
            TenantState::Deleting { .. } => Err(Error::forbidden(
                "The application has ended provisioning for this tenant; switch provisioning off, or ask its \
                 support",
            )),
        }
    }

    /// Whether work that no request waits for may begin at `now`, in milliseconds since the Unix epoch, and take
    /// up to `longest`: it has to be over when a deleted tenant is purged. Otherwise it is left undone, and what
    /// it would have worked on goes with the tenant, or leads to it again once the tenant is restored.
    #[must_use]
    pub fn has_time_for(&self, longest: Duration, now: u64) -> bool {
        let TenantState::Deleting { purge_at, .. } = self.state else {
            return true;
        };
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        now.saturating_add(longest)
            .saturating_add(CLOCKS_DIFFER_MILLIS)
            < purge_at
    }

    /// Checks that this version of the service may write the tenant's resources.
    ///
    /// # Errors
    /// `Unavailable` when a newer version has written their index entries.
    pub fn check_write(&self) -> Result<()> {
        match self.index_version.entries() {
            IndexEntries::Newer => Err(StoreError::Newer.into()),
            IndexEntries::Complete | IndexEntries::Earlier | IndexEntries::Rebuilding(_) => Ok(()),
        }
    }
}

/// The tenants by name. Each is cached for a minute.
pub struct Tenants {
    store: Store,
    cached: Cache<TenantId, Tenant>,
}

impl Tenants {
    /// The tenants of this table.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            cached: Cache::new(LIMITS, clock),
        }
    }

    /// The tenant, from the cache or read now.
    ///
    /// # Errors
    /// `Unavailable` when it has to be read and the table is out of reach.
    pub async fn get(&self, id: &TenantId, store: &TenantStore) -> Result<Arc<Tenant>> {
        self.read(id, store, Freshness::Usual).await
    }

    /// The tenant, as this process read it no earlier than `since`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_since(
        &self,
        id: &TenantId,
        store: &TenantStore,
        since: u64,
    ) -> Result<Arc<Tenant>> {
        self.read(id, store, Freshness::Since(since)).await
    }

    async fn read(
        &self,
        id: &TenantId,
        store: &TenantStore,
        freshness: Freshness,
    ) -> Result<Arc<Tenant>> {
        let read = async {
            let config = store.configuration().read().await?;
            Tenant::new(id.clone(), config).map_err(Error::internal)
        };
        Ok(self.cached.get(id, freshness, read).await?)
    }

    /// Drops a tenant from the cache, so that this process uses a change of its configuration at
    /// once.
    pub fn forget(&self, id: &TenantId) {
        self.cached.forget(id);
    }

    /// The table that the tenants are in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}
