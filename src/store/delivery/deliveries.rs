//! The deliveries of one tenant: how far each subscription is, what it is sent, and by whom.

use crate::identity::SubscriptionId;
use crate::store::error::StoreError;
use crate::store::items::{self, DeliveryItem};
use crate::store::key_range::EVERY_KEY;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, Item, n, s};
use crate::store::table::query::{Query, Window};
use crate::store::table::write::Update;
use crate::store::table::{Table, batch, get};

/// The `kind` of a delivery.
const DELIVERY_KIND: &str = "D";

/// The delivery of one subscription's events of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The number of times that it was written; 0 if it is not in the table yet. A write is made on the
    /// condition that it is still the same.
    pub revision: u64,
    /// The position behind the last event that the receiver has accepted, or that it does not want. The
    /// store does not look into it.
    pub after: String,
    /// The time of the last event before `after`, in milliseconds since the Unix epoch; 0 if that is not
    /// known.
    pub reached: u64,
    /// What is sent, and sent again until it is accepted.
    pub batch: Option<Batch>,
    /// When the receiver last accepted a batch, in milliseconds since the Unix epoch.
    pub succeeded: Option<u64>,
    /// The failures since the last success.
    pub failing: Option<Failing>,
    /// How often the subscription had been resumed when the delivery was last taken up.
    pub resumed: u64,
    /// Before this time nothing is sent, in milliseconds since the Unix epoch.
    pub due: Option<u64>,
    /// When it failed for good, in milliseconds since the Unix epoch.
    pub failed: Option<u64>,
    /// Until when the brake held it back when it was last looked at, in milliseconds since the Unix epoch:
    /// then it is looked at again.
    pub held: Option<u64>,
    /// The process that sends.
    pub lease: Option<Lease>,
    /// Whether there may be events that the process with the lease has not seen.
    pub again: bool,
}

/// The events that one request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The position before its first event.
    pub from: String,
    /// The position behind its last event.
    pub to: String,
    /// The number of events, without the gap.
    pub events: u64,
    /// The gap that it begins with, if events before it are lost to the receiver.
    pub gap: Option<BatchGap>,
}

/// An event made for one receiver: events before a batch are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchGap {
    /// When it was noticed, in milliseconds since the Unix epoch.
    pub noticed: u64,
    /// Events since then are lost, in milliseconds since the Unix epoch; 0 for all before the batch.
    pub since: u64,
}

/// The failures of a delivery since its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// When the first of them was, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When the last of them was, in milliseconds since the Unix epoch.
    pub last: u64,
    /// Their number.
    pub attempts: u64,
    /// What the last one was, as a short code.
    pub code: String,
    /// What the last one was, for people.
    pub text: String,
}

/// The right of one process to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The random name of the process.
    pub owner: String,
    /// Until when, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// The deliveries of one tenant.
#[derive(Clone, Copy)]
pub struct Deliveries<'t> {
    table: &'t Table,
}

impl<'t> Deliveries<'t> {
    pub(in crate::store) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Every delivery of the tenant, in the order of their subscriptions: at most one for each subscription, and
    /// those of subscriptions removed since the last job. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn list(self) -> Result<Vec<Delivery>, StoreError> {
        let partition = self.table.keys().deliveries();
        let query = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::All);
        let page = query.within(Window::default()).page(self.table).await?;
        page.items.into_iter().map(Delivery::read).collect()
    }

    /// The delivery of one subscription; `None` if nothing has been done for it yet. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get(self, subscription: &SubscriptionId) -> Result<Option<Delivery>, StoreError> {
        let key = self.table.keys().deliveries().key(subscription.as_str());
        let item = get::one(self.table, &key).await?;
        item.map(Delivery::read).transpose()
    }

    /// Writes a delivery, if it was not written since it was read. False if it was, or was removed; that may
    /// be this write itself, if the answer of an earlier attempt was lost. One call, one write unit for each
    /// KB.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether it was written; `Backend`.
    pub async fn put(self, delivery: &Delivery) -> Result<bool, StoreError> {
        let partition = self.table.keys().deliveries();
        let mut update = Update::unnamed(partition.key(delivery.subscription.as_str()));
        match delivery.revision {
            0 => update.require("attribute_not_exists(pk)"),
            seen => update.require("revision = :seen").value(":seen", n(seen)),
        };
        delivery.write_to(&mut update);
        update.send_if(self.table).await
    }

    /// Removes the deliveries of these subscriptions, those that there are.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; then some of them may still be there.
    pub async fn remove(self, subscriptions: &[SubscriptionId]) -> Result<(), StoreError> {
        let partition = self.table.keys().deliveries();
        let keys = subscriptions.iter().map(|id| partition.key(id.as_str()));
        batch::write(self.table, keys.map(batch::PlainWrite::Delete).collect()).await
    }
}

