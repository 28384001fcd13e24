//! The background work of `scim serve`: what the functions of `scim-worker` do in AWS.
//!
//! The embedded table's stream has one reader, which is this process. The reader stores its position in the
//! table after the feeds have everything up to there. So a process that is killed at any moment skips
//! nothing: the next one reads a part of the stream again, which does no harm.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join3;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::local::TABLE;
use crate::clock::SystemClock;
use crate::embedded::Embedded;
use crate::feed::stream::SetAside;
use crate::http::Service;
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::stack::Stack;
use crate::store::{LEASE_MILLIS, Meter};
use crate::worker::{self, DeliverJob, FinishJob, Outbox, Worker};

/// The interval of the sweep, the same as in `template.yaml`.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The number of records that are read from the stream at once.
const RECORDS: usize = 400;
/// After a change the reader waits this long before it reads, so that one page of a feed also has the changes
/// that follow closely.
const GATHER: Duration = Duration::from_millis(100);
/// The wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a request for the stack's own items may take.
const STACK_BUDGET: Duration = Duration::from_secs(10);

/// Runs until it is dropped, which is safe at any moment. `table` is the table whose stream is to be read;
/// `None` if another process reads it.
pub(super) async fn run(stack: &Stack, service: &Service, table: Option<&Embedded>) {
    let worker = Worker::new(service.provider.tenants(), std::sync::Arc::new(SystemClock));
    let (sender, jobs) = mpsc::unbounded_channel();
    let outbox = JobSender(sender);
    if let Err(error) = begin(stack, &outbox).await {
        let cause = error.causes();
        tracing::warn!(%error, cause, "could not look for unfinished changes of earlier processes");
    }
    let read = async {
        if let Some(table) = table {
            read_stream(stack, table, &worker, &outbox).await;
        }
    };
    join3(
        read,
        sweep(&worker, &outbox),
        finish(&worker, &outbox, jobs),
    )
    .await;
}

/// Sends jobs to the finisher of this process. A job is lost with the process; the next process begins with
/// every tenant, and the sweep finds the entries that are left in the journals.
struct JobSender(mpsc::UnboundedSender<FinishJob>);

impl Outbox for JobSender {
    async fn finish_later(&self, jobs: &[FinishJob]) -> Result<()> {
        for job in jobs {
            // The finisher takes jobs as long as this process works.
            let _ = self.0.send(job.clone());
        }
        Ok(())
    }

    async fn deliver_later(&self, _: &[DeliverJob]) -> Result<()> {
        Ok(())
    }

    /// Does nothing, because the log already names the records.
    async fn set_aside(&self, _: &[SetAside]) -> Result<()> {
        Ok(())
    }
}

/// Has the journals of every tenant finished: now for the entries that earlier processes left, and again one
/// lease later for those whose lease they still held. Adds every tenant to the stack's list, which lacks the
/// tenants that an earlier version created.
async fn begin(stack: &Stack, outbox: &JobSender) -> Result<()> {
    let waits = [Duration::ZERO, Duration::from_millis(LEASE_MILLIS)];
    for tenant in stack.issuer().tenants().await? {
        let jobs = waits.map(|wait| FinishJob {
            tenant: tenant.clone(),
            wait,
        });
        outbox.finish_later(&jobs).await?;
        let list = stack.store.for_stack(Meter::default(), STACK_BUDGET);
        list.list_tenant(&tenant).await?;
    }
    Ok(())
}

/// Sweeps every minute.
async fn sweep(worker: &Worker<'_>, outbox: &JobSender) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = worker.sweep(outbox).await {
            tracing::warn!(%error, cause = error.causes(), "could not look for changes that were left behind");
        }
    }
}

/// Does each job after its wait.
async fn finish(
    worker: &Worker<'_>,
    outbox: &JobSender,
    mut jobs: mpsc::UnboundedReceiver<FinishJob>,
) {
    let mut waiting = BTreeSet::<(Instant, TenantId)>::new();
    loop {
        let due = async {
            match waiting.first() {
                Some((at, _)) => tokio::time::sleep_until(*at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => {
                    waiting.insert((Instant::now() + job.wait, job.tenant));
                }
                None => return,
            },
            () = due => {
                let now = Instant::now();
                let tenants = waiting.iter().take_while(|(at, _)| *at <= now);
                let tenants: BTreeSet<TenantId> = tenants.map(|(_, tenant)| tenant.clone()).collect();
                waiting.retain(|(at, _)| *at > now);
                let failed = worker.finish(tenants, outbox).await.into_iter();
                waiting.extend(failed.map(|tenant| (Instant::now() + SWEEP_INTERVAL, tenant)));
            }
        }
    }
}

/// Reads the stream to its end, and again after every write.
async fn read_stream(stack: &Stack, table: &Embedded, worker: &Worker<'_>, outbox: &JobSender) {
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
        if writes.changed().await.is_err() {
            // The table is closed.
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Reads the stream from `position` to its end. `position` may be ahead of the stored position, by pages
/// without records that are wanted; it is `None` until the stored position is read.
async fn read_on(
    stack: &Stack,
    table: &Embedded,
    worker: &Worker<'_>,
    outbox: &JobSender,
    position: &mut Option<String>,
) -> Result<()> {
    if position.is_none() {
        let store = stack.store.for_stack(Meter::default(), STACK_BUDGET);
        *position = store.stream_position().await?;
    }
    loop {
        let after = position.as_deref();
        let page = table.read_stream(TABLE, after, RECORDS, worker::is_wanted);
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
