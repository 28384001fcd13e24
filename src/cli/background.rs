//! The background work of `scim serve`: what the functions of `scim-worker` do in AWS.
//!
//! The embedded table's stream has one reader, which is this process. The reader stores its position in the
//! table after the feeds have everything up to there. So a process that is killed at any moment skips
//! nothing: the next one reads a part of the stream again, which does no harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::deliveries::{deliver, watch_due};
use super::job_list::JobList;
use super::local::TABLE;
use super::opened::Opened;
use crate::clock::{Clock as _, SystemClock};
use crate::embedded::Embedded;
use crate::feed::stream::SetAside;
use crate::http::Service;
use crate::protocol::error::{Error, Result};
use crate::stack::Stack;
use crate::store::{Due, LEASE_MILLIS, Meter, Store};
use crate::worker::{self, DeliverJob, FinishJob, Outbox, Worker};

/// The interval of the sweep, the same as in `template.yaml`.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The number of records that are read from the stream at once.
const RECORDS: usize = 400;
/// After a change the reader waits this long before it reads, so that one page of a feed also has the changes
/// that follow closely.
const GATHER: Duration = Duration::from_millis(100);
/// How often the reader looks for what other processes have written to the same file. They do not wake it.
const OTHERS: Duration = Duration::from_secs(1);
/// The wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a request for the stack's own items may take.
const STACK_BUDGET: Duration = Duration::from_secs(10);

/// Runs until it is dropped, which is safe at any moment.
pub(super) async fn run(deployment: &Opened, service: &Service) {
    let stack = deployment.stack();
    let worker = Worker::new(service.provider.tenants(), Arc::new(SystemClock))
        .with_credentials(stack.credentials());
    let (finisher, finish_jobs) = mpsc::unbounded_channel();
    let (deliverer, deliver_jobs) = mpsc::unbounded_channel();
    let outbox = LocalOutbox {
        finisher,
        deliverer: deployment.embedded().map(|_| deliverer),
        store: &stack.store,
    };
    if let Err(error) = begin(stack, &outbox).await {
        let cause = error.causes();
        tracing::warn!(%error, cause, "could not look for unfinished changes of earlier processes");
    }
    // The stream of another table, and what is due there, is for the functions of its deployment to read.
    let of_embedded = async {
        if let Some(table) = deployment.embedded() {
            let sender = deployment.sender();
            tokio::join!(
                read_stream(stack, table, &worker, &outbox),
                deliver(&worker, &sender, &outbox, deliver_jobs),
                watch_due(&worker, &stack.store, &outbox),
            );
        }
    };
    tokio::join!(
        of_embedded,
        sweep(&worker, &outbox),
        purge(deployment, service),
        finish(&worker, &outbox, finish_jobs),
    );
}

/// Sends jobs to the finisher and the deliverer of this process. A job is lost with the process; the next process
/// begins with a job for every tenant, and the sweep finds the entries that are left in the journals.
struct LocalOutbox<'s> {
    finisher: mpsc::UnboundedSender<FinishJob>,
    /// `None` if the events of this table are delivered by its deployment.
    deliverer: Option<mpsc::UnboundedSender<DeliverJob>>,
    store: &'s Store,
}

impl Outbox for LocalOutbox<'_> {
    async fn finish_later(&self, jobs: &[FinishJob]) -> Result<()> {
        for job in jobs {
            // The finisher takes jobs as long as this process works.
            let _ = self.finisher.send(job.clone());
        }
        Ok(())
    }

    async fn deliver_later(&self, jobs: &[DeliverJob]) -> Result<()> {
        let Some(deliverer) = &self.deliverer else {
            let stack = self.store.for_stack(Meter::default(), STACK_BUDGET);
            for job in jobs {
                let wait = u64::try_from(job.wait.as_millis()).unwrap_or(u64::MAX);
                let at = SystemClock.now_millis().saturating_add(wait);
                let due = Due::at_millis(at, Some(job.tenant.clone()));
                stack.due().put(&due).await?;
            }
            return Ok(());
        };
        for job in jobs {
            // The deliverer takes jobs as long as this process works.
            let _ = deliverer.send(job.clone());
        }
        Ok(())
    }

    /// Does nothing, because the log already names the records.
    async fn set_aside(&self, _: &[SetAside]) -> Result<()> {
        Ok(())
    }
}

