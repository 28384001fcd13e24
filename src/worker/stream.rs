//! A batch of the table's stream: events into the feeds, journal entries on to the finisher.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join;

use super::Worker;
use super::outbox::{FinishJob, Outbox};
use super::wanted;
use crate::cache::{CacheLimits, Freshness};
use crate::clock::CLOCKS_DIFFER_MILLIS;
use crate::feed::record::Record;
use crate::feed::stream::{self, SetAside};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::store::{ItemChange, LEASE_MILLIS, Meter, StackStore, StreamGap};

/// How long the calls about the whole stack may take in one batch.
const STACK_BUDGET: Duration = Duration::from_secs(10);

/// How long this process may not notice a gap that another one has written down.
pub(super) const GAP_LIMITS: CacheLimits = CacheLimits {
    what: "The gaps of the stream",
    fresh_millis: 10_000,
    stale_millis: 10_000,
    retry_millis: 0,
    early_reads: 0,
    early_interval_millis: 0,
    max_keys: 1,
};

/// Handles a batch, as [`Worker::stream`] says.
pub(super) async fn handle(
    worker: &Worker<'_>,
    records: &[aws_lambda_events::dynamodb::EventRecord],
    outbox: &impl Outbox,
) -> Option<String> {
    let records: Vec<Record> = records.iter().map(Record::read).collect();
    // Side by side: a feed that cannot be appended to keeps no journal entry waiting.
    let (passed_on, reported) = join(
        pass_on(worker, &records, outbox),
        report(worker, &records, outbox),
    )
    .await;
    let failed = passed_on.into_iter().chain(reported).min()?;
    Some(records[failed].sequence.clone())
}

/// Gives the journal entries of a batch to the finisher. Returns the place of the first one in the batch if
/// that failed.
async fn pass_on(worker: &Worker<'_>, records: &[Record], outbox: &impl Outbox) -> Option<usize> {
    let mut leases = BTreeMap::<&TenantId, u64>::new();
    let mut first = None;
    for (place, record) in records.iter().enumerate() {
        let ItemChange::Journal(entry) = &record.change else {
            continue;
        };
        let Some(lease_until) = entry.lease_until.filter(|_| !entry.is_taken_over) else {
            continue;
        };
        first = first.or(Some(place));
        let latest = leases.entry(&entry.tenant).or_default();
        *latest = lease_until.max(*latest);
    }
    let now = worker.clock.now_millis();
    let jobs = leases.into_iter().map(|(tenant, lease_until)| {
        // A lease is never longer; a clock that says otherwise is wrong. By the writer's clock it may last a
        // little longer than by this process's.
        let rest = lease_until.saturating_sub(now).min(LEASE_MILLIS);
        FinishJob {
            tenant: tenant.clone(),
            wait: Duration::from_millis(rest + CLOCKS_DIFFER_MILLIS),
        }
    });
    let jobs: Vec<FinishJob> = jobs.collect();
    if jobs.is_empty() {
        return None;
    }
    let error = outbox.finish_later(&jobs).await.err()?;
    let cause = error.causes();
    tracing::error!(cause, "could not give journal entries to the finisher");
    first
}

/// Appends to the feeds what a batch changes. Returns the place of the first record in the batch that has to
/// come again.
async fn report(worker: &Worker<'_>, records: &[Record], outbox: &impl Outbox) -> Option<usize> {
    let gap = match gap(worker, records).await {
        Ok(gap) => gap,
        Err(error) => {
            let cause = error.causes();
            tracing::error!(cause, "could not find out whether records are missing");
            return Some(0);
        }
    };
    let handled = stream::handle(&worker.appender, records, gap).await;
    let place = |sequence: &str| {
        records
            .iter()
            .position(|record| record.sequence == sequence)
    };
    let failed = handled.failed_from.as_deref().and_then(place);
    let unkept = match keep(&handled.set_aside, outbox).await {
        true => None,
        false => handled
            .set_aside
            .first()
            .and_then(|first| place(&first.sequence)),
    };
    let undelivered = deliver(worker, records, outbox).await;
    failed.into_iter().chain(unkept).chain(undelivered).min()
}

/// Keeps the records that were set aside for people. False if that failed.
async fn keep(set_aside: &[SetAside], outbox: &impl Outbox) -> bool {
    if set_aside.is_empty() {
        return true;
    }
    for record in set_aside {
        let (partition, sequence) = (&record.key.0, &record.sequence);
        tracing::error!(
            partition,
            sequence,
            "set aside a record that cannot be read"
        );
    }
    let kept = outbox.set_aside(set_aside).await;
    if let Err(error) = &kept {
        let cause = error.causes();
        tracing::error!(cause, "could not keep the records that were set aside");
    }
    kept.is_ok()
}

/// Has the events of a batch delivered, also if none of them is new: the process that has appended them may
/// have died before it left the jobs. Returns the place of the first record that has an event if that failed.
async fn deliver(worker: &Worker<'_>, records: &[Record], outbox: &impl Outbox) -> Option<usize> {
    let tenants: BTreeSet<&TenantId> = records.iter().filter_map(Record::tenant).collect();
    let tenants: Vec<TenantId> = tenants.into_iter().cloned().collect();
    let left = wanted::deliver_soon(worker, &tenants, outbox).await;
    let error = left.err()?;
    let cause = error.causes();
    tracing::error!(cause, "could not have the events of a batch delivered");
    records.iter().position(|record| record.tenant().is_some())
}

/// The last gap of the stream, after what this batch says of it. It is written down before the batch is
/// appended, so that the pages of the batch begin with it.
async fn gap(worker: &Worker<'_>, records: &[Record]) -> Result<Option<StreamGap>> {
    let stack = worker.store.for_stack(Meter::default(), STACK_BUDGET);
    if has_new_gap(&stack, records).await? {
        worker.gap.forget(&());
    }
    let read = async { stack.gap().await.map_err(Error::from) };
    let gap = worker.gap.get(&(), Freshness::Usual, read).await?;
    Ok(*gap)
}

/// Whether the batch comes so late that records may be missing since it was due.
async fn has_new_gap(stack: &StackStore, records: &[Record]) -> Result<bool> {
    let mut is_new = false;
    let oldest = records.iter().map(|record| record.time).min();
    if let Some(oldest) = oldest.filter(|oldest| stack.is_too_old(*oldest)) {
        // This shard is a day behind: the stream forgets its records one after the other.
        is_new |= stack.miss_records(oldest).await?;
    }
    let beats = records.iter().filter_map(|record| match record.change {
        ItemChange::Heartbeat(at) => Some(at),
        _ => None,
    });
    if let Some(last) = beats.max() {
        is_new |= stack.hear(last).await?;
    }
    if is_new {
        tracing::error!(
            "records of the stream may be missing: every feed says so with its next page"
        );
    }
    Ok(is_new)
}
