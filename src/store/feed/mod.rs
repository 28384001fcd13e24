//! The feed of one tenant: its pages, each of which is one item, and its head.
//!
//! - A page is put on the condition that no page has its key, and the key contains the number of the
//!   page's first event. So if two processes append after the same page, one of them is refused.
//! - The key of the head sorts after those of all pages. So one Query reads the head and the newest
//!   pages.
//!
//! It must not know what an event is.

mod epoch;
mod page;

use std::sync::LazyLock;

use super::error::StoreError;
use super::items::{self, FeedHeadItem};
use super::key_range::{EVERY_KEY, KeyRange};
use super::projected_attributes::ProjectedAttributes;
use super::stored::{self, Item, n, s};
use super::table::Table;
use super::table::query::{Order, Query, Window};
use super::table::write::{Condition, Put, Update};

pub use epoch::Epoch;
pub use page::{FeedPage, PageKey};

/// The sort key of the head. It comes after every epoch, which consists of hexadecimal digits.
const HEAD: &str = "head";
/// Sorts after every page and before the head. It ends the range of the pages, because a range that
/// ends at the head would include the head.
const AFTER_PAGES: &str = "h";
/// The range of all pages.
pub(super) static PAGES: LazyLock<KeyRange> = LazyLock::new(|| KeyRange::less(AFTER_PAGES));
/// The `kind` of the head.
const HEAD_KIND: &str = "EH";

/// Whether a tenant's changes go into its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// The tenant's changes go into the feed.
    Live,
    /// The tenant is deleted. Records of its items that the stream still brings make no events.
    Deleted,
}

/// The head of a feed. Each tenant that has ever had a feed has one, and it is never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// Whether the tenant's changes go into the feed.
    pub state: FeedState,
    /// The number of times that a tenant of this name was created, from 1.
    pub generation: u64,
    /// When this generation began, in milliseconds since the Unix epoch; 0 if that is not known.
    pub since: u64,
    /// The current epoch. Positions of other epochs are refused.
    pub epoch: Epoch,
    /// Whether the epoch has every change since the tenant was created, as far as is known.
    pub is_complete: bool,
    /// The label of the table's stream with whose records the epoch began, if it is known.
    pub stream: Option<String>,
    /// When the brake had tripped whose hold is released, in milliseconds since the Unix epoch.
    pub released: Option<u64>,
    /// When the last tenant of this name was purged, in milliseconds since the Unix epoch; `None` while
    /// there is one.
    pub purged: Option<u64>,
}

/// The feed of one tenant.
#[derive(Clone, Copy)]
pub struct Feed<'t> {
    table: &'t Table,
}

