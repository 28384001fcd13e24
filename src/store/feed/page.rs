//! A page of a feed as an item.

use serde_bytes::ByteBuf;

use super::Epoch;
use crate::store::error::StoreError;
use crate::store::items::{self, FeedPageItem};
use crate::store::keys::SEPARATOR;
use crate::store::stored::{self, Item};

/// The `kind` of a page.
const PAGE_KIND: &str = "E";

/// The key of a page of a feed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKey {
    /// The epoch.
    pub epoch: Epoch,
    /// The number of the page's first event.
    pub first: u64,
}

/// A page of a feed: the events of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The key of the page.
    pub key: PageKey,
    /// The number of its last event.
    pub last: u64,
    /// When it was made, in milliseconds since the Unix epoch; never earlier than the time of the
    /// page before it.
    pub time: u64,
    /// The ids of its events, in order.
    pub ids: Vec<String>,
    /// Its events, packed by the feed.
    pub events: Vec<u8>,
    /// The number of the last gap of the stack that the feed has reported in this page or earlier
    /// ones.
    pub gap: u64,
    /// The counts of the feed up to and including this page, as a text that only the feed reads.
    pub tally: String,
    /// When it expires, in seconds since the Unix epoch. DynamoDB removes it some time later.
    pub expires: u64,
    /// The mark of the page before it, as a text that only the feed reads; `None` in the first page
    /// of an epoch.
    pub before: Option<String>,
    /// The number of times that its events were rewritten.
    pub rewritten: u64,
}

impl PageKey {
    /// The sort key. The number has a fixed width, so that keys are in the order of the numbers.
    pub(super) fn sort_key(&self) -> String {
        format!("{}{SEPARATOR}{:020}", self.epoch.as_str(), self.first)
    }

    fn read(sort_key: &str) -> Option<Self> {
        let (epoch, first) = sort_key.split_once(SEPARATOR)?;
        Some(Self {
            epoch: Epoch::parse(epoch)?,
            first: first.parse().ok()?,
        })
    }
}

impl FeedPage {
    /// The number of its events.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.key.first)
    }

    /// Whether it has expired at this time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires * 1000 <= now
    }

    pub(super) fn to_item(&self) -> FeedPageItem {
        FeedPageItem {
            sk: self.key.sort_key(),
            kind: PAGE_KIND.to_owned(),
            last: self.last,
            time: self.time,
            ids: self.ids.clone(),
            events: ByteBuf::from(self.events.clone()),
            gap: self.gap,
            tally: self.tally.clone(),
            expires: self.expires,
            before: self.before.clone(),
            rewritten: Some(self.rewritten).filter(|&times| times > 0),
        }
    }

    pub(super) fn read(item: Item) -> Result<Self, StoreError> {
        let item: FeedPageItem = items::from_item(item)?;
        Ok(Self {
            key: PageKey::read(&item.sk).ok_or_else(|| stored::malformed("sk"))?,
            last: item.last,
            time: item.time,
            ids: item.ids,
            events: item.events.into_vec(),
            gap: item.gap,
            tally: item.tally,
            expires: item.expires,
            before: item.before,
            rewritten: item.rewritten.unwrap_or(0),
        })
    }
}
