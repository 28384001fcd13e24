//! Subscriptions: who gets events, and which.

use std::fmt;

use crate::identity::{SubscriptionId, TenantId};
use crate::store::error::StoreError;
use crate::store::items::{self, SubscriptionItem, SubscriptionSetItem};
use crate::store::key_range::EVERY_KEY;
use crate::store::keys::StackKeys;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, Item, n, random_id, s};
use crate::store::table::call::Backoff;
use crate::store::table::query::{Query, Window};
use crate::store::table::transaction::Transaction;
use crate::store::table::write::{Condition, Delete, Put, Update};
use crate::store::table::{Table, get};

/// The number of subscriptions of a stack. With all of them, the list is well below the 1 MB of one call.
pub const MAX_SUBSCRIPTIONS: usize = 100;

/// The `kind` of a subscription.
const SUBSCRIPTION_KIND: &str = "HB";
/// The sort key of the revision of the set. It sorts before every id.
const REVISION: &str = "#";
/// The `kind` of the revision of the set.
const REVISION_KIND: &str = "HN";

/// A receiver that wants the events of one tenant or of all. The receiver, the tenant and the types never
/// change: a batch that is sent again must have the same events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// What the events go to.
    pub receiver: Receiver,
    /// Whose events they are; `None` for those of every tenant.
    pub tenant: Option<TenantId>,
    /// The types of events, and patterns such as `user.*`; none for all types.
    pub types: Vec<String>,
    /// Where in a feed it begins.
    pub from: Start,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created: u64,
    /// Whether events are sent.
    pub state: SubscriptionState,
    /// How often an operator has resumed it. A delivery that had failed before goes on.
    pub resumed: u64,
}

/// What the events of a subscription go to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// A server that takes them as HTTP requests.
    Webhook {
        /// Where the requests are sent.
        url: String,
    },
    /// The event bus of the stack (Amazon EventBridge).
    EventBus,
}

/// Where in a feed a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// With the oldest event that there is.
    Beginning,
    /// With the events since it was made.
    Created,
}

/// Whether events are sent to a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    /// They are.
    Active,
    /// They are not, until an operator resumes it.
    Disabled {
        /// Since when, in milliseconds since the Unix epoch.
        at: u64,
        /// Why, as a text for people.
        reason: String,
    },
}

/// What the addition of a subscription came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Added {
    /// It is there now.
    New,
    /// There is one with its id, which stays as it was. It may be this one, if the answer to an earlier
    /// attempt was lost.
    Known,
    /// There are [`MAX_SUBSCRIPTIONS`] already.
    Full,
}

/// The subscriptions as they were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionSet {
    /// How many times a subscription was added or removed.
    pub revision: u64,
    /// The subscriptions, in the order of their ids.
    pub subscriptions: Vec<Subscription>,
}

/// The subscriptions of the stack.
#[derive(Clone, Copy)]
pub struct Subscriptions<'t> {
    table: &'t Table<StackKeys>,
}

impl fmt::Debug for Receiver {
    /// Without the URL: its path and its query are often a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Webhook { .. } => "Webhook(..)",
            Self::EventBus => "EventBus",
        })
    }
}

impl Subscription {
    /// Whether it is about this tenant, active or not.
    #[must_use]
    pub fn is_about(&self, tenant: &TenantId) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
    }

    /// Whether events are sent.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == SubscriptionState::Active
    }
}

impl SubscriptionSet {
    /// Whether there is a subscription with this id.
    #[must_use]
    pub fn contains(&self, id: &SubscriptionId) -> bool {
        self.subscriptions.iter().any(|other| other.id == *id)
    }

    /// Whether there are [`MAX_SUBSCRIPTIONS`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.subscriptions.len() >= MAX_SUBSCRIPTIONS
    }
}

impl<'t> Subscriptions<'t> {
    pub(in crate::store) fn new(table: &'t Table<StackKeys>) -> Self {
        Self { table }
    }

