//! One job's work on one delivery: takes it, sends batch after batch, and lets it go.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Deliverer;
use super::batch::{BatchReader, Next, message_id};
use super::memory::Share;
use super::notice::Notice;
use super::owner::{Kept, MAX_CONFLICTS, Owner, Written, too_many_conflicts};
use super::sender::{Failure, Message, Outcome, Sender};
use super::state::{self, LEASE_MILLIS, Step, Verdict};
use crate::clock::CLOCKS_DIFFER_MILLIS;
use crate::feed::Event;
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Switches;
use crate::store::{Batch, Delivery, Due, StackStore, Subscription, TenantStore};

/// An attempt takes less, in milliseconds. A sender that takes longer has failed.
const ATTEMPT_MILLIS: u64 = 15_000;
const LONGEST_ATTEMPT: Duration = Duration::from_millis(ATTEMPT_MILLIS);
/// A receiver that has not answered after this time is slow: what its delivery needs only to read on is for others.
const QUICK_ANSWER: Duration = Duration::from_millis(100);
/// How long the brake keeps a delivery before it looks again, in milliseconds.
const HELD_MILLIS: u64 = 60_000;
/// Waits below this also get a job of their own, because the list of what is due is read once a minute.
const SHORT_WAIT_MILLIS: u64 = 60_000;
/// How long a process goes on with a subscription that it has read, in milliseconds. It may be removed since.
const SUBSCRIPTION_MILLIS: u64 = 5_000;

/// One job's work on one delivery.
pub(super) struct Run<'r, S> {
    pub(super) deliverer: &'r Deliverer<'r, S>,
    pub(super) tenant: &'r TenantId,
    pub(super) switches: &'r Switches,
    pub(super) store: &'r TenantStore,
    pub(super) stack: &'r StackStore,
    pub(super) subscription: &'r Subscription,
    /// When the subscription was read, in milliseconds since the Unix epoch.
    pub(super) read_at: u64,
    /// Takes the delivery for this process.
    pub(super) owner: Owner<'r>,
    /// No batch begins after that.
    pub(super) until: Instant,
}

/// What a step came to.
enum Done {
    /// The job's work on the delivery has ended. The tenant is to get another job after
    /// this time, if there is one.
    Ended(Option<Duration>),
    /// Another process has written the delivery since it was read, so the job looks at it again.
    Changed,
}

/// How a process goes on after a batch.
enum Onward {
    /// The delivery has this batch.
    Batch(Batch, Vec<Event>),
    /// It was let go, or lost. The tenant is to get another job after this time, if there is one.
    Over(Option<Duration>),
}

