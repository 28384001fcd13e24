//! What a delivery does next, and what each step makes of it. Pure: the time and chance are given.
//!
//! | the delivery has | and a job |
//! |---|---|
//! | a lease that is not over | tells the process with the lease that there may be more |
//! | failed for good, or waits | leaves it |
//! | a batch | sends that batch |
//! | none of these | reads the feed, and writes down a batch |

use crate::store::{Batch, Delivery, Failing, Lease};

use super::sender::Failure;

/// How long a process may send without a further write, in milliseconds. An attempt is much shorter.
pub(super) const LEASE_MILLIS: u64 = 60_000;
/// The wait after the first failure, in milliseconds. It doubles with each further failure.
const FIRST_WAIT_MILLIS: u64 = 5_000;
/// The longest wait, in milliseconds.
const LONGEST_WAIT_MILLIS: u64 = 6 * 60 * 60 * 1000;
/// A wait is longer by up to this part of it, so that deliveries that failed together are not all tried again
/// together.
const SPREAD: u64 = 10;
/// For how long a batch is tried before the delivery fails for good, in milliseconds.
const PATIENCE_MILLIS: u64 = 3 * 24 * 60 * 60 * 1000;

/// What a job does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing. It has failed for good, or it waits and a later job comes.
    Leave,
    /// Nothing. The process with the lease knows that it has to look again.
    LeaveToHolder,
    /// Tells the process with the lease to look again.
    TellHolder,
    /// Sends the batch that is written down.
    Send,
    /// Reads the feed.
    Read,
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The batch is tried again at this time, in milliseconds since the Unix epoch.
    Waits(u64),
    /// The delivery has failed for good.
    Failed,
}

/// What a job does with a delivery at `now`. `resumed` is when an operator last resumed the subscription.
pub(super) fn step(delivery: &Delivery, resumed: u64, now: u64) -> Step {
    let is_held = delivery
        .lease
        .as_ref()
        .is_some_and(|lease| lease.until > now);
    let waits = delivery.failed.is_some() || delivery.due.is_some_and(|due| due > now);
    match delivery {
        Delivery { again: true, .. } if is_held => Step::LeaveToHolder,
        _ if is_held => Step::TellHolder,
        _ if waits && !is_resumed(delivery, resumed) => Step::Leave,
        Delivery { batch: Some(_), .. } => Step::Send,
        _ => Step::Read,
    }
}

/// Whether an operator has resumed the subscription since the delivery last failed.
fn is_resumed(delivery: &Delivery, resumed: u64) -> bool {
    let failing = delivery.failing.as_ref();
    failing.is_none_or(|failing| resumed >= failing.last)
}

/// The delivery after this process has taken it. Failures from before it was resumed do not count.
pub(super) fn taken(mut delivery: Delivery, owner: &str, resumed: u64, now: u64) -> Delivery {
    if is_resumed(&delivery, resumed) {
        delivery.failing = None;
    }
    Delivery {
        due: None,
        failed: None,
        held: None,
        again: false,
        ..leased(delivery, owner, now)
    }
}

/// The delivery with a lease from now on.
pub(super) fn leased(delivery: Delivery, owner: &str, now: u64) -> Delivery {
    Delivery {
        lease: Some(Lease {
            owner: owner.to_owned(),
            until: now + LEASE_MILLIS,
        }),
        ..delivery
    }
}

/// The delivery after the receiver has accepted its batch, whose last event is of the time `reached`.
pub(super) fn accepted(delivery: Delivery, reached: u64, now: u64) -> Delivery {
    let after = delivery.batch.map_or(delivery.after, |batch| batch.to);
    Delivery {
        after,
        reached,
        batch: None,
        failing: None,
        succeeded: Some(now),
        ..delivery
    }
}

/// The delivery with another batch.
pub(super) fn frozen(delivery: Delivery, batch: Batch) -> Delivery {
    Delivery {
        batch: Some(batch),
        ..delivery
    }
}

/// The delivery after events that the receiver does not want.
pub(super) fn moved(delivery: Delivery, after: String) -> Delivery {
    Delivery { after, ..delivery }
}

/// The delivery after an attempt that failed, and what follows from that. `chance` is any number.
pub(super) fn refused(
    delivery: Delivery,
    failure: Failure,
    now: u64,
    chance: u64,
) -> (Delivery, Verdict) {
    let (since, before) = match &delivery.failing {
        Some(failing) => (failing.since, failing.attempts),
        None => (now, 0),
    };
    let end = since.saturating_add(PATIENCE_MILLIS);
    let is_over = now >= end;
    let failing = Failing {
        since,
        last: now,
        attempts: before + 1,
        code: failure.code,
        text: failure.text,
    };
    // The last attempt is made when the patience ends, and not some hours after it.
    let due = end.min(now + wait(before, chance));
    let verdict = match is_over {
        true => Verdict::Failed,
        false => Verdict::Waits(due),
    };
    let refused = Delivery {
        failing: Some(failing),
        due: Some(due).filter(|_| !is_over),
        failed: Some(now).filter(|_| is_over),
        ..released(delivery)
    };
    (refused, verdict)
}

/// The wait after a failure that follows this number of others, in milliseconds.
fn wait(failures: u64, chance: u64) -> u64 {
    let doubled = u32::try_from(failures)
        .ok()
        .and_then(|times| 1_u64.checked_shl(times));
    let wait = doubled.map_or(LONGEST_WAIT_MILLIS, |factor| {
        FIRST_WAIT_MILLIS
            .saturating_mul(factor)
            .min(LONGEST_WAIT_MILLIS)
    });
    (wait + chance % (wait / SPREAD)).min(LONGEST_WAIT_MILLIS)
}

/// The delivery while the brake holds back what follows. It is looked at again at this time.
pub(super) fn held(delivery: Delivery, until: u64) -> Delivery {
    Delivery {
        held: Some(until),
        ..released(delivery)
    }
}

/// The delivery without a process that sends.
pub(super) fn released(delivery: Delivery) -> Delivery {
    Delivery {
        lease: None,
        again: false,
        ..delivery
    }
}
