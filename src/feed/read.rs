//! Reads a feed from a position on.
//!
//! A read makes one or two calls, and unpacks a bounded part of what they bring. What is returned has
//! every event of its part: a position whose next event is not there any more is refused.

use std::fmt;

use super::brake::{BrakeRules, Hold, Tally};
use super::event::{Event, EventType};
use super::page::unpack;
use super::position::Position;
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::protocol::profile::Switches;
use crate::store::{Epoch, FeedPage, PageKey, StoreError, TenantStore};

/// The most pages that one call reads. It also reads no more than 1 MB.
const MAX_PAGES: usize = 1_000;
/// The most bytes of packed events that one read unpacks before it returns what it has; a page is at
/// most 300 KB. A reader that wants few of the events goes on from there.
const MAX_PACKED_BYTES: usize = 600_000;

/// Where a reader begins. Displays as the text that the reader gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Behind what it has read before.
    Position(Position),
    /// At the oldest event that there still is.
    Beginning,
    /// Behind the newest event.
    Now,
}

impl After {
    /// The name of [`After::Beginning`].
    const BEGINNING: &str = "beginning";
    /// The name of [`After::Now`].
    const NOW: &str = "now";

    /// Reads what a reader sends; nothing if it is neither a position nor a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            Self::BEGINNING => Some(Self::Beginning),
            Self::NOW => Some(Self::Now),
            position => Position::parse(position).map(Self::Position),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::Beginning => f.write_str(Self::BEGINNING),
            Self::Now => f.write_str(Self::NOW),
        }
    }
}

impl From<ReadError> for Error {
    /// What to do about a position that leads nowhere any more is the same in each case. The reasons differ.
    fn from(error: ReadError) -> Self {
        let reason = match error {
            ReadError::Failed(error) => return error,
            ReadError::Gone(gone) => gone.reason(),
        };
        Self::gone(format!(
            "{reason}. Get the position of `after=now`, list all resources again, then go on from there"
        ))
    }
}

impl Gone {
    /// Why, as the beginning of a sentence.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::OtherEpoch => {
                "The feed has begun anew since this position, because the table was restored or the \
                 tenant was made again"
            }
            Self::Expired => {
                "The events behind this position are older than the feed keeps them (eventDays)"
            }
            Self::NoSuchPlace => "There is no such position in this feed",
        }
    }
}

/// How much a reader gets at once; reading stops at whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events, at least one.
    pub events: usize,
    /// The most bytes of JSON text, unless a single event is longer.
    pub bytes: usize,
}

/// A part of a feed, with its events in the form that the reader has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<E = Event> {
    /// The events, in order. None of them does not mean that there are no more.
    pub events: Vec<E>,
    /// Where to go on.
    pub next: After,
    /// How many events there are behind `next`, of whatever types.
    pub behind: u64,
    /// The number of the stack's last gap that the feed has reported; 0 for none.
    pub gap: u64,
    /// What the brake holds back, if it does. Those events are among the ones behind `next`.
    pub held: Option<Hold>,
}

/// Why there is nothing to read.
#[derive(Debug)]
pub enum ReadError {
    /// The position leads nowhere any more: the reader has to list everything again.
    Gone(Gone),
    /// The table could not be read, or holds a page that cannot be.
    Failed(Error),
}

/// Why a position leads nowhere any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The feed has begun a new epoch since: the table was restored, or the tenant was made again.
    OtherEpoch,
    /// The events behind it are older than the feed keeps events.
    Expired,
    /// There is no such place in the feed, as with a position of another copy of the table.
    NoSuchPlace,
}