impl Delivery {
    /// Whether an operator has resumed the subscription, `resumed` times by now, since the delivery was last
    /// taken up. It is counted, because the clock of the operator may differ from that of the service.
    #[must_use]
    pub fn is_resumed(&self, resumed: u64) -> bool {
        resumed > self.resumed
    }

    /// Sets what the delivery has and removes what it does not have. Attributes that only a later version
    /// knows stay.
    fn write_to(&self, update: &mut Update) {
        update
            .set("kind = :kind, revision = :revision, #after = :after, reached = :reached, resumed = :resumed")
            .name("#after", "after")
            .value(":kind", s(DELIVERY_KIND))
            .value(":revision", n(self.revision + 1))
            .value(":after", s(&self.after))
            .value(":reached", n(self.reached))
            .value(":resumed", n(self.resumed));
        let (batch, failing) = (self.batch.as_ref(), self.failing.as_ref());
        let (gap, lease) = (batch.and_then(|batch| batch.gap), self.lease.as_ref());
        let attributes = [
            ("batchFrom", batch.map(|batch| s(&batch.from))),
            ("batchTo", batch.map(|batch| s(&batch.to))),
            ("batchEvents", batch.map(|batch| n(batch.events))),
            ("gapNoticed", gap.map(|gap| n(gap.noticed))),
            ("gapSince", gap.map(|gap| n(gap.since))),
            ("succeeded", self.succeeded.map(n)),
            ("failingSince", failing.map(|failing| n(failing.since))),
            ("failingLast", failing.map(|failing| n(failing.last))),
            ("attempts", failing.map(|failing| n(failing.attempts))),
            ("code", failing.map(|failing| s(&failing.code))),
            ("text", failing.map(|failing| s(&failing.text))),
            ("due", self.due.map(n)),
            ("failed", self.failed.map(n)),
            ("held", self.held.map(n)),
            ("owner", lease.map(|lease| s(&lease.owner))),
            ("leaseUntil", lease.map(|lease| n(lease.until))),
            ("again", self.again.then(stored::yes)),
        ];
        for (name, value) in attributes {
            update.set_or_remove(name, value);
        }
    }

    fn read(item: Item) -> Result<Self, StoreError> {
        let item: DeliveryItem = items::from_item(item)?;
        let gap = item.gap_noticed.zip(item.gap_since);
        let gap = gap.map(|(noticed, since)| BatchGap { noticed, since });
        let batch = match (item.batch_from, item.batch_to, item.batch_events) {
            (Some(from), Some(to), Some(events)) => Some(Batch {
                from,
                to,
                events,
                gap,
            }),
            _ => None,
        };
        let failing = item.failing_since.map(|since| Failing {
            since,
            last: item.failing_last.unwrap_or(since),
            attempts: item.attempts.unwrap_or(0),
            code: item.code.unwrap_or_default(),
            text: item.text.unwrap_or_default(),
        });
        let lease = item.owner.zip(item.lease_until);
        Ok(Self {
            subscription: SubscriptionId::parse(&item.sk).map_err(|_| stored::malformed("sk"))?,
            revision: item.revision,
            after: item.after,
            reached: item.reached,
            batch,
            succeeded: item.succeeded,
            failing,
            resumed: item.resumed,
            due: item.due,
            failed: item.failed,
            held: item.held,
            lease: lease.map(|(owner, until)| Lease { owner, until }),
            again: item.again.unwrap_or(false),
        })
    }
}
