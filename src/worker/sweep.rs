//! The sweep of the tenants: looks every minute for work that no record of the stream leads to any more.
//!
//! A round looks once at every tenant on the stack's list. One sweep looks at some of them and the next one
//! goes on, so a sweep takes the same time whatever the number of tenants is.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout};

use super::Worker;
use super::due;
use super::expiring;
use super::outbox::{FinishJob, Outbox};
use super::round::RoundPart;
use super::wanted::deliver_soon;
use crate::feed::keep::keep;
use crate::identity::{Cause, CauseKind, TenantId};
use crate::protocol::error::{Error, Result};
use crate::store::{Meter, Store, StoreError, StreamGap, Unfinished};

/// How often the heartbeat is written, in milliseconds.
const BEAT_MILLIS: u64 = 15 * 60 * 1000;

/// How often every feed is looked at, in milliseconds: several times in the last day before its newest page
/// expires.
const FEED_ROUND_MILLIS: u64 = 6 * 60 * 60 * 1000;

/// How long one sweep may take: less than the minute until the next one.
const BUDGET: Duration = Duration::from_secs(45);
/// After this time of a sweep the journals, the feeds, the list of what is due and the credentials begin no further
/// page of tenants. Each has a part of the time, so that no slow one takes that of the others. The last page of each
/// takes up to ten seconds more, and the rest of [`BUDGET`] is for the progress of all four: without it the
/// next sweep would begin with the same tenants.
const DEADLINES: [Duration; 4] = [
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(24),
    Duration::from_secs(32),
];
/// How long the look at one tenant may take.
const TENANT_BUDGET: Duration = Duration::from_secs(2);
/// The number of tenants whose journals one sweep looks at.
const TENANTS: usize = 500;
/// The number of feeds that one sweep looks at. A look reads the newest page, which may have 300 KB.
const FEEDS: usize = 100;
/// The number of tenants that are looked at side by side.
const PARALLEL: usize = 10;

/// A journal entry of this age, in milliseconds, is given to the finisher by the sweep, and again each time
/// its age has doubled. Until then the finisher's queue leads to it.
const FIRST_CALL_MILLIS: u64 = 5 * 60 * 1000;

/// Makes one sweep, as [`Worker::sweep`](super::Worker::sweep) says.
pub(super) async fn sweep(worker: &Worker<'_>, outbox: &impl Outbox) -> Result<()> {
    let (store, now) = (worker.store, worker.clock.now_millis());
    let stack = store.for_stack(Meter::default(), BUDGET);
    let begun = Instant::now();
    let [for_journals, for_feeds, for_due, for_credentials] = DEADLINES.map(|after| begun + after);
    let mut progress = stack.sweep_progress().await?;
    let gap = stack.gap().await?;
    if now.saturating_sub(progress.beat) >= BEAT_MILLIS {
        stack.beat().await?;
        progress.beat = now;
    }
    let round = RoundPart::new(&stack, &mut progress.journals, TENANTS, for_journals);
    let looked = journals(store, round.begun(now, 0), now, outbox).await;
    // A gap is to be in every feed soon, also in one that nothing else comes to.
    let is_new = gap.is_some_and(|gap| gap.noticed >= progress.feeds.began);
    let every = if is_new { 0 } else { FEED_ROUND_MILLIS };
    let round = RoundPart::new(&stack, &mut progress.feeds, FEEDS, for_feeds);
    let kept = feeds(worker, round.begun(now, every), gap, outbox).await;
    let round = &mut progress.deliveries;
    let given = due::give_jobs(worker, &stack, round, for_due, outbox).await;
    let round = &mut progress.credentials;
    let round = RoundPart::new(&stack, round, expiring::TENANTS, for_credentials);
    let warned = match &worker.credentials {
        Some(credentials) => {
            let round = round.begun(now, expiring::ROUND_MILLIS);
            expiring::warn(worker, credentials, round, now).await
        }
        None => Ok(()),
    };
    // The progress of the rounds is stored even if they ended with an error.
    stack.put_sweep_progress(&progress).await?;
    let removed = match given {
        // After the progress: until then only these entries lead to the tenants of the round.
        Ok(begun) => stack.due().remove(&begun).await.map_err(Error::from),
        Err(error) => Err(error),
    };
    let parts = [
        ("journals", looked),
        ("feeds", kept),
        ("deliveries", removed),
        ("credentials", warned),
    ];
    let mut outcome = Ok(());
    for (part, ended) in parts {
        if let Err(error) = ended {
            // The caller gets one error only, but each may have another cause.
            let cause = error.causes();
            tracing::error!(part, cause, "a part of the sweep failed");
            outcome = Err(error);
        }
    }
    outcome
}

