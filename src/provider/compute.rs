//! Where work runs whose time grows with the data.
//!
//! The size of the data is known before the work begins: the bytes of a body or of a page. Up to
//! [`SMALL_BYTES`] the work is done at once, and above that it is a job of the pool.

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::identity::TenantId;
use crate::pool::{Pool, SMALL_BYTES, check_time};
use crate::protocol::error::Result;
use crate::protocol::json;
use crate::store::Stored;

/// Runs one request's work on data.
#[derive(Clone)]
pub struct Compute {
    pool: Pool,
    tenant: TenantId,
    deadline: Instant,
}

impl Compute {
    /// Runs work of this tenant, for a request that has to be over at the deadline.
    pub(super) fn new(pool: &Pool, tenant: &TenantId, deadline: Instant) -> Self {
        Self {
            pool: pool.clone(),
            tenant: tenant.clone(),
            deadline,
        }
    }

    /// Does work on this number of bytes of JSON, in the pool if it may take more than 20 ms.
    ///
    /// # Errors
    /// `Unavailable` if the request's deadline passed before the work could begin.
    pub async fn run<T>(&self, bytes: usize, job: impl FnOnce() -> T) -> Result<T> {
        if bytes <= SMALL_BYTES {
            return Ok(job());
        }
        self.run_in_pool(job).await
    }

    /// Does work in the pool, however small it is.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn run_in_pool<T>(&self, job: impl FnOnce() -> T) -> Result<T> {
        self.pool.run(&self.tenant, self.deadline, job).await
    }

    /// Checks that the request still has time. Work on many resources calls this before each of
    /// them, because no time-out ends work that does not wait.
    ///
    /// # Errors
    /// `Unavailable` after the deadline.
    pub(super) fn check_time(&self) -> Result<()> {
        check_time(self.deadline)
    }
}

/// The size of a parsed body in bytes. Counting ends once the body is larger than [`SMALL_BYTES`].
#[must_use]
pub fn body_size(body: &Map<String, Value>) -> usize {
    json::size_up_to(body, SMALL_BYTES)
}

/// The bytes that a PATCH works on: its own body, and the stored body once for each operation,
/// because each may read all of it.
pub(super) fn patch_size(patch: usize, operations: usize, stored: &str) -> usize {
    patch.saturating_add(stored.len().saturating_mul(operations))
}

/// The size of resources in bytes.
pub(super) fn size_of<'s>(resources: impl IntoIterator<Item = &'s Stored>) -> usize {
    resources.into_iter().map(|stored| stored.body.len()).sum()
}