impl<S: Sender> Run<'_, S> {
    /// Does what is to be done for the delivery, which is `None` if there is none yet. Returns after which time
    /// the tenant has to get another job, if there is anything that nothing else leads to.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach; the job has to come again.
    pub(super) async fn run(
        mut self,
        delivery: Option<Delivery>,
        mut share: Share<'_>,
    ) -> Result<Option<Duration>> {
        let mut reader = BatchReader::new(self.tenant, self.store, self.subscription);
        let mut delivery = match delivery {
            Some(delivery) => delivery,
            None => match reader.start().await? {
                Some(after) => self.first(after),
                None => return Ok(None),
            },
        };
        for _ in 0..MAX_CONFLICTS {
            let step = state::step(&delivery, self.subscription.resumed, self.now());
            let done = match step {
                Step::Leave | Step::LeaveToOwner => return Ok(None),
                Step::TellOwner => self.tell_owner(&delivery).await?,
                Step::Send | Step::Read if !share.grow(self.until).await => {
                    return Ok(Some(Duration::ZERO));
                }
                Step::Send => self.send_again(&delivery, &mut reader, &mut share).await?,
                Step::Read => self.read(&delivery, &mut reader, &mut share).await?,
            };
            if let Done::Ended(wait) = done {
                return Ok(wait);
            }
            reader.look_again();
            match self.store.deliveries().get(&self.subscription.id).await? {
                Some(current) => delivery = current,
                None => return Ok(None),
            }
        }
        Err(too_many_conflicts())
    }

    /// The delivery of a subscription of which nothing was sent yet.
    fn first(&self, after: String) -> Delivery {
        Delivery {
            subscription: self.subscription.id.clone(),
            revision: 0,
            after,
            reached: 0,
            batch: None,
            failing: None,
            succeeded: None,
            resumed: self.subscription.resumed,
            due: None,
            failed: None,
            held: None,
            lease: None,
            again: false,
        }
    }

    /// Has the process with the lease look again. Another job comes after the lease, in case that process is
    /// dead.
    async fn tell_owner(&self, delivery: &Delivery) -> Result<Done> {
        let marked = Delivery {
            again: true,
            ..delivery.clone()
        };
        if !self.store.deliveries().put(&marked).await? {
            return Ok(Done::Changed);
        }
        // By the other process's clock the lease may last a little longer than by this one's.
        let lease = delivery.lease.as_ref().map_or(0, |lease| lease.until);
        let wait = lease.saturating_sub(self.now()).min(LEASE_MILLIS) + CLOCKS_DIFFER_MILLIS;
        Ok(Done::Ended(Some(Duration::from_millis(wait))))
    }

    /// Reads the feed, and sends what it has.
    async fn read(
        &mut self,
        delivery: &Delivery,
        reader: &mut BatchReader<'_>,
        share: &mut Share<'_>,
    ) -> Result<Done> {
        let next = reader.next(delivery, self.switches, self.until).await?;
        let (after, wait) = match next {
            Next::Batch(batch, events) => {
                let taken = self.taken(delivery);
                let mut delivery = state::frozen(taken, batch.clone());
                return match self.owner.write(&mut delivery).await? {
                    Written::Done => {
                        let sent = self.send_all(delivery, batch, events, reader, share);
                        sent.await.map(Done::Ended)
                    }
                    Written::Marked | Written::Lost => Ok(Done::Changed),
                };
            }
            Next::Nothing(after) => (after, None),
            Next::Stop(after) => (after, Some(Duration::ZERO)),
            Next::Held(after) => {
                let now = self.now();
                if delivery.held.is_some_and(|until| until > now) && after == delivery.after {
                    // The list of what is due leads here already.
                    return Ok(Done::Ended(None));
                }
                let until = self.held_until().await?;
                let held = state::held(state::moved(delivery.clone(), after), until);
                return self.leave(&held, None).await;
            }
        };
        // Where a new delivery begins is written down even if nothing follows: found out later, from the time at
        // which the subscription was made by another clock, it may be another place.
        let is_new = delivery.revision == 0;
        if after == delivery.after && !is_new {
            return Ok(Done::Ended(wait));
        }
        let moved = state::moved(delivery.clone(), after);
        self.leave(&moved, wait).await
    }

    /// Writes a delivery without taking it, and leaves it.
    async fn leave(&self, delivery: &Delivery, wait: Option<Duration>) -> Result<Done> {
        Ok(match self.store.deliveries().put(delivery).await? {
            true => Done::Ended(wait),
            false => Done::Changed,
        })
    }

    /// Sends the batch that is written down, and what follows it.
    async fn send_again(
        &mut self,
        delivery: &Delivery,
        reader: &mut BatchReader<'_>,
        share: &mut Share<'_>,
    ) -> Result<Done> {
        let Some(batch) = &delivery.batch else {
            return Ok(Done::Changed);
        };
        let events = reader.again(batch).await?;
        let mut taken = self.taken(delivery);
        let Some(events) = events else {
            tracing::warn!(
                tenant.id = %self.tenant,
                subscription = %self.subscription.id,
                "a batch is not in the feed any more"
            );
            taken.batch = None;
            // If it is not written, another process has written the delivery. Either way the delivery is read
            // again, and the feed from its `after`, which shows what the receiver has missed.
            self.store.deliveries().put(&state::released(taken)).await?;
            return Ok(Done::Changed);
        };
        match self.owner.write(&mut taken).await? {
            Written::Done => {
                let sent = self.send_all(taken, batch.clone(), events, reader, share);
                sent.await.map(Done::Ended)
            }
            Written::Marked | Written::Lost => Ok(Done::Changed),
        }
    }

    /// Sends a batch and those that follow it, until the receiver fails or there is nothing to send.
    async fn send_all(
        &mut self,
        mut delivery: Delivery,
        mut batch: Batch,
        mut events: Vec<Event>,
        reader: &mut BatchReader<'_>,
        share: &mut Share<'_>,
    ) -> Result<Option<Duration>> {
        loop {
            if self.lease_is_short(&delivery) {
                // The process was slow, or frozen: another one may have taken over and be further.
                delivery = state::leased(delivery, self.owner.name(), self.now());
                if !self.keep(&mut delivery, reader).await? {
                    return Ok(None);
                }
            }
            let id = message_id(self.subscription, self.tenant, &batch);
            let message =
                Message::new(self.subscription, self.tenant, &id, &events).behind(&batch.from);
            match self.attempt(&message, reader, share).await {
                Outcome::Accepted => {}
                Outcome::Gone => return self.gone(delivery, &id).await,
                Outcome::Failed(failure) => return self.failed(delivery, failure).await,
            }
            let reached = events
                .last()
                .map_or(delivery.reached, |event| event.body.time);
            delivery = state::accepted(delivery, reached, self.now());
            // Their memory may be given back before more events are read.
            drop(events);
            match self.onward(&mut delivery, reader, share).await? {
                Onward::Batch(next, found) => (batch, events) = (next, found),
                Onward::Over(wait) => return Ok(wait),
            }
        }
    }

    /// Makes one attempt. While a slow receiver is waited for, the delivery has only the memory of its message.
    async fn attempt(
        &self,
        message: &Message<'_>,
        reader: &mut BatchReader<'_>,
        share: &mut Share<'_>,
    ) -> Outcome {
        let sending = timeout(LONGEST_ATTEMPT, self.deliverer.sender.send(message));
        let mut sending = pin!(sending);
        let sent = match timeout(QUICK_ANSWER, &mut sending).await {
            Ok(sent) => sent,
            Err(_) => {
                share.shrink(message.body.len(), reader.pack());
                sending.await
            }
        };
        sent.unwrap_or_else(|_| Outcome::Failed(Failure::timeout(LONGEST_ATTEMPT)))
    }

    /// Whether the lease may end before an attempt that begins now.
    fn lease_is_short(&self, delivery: &Delivery) -> bool {
        let until = delivery.lease.as_ref().map_or(0, |lease| lease.until);
        until.saturating_sub(self.now()) < ATTEMPT_MILLIS
    }

    /// Writes down that a batch was accepted, and with it the next one or that nothing is to be sent.
    async fn onward(
        &mut self,
        delivery: &mut Delivery,
        reader: &mut BatchReader<'_>,
        share: &mut Share<'_>,
    ) -> Result<Onward> {
        for _ in 0..MAX_CONFLICTS {
            let next = match self.may_go_on(share).await {
                Ok(true) => reader.next(delivery, self.switches, self.until).await,
                Ok(false) => Ok(Next::Stop(delivery.after.clone())),
                Err(error) => Err(error),
            };
            let (next, failed) = match next {
                Ok(next) => (next, None),
                // What was accepted is written down before the job ends with the error.
                Err(error) => (Next::Stop(delivery.after.clone()), Some(error)),
            };
            let (after, held, wait) = match next {
                Next::Batch(batch, events) => {
                    let frozen = state::frozen(delivery.clone(), batch.clone());
                    *delivery = state::leased(frozen, self.owner.name(), self.now());
                    return Ok(match self.keep(delivery, reader).await? {
                        true => Onward::Batch(batch, events),
                        false => Onward::Over(None),
                    });
                }
                Next::Nothing(after) => (after, None, None),
                Next::Stop(after) => (after, None, Some(Duration::ZERO)),
                Next::Held(after) => (after, Some(self.held_until().await?), None),
            };
            let moved = state::moved(delivery.clone(), after);
            let mut free = match held {
                Some(until) => state::held(moved, until),
                None => state::released(moved),
            };
            match (self.owner.write(&mut free).await?, failed) {
                (Written::Marked, _) => {
                    // Another job has seen events that this process may not have.
                    delivery.revision = free.revision;
                    reader.look_again();
                }
                (Written::Done | Written::Lost, Some(error)) => return Err(error),
                (Written::Done, None) => return Ok(Onward::Over(wait)),
                (Written::Lost, None) => return Ok(Onward::Over(None)),
            }
        }
        Err(Error::unavailable(
            "Other jobs kept asking for another look",
        ))
    }

    /// Writes a delivery that this process goes on with. False if it is not this process's any more.
    async fn keep(&self, delivery: &mut Delivery, reader: &mut BatchReader<'_>) -> Result<bool> {
        Ok(match self.owner.keep(delivery).await? {
            Kept::Unmarked => true,
            Kept::Marked => {
                // The next batch is looked for in the feed as it is after the mark.
                reader.look_again();
                true
            }
            Kept::Lost => false,
        })
    }

    /// Whether another batch may begin: there is time and memory, and the subscription still wants events.
    async fn may_go_on(&mut self, share: &mut Share<'_>) -> Result<bool> {
        if Instant::now() >= self.until || !share.grow(self.until).await {
            return Ok(false);
        }
        let now = self.now();
        if now.saturating_sub(self.read_at) < SUBSCRIPTION_MILLIS {
            return Ok(true);
        }
        self.read_at = now;
        let current = self
            .stack
            .subscriptions()
            .get(&self.subscription.id)
            .await?;
        Ok(current.is_some_and(|subscription| subscription.is_active()))
    }

    /// Lets a delivery wait, or ends it, after an attempt that failed.
    async fn failed(&self, delivery: Delivery, failure: Failure) -> Result<Option<Duration>> {
        let (now, code) = (self.now(), failure.code.clone());
        let (mut failed, verdict) = state::after_failure(delivery, failure, now, fastrand::u64(..));
        let wait = match verdict {
            Verdict::Waits(due) => {
                // Before the delivery says that it waits: nothing else leads to a delivery that waits.
                let due_at = Due::at_millis(due, Some(self.tenant.clone()));
                self.stack.due().put(&due_at).await?;
                let wait = due.saturating_sub(now);
                (wait < SHORT_WAIT_MILLIS).then(|| Duration::from_millis(wait))
            }
            Verdict::Failed => {
                let since = failed.failing.as_ref();
                let since = since.map_or(now, |failing| failing.since);
                self.tell("a delivery has failed for good", &code, &since.to_string())
                    .await?;
                // The event that was just appended is for the tenant's other subscriptions.
                Some(Duration::ZERO)
            }
        };
        // The mark of another job is dropped: the job that comes when this is due, or resumed, reads the feed
        // anyway. If the delivery is lost, the process that has it now makes an attempt of its own.
        self.owner.keep(&mut failed).await?;
        Ok(wait)
    }

    /// Ends the subscription, whose receiver has said that it wants no more events.
    async fn gone(&self, delivery: Delivery, message: &str) -> Result<Option<Duration>> {
        self.tell("the receiver wants no events any more", "gone", message)
            .await?;
        let reason = "The receiver answered with status 410 (Gone)";
        let subscriptions = self.stack.subscriptions();
        // If it is not as it was read, an operator has resumed or removed it: that counts.
        subscriptions
            .disable(self.subscription, self.now(), reason)
            .await?;
        // If the delivery is lost or marked, the other process finds the subscription disabled.
        self.owner.keep(&mut state::released(delivery)).await?;
        // The event that was just appended is for the tenant's other subscriptions.
        Ok(Some(Duration::ZERO))
    }

    /// Tells the operator, by an alarm, and those who follow the feed. This comes before it is written down: a
    /// process that takes over from this one fails too, and tells it then.
    async fn tell(&self, what: &str, code: &str, occasion: &str) -> Result<()> {
        let subscription = &self.subscription.id;
        tracing::error!(
            tenant.id = %self.tenant,
            %subscription,
            code,
            alarm = "webhook",
            "{what}"
        );
        let notice = Notice::new(subscription, code, occasion, self.now());
        notice.tell(self.deliverer.appender, self.tenant).await
    }

    /// When a delivery that is held is looked at again. The list of what is due has it before the delivery.
    async fn held_until(&self) -> Result<u64> {
        let until = self.now() + HELD_MILLIS;
        let due = Due::at_millis(until, Some(self.tenant.clone()));
        self.stack.due().put(&due).await?;
        Ok(until)
    }

    /// The delivery, taken by this process.
    fn taken(&self, delivery: &Delivery) -> Delivery {
        state::taken(
            delivery.clone(),
            self.owner.name(),
            self.subscription.resumed,
            self.now(),
        )
    }

    fn now(&self) -> u64 {
        self.deliverer.clock.now_millis()
    }
}
