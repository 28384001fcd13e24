//! What is to be done later, or by people.

use std::time::Duration;

use crate::feed::stream::SetAside;
use crate::identity::TenantId;
use crate::protocol::error::Result;

/// That the journal of a tenant has entries to finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishJob {
    /// Whose journal it is.
    pub tenant: TenantId,
    /// How long until the leases of the entries are over.
    pub wait: Duration,
}

/// That deliveries of a tenant may have something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverJob {
    /// Whose events they are.
    pub tenant: TenantId,
    /// How long to wait before they are looked at.
    pub wait: Duration,
}

impl DeliverJob {
    /// A job that is done without a wait.
    #[must_use]
    pub fn now(tenant: TenantId) -> Self {
        let wait = Duration::ZERO;
        Self { tenant, wait }
    }
}

/// Where a process leaves what is to be done later. Nothing may be lost there: a job is done at least once,
/// by this process or another.
pub trait Outbox: Sync {
    /// Takes jobs; each is done once its wait is over.
    ///
    /// # Errors
    /// `Unavailable` if a job may not have been taken; all are to be given again.
    fn finish_later(&self, jobs: &[FinishJob]) -> impl Future<Output = Result<()>> + Send;

    /// Takes jobs that deliver events; each is done once its wait is over.
    ///
    /// # Errors
    /// `Unavailable` if a job may not have been taken; all are to be given again.
    fn deliver_later(&self, jobs: &[DeliverJob]) -> impl Future<Output = Result<()>> + Send;

    /// Keeps for people which records could not be understood.
    ///
    /// # Errors
    /// `Unavailable` if one may not have been kept; all are to be given again.
    fn set_aside(&self, records: &[SetAside]) -> impl Future<Output = Result<()>> + Send;
}