impl<'t> Feed<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The head, and the newest pages, at most `limit` and the newest first. Pages of earlier epochs may
    /// follow those of the current one. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn tail(self, limit: usize) -> Result<(Option<FeedHead>, Vec<FeedPage>), StoreError> {
        let mut items = self.items(&EVERY_KEY, limit + 1, Order::Descending).await?;
        let is_head = |item: &Item| item.get("sk") == Some(&s(HEAD));
        let head = match items.first().is_some_and(is_head) {
            true => Some(FeedHead::read(items.remove(0))?),
            false => None,
        };
        let mut pages = pages(items)?;
        pages.truncate(limit);
        Ok((head, pages))
    }

    /// The head, and the newest page of its epoch; no page if the epoch has none yet. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn newest(self) -> Result<(Option<FeedHead>, Option<FeedPage>), StoreError> {
        let (head, mut pages) = self.tail(1).await?;
        let epoch = head.as_ref().map(|head| &head.epoch);
        // An epoch that has no page yet comes after those of an earlier one.
        let newest = pages.pop().filter(|page| Some(&page.key.epoch) == epoch);
        Ok((head, newest))
    }

    /// The pages before this key, of its epoch and of earlier ones: at most `limit`, the newest
    /// first. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn before(self, key: &PageKey, limit: usize) -> Result<Vec<FeedPage>, StoreError> {
        let range = KeyRange::less(&key.sort_key());
        pages(self.items(&range, limit, Order::Descending).await?)
    }

    /// The pages of one epoch from this key on: at most `limit`, the oldest first. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn from(self, key: &PageKey, limit: usize) -> Result<Vec<FeedPage>, StoreError> {
        let range = KeyRange::at_least(&key.sort_key()).and(key.epoch.range());
        pages(self.items(&range, limit, Order::Ascending).await?)
    }

    /// The pages after this key, of its epoch and of later ones; all pages if there is no key. At
    /// most `limit`, the oldest first. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn after(
        self,
        key: Option<&PageKey>,
        limit: usize,
    ) -> Result<Vec<FeedPage>, StoreError> {
        let begin = key.map_or_else(KeyRange::all, |key| KeyRange::greater(&key.sort_key()));
        let range = begin.and(PAGES.clone());
        pages(self.items(&range, limit, Order::Ascending).await?)
    }

    /// Appends a page. False if a page with its key exists. That may be this page itself, if the
    /// answer of an earlier attempt was lost. One call, one write unit for each KB of the page.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether the page was appended; `Backend`.
    pub async fn append(self, page: &FeedPage) -> Result<bool, StoreError> {
        let partition = self.table.keys().feed();
        let put = Put::new(items::to_item(partition.as_str(), page.to_item()));
        let is_new = Condition::new("attribute_not_exists(pk)");
        put.when(is_new).send(self.table).await
    }

    /// Replaces the events of a page, which keeps its numbers and ids. False if the page was
    /// removed, or was rewritten since it was read. One call.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether the page was rewritten; `Backend`.
    pub async fn rewrite(self, page: &FeedPage, events: Vec<u8>) -> Result<bool, StoreError> {
        let key = self.table.keys().feed().key(page.key.sort_key());
        let mut update = Update::unnamed(key);
        update
            .require("attribute_exists(pk)")
            .set("events = :events, rewritten = :next")
            .value(":events", stored::bytes(events))
            .value(":next", n(page.rewritten + 1));
        match page.rewritten {
            0 => update.require("attribute_not_exists(rewritten)"),
            seen => update.require("rewritten = :seen").value(":seen", n(seen)),
        };
        update.send_if(self.table).await
    }

    /// Writes the head, on the condition that its epoch, state, stream and release are still as they
    /// were read, and whether it is complete; what else a head has changes only with its epoch. `seen`
    /// is `None` if the feed had no head. False if another process has written it since. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether the head was written; `Backend`.
    pub async fn put_head(
        self,
        seen: Option<&FeedHead>,
        head: &FeedHead,
    ) -> Result<bool, StoreError> {
        let mut update = Update::unnamed(self.table.keys().feed().key(HEAD));
        update
            .set("#kind = :kind, #state = :state, #generation = :generation, since = :since")
            .set("epoch = :epoch, complete = :complete")
            .name("#kind", "kind")
            .name("#state", "state")
            .name("#generation", "generation")
            .value(":kind", s(HEAD_KIND))
            .value(":state", s(head.state.name()))
            .value(":generation", n(head.generation))
            .value(":since", n(head.since))
            .value(":epoch", s(head.epoch.as_str()))
            .value(":complete", stored::boolean(head.is_complete));
        match &head.stream {
            Some(stream) => update
                .set("#stream = :stream")
                .name("#stream", "stream")
                .value(":stream", s(stream)),
            None => update.remove("#stream").name("#stream", "stream"),
        };
        match head.released {
            Some(released) => update
                .set("released = :released")
                .value(":released", n(released)),
            None => update.remove("released"),
        };
        match head.purged {
            Some(purged) => update.set("purged = :purged").value(":purged", n(purged)),
            None => update.remove("purged"),
        };
        match seen {
            None => update.require("attribute_not_exists(pk)"),
            Some(seen) => require_seen(&mut update, seen),
        };
        update.send_if(self.table).await
    }

    /// Stores when the brake had tripped whose hold is released, in milliseconds since the Unix epoch.
    /// False if there is no feed, or a later hold is released already. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether it was stored; `Backend`.
    pub async fn release(self, held: u64) -> Result<bool, StoreError> {
        let mut update = Update::unnamed(self.table.keys().feed().key(HEAD));
        update
            .require("attribute_exists(pk)")
            // Two commands at once: the one that has read an earlier hold must not take back the
            // release of a later one. The same hold may be released twice, as after a lost answer.
            .require("(attribute_not_exists(released) OR released <= :held)")
            .set("released = :held")
            .value(":held", n(held));
        update.send_if(self.table).await
    }

    /// The time by the clock of this process, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(self) -> u64 {
        self.table.now_millis()
    }

    async fn items(
        self,
        range: &KeyRange,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Item>, StoreError> {
        let partition = self.table.keys().feed();
        let window = Window {
            limit: Some(limit),
            order,
            ..Window::default()
        };
        let query = Query::new(&partition, range, ProjectedAttributes::All).within(window);
        Ok(query.page(self.table).await?.items)
    }
}

/// Requires that the head is still as it was read.
fn require_seen<'u>(update: &'u mut Update, seen: &FeedHead) -> &'u mut Update {
    update
        .require("epoch = :seenEpoch AND #state = :seenState AND complete = :seenComplete")
        .value(":seenEpoch", s(seen.epoch.as_str()))
        .value(":seenComplete", stored::boolean(seen.is_complete))
        .value(":seenState", s(seen.state.name()));
    match &seen.stream {
        Some(stream) => update
            .require("#stream = :seenStream")
            .value(":seenStream", s(stream)),
        None => update.require("attribute_not_exists(#stream)"),
    };
    match seen.released {
        Some(released) => update
            .require("released = :seenReleased")
            .value(":seenReleased", n(released)),
        None => update.require("attribute_not_exists(released)"),
    }
}

fn pages(items: Vec<Item>) -> Result<Vec<FeedPage>, StoreError> {
    items.into_iter().map(FeedPage::read).collect()
}

impl FeedHead {
    fn read(item: Item) -> Result<Self, StoreError> {
        let item: FeedHeadItem = items::from_item(item)?;
        Ok(Self {
            state: FeedState::named(&item.state).ok_or_else(|| stored::malformed("state"))?,
            generation: item.generation,
            since: item.since,
            epoch: Epoch::parse(&item.epoch).ok_or_else(|| stored::malformed("epoch"))?,
            is_complete: item.complete,
            stream: item.stream,
            released: item.released,
            purged: item.purged,
        })
    }
}

impl FeedState {
    fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Deleted => "deleted",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let states = [Self::Live, Self::Deleted];
        states.into_iter().find(|state| state.name() == name)
    }
}
