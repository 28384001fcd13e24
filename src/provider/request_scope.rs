//! One caller's view of its tenant during one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::compute::Compute;
use super::grant::Grant;
use super::tenants::Tenant;
use crate::identity::{Cause, CauseKind};
use crate::pool::Pool;
use crate::protocol::profile::{Profile, Reading, Tolerance, UsedTolerances};
use crate::protocol::schema::ResourceType;
use crate::protocol::work::WorkBudget;
use crate::store::{Milestones, TenantStore};
use crate::tenant::Caller;

/// One caller's view of its tenant during one request.
pub struct RequestScope {
    /// The caller's tenant.
    pub tenant: Arc<Tenant>,
    /// The tenant's part of the table.
    pub store: TenantStore,
    /// The authenticated caller.
    pub caller: Caller,
    /// The public URL below which the resources are, without a trailing slash.
    pub base_url: String,
    /// Runs work of this request whose time grows with the data.
    pub compute: Compute,
    /// The steps of work that the request has left. All operations of a bulk request share them.
    pub(super) work: WorkBudget,
    /// Whether the target is `/Me`.
    is_me: bool,
    fired: AtomicU64,
    /// The milestones that the request's writes have reached, as bits.
    reached: AtomicU8,
}

impl RequestScope {
    /// The scope of a request of this caller. The request has to be over at the store's deadline.
    pub(super) fn new(
        tenant: Arc<Tenant>,
        store: TenantStore,
        caller: Caller,
        base_url: String,
        pool: &Pool,
    ) -> Self {
        Self {
            compute: Compute::new(pool, &tenant.id, store.deadline()),
            tenant,
            store,
            caller,
            base_url,
            work: WorkBudget::default(),
            is_me: false,
            fired: AtomicU64::new(0),
            reached: AtomicU8::new(0),
        }
    }

    /// The same scope at `/Me`: permissions and changes are checked as those of a user's own
    /// resource.
    #[must_use]
    pub fn at_me(mut self) -> Self {
        self.is_me = true;
        self
    }

    /// The same scope for a bulk request: the kind of the cause of its writes is that of a bulk
    /// request.
    #[must_use]
    pub fn in_bulk(mut self) -> Self {
        self.store = self.store.caused_by(Cause {
            kind: CauseKind::Bulk,
            ..self.store.cause().clone()
        });
        self
    }

    /// What the caller may do.
    #[must_use]
    pub fn grant(&self) -> Grant<'_> {
        Grant {
            permissions: &self.caller.permissions,
            role: self.caller.role.as_deref(),
            is_me: self.is_me,
        }
    }

    /// The same scope under another profile, for clients that cannot know the tenant's own.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        if self.tenant.rules.profile != profile {
            let mut tenant = Tenant::clone(&self.tenant);
            tenant.rules.profile = profile;
            self.tenant = Arc::new(tenant);
        }
        self
    }

    /// Begins to read the request's body or parameters under the tenant's rules.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        Reading::within(&self.tenant.rules, self.work.clone())
    }

    /// The resource type at an endpoint. The name may be in another case if the profile tolerates
    /// that.
    #[must_use]
    pub fn at_endpoint(&self, endpoint: &str) -> Option<&Arc<ResourceType>> {
        let found = self.tenant.registry.at_endpoint(endpoint)?;
        let is_exact = found.endpoint == endpoint;
        (is_exact || self.tolerates(Tolerance::EndpointCase)).then_some(found)
    }

    /// Whether the profile has this tolerance. If it has, the tolerance is recorded as needed.
    #[must_use]
    pub fn tolerates(&self, tolerance: Tolerance) -> bool {
        let mut reading = self.reading();
        let tolerated = reading.tolerates(tolerance);
        self.note(&reading);
        tolerated
    }

    /// Records which tolerances a reading needed.
    pub fn note(&self, reading: &Reading<'_>) {
        self.fired
            .fetch_or(reading.used_tolerances().bits(), Ordering::Relaxed);
    }

    /// Records milestones of the tenant that a write of the request has reached.
    pub(super) fn reach(&self, milestones: Milestones) {
        self.reached.fetch_or(milestones.bits(), Ordering::Relaxed);
    }

    /// The milestones that the request's writes have reached so far. The tenant may have reached them before.
    #[must_use]
    pub fn reached(&self) -> Milestones {
        Milestones::from_bits(self.reached.load(Ordering::Relaxed))
    }

    /// The tolerances that the request has needed so far.
    #[must_use]
    pub fn used_tolerances(&self) -> UsedTolerances {
        UsedTolerances::from_bits(self.fired.load(Ordering::Relaxed))
    }
}
