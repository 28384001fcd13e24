//! Work whose time grows with the data, and where it runs.
//!
//! The size is known before the work begins: the bytes of a body or of a page. Below
//! [`SMALL_BYTES`] the work is done at once; above it, it is a job of the pool.

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::identity::TenantId;
use crate::pool::{Pool, SMALL_BYTES, check_time};
use crate::protocol::error::Result;
use crate::protocol::json;
use crate::store::Stored;

/// Runs the work of one request on data.
#[derive(Clone)]
pub struct Compute {
    pool: Pool,
    tenant: TenantId,
    deadline: Instant,
}

impl Compute {
    /// Runs the work of a tenant's request that has to be over at the deadline.
    pub(super) fn new(pool: &Pool, tenant: &TenantId, deadline: Instant) -> Self {
        Self {
            pool: pool.clone(),
            tenant: tenant.clone(),
            deadline,
        }
    }

    /// Does work on this many bytes of JSON, in the pool if that may take over 20 ms.
    ///
    /// # Errors
    /// `Unavailable` if the request's time was over before the work could begin.
    pub async fn run<T>(&self, bytes: usize, job: impl FnOnce() -> T) -> Result<T> {
        if bytes <= SMALL_BYTES {
            return Ok(job());
        }
        self.run_in_pool(job).await
    }

    /// Does work in the pool, whatever it works on.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn run_in_pool<T>(&self, job: impl FnOnce() -> T) -> Result<T> {
        self.pool.run(&self.tenant, self.deadline, job).await
    }

    /// Checks that the request still has time. Long work asks this before each resource, because no
    /// time-out ends it.
    ///
    /// # Errors
    /// `Unavailable` after the deadline.
    pub(super) fn check_time(&self) -> Result<()> {
        check_time(self.deadline)
    }
}

/// The size of a parsed body in bytes, as far as it matters: counting ends once the body is clearly not
/// small.
#[must_use]
pub fn body_size(body: &Map<String, Value>) -> usize {
    json::size_up_to(body, SMALL_BYTES)
}

/// The size of a PATCH: its own, and that of the stored body for each operation, which may look at all of
/// it.
pub(super) fn patch_size(patch: usize, operations: usize, stored: &str) -> usize {
    patch.saturating_add(stored.len().saturating_mul(operations))
}

/// The size of resources in bytes.
pub(super) fn size_of<'s>(resources: impl IntoIterator<Item = &'s Stored>) -> usize {
    resources.into_iter().map(|stored| stored.body.len()).sum()
}
