//! Appends to a feed: reads the tail, makes the events, and puts the next page behind the newest one.
//!
//! A page is put on the condition that no page has its key. If there is one, or no answer comes, the append
//! starts again from the tail. If that page is its own, its records are known now and give no second event.
//! The events are made again too, since what was read for them may have changed.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::brake;
use super::event::{EventBody, EventType, NewEvent};
use super::next_page::NextPage;
use super::tail::{FeedEnd, Memory, PageSummary};
use crate::clock::Clock;
use crate::identity::{Cause, CauseKind, TenantId};
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::protocol::profile::EventValues;
use crate::provider::{Tenant, Tenants};
use crate::store::{
    Backoff, Cost, Epoch, FeedHead, FeedState, Meter, Store, StoreError, StreamGap, TenantConfig,
    TenantStore,
};

/// How long one append may take, with all its attempts: well below the time that a function may run.
const BUDGET: Duration = Duration::from_secs(30);
/// How long one attempt may take. A call without an answer by then counts as lost.
pub(super) const ATTEMPT_BUDGET: Duration = Duration::from_secs(10);
/// The most attempts of one append. An attempt that loses lets another process finish.
const MAX_ATTEMPTS: usize = 50;

/// What appends to the feeds of a table. One serves a whole process, because it remembers the newest pages
/// that it has read or put.
pub struct Appender<'a> {
    store: &'a Store,
    tenants: &'a Tenants,
    clock: Arc<dyn Clock>,
    memory: Memory,
    meter: Meter,
}

/// Where the events of an append come from. They are made anew for each attempt, because whatever was read
/// for an attempt that was refused does not count any more.
pub trait Source: Send + Sync {
    /// The ids of the records that it makes events of. Those that are in the feed already give none.
    fn ids(&self) -> Vec<&str>;

    /// When the oldest of those records was made, in milliseconds since the Unix epoch; `None` if there
    /// are no records.
    fn oldest(&self) -> Option<u64>;

    /// The events, in order, for an attempt that has read this tail.
    fn events(&self, tail: &Tail<'_>) -> impl Future<Output = Result<Vec<NewEvent>>> + Send;

    /// The stack's last gap, if the source knows it. A feed that has not reported it does so first.
    fn gap(&self) -> Option<StreamGap> {
        None
    }

    /// The label of the stream that the records come from, if they say it. A later one than that of the
    /// feed begins a new epoch: the table was restored, and the feed may go on from an earlier moment.
    fn stream(&self) -> Option<&str> {
        None
    }

    /// Whether changes of the tenant go past the stream, so that the feed is not complete from now on.
    fn misses_changes(&self) -> bool {
        false
    }

    /// Whether it begins a feed for a tenant that has no feed yet.
    fn begins_feed(&self) -> bool {
        true
    }
}

/// The end of a feed, as an attempt to append has read it.
pub struct Tail<'t> {
    /// The tenant's part of the table, for as long as the attempt may take.
    pub store: &'t TenantStore,
    /// The tenant.
    pub tenant: &'t Tenant,
    /// When the tenant was created, in milliseconds since the Unix epoch; 0 if that is not known.
    pub since: u64,
    /// When the newest page expires, in seconds since the Unix epoch; `None` if there is no page.
    pub expires: Option<u64>,
    known: &'t HashSet<String>,
}

/// What an append came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Every event is in the feed; how many events the last attempt has put there.
    Events(usize),
    /// The tenant is deleted, or has no feed and the source begins none. Nothing was appended.
    NoFeed,
}

/// What an attempt came to that did not fail.
enum Attempt {
    Done(Appended),
    /// Another process was first, or there was no answer.
    Again,
}

impl Tail<'_> {
    /// Whether the event with this id is in the feed.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.known.contains(id)
    }
}