/// Goes on with the round through the feeds, or begins one if it is time. Each tenant also gets a job for the
/// deliverer: for what was appended here, and in case that an earlier job was lost.
async fn feeds(
    worker: &Worker<'_>,
    mut tenants: RoundPart<'_>,
    gap: Option<StreamGap>,
    outbox: &impl Outbox,
) -> Result<()> {
    let mut outcome = Ok(());
    while let Some(page) = tenants.next().await? {
        let looks = page.iter();
        // To give up is as safe as to die: the page is put whole or not at all.
        let looks = looks.map(|tenant| timeout(TENANT_BUDGET, keep(&worker.appender, tenant, gap)));
        // Collected first: a stream that still held the closure would not be `Send`.
        let looks: Vec<_> = looks.collect();
        let looks: Vec<_> = stream::iter(looks).buffered(PARALLEL).collect().await;
        for kept in looks {
            let kept =
                kept.unwrap_or_else(|_| Err(Error::unavailable("A feed was not read in time")));
            // The other feeds do not wait for this one. There are some rounds left before it expires. The first
            // error is enough: that of another feed has most likely the same cause, the table.
            outcome = outcome.and(kept.map(drop));
        }
        // If that fails, the round is not past these tenants: the next sweep begins with them.
        deliver_soon(worker, &page, outbox).await?;
    }
    outcome
}

/// Goes on with the round through the journals, and gives the finisher those that it is to look at.
async fn journals(
    store: &Store,
    mut tenants: RoundPart<'_>,
    now: u64,
    outbox: &impl Outbox,
) -> Result<()> {
    let mut outcome = Ok(());
    let before = tenants.before();
    while let Some(page) = tenants.next().await? {
        let looks = page.into_iter().map(async |tenant| {
            let is_due = has_due_entry(store, &tenant, before, now).await;
            (tenant, is_due)
        });
        // Collected first: a stream that still held the closure would not be `Send`.
        let looks: Vec<_> = looks.collect();
        let looks: Vec<_> = stream::iter(looks).buffered(PARALLEL).collect().await;
        let mut jobs = Vec::new();
        for (tenant, is_due) in looks {
            match is_due {
                Ok(true) => jobs.push(FinishJob {
                    tenant,
                    wait: Duration::ZERO,
                }),
                Ok(false) => {}
                // The other tenants do not wait for this one. The next round looks at it again. The first error
                // is enough: that of another tenant has most likely the same cause, the table.
                Err(error) => outcome = outcome.and(Err(Error::from(error))),
            }
        }
        if !jobs.is_empty() {
            // If that fails, the round is not past these tenants: the next sweep begins with them.
            outbox.finish_later(&jobs).await?;
        }
    }
    outcome
}

/// Whether a tenant has an entry that became due since the look at `before`.
async fn has_due_entry(
    store: &Store,
    tenant: &TenantId,
    before: u64,
    now: u64,
) -> std::result::Result<bool, StoreError> {
    let cause = Cause::without_credential(CauseKind::Service);
    let store = store.for_tenant(tenant, cause, Meter::default(), TENANT_BUDGET);
    let entries = store.journal().unfinished().await?;
    Ok(entries.iter().any(|entry| is_due(entry, before, now)))
}

/// Whether an entry became due since the look at `before`. One that a writer holds is not, nor one that only
/// a later version of the service can finish.
fn is_due(entry: &Unfinished, before: u64, now: u64) -> bool {
    let calls = |at: u64| {
        let age = at.saturating_sub(entry.begun.unwrap_or(0));
        (age / FIRST_CALL_MILLIS)
            .checked_ilog2()
            .map_or(0, |doubled| doubled + 1)
    };
    entry.is_known && !entry.is_held && calls(now) > calls(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn entry(begun: u64) -> Unfinished {
        Unfinished {
            key: String::new(),
            work: String::new(),
            is_known: true,
            begun: Some(begun),
            is_held: false,
            is_overdue: true,
        }
    }

    #[test]
    fn an_entry_is_due_each_time_its_age_has_doubled() {
        let entry = entry(1_000 * MINUTE);
        let due: Vec<u64> = (1..=100)
            .filter(|minute| {
                let now = (1_000 + minute) * MINUTE;
                is_due(&entry, now - MINUTE, now)
            })
            .collect();
        assert_eq!(due, [5, 10, 20, 40, 80]);
    }

    #[test]
    fn a_round_that_comes_late_leaves_no_entry_out() {
        let entry = entry(1_000 * MINUTE);
        assert!(is_due(&entry, 900 * MINUTE, 1_007 * MINUTE));
        assert!(is_due(&entry, 0, 2_000 * MINUTE));
        assert!(!is_due(&entry, 1_006 * MINUTE, 1_009 * MINUTE));
    }

    #[test]
    fn what_a_writer_holds_or_only_a_later_version_knows_is_left_alone() {
        let now = 1_006 * MINUTE;
        let held = Unfinished {
            is_held: true,
            ..entry(1_000 * MINUTE)
        };
        let unknown = Unfinished {
            is_known: false,
            ..entry(1_000 * MINUTE)
        };
        assert!(!is_due(&held, 0, now));
        assert!(!is_due(&unknown, 0, now));
    }
}
