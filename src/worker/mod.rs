//! Work that no request waits for: the records of the table's stream, changes that dead processes left half
//! done, the delivery of events, and the sweep of the tenants every minute.
//!
//! In AWS the functions of `scim-worker` call it, and on one machine `scim serve` does. What is to be done
//! later goes to an [`Outbox`], so this module must not know queues, Lambda, or which process runs it.

mod deliver;
mod due;
mod expiring;
mod finish;
mod outbox;
mod round;
mod stream;
mod sweep;
mod wanted;

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lambda_events::dynamodb::EventRecord;

pub use outbox::{DeliverJob, FinishJob, Outbox};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::delivery::{Memory, Sender};
use crate::feed::append::Appender;
use crate::identity::TenantId;
use crate::protocol::error::Result;
use crate::provider::Tenants;
use crate::store::{Store, StreamGap, Subscription};
use crate::tenant::Credentials;

/// The kinds of items whose changes the reader of the stream is to see: resources, members, states of tenants,
/// heads of journal entries, the heartbeat, and occasions. The first filter pattern in `template.yaml` says the
/// same.
const CHANGED_KINDS: [&str; 6] = ["R", "M", "TS", "J", "H", "O"];
/// The kinds of items whose removal it is to see, as the second pattern says.
const REMOVED_KINDS: [&str; 3] = ["R", "M", "TS"];

/// Whether the reader of the stream is to see a record, by the `kind` of its new image and of its old one.
/// It is not to see the pages of feeds, which it writes itself.
#[must_use]
pub fn passes_filter(new: Option<&str>, old: Option<&str>) -> bool {
    match (new, old) {
        (Some(kind), _) => CHANGED_KINDS.contains(&kind),
        (None, Some(kind)) => REMOVED_KINDS.contains(&kind),
        (None, None) => false,
    }
}

/// Does the background work on one table. A process has one worker, because the worker remembers what it has
/// read.
pub struct Worker<'a> {
    store: &'a Store,
    tenants: &'a Tenants,
    clock: Arc<dyn Clock>,
    appender: Appender<'a>,
    /// The last gap of the stream, which is cached for a moment.
    gap: Cache<(), Option<StreamGap>>,
    /// The subscriptions of the stack, for a minute.
    subscriptions: Cache<(), Vec<Subscription>>,
    /// The memory for the deliveries that are worked on at the same time.
    memory: Memory,
    /// Where the sweep looks for credentials that expire soon; `None` if another process does.
    credentials: Option<Credentials>,
}

impl<'a> Worker<'a> {
    /// A worker on the table of these tenants.
    #[must_use]
    pub fn new(tenants: &'a Tenants, clock: Arc<dyn Clock>) -> Self {
        let store = tenants.store();
        Self {
            store,
            tenants,
            appender: Appender::new(store, tenants, Arc::clone(&clock)),
            gap: Cache::new(stream::GAP_LIMITS, Arc::clone(&clock)),
            subscriptions: Cache::new(wanted::SUBSCRIPTION_LIMITS, Arc::clone(&clock)),
            memory: Memory::unused(),
            credentials: None,
            clock,
        }
    }

    /// The same, whose sweep also warns of credentials that expire soon.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self {
            credentials: Some(credentials),
            ..self
        }
    }

    /// Handles a batch of the table's stream, whose records are in the order of their shard. Returns the
    /// sequence number from which the batch has to be handled again, if something in it failed. To handle
    /// a record again does no harm.
    pub async fn stream(&self, records: &[EventRecord], outbox: &impl Outbox) -> Option<String> {
        stream::handle(self, records, outbox).await
    }

    /// Finishes what dead processes left half done in the journals of these tenants, of all at the same
    /// time. Returns the tenants of which something could not be finished.
    pub async fn finish(
        &self,
        tenants: BTreeSet<TenantId>,
        outbox: &impl Outbox,
    ) -> BTreeSet<TenantId> {
        finish::finish(self, tenants, outbox).await
    }

    /// Delivers what the subscriptions of these tenants are to get, of all at the same time. Takes little
    /// longer than [`LONGEST_JOB`](crate::delivery::LONGEST_JOB); what is left then gets a job of its own.
    /// Returns the tenants of which something could not be delivered for a reason of this service: their jobs
    /// have to be done again. What a receiver refuses is no such reason.
    pub async fn deliver(
        &self,
        tenants: BTreeSet<TenantId>,
        sender: &impl Sender,
        outbox: &impl Outbox,
    ) -> BTreeSet<TenantId> {
        deliver::deliver(self, tenants, sender, outbox).await
    }

    /// Has the subscriptions read again when they are needed next. Another process may have changed them.
    pub fn forget_subscriptions(&self) {
        self.subscriptions.forget(&());
    }

    /// Makes one sweep of the tenants, which has to be made every minute: writes the heartbeat, gives the
    /// finisher entries that no record leads to any more, keeps the newest page of each feed from expiring,
    /// gives jobs to the tenants whose deliveries are due, and warns of credentials that expire soon.
    ///
    /// # Errors
    /// `Unavailable` if something could not be looked at; it is looked at the next time.
    pub async fn sweep(&self, outbox: &impl Outbox) -> Result<()> {
        sweep::sweep(self, outbox).await
    }
}
