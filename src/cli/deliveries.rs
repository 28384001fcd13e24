//! Deliveries of `scim serve`: the jobs that the deliverer has in AWS, and the look at what is due.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::job_list::JobList;
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::Sender;
use crate::identity::TenantId;
use crate::protocol::error::Result;
use crate::store::{Meter, Store};
use crate::worker::{DeliverJob, Outbox, Worker};

/// The interval of the look at what is due. In AWS the sweep looks every minute; a person who has added a webhook
/// in another terminal does not want to wait for that.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The number of entries that are read at once. What is due beyond that is read at the next look.
const ENTRIES: usize = 100;
/// The number of tenants that are read from the list at once.
const TENANTS: usize = 100;
/// The wait before a job that failed is done again.
const RETRY: Duration = Duration::from_secs(5);
/// How long one look may take.
const BUDGET: Duration = Duration::from_secs(10);

/// Does each job after its wait. No job waits for another one, not even for one of the same tenant: that one may
/// have to do with a receiver that hangs.
pub(super) async fn deliver(
    worker: &Worker<'_>,
    sender: &impl Sender,
    outbox: &impl Outbox,
    mut jobs: mpsc::UnboundedReceiver<DeliverJob>,
) {
    let mut waiting = JobList::default();
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => waiting.add(job.tenant, job.wait),
                None => return,
            },
            () = waiting.wait() => {
                for tenant in waiting.take() {
                    running.push(worker.deliver(BTreeSet::from([tenant]), sender, outbox));
                }
            }
            Some(failed) = running.next(), if !running.is_empty() => {
                for tenant in failed {
                    waiting.add(tenant, RETRY);
                }
            }
        }
    }
}

/// Leaves a job for every delivery that is due, again and again.
pub(super) async fn watch_due(worker: &Worker<'_>, store: &Store, outbox: &impl Outbox) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = look(worker, store, outbox).await {
            tracing::warn!(%error, cause = error.causes(), "could not look for deliveries that are due");
        }
    }
}

async fn look(worker: &Worker<'_>, store: &Store, outbox: &impl Outbox) -> Result<()> {
    let stack = store.for_stack(Meter::default(), BUDGET);
    let entries = stack.due().until(SystemClock.now_millis(), ENTRIES).await?;
    if entries.is_empty() {
        return Ok(());
    }
    // Another process may have added a webhook.
    worker.forget_subscriptions();
    let mut tenants: BTreeSet<TenantId> = entries
        .iter()
        .filter_map(|due| due.tenant.clone())
        .collect();
    if entries.iter().any(|due| due.tenant.is_none()) {
        let mut page = stack.tenant_list().names(None, TENANTS).await?;
        while let Some(next) = page.next.take() {
            tenants.append(&mut page.tenants.into_iter().collect());
            page = stack.tenant_list().names(Some(&next), TENANTS).await?;
        }
        tenants.append(&mut page.tenants.into_iter().collect());
    }
    let jobs: Vec<DeliverJob> = tenants.into_iter().map(DeliverJob::now).collect();
    outbox.deliver_later(&jobs).await?;
    // After the jobs are given: a process that dies in between finds the entries again.
    Ok(stack.due().remove(&entries).await?)
}
