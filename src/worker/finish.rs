//! Finishes the journals of several tenants at the same time.

use std::collections::BTreeSet;
use std::slice;
use std::time::Duration;

use futures_util::future::join_all;

use super::Worker;
use super::outbox::Outbox;
use super::wanted;
use crate::feed::Announcer;
use crate::identity::{Cause, CauseKind, TenantId};
use crate::protocol::error::Result;
use crate::provider;
use crate::store::Meter;

/// How long a job takes at most: it finishes changes, and then it makes announcements.
const LONGEST_JOB: Duration = Duration::from_secs(2 * 240);
/// How long the read of a tenant's configuration may take.
const READ_BUDGET: Duration = Duration::from_secs(10);

/// Finishes the journals of these tenants, as [`Worker::finish`] says. No tenant waits for another: each has
/// its own time and its own failures.
pub(super) async fn finish(
    worker: &Worker<'_>,
    tenants: BTreeSet<TenantId>,
    outbox: &impl Outbox,
) -> BTreeSet<TenantId> {
    let finished = tenants.into_iter().map(async |tenant| {
        match has_time(worker, &tenant).await {
            Ok(true) => {}
            // The purge finishes what is left. A restored tenant gets another job by the sweep.
            Ok(false) => return None,
            Err(error) => {
                let cause = error.causes();
                tracing::error!(tenant.id = %tenant, cause, "could not read a tenant");
                return Some(tenant);
            }
        }
        let changes = changes(worker, &tenant).await;
        // Announcements do not depend on the changes, so they are made even if a change cannot be finished.
        let announcements = announcements(worker, &tenant, outbox).await;
        if let Err(error) = &changes {
            let cause = error.causes();
            tracing::error!(tenant.id = %tenant, cause, "could not finish half-done changes");
        }
        if let Err(error) = &announcements {
            let cause = error.causes();
            tracing::error!(tenant.id = %tenant, cause, "could not announce the members of groups");
        }
        (changes.is_err() || announcements.is_err()).then_some(tenant)
    });
    join_all(finished).await.into_iter().flatten().collect()
}

/// Whether a job can be over before the tenant is purged, if it is deleted.
async fn has_time(worker: &Worker<'_>, tenant: &TenantId) -> Result<bool> {
    let cause = Cause::without_credential(CauseKind::Service);
    let store = worker
        .store
        .for_tenant(tenant, cause, Meter::default(), READ_BUDGET);
    let found = worker.tenants.get(tenant, &store).await?;
    Ok(found.has_time_for(LONGEST_JOB, worker.clock.now_millis()))
}

/// Finishes the changes and the clean-ups that writers began.
async fn changes(worker: &Worker<'_>, tenant: &TenantId) -> Result<()> {
    let cause = Cause::without_credential(CauseKind::Service);
    let finished = provider::finish(worker.tenants, tenant, cause).await?;
    if finished > 0 {
        tracing::warn!(tenant.id = %tenant, finished, "finished {finished} half-done changes");
    }
    Ok(())
}

/// Reports in the feed the members of sets that were filled before they became current, and has these events
/// delivered.
async fn announcements(worker: &Worker<'_>, tenant: &TenantId, outbox: &impl Outbox) -> Result<()> {
    let announced = Announcer::new(&worker.appender).announce(tenant).await?;
    if announced > 0 {
        // No record of the stream leads to these events.
        wanted::deliver_soon(worker, slice::from_ref(tenant), outbox).await?;
    }
    Ok(())
}