    /// Every subscription, in the order of their ids. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn list(self) -> Result<Vec<Subscription>, StoreError> {
        Ok(self.set().await?.subscriptions)
    }

    /// Every subscription, in the order of their ids, and the revision of the set. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn set(self) -> Result<SubscriptionSet, StoreError> {
        let partition = self.table.keys().subscriptions();
        let query = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::All);
        let page = query.within(Window::default()).page(self.table).await?;
        let mut set = SubscriptionSet::default();
        for item in page.items {
            // The revision is before all ids. So it is read first, and a change that is made while the page is
            // read makes it outdated.
            if item.get("sk") == Some(&s(REVISION)) {
                let item: SubscriptionSetItem = items::from_item(item)?;
                set.revision = item.revision;
            } else {
                set.subscriptions.extend(read(item)?);
            }
        }
        Ok(set)
    }

    /// The subscription with an id. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get(self, id: &SubscriptionId) -> Result<Option<Subscription>, StoreError> {
        let key = self.table.keys().subscriptions().key(id.as_str());
        let item = get::one(self.table, &key).await?;
        Ok(item.map(read).transpose()?.flatten())
    }

    /// Whether there is a subscription with an id, of whatever version of the service. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn exists(self, id: &SubscriptionId) -> Result<bool, StoreError> {
        let key = self.table.keys().subscriptions().key(id.as_str());
        Ok(get::one(self.table, &key).await?.is_some())
    }

    /// Adds a subscription, if it is not there and there is room. Two calls, and two more each time that
    /// another process changes the set in between.
    ///
    /// # Errors
    /// `Unavailable`, also if other processes change the set all the time; `Backend`.
    pub async fn add(self, subscription: &Subscription) -> Result<Added, StoreError> {
        let mut backoff = Backoff::default();
        loop {
            let set = self.set().await?;
            if set.contains(&subscription.id) {
                return Ok(Added::Known);
            }
            if set.is_full() {
                return Ok(Added::Full);
            }
            if self.add_to(&set, subscription).await? {
                return Ok(Added::New);
            }
            self.table.pause(&mut backoff).await?;
        }
    }

    /// Adds a subscription, if the set is as it was read. False if another process has changed it since. One
    /// call, four write units.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether it was added; `Backend`.
    pub async fn add_to(
        self,
        set: &SubscriptionSet,
        subscription: &Subscription,
    ) -> Result<bool, StoreError> {
        let partition = self.table.keys().subscriptions();
        let put = Put::new(items::to_item(partition.as_str(), to_item(subscription)));
        let mut next = self.next_revision();
        match set.revision {
            0 => next.require("attribute_not_exists(pk)"),
            seen => next.require("revision = :seen").value(":seen", n(seen)),
        };
        let mut change = Transaction::default();
        change.push(next, ());
        change.push(put.when(Condition::new("attribute_not_exists(pk)")), ());
        Ok(change.commit(self.table, &random_id()).await?.is_ok())
    }

    /// Stops sending to an active subscription that was not resumed since it was read. False if it is not
    /// like that any more. One call, one write unit for each KB.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn disable(
        self,
        seen: &Subscription,
        at: u64,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut update = self.update(&seen.id);
        update
            .require("#state = :active AND resumed = :seen")
            .set("#state = :disabled, #at = :at, reason = :reason")
            .name("#state", "state")
            .name("#at", "at")
            .value(":active", s(ACTIVE))
            .value(":disabled", s(DISABLED))
            .value(":seen", n(seen.resumed))
            .value(":at", n(at))
            .value(":reason", s(reason));
        update.send_if(self.table).await
    }

    /// Sends to a subscription again, also what had failed for good. False if there is no such subscription. One call, one write unit for each KB.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn resume(self, id: &SubscriptionId) -> Result<bool, StoreError> {
        let mut update = self.update(id);
        update
            .set("#state = :active, resumed = resumed + :one")
            .remove("#at")
            .remove("reason")
            .name("#state", "state")
            .name("#at", "at")
            .value(":active", s(ACTIVE))
            .value(":one", n(1));
        update.send_if(self.table).await
    }

    /// Removes a subscription. False if it is not there. Its deliveries are removed by the next job of their
    /// tenant. One call, four write units.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether it was removed; `Backend`.
    pub async fn remove(self, id: &SubscriptionId) -> Result<bool, StoreError> {
        let key = self.table.keys().subscriptions().key(id.as_str());
        let delete = Delete::new(key).when(Condition::new("attribute_exists(pk)"));
        let mut change = Transaction::default();
        change.push(self.next_revision(), ());
        change.push(delete, ());
        Ok(change.commit(self.table, &random_id()).await?.is_ok())
    }

    /// Counts a change of the set.
    fn next_revision(self) -> Update {
        let mut next = Update::unnamed(self.table.keys().subscriptions().key(REVISION));
        next.set("kind = :kind")
            .add("revision :one")
            .value(":kind", s(REVISION_KIND))
            .value(":one", n(1));
        next
    }

    /// An update of a subscription that exists.
    fn update(self, id: &SubscriptionId) -> Update {
        let mut update = Update::unnamed(self.table.keys().subscriptions().key(id.as_str()));
        update.require("attribute_exists(pk)");
        update
    }
}

