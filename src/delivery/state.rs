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
/// A wait is longer by up to a tenth, so that deliveries that failed together are not all tried again together.
const SPREAD: u64 = 10;
/// For how long a batch is tried before the delivery fails for good, in milliseconds.
const PATIENCE_MILLIS: u64 = 3 * 24 * 60 * 60 * 1000;

/// What a job does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing. It has failed for good, or it waits and a later job comes.
    Leave,
    /// Nothing. The process with the lease knows that it has to look again.
    LeaveToOwner,
    /// Tells the process with the lease to look again.
    TellOwner,
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

/// What a job does with a delivery at `now`. `resumed` is how often an operator has resumed the subscription.
pub(super) fn step(delivery: &Delivery, resumed: u64, now: u64) -> Step {
    let is_leased = delivery
        .lease
        .as_ref()
        .is_some_and(|lease| lease.until > now);
    let waits = delivery.failed.is_some() || delivery.due.is_some_and(|due| due > now);
    match delivery {
        Delivery { again: true, .. } if is_leased => Step::LeaveToOwner,
        _ if is_leased => Step::TellOwner,
        _ if waits && !delivery.is_resumed(resumed) => Step::Leave,
        Delivery { batch: Some(_), .. } => Step::Send,
        _ => Step::Read,
    }
}