/// What a read has found in the table, before any of it is unpacked.
#[derive(Debug)]
pub struct Found {
    /// The pages from the reader's position on, each of which follows the one before it.
    pages: Vec<FeedPage>,
    /// How many events of the first page come before the position.
    skipped: u64,
    /// The number of the newest event; 0 if there is none.
    newest: u64,
    /// The number of the stack's last gap that the feed has reported.
    gap: u64,
    /// What the brake holds back.
    held: Option<Hold>,
    /// Where the reader is if there is nothing behind it.
    at: After,
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads a part of a tenant's feed: the events of the types that `wanted` takes. One call where the reader
/// is at the newest page, otherwise two. `brake` has the tenant's switches. Without it the
/// reader gets what the brake holds back, too.
///
/// # Errors
/// [`ReadError`].
pub async fn read(
    tenant: &TenantId,
    store: &TenantStore,
    after: &After,
    limits: Limits,
    wanted: impl Fn(&EventType) -> bool,
    brake: Option<&Switches>,
) -> Result<Part, ReadError> {
    let found = find(store, after, limits, brake).await?;
    found
        .part(tenant, limits, wanted)
        .map_err(ReadError::Failed)
}

/// Reads the pages behind a position, as [`read`] does.
///
/// # Errors
/// [`ReadError`].
pub async fn find(
    store: &TenantStore,
    after: &After,
    limits: Limits,
    brake: Option<&Switches>,
) -> Result<Found, ReadError> {
    let now = store.feed().now();
    let (head, newest) = store.feed().newest().await?;
    let Some(newest) = newest else {
        return nothing_yet(after, head.as_ref().map(|head| &head.epoch));
    };
    let held = match brake {
        Some(switches) => {
            let tally = Tally::parse(&newest.tally).map_err(ReadError::Failed)?;
            let released = head.and_then(|head| head.released);
            tally.held(&BrakeRules::new(switches, now), released)
        }
        None => None,
    };
    let limit = limits.events.saturating_add(1).min(MAX_PAGES);
    let found = |pages: Vec<FeedPage>, skipped, at| Found {
        pages,
        skipped,
        newest: newest.last,
        gap: newest.gap,
        held: held.map(|(hold, _)| hold),
        at,
    };
    match after {
        After::Now => {
            let at = After::Position(Position::within(&newest, newest.event_count()));
            Ok(found(Vec::new(), 0, at))
        }
        After::Beginning => {
            let pages = oldest(store, &newest, limit, now).await?;
            let at = After::Position(Position::within(&newest, newest.event_count()));
            Ok(found(up_to_first_break(pages), 0, at))
        }
        After::Position(position) => {
            let at = after.clone();
            let (pages, skipped) = behind(store, position, newest.clone(), limit, now).await?;
            Ok(found(pages, skipped, at))
        }
    }
}

/// What a reader gets of a feed whose epoch has no page yet.
fn nothing_yet(after: &After, epoch: Option<&Epoch>) -> Result<Found, ReadError> {
    match after {
        After::Position(position) if Some(&position.page.epoch) == epoch => {
            Err(ReadError::Gone(Gone::NoSuchPlace))
        }
        After::Position(_) => Err(ReadError::Gone(Gone::OtherEpoch)),
        After::Beginning | After::Now => Ok(Found {
            pages: Vec::new(),
            skipped: 0,
            newest: 0,
            gap: 0,
            held: None,
            at: After::Beginning,
        }),
    }
}

/// The pages from a position on, and how many events of the first one come before it.
async fn behind(
    store: &TenantStore,
    position: &Position,
    newest: FeedPage,
    limit: usize,
    now: u64,
) -> Result<(Vec<FeedPage>, u64), ReadError> {
    let gone = |gone| Err(ReadError::Gone(gone));
    if position.page.epoch != newest.key.epoch {
        return gone(Gone::OtherEpoch);
    }
    if position.next_seq() > newest.last + 1 {
        return gone(Gone::NoSuchPlace);
    }
    let pages = match position.page == newest.key {
        true => vec![newest],
        false => store.feed().from(&position.page, limit).await?,
    };
    let (skipped, pages) = match pages.first() {
        Some(first) if first.key == position.page => {
            if !position.is_in(first) || position.index > first.event_count() {
                return gone(Gone::NoSuchPlace);
            }
            (position.index, pages)
        }
        // The page of the position has expired and is removed. That does no harm to a reader that has
        // read all of it, if what follows is still there. In another copy of the table a page may begin at
        // this number that follows other events.
        Some(first) if position.is_at_end_before(first) => (0, pages),
        Some(first) if first.key.first == position.next_seq() => return gone(Gone::NoSuchPlace),
        Some(_) => return gone(Gone::Expired),
        None => return gone(Gone::NoSuchPlace),
    };
    let unread = pages.iter().find(|page| page.last >= position.next_seq());
    if unread.is_some_and(|page| page.is_expired(now)) {
        return gone(Gone::Expired);
    }
    Ok((up_to_first_break(pages), skipped))
}

/// The pages up to the first one that does not follow the page before it.
fn up_to_first_break(mut pages: Vec<FeedPage>) -> Vec<FeedPage> {
    let mut pairs = pages.windows(2);
    let found = pairs.position(|pair| pair[0].last + 1 != pair[1].key.first);
    if let Some(before) = found {
        pages.truncate(before + 1);
    }
    pages
}

/// The oldest pages that have not expired.
///
/// The table may keep expired pages for days. If the first call brings only expired pages, the first page
/// that has not expired is found by halving, in at most 64 calls of one page each. A page never expires
/// before the pages before it, so halving finds it.
async fn oldest(
    store: &TenantStore,
    newest: &FeedPage,
    limit: usize,
    now: u64,
) -> Result<Vec<FeedPage>, StoreError> {
    let key = |first| PageKey {
        epoch: newest.key.epoch.clone(),
        first,
    };
    let mut pages = store.feed().from(&key(1), limit).await?;
    let Some(last) = pages.last().filter(|page| page.is_expired(now)) else {
        pages.retain(|page| !page.is_expired(now));
        return Ok(pages);
    };
    let (mut low, mut high) = (last.last + 1, newest.key.first);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = store.feed().from(&key(middle), 1).await?.pop();
        match page.filter(|page| page.is_expired(now)) {
            Some(page) => low = page.last + 1,
            None => high = middle,
        }
    }
    let mut pages = store.feed().from(&key(low), limit).await?;
    pages.retain(|page| !page.is_expired(now));
    Ok(pages)
}