const WEBHOOK: &str = "webhook";
const EVENT_BUS: &str = "eventBus";
const ACTIVE: &str = "active";
const DISABLED: &str = "disabled";
const BEGINNING: &str = "beginning";
const CREATED: &str = "created";

fn to_item(subscription: &Subscription) -> SubscriptionItem {
    let (receiver, url) = match &subscription.receiver {
        Receiver::Webhook { url } => (WEBHOOK, Some(url.clone())),
        Receiver::EventBus => (EVENT_BUS, None),
    };
    let (state, at, reason) = match &subscription.state {
        SubscriptionState::Active => (ACTIVE, None, None),
        SubscriptionState::Disabled { at, reason } => (DISABLED, Some(*at), Some(reason.clone())),
    };
    let from = match subscription.from {
        Start::Beginning => BEGINNING,
        Start::Created => CREATED,
    };
    SubscriptionItem {
        sk: subscription.id.as_str().to_owned(),
        kind: SUBSCRIPTION_KIND.to_owned(),
        receiver: receiver.to_owned(),
        url,
        tenant: subscription
            .tenant
            .as_ref()
            .map(|tenant| tenant.as_str().to_owned()),
        types: subscription.types.clone(),
        from: from.to_owned(),
        created: subscription.created,
        state: state.to_owned(),
        at,
        reason,
        resumed: subscription.resumed,
    }
}

/// Reads a subscription; `None` for a receiver that only a later version of the service knows, which sends
/// to it.
fn read(item: Item) -> Result<Option<Subscription>, StoreError> {
    let item: SubscriptionItem = items::from_item(item)?;
    let invalid = |name| move |_| stored::malformed(name);
    let receiver = match (item.receiver.as_str(), item.url) {
        (WEBHOOK, Some(url)) => Receiver::Webhook { url },
        (EVENT_BUS, _) => Receiver::EventBus,
        _ => return Ok(None),
    };
    Ok(Some(Subscription {
        id: SubscriptionId::parse(&item.sk).map_err(invalid("sk"))?,
        receiver,
        tenant: item
            .tenant
            .map(|tenant| TenantId::parse(&tenant))
            .transpose()
            .map_err(invalid("tenant"))?,
        types: item.types,
        from: match item.from.as_str() {
            BEGINNING => Start::Beginning,
            CREATED => Start::Created,
            _ => return Err(stored::malformed("from")),
        },
        created: item.created,
        state: match item.state.as_str() {
            ACTIVE => SubscriptionState::Active,
            DISABLED => SubscriptionState::Disabled {
                at: item.at.unwrap_or(0),
                reason: item.reason.unwrap_or_default(),
            },
            _ => return Err(stored::malformed("state")),
        },
        resumed: item.resumed,
    }))
}
