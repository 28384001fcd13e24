//! What works beside the requests of `scim serve`: the same that the functions of `scim-worker` do in AWS.
//!
//! The embedded table's stream has one reader, which is this process. The reader writes down in the table how
//! far it has come, after what it has read is in the feeds. So a process that is killed at any moment leaves
//! nothing out: the next one reads a part of the stream again, and that does no harm.

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
use crate::worker::{self, FinishJob, Outbox, Worker};

/// How often the sweep looks around, as in `template.yaml`.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The number of records that are read from the stream at once.
const RECORDS: usize = 400;
/// After a change the reader waits so long before it reads, so that one page of a feed has what changes
/// meanwhile.
const GATHER: Duration = Duration::from_millis(50);
/// The wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long one look at the stack's own items may take.
const STACK_BUDGET: Duration = Duration::from_secs(10);

/// Works until it is dropped, which it may be at any moment. `table` is the table whose stream is to be read;
/// `None` if that is not for this process.
pub(super) async fn run(stack: &Stack, service: &Service, table: Option<&Embedded>) {
    let worker = Worker::new(service.provider.tenants(), std::sync::Arc::new(SystemClock));
    let (sender, jobs) = mpsc::unbounded_channel();
    let later = Later(sender);
    if let Err(error) = begin(stack, &later).await {
        let cause = error.causes();
        tracing::warn!(%error, cause, "could not look for unfinished changes of earlier processes");
    }
    let read = async {
        if let Some(table) = table {
            read_stream(stack, table, &worker, &later).await;
        }
    };
    join3(read, sweep(&worker, &later), finish(&worker, jobs)).await;
}

/// Work for the finisher of this process. A job is lost with the process; the next one begins with every
/// tenant, and the sweep finds what is left in the journals.
struct Later(mpsc::UnboundedSender<FinishJob>);

impl Outbox for Later {
    async fn finish_later(&self, jobs: &[FinishJob]) -> Result<()> {
        for job in jobs {
            // The finisher takes jobs as long as this process works.
            let _ = self.0.send(job.clone());
        }
        Ok(())
    }

    /// The log has them already.
    async fn set_aside(&self, _: &[SetAside]) -> Result<()> {
        Ok(())
    }
}

/// Has the journals of every tenant finished: now what earlier processes left, and a lease later what they
/// may still have held when they died. Puts the tenants on the stack's list, on which those of an earlier
/// version are not.
async fn begin(stack: &Stack, later: &Later) -> Result<()> {
    let waits = [Duration::ZERO, Duration::from_millis(LEASE_MILLIS)];
    for tenant in stack.issuer().tenants().await? {
        let jobs = waits.map(|wait| FinishJob {
            tenant: tenant.clone(),
            wait,
        });
        later.finish_later(&jobs).await?;
        let list = stack.store.for_stack(Meter::default(), STACK_BUDGET);
        list.list_tenant(&tenant).await?;
    }
    Ok(())
}

/// Looks around every minute.
async fn sweep(worker: &Worker<'_>, later: &Later) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = worker.sweep(later).await {
            tracing::warn!(%error, cause = error.causes(), "could not look around");
        }
    }
}

/// Does each job after its wait.
async fn finish(worker: &Worker<'_>, mut jobs: mpsc::UnboundedReceiver<FinishJob>) {
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
                let failed = worker.finish(tenants).await.into_iter();
                waiting.extend(failed.map(|tenant| (Instant::now() + SWEEP_INTERVAL, tenant)));
            }
        }
    }
}

/// Reads the stream as long as there is something in it, and then whenever something was written.
async fn read_stream(stack: &Stack, table: &Embedded, worker: &Worker<'_>, later: &Later) {
    let mut writes = table.writes();
    let mut position = None;
    loop {
        // Before the stream is read: what is written from here on wakes the reader again.
        writes.mark_unchanged();
        let read = read_on(stack, table, worker, later, &mut position).await;
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

/// Reads the stream to its end. `position` is where the reader is, which may be behind records that nothing
/// is written down for; `None` before it knows.
async fn read_on(
    stack: &Stack,
    table: &Embedded,
    worker: &Worker<'_>,
    later: &Later,
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
            if worker.stream(&page.records, later).await.is_some() {
                // What was handled of the page is known when the page comes again.
                return Err(Error::unavailable("A part of the stream was not handled"));
            }
            // Not for a page without a record that is wanted: this write makes such a record itself.
            let store = stack.store.for_stack(Meter::default(), STACK_BUDGET);
            store.put_stream_position(&last).await?;
        }
        *position = Some(last);
    }
}