impl Found {
    /// The length of what has to be unpacked, in bytes and before it is.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.pages.iter().map(|page| page.events.len()).sum()
    }

    /// Unpacks the events that the reader wants, as many as fit.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn part(
        self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventType) -> bool,
    ) -> Result<Part, Error> {
        let with_length = |event: Event| {
            let length = event.to_json().to_string().len();
            (event, length)
        };
        self.part_in(tenant, limits, wanted, with_length)
    }

    /// Unpacks the events that the reader wants, as many as fit, as their JSON texts. `text` writes one.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn texts(
        self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventType) -> bool,
        text: impl Fn(Event) -> String,
    ) -> Result<Part<String>, Error> {
        let with_length = |event: Event| {
            let text = text(event);
            let length = text.len();
            (text, length)
        };
        self.part_in(tenant, limits, wanted, with_length)
    }

    /// Unpacks the events that the reader wants in some form, each with its length in bytes.
    fn part_in<E>(
        self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventType) -> bool,
        form: impl Fn(Event) -> (E, usize),
    ) -> Result<Part<E>, Error> {
        let (mut events, mut next, mut passed) = (Vec::new(), self.at, None);
        let (mut bytes, mut packed, mut skipped) = (0, 0, self.skipped);
        'pages: for page in &self.pages {
            if packed > MAX_PACKED_BYTES {
                break;
            }
            packed += page.events.len();
            for event in unpack(tenant, page)?.into_iter().skip(count(skipped)) {
                let seq = event.seq;
                if self.held.is_some_and(|hold| seq >= hold.from) {
                    break 'pages;
                }
                if wanted(&event.body.event_type) {
                    let (event, length) = form(event);
                    let is_full = events.len() >= limits.events || bytes + length > limits.bytes;
                    if is_full && !events.is_empty() {
                        break 'pages;
                    }
                    bytes += length;
                    events.push(event);
                }
                passed = Some(seq);
                next = After::Position(Position::within(page, seq + 1 - page.key.first));
            }
            skipped = 0;
        }
        let before = match (&next, passed) {
            (_, Some(seq)) => seq,
            (After::Position(position), None) => position.next_seq().saturating_sub(1),
            (After::Beginning | After::Now, None) => 0,
        };
        Ok(Part {
            events,
            next,
            behind: self.newest.saturating_sub(before),
            gap: self.gap,
            held: self.held,
        })
    }
}

/// A number of events of one page, which is never larger than a page.
fn count(events: u64) -> usize {
    usize::try_from(events).unwrap_or(usize::MAX)
}