impl<'a> Appender<'a> {
    /// What appends to the feeds of this table, with the configurations that this process remembers.
    #[must_use]
    pub fn new(store: &'a Store, tenants: &'a Tenants, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            tenants,
            clock,
            memory: Memory::default(),
            meter: Meter::default(),
        }
    }

    /// Appends the events of a source to a tenant's feed. A single event takes one read of the tail and one
    /// write unit for each KB of its page.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach, or other processes were in front of every attempt.
    /// Some of the events may be in the feed then.
    pub async fn append(&self, tenant: &TenantId, source: &impl Source) -> Result<Appended> {
        let deadline = Instant::now() + BUDGET;
        let mut backoff = Backoff::default();
        for _ in 0..MAX_ATTEMPTS {
            let budget = ATTEMPT_BUDGET.min(deadline.saturating_duration_since(Instant::now()));
            let store = self.store_for(tenant, budget);
            if let Attempt::Done(appended) = self.attempt(tenant, &store, source).await? {
                return Ok(appended);
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            self.store_for(tenant, rest).pause(&mut backoff).await?;
        }
        Err(Error::unavailable(
            "Others appended to the feed in front of every attempt",
        ))
    }

    async fn attempt(
        &self,
        id: &TenantId,
        store: &TenantStore,
        source: &impl Source,
    ) -> Result<Attempt> {
        let ids = source.ids();
        let end = self.memory.read(id, store, &ids, source.oldest()).await?;
        let Some(head) = &end.head else {
            return match source.begins_feed() {
                true => self.begin(id, store, source.stream()).await,
                false => Ok(Attempt::Done(Appended::NoFeed)),
            };
        };
        if head.state == FeedState::Deleted {
            return Ok(Attempt::Done(Appended::NoFeed));
        }
        if let Some(next) = self.next_head(head, &end, source) {
            // Before the events: the first one may say that the feed is complete.
            return again(store.feed().put_head(Some(head), &next).await);
        }
        self.append_behind(&end, head, id, store, source).await
    }

    /// Begins the feed of a tenant that has none.
    async fn begin(
        &self,
        id: &TenantId,
        store: &TenantStore,
        stream: Option<&str>,
    ) -> Result<Attempt> {
        // Before the feed begins: the sweep looks after the feeds of the tenants on this list.
        let stack = self.store.for_stack(Meter::default(), ATTEMPT_BUDGET);
        stack.list_tenant(id).await?;
        again(store.feed().put_head(None, &self.new_head(stream)).await)
    }

    /// Puts what a source has to say behind the end of a feed.
    async fn append_behind(
        &self,
        end: &FeedEnd,
        head: &FeedHead,
        id: &TenantId,
        store: &TenantStore,
        source: &impl Source,
    ) -> Result<Attempt> {
        let tenant = self.tenant(id, store).await?;
        let tail = Tail {
            store,
            tenant: &tenant,
            since: head.since,
            expires: end.newest.as_ref().map(|page| page.expires),
            known: &end.known,
        };
        let mut events = source.events(&tail).await?;
        let first = self.first_event(head, end, source.gap());
        // A gap is reported at once. The beginning of a feed is reported together with its first event.
        if events.is_empty() && (end.newest.is_none() || first.is_none()) {
            return Ok(Attempt::Done(Appended::Events(0)));
        }
        events.splice(0..0, first);
        let mut next = match end.newest.as_deref() {
            Some(newest) => NextPage::behind(newest, head)?,
            None => NextPage::first(head),
        };
        if !head.is_complete && next.tally.is_near(&events) {
            let users = brake::users(store, &tenant.registry).await?;
            next.tally = next.tally.recounted(users, &events);
        }
        let next = next.with_gap(source.gap());
        self.put_pages(&tail, next, &events).await
    }

    /// The tenant. One whose configuration cannot be understood has no schemas of its own, and its events
    /// have no values: such a tenant must not keep the others of its shard waiting.
    async fn tenant(&self, id: &TenantId, store: &TenantStore) -> Result<Arc<Tenant>> {
        match self.tenants.get(id, store).await {
            Err(error) if error.kind() == ErrorKind::Internal => {
                let cause = error.causes();
                tracing::error!(tenant.id = %id, cause, "the feed goes on without a configuration");
                let mut tenant = Tenant::new(id.clone(), TenantConfig::default())?;
                tenant.rules.switches.event_values = EventValues::Names;
                Ok(Arc::new(tenant))
            }
            read => read,
        }
    }

    /// Puts events behind the newest page, as many pages as they take.
    async fn put_pages(
        &self,
        tail: &Tail<'_>,
        mut next: NextPage,
        events: &[NewEvent],
    ) -> Result<Attempt> {
        let mut rest = events;
        while !rest.is_empty() {
            let page = next.take(&mut rest, &tail.tenant.rules.switches, self.now())?;
            if brake::is_reported_in(&page) {
                // Before the put: an answer that is lost must not lose the alarm, which counts these lines.
                // An attempt that is refused says it twice.
                tracing::error!(
                    tenant.id = %tail.tenant.id,
                    alarm = "brake",
                    "more users than usual have lost their access"
                );
            }
            match tail.store.feed().append(&page).await {
                Ok(true) => {}
                // Another process has put a page with this key, or an attempt whose answer was lost has.
                // Without an answer the page may be there or not. The tail is read again to find out.
                Ok(false) | Err(StoreError::Unavailable(_)) => return Ok(Attempt::Again),
                Err(error) => return Err(error.into()),
            }
            // Only after the answer: a page that is not there must not count as one that has the records.
            let summary = Arc::new(PageSummary::of(&page));
            self.memory.add(&tail.tenant.id, &summary);
        }
        Ok(Attempt::Done(Appended::Events(events.len())))
    }

    /// The event that a page begins with if it begins an epoch or follows a gap.
    fn first_event(
        &self,
        head: &FeedHead,
        end: &FeedEnd,
        gap: Option<StreamGap>,
    ) -> Option<NewEvent> {
        let Some(newest) = &end.newest else {
            let id = format!("started-{}", head.epoch.as_str());
            let event_type = EventType::named(EventType::FEED_STARTED);
            let body = EventBody::new(event_type, self.now());
            let body = body.with_detail([("complete", json!(head.is_complete))]);
            return Some(NewEvent::of(id, body));
        };
        let gap = gap.filter(|gap| gap.number > newest.gap)?;
        let body = EventBody::gap_since(gap.since, self.now());
        Some(NewEvent::of(format!("gap-{}", gap.number), body))
    }

    /// The head of a feed that begins now. Nothing says that it has every change of its tenant, nor when the
    /// tenant was created.
    fn new_head(&self, stream: Option<&str>) -> FeedHead {
        FeedHead {
            state: FeedState::Live,
            generation: 1,
            since: 0,
            epoch: Epoch::after(None, self.now()),
            is_complete: false,
            stream: stream.map(str::to_owned),
            released: None,
            purged: None,
        }
    }

    /// The head that a feed has to have before a source is appended, if it is another one.
    fn next_head(&self, head: &FeedHead, end: &FeedEnd, source: &impl Source) -> Option<FeedHead> {
        let mut next = self.head_of_stream(head, source.stream());
        next.is_complete &= !source.misses_changes() && !is_behind_gap(head, end, source.gap());
        (next != *head).then_some(next)
    }

    /// The head of a feed that records of this stream are appended to.
    fn head_of_stream(&self, head: &FeedHead, stream: Option<&str>) -> FeedHead {
        let next = match (head.stream.as_deref(), stream) {
            (_, None) => return head.clone(),
            // The feed has no record yet: the tenant was created before this stream brought one.
            (None, Some(_)) => head.clone(),
            (Some(known), Some(stream)) if stream > known => FeedHead {
                epoch: Epoch::after(Some(&head.epoch), self.now()),
                is_complete: false,
                released: None,
                ..head.clone()
            },
            // Late records of a stream that was replaced say nothing new about the order.
            (Some(_), Some(_)) => return head.clone(),
        };
        FeedHead {
            stream: stream.map(str::to_owned),
            ..next
        }
    }

    /// What all appends have cost so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.meter.cost()
    }

    /// The tenant's part of the table, for as long as `budget`.
    pub(super) fn store_for(&self, tenant: &TenantId, budget: Duration) -> TenantStore {
        // The feed writes nothing that keeps a cause.
        let cause = Cause::without_credential(CauseKind::Service);
        self.store
            .for_tenant(tenant, cause, self.meter.clone(), budget)
    }

    /// The table.
    pub(super) fn store(&self) -> &Store {
        self.store
    }

    /// The configurations that this process remembers.
    pub(super) fn tenants(&self) -> &Tenants {
        self.tenants
    }

    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now_millis()
    }
}

/// Whether the stack's last gap is one that the feed has not reported, and the tenant is older than it.
fn is_behind_gap(head: &FeedHead, end: &FeedEnd, gap: Option<StreamGap>) -> bool {
    let reported = end.newest.as_ref().map_or(0, |page| page.gap);
    gap.is_some_and(|gap| gap.number > reported && gap.noticed >= head.since)
}

/// Whether a write of the head took effect or not, the tail is read again to find out how to go on.
fn again(written: std::result::Result<bool, StoreError>) -> Result<Attempt> {
    match written {
        Ok(_) | Err(StoreError::Unavailable(_)) => Ok(Attempt::Again),
        Err(error) => Err(error.into()),
    }
}
