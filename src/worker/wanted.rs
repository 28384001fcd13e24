//! The tenants whose events a subscription wants.

use std::time::Duration;

use super::Worker;
use super::outbox::{DeliverJob, Outbox};
use crate::cache::{CacheLimits, Freshness};
use crate::delivery::SUBSCRIPTIONS_MILLIS;
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::store::{Meter, Subscription};

/// How long the read of the subscriptions may take.
const BUDGET: Duration = Duration::from_secs(10);

/// A process may use subscriptions that it read a minute ago. `make_due` has what it appends meanwhile delivered
/// later.
pub(super) const SUBSCRIPTION_LIMITS: CacheLimits = CacheLimits {
    what: "The subscriptions",
    fresh_millis: SUBSCRIPTIONS_MILLIS,
    stale_millis: SUBSCRIPTIONS_MILLIS,
    retry_millis: 0,
    early_reads: 0,
    early_interval_millis: 0,
    max_keys: 1,
};

/// Leaves a job for each of these tenants whose events a subscription wants. No call if there is no such
/// subscription and this process has read the subscriptions within a minute.
///
/// # Errors
/// `Unavailable` if the subscriptions could not be read, or a job may not have been taken.
pub(super) async fn deliver_soon(
    worker: &Worker<'_>,
    tenants: &[TenantId],
    outbox: &impl Outbox,
) -> Result<()> {
    if tenants.is_empty() {
        return Ok(());
    }
    let read = async {
        let stack = worker.store.for_stack(Meter::default(), BUDGET);
        stack.subscriptions().list().await.map_err(Error::from)
    };
    let subscriptions = worker
        .subscriptions
        .get(&(), Freshness::Usual, read)
        .await?;
    let is_wanted = |tenant: &&TenantId| {
        let mut subscriptions = subscriptions.iter();
        subscriptions.any(|other: &Subscription| other.is_active() && other.is_about(tenant))
    };
    let wanted = tenants.iter().filter(is_wanted).cloned();
    let jobs: Vec<DeliverJob> = wanted.map(DeliverJob::now).collect();
    match jobs.is_empty() {
        true => Ok(()),
        false => outbox.deliver_later(&jobs).await,
    }
}
