//! Deliveries: each subscription gets the events of each tenant that it is about, in order and at least once.
//!
//! - A batch is written down before it is sent. So whatever process sends it again sends the same events
//!   under the same id.
//! - The position of a delivery moves past a batch only after the receiver has accepted it.
//! - One process at a time sends for a delivery: it has a lease, which is longer than an attempt.
//! - A delivery that has to wait is first put on the list of what is due, and then written as waiting.
//!
//! It must not know connections, queues, keys or attributes of items.

mod batch;
mod event_bus;
mod memory;
mod notice;
mod owner;
mod run;
mod secret;
mod sender;
mod signature;
mod state;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

pub use crate::store::{Receiver, Start, Subscription, SubscriptionState};
pub use event_bus::keep_event_bus;
pub use memory::Memory;
pub use secret::{RotatedSecret, Rotation, SigningSecret, SigningSecrets, WebhookSecrets};
pub use sender::{Failure, Message, Outcome, Sender};
pub use webhook::WebhookSender;

use crate::clock::{CLOCKS_DIFFER_MILLIS, Clock};
use crate::feed::append::Appender;
use crate::identity::{Cause, CauseKind, SubscriptionId, TenantId};
use crate::protocol::error::Result;
use crate::provider::Tenants;
use crate::store::{Delivery, Due, Meter, StackStore, Store, TenantStore};
use owner::Owner;
use run::Run;

/// After this time a job begins no further batch.
const SENDING: Duration = Duration::from_secs(20);
/// The longest time that a job takes: its last batch, and its calls to the table.
pub const LONGEST_JOB: Duration = Duration::from_secs(60);

/// How long a process may not notice that a subscription was added or resumed, in milliseconds. [`make_due`]
/// has what is appended until then delivered too.
pub const SUBSCRIPTIONS_MILLIS: u64 = 60_000;

/// Delivers the events of a table's tenants.
pub struct Deliverer<'d, S> {
    /// The table.
    pub store: &'d Store,
    /// The tenants, for what their brake holds back.
    pub tenants: &'d Tenants,
    /// Appends to feeds, to report that a delivery has failed for good.
    pub appender: &'d Appender<'d>,
    /// The time.
    pub clock: &'d Arc<dyn Clock>,
    /// Sends the messages.
    pub sender: &'d S,
    /// The memory for the deliveries that the process works on at the same time.
    pub memory: &'d Memory,
}

impl<S: Sender> Deliverer<'_, S> {
    /// Sends what is to be sent of one tenant, to all its subscriptions side by side: none waits for another.
    /// Takes at most [`LONGEST_JOB`]. Returns after which time the tenant has to get another job, if nothing
    /// else leads to what is left.
    ///
    /// # Errors
    /// `Unavailable` if something could not be looked at; the job has to come again.
    pub async fn deliver(&self, id: &TenantId) -> Result<Option<Duration>> {
        let (begun, read_at) = (Instant::now(), self.clock.now_millis());
        let stack = self.store.for_stack(Meter::default(), LONGEST_JOB);
        let subscriptions = stack.subscriptions().list().await?;
        let cause = Cause::without_credential(CauseKind::Service);
        let store = self
            .store
            .for_tenant(id, cause, Meter::default(), LONGEST_JOB);
        let deliveries = store.deliveries().list().await?;
        self.clean_up(&store, &subscriptions, &deliveries).await?;
        let gets_events =
            |subscription: &&Subscription| subscription.is_active() && subscription.is_about(id);
        let active: Vec<&Subscription> = subscriptions.iter().filter(gets_events).collect();
        if active.is_empty() {
            return Ok(None);
        }
        let tenant = self.tenants.get(id, &store).await?;
        if !tenant.has_time_for(LONGEST_JOB, read_at) {
            return Ok(None);
        }
        let mut known: BTreeMap<SubscriptionId, Delivery> = deliveries
            .into_iter()
            .map(|delivery| (delivery.subscription.clone(), delivery))
            .collect();
        let runs = active.iter().map(|subscription| {
            let run = Run {
                deliverer: self,
                tenant: id,
                switches: &tenant.rules.switches,
                store: &store,
                stack: &stack,
                subscription,
                read_at,
                owner: Owner::new(&store, &subscription.id),
                until: begun + SENDING,
            };
            self.work(run, known.remove(&subscription.id))
        });
        // Collected first: a future that still held the closure would not be `Send`.
        let runs: Vec<_> = runs.collect();
        let mut next = None::<Duration>;
        let mut outcome = Ok(());
        for (subscription, ran) in active.iter().zip(join_all(runs).await) {
            match ran {
                Ok(wait) => next = next.into_iter().chain(wait).min(),
                Err(error) => {
                    // The caller gets one error only, but each may have another cause.
                    tracing::error!(
                        tenant.id = %id,
                        subscription = %subscription.id,
                        cause = error.causes(),
                        "could not work on a delivery"
                    );
                    outcome = Err(error);
                }
            }
        }
        outcome.map(|()| next)
    }

    /// Works on a delivery once there is memory for it. If there is none as long as the job may begin batches,
    /// the delivery is left to another job.
    async fn work(&self, run: Run<'_, S>, delivery: Option<Delivery>) -> Result<Option<Duration>> {
        match self.memory.share(run.until).await {
            Some(share) => run.run(delivery, share).await,
            None => Ok(Some(Duration::ZERO)),
        }
    }

    /// Removes the deliveries of subscriptions that were removed.
    async fn clean_up(
        &self,
        store: &TenantStore,
        subscriptions: &[Subscription],
        deliveries: &[Delivery],
    ) -> Result<()> {
        let known: BTreeSet<&SubscriptionId> =
            subscriptions.iter().map(|other| &other.id).collect();
        let left = deliveries.iter().map(|delivery| &delivery.subscription);
        let left: Vec<SubscriptionId> = left.filter(|id| !known.contains(id)).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        let stack = self.store.for_stack(Meter::default(), LONGEST_JOB);
        let mut removed = Vec::new();
        for id in left {
            // `list` leaves out subscriptions that only a later version can read; their deliveries stay.
            if !stack.subscriptions().exists(&id).await? {
                removed.push(id);
            }
        }
        Ok(store.deliveries().remove(&removed).await?)
    }
}

/// Has the deliveries of one tenant, or of all, looked at: now, and once more when every process knows a
/// subscription that was added or resumed just now. A call before the write of the subscription leads to it even
/// if the process dies after the write. A call after the write leads to it at once.
///
/// # Errors
/// `Unavailable`.
pub async fn make_due(stack: &StackStore, tenant: Option<&TenantId>, now: u64) -> Result<()> {
    for at in [now, now + SUBSCRIPTIONS_MILLIS + CLOCKS_DIFFER_MILLIS] {
        stack
            .due()
            .put(&Due::at_millis(at, tenant.cloned()))
            .await?;
    }
    Ok(())
}