/// Has the journals of every tenant finished: now for the entries that earlier processes left, and again one
/// lease later for those whose lease they still held. Has what earlier processes left delivered. Adds every
/// tenant to the stack's list, which lacks the tenants that an earlier version created.
async fn begin(stack: &Stack, outbox: &LocalOutbox<'_>) -> Result<()> {
    let waits = [Duration::ZERO, Duration::from_millis(LEASE_MILLIS)];
    for tenant in stack.issuer().tenants().await? {
        let jobs = waits.map(|wait| FinishJob {
            tenant: tenant.clone(),
            wait,
        });
        outbox.finish_later(&jobs).await?;
        if outbox.deliverer.is_some() {
            let job = DeliverJob::now(tenant.clone());
            outbox.deliver_later(&[job]).await?;
        }
        let list = stack.store.for_stack(Meter::default(), STACK_BUDGET);
        list.list_tenant(&tenant).await?;
    }
    Ok(())
}

/// Sweeps every minute.
async fn sweep(worker: &Worker<'_>, outbox: &LocalOutbox<'_>) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = worker.sweep(outbox).await {
            tracing::warn!(%error, cause = error.causes(), "could not look for changes that were left behind");
        }
    }
}

/// Goes on every minute with the purge of deleted tenants. Where the functions of a stack do so too, each only
/// finds that the other is further.
async fn purge(deployment: &Opened, service: &Service) {
    let admin = deployment.admin(Arc::clone(&service.provider));
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = admin.purge(Instant::now() + SWEEP_INTERVAL).await {
            tracing::warn!(%error, cause = error.causes(), "could not purge deleted tenants");
        }
    }
}

/// Does each job after its wait.
async fn finish(
    worker: &Worker<'_>,
    outbox: &LocalOutbox<'_>,
    mut jobs: mpsc::UnboundedReceiver<FinishJob>,
) {
    let mut waiting = JobList::default();
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => waiting.add(job.tenant, job.wait),
                None => return,
            },
            () = waiting.wait() => {
                for tenant in worker.finish(waiting.take(), outbox).await {
                    waiting.add(tenant, SWEEP_INTERVAL);
                }
            }
        }
    }
}

/// Reads the stream to its end, and again after every write of this process, and soon after one of another.
async fn read_stream(
    stack: &Stack,
    table: &Embedded,
    worker: &Worker<'_>,
    outbox: &LocalOutbox<'_>,
) {
    let mut writes = table.writes();
    let mut position = None;
    loop {
        // Before the stream is read: what is written from here on wakes the reader again.
        writes.mark_unchanged();
        let read = read_on(stack, table, worker, outbox, &mut position).await;
        if let Err(error) = read {
            tracing::error!(%error, cause = error.causes(), "could not read the table's stream");
            tokio::time::sleep(RETRY).await;
            continue;
        }
        match tokio::time::timeout(OTHERS, writes.changed()).await {
            // The table is closed.
            Ok(Err(_)) => return,
            Ok(Ok(())) => tokio::time::sleep(GATHER).await,
            // No write of this process. A command may have written, which shows in the stream only.
            Err(_) => {}
        }
    }
}

/// Reads the stream from `position` to its end. `position` may be ahead of the stored position, by pages
/// without records that are wanted; it is `None` until the stored position is read.
async fn read_on(
    stack: &Stack,
    table: &Embedded,
    worker: &Worker<'_>,
    outbox: &LocalOutbox<'_>,
    position: &mut Option<String>,
) -> Result<()> {
    if position.is_none() {
        let store = stack.store.for_stack(Meter::default(), STACK_BUDGET);
        *position = store.stream_position().await?;
    }
    loop {
        let after = position.as_deref();
        let page = table.read_stream(TABLE, after, RECORDS, worker::passes_filter);
        let page = page.await.map_err(Error::internal)?;
        let Some(last) = page.last else {
            return Ok(());
        };
        if !page.records.is_empty() {
            if worker.stream(&page.records, outbox).await.is_some() {
                // The page is read again; the parts of it that were handled are recognized then.
                return Err(Error::unavailable("A part of the stream was not handled"));
            }
            // A page without wanted records is not stored: storing adds such a record to the stream, so the
            // reader would never reach its end.
            let store = stack.store.for_stack(Meter::default(), STACK_BUDGET);
            store.put_stream_position(&last).await?;
        }
        *position = Some(last);
        if page.is_at_end {
            // What was written since this page was read wakes the reader again. Read at once, it would come
            // in pages of a few records each, as long as clients write.
            return Ok(());
        }
    }
}
