//! Delivers the events of several tenants at the same time.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::Worker;
use super::outbox::{DeliverJob, Outbox};
use crate::delivery::{Deliverer, Sender};
use crate::identity::TenantId;
use crate::protocol::error::Result;

/// Delivers what these tenants' subscriptions are to get, as [`Worker::deliver`] says. No tenant waits for
/// another: each has its own time and its own failures.
pub(super) async fn deliver(
    worker: &Worker<'_>,
    tenants: BTreeSet<TenantId>,
    sender: &impl Sender,
    outbox: &impl Outbox,
) -> BTreeSet<TenantId> {
    let deliverer = Deliverer {
        store: worker.store,
        tenants: worker.tenants,
        appender: &worker.appender,
        clock: &worker.clock,
        sender,
        memory: &worker.memory,
    };
    let delivered = tenants.into_iter().map(async |tenant| {
        let delivered = one(&deliverer, &tenant, outbox).await;
        let error = delivered.err()?;
        let cause = error.causes();
        tracing::error!(tenant.id = %tenant, cause, "could not deliver events");
        Some(tenant)
    });
    join_all(delivered).await.into_iter().flatten().collect()
}

/// Delivers the events of one tenant, and leaves a job for what is left.
async fn one<S: Sender>(
    deliverer: &Deliverer<'_, S>,
    tenant: &TenantId,
    outbox: &impl Outbox,
) -> Result<()> {
    let Some(wait) = deliverer.deliver(tenant).await? else {
        return Ok(());
    };
    let tenant = tenant.clone();
    outbox.deliver_later(&[DeliverJob { tenant, wait }]).await
}