/// The delivery after this process has taken it. Failures from before it was resumed do not count.
pub(super) fn taken(mut delivery: Delivery, owner: &str, resumed: u64, now: u64) -> Delivery {
    if delivery.is_resumed(resumed) {
        delivery.failing = None;
    }
    Delivery {
        resumed,
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
pub(super) fn after_failure(
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
    let failed = Delivery {
        failing: Some(failing),
        due: Some(due).filter(|_| !is_over),
        failed: Some(now).filter(|_| is_over),
        ..released(delivery)
    };
    (failed, verdict)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::SubscriptionId;

    const BEGIN: u64 = 1_700_000_000_000;
    const HOUR: u64 = 60 * 60 * 1000;

    fn new() -> Delivery {
        Delivery {
            subscription: SubscriptionId::parse("5f0c").unwrap(),
            revision: 1,
            after: "beginning".to_owned(),
            reached: 0,
            batch: None,
            succeeded: None,
            failing: None,
            resumed: 0,
            due: None,
            failed: None,
            held: None,
            lease: None,
            again: false,
        }
    }

    fn batch() -> Batch {
        Batch {
            from: "a".to_owned(),
            to: "b".to_owned(),
            events: 1,
            gap: None,
        }
    }

    fn failure() -> Failure {
        Failure {
            code: "status".to_owned(),
            text: "The receiver answered with status 500".to_owned(),
        }
    }

    fn sending(now: u64) -> Delivery {
        frozen(taken(new(), "owner", 0, now), batch())
    }

    #[test]
    fn a_delivery_is_left_to_the_process_with_the_lease_until_it_is_over() {
        let sent = sending(BEGIN);
        assert_eq!(step(&sent, 0, BEGIN), Step::TellOwner);
        let marked = Delivery {
            again: true,
            ..sent
        };
        assert_eq!(step(&marked, 0, BEGIN), Step::LeaveToOwner);
        let over = BEGIN + LEASE_MILLIS;
        assert_eq!(step(&marked, 0, over - 1), Step::LeaveToOwner);
        assert_eq!(step(&marked, 0, over), Step::Send);
        assert!(!taken(marked, "other", 0, over).again);
    }

    #[test]
    fn an_accepted_batch_moves_the_position_and_ends_the_failures() {
        let (failed, _) = after_failure(sending(BEGIN), failure(), BEGIN, 0);
        let again = taken(failed, "owner", 0, BEGIN + HOUR);
        assert_eq!(
            again.failing.as_ref().map(|failing| failing.attempts),
            Some(1)
        );
        let done = accepted(again, 7, BEGIN + HOUR);
        assert_eq!((done.after.as_str(), done.reached), ("b", 7));
        assert_eq!((done.batch.clone(), done.failing.clone()), (None, None));
        assert_eq!(step(&released(done), 0, BEGIN + HOUR), Step::Read);
    }

    #[test]
    fn waits_double_up_to_six_hours_and_end_after_three_days() {
        let (mut delivery, mut now, mut waits) = (sending(BEGIN), BEGIN, Vec::new());
        loop {
            let (failed, verdict) = after_failure(delivery, failure(), now, 0);
            let Verdict::Waits(due) = verdict else {
                delivery = failed;
                break;
            };
            assert_eq!(step(&failed, 0, due - 1), Step::Leave);
            assert_eq!(step(&failed, 0, due), Step::Send);
            waits.push((due - now) / 1000);
            now = due;
            delivery = taken(failed, "owner", 0, now);
            assert_eq!(delivery.batch, Some(batch()));
        }
        assert_eq!(&waits[..4], [5, 10, 20, 40]);
        assert!(waits.contains(&(6 * 60 * 60)), "{waits:?}");
        assert_eq!(now, BEGIN + PATIENCE_MILLIS);
        assert_eq!(delivery.failed, Some(now));
        assert_eq!(step(&delivery, 0, now + 1_000 * HOUR), Step::Leave);
        // An operator resumes it: it goes on with the same batch, and with all its patience.
        assert_eq!(step(&delivery, 1, now + 1), Step::Send);
        let resumed = taken(delivery, "owner", 1, now + HOUR);
        assert_eq!((resumed.failed, resumed.failing.clone()), (None, None));
        let (failed, verdict) = after_failure(resumed, failure(), now + HOUR, 0);
        assert_eq!(verdict, Verdict::Waits(now + HOUR + FIRST_WAIT_MILLIS));
        assert_eq!(step(&failed, 1, now + HOUR), Step::Leave, "once");
    }

    #[test]
    fn a_delivery_that_waits_is_tried_at_once_when_it_is_resumed() {
        let (waits, _) = after_failure(sending(BEGIN), failure(), BEGIN, 0);
        assert_eq!(step(&waits, 0, BEGIN + 1), Step::Leave);
        assert_eq!(step(&waits, 1, BEGIN + 1), Step::Send);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_five_seconds_nor_longer_than_six_hours(
            failures: u64, chance: u64,
        ) {
            let wait = wait(failures, chance);
            prop_assert!((FIRST_WAIT_MILLIS..=LONGEST_WAIT_MILLIS).contains(&wait));
        }

        /// Whatever happens: the batch that is sent stays the same until it is accepted, and nothing but an
        /// acceptance moves the position.
        #[test]
        fn a_batch_stays_until_it_is_accepted(
            happenings in prop::collection::vec((0_u8..5, 0_u64..HOUR, any::<u64>()), 1..60),
        ) {
            let (mut delivery, mut now) = (new(), BEGIN);
            for (happening, passed, chance) in happenings {
                now += passed;
                let before = delivery.clone();
                let is_sending = before.lease.as_ref().is_some_and(|lease| lease.until > now);
                delivery = match (happening, step(&delivery, 0, now)) {
                    (0, Step::Read) => frozen(taken(delivery, "owner", 0, now), batch()),
                    (1, Step::Send) => taken(delivery, "owner", 0, now),
                    (2, _) if is_sending => after_failure(delivery, failure(), now, chance).0,
                    (3, _) if is_sending => released(accepted(delivery, now, now)),
                    (4, Step::Read) => held(delivery, now + 60_000),
                    _ => delivery,
                };
                let is_accepted = happening == 3 && is_sending;
                if before.batch.is_some() {
                    prop_assert_eq!(delivery.batch.is_none(), is_accepted);
                }
                prop_assert_eq!(delivery.after != before.after, is_accepted && before.after != "b");
                // A delivery waits, is worked on, or a job does something with it.
                prop_assert!(delivery.lease.is_none() || delivery.due.is_none());
            }
        }
    }
}
