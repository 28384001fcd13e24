//! Reads a feed from a position on.
//!
//! A read makes one or two calls, and unpacks a bounded part of what they bring. What is returned has
//! every event of its part: a position whose next event is not there any more is refused.

use std::collections::VecDeque;
use std::fmt;

use super::brake::{BrakeRules, Hold, Tally};
use super::event::{Event, EventBody};
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
    /// The position before the first event that was looked at.
    pub from: After,
    /// Where to go on.
    pub next: After,
    /// How many events there are behind `next`, of whatever types.
    pub behind: u64,
    /// The number of the stack's last gap that the feed has reported; 0 for none.
    pub gap: u64,
    /// What the brake holds back, if it does. Those events are among the ones behind `next`.
    pub held: Option<Hold>,
}

/// How much of what was found is not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Some of it.
    Found,
    /// Nothing of it, but the feed has more.
    Unread,
    /// Only what the brake holds back.
    Held,
    /// Nothing: the feed had no more when it was read.
    None,
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
    pages: VecDeque<FeedPage>,
    /// How many events of the first page come before the position.
    skipped: u64,
    /// The events of the first page from the position on, once they are unpacked.
    unpacked: VecDeque<Event>,
    /// The number of the newest event; 0 if there is none.
    newest: u64,
    /// The number of the stack's last gap that the feed has reported.
    gap: u64,
    /// What the brake holds back.
    held: Option<Hold>,
    /// Where the reader is.
    at: After,
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads a part of a tenant's feed: the events that `wanted` takes. One call where the reader
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
    wanted: impl Fn(&EventBody) -> bool,
    brake: Option<&Switches>,
) -> Result<Part, ReadError> {
    let mut found = find(store, after, limits, brake).await?;
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
    // What was appended after `newest` was read is left to the next read: `held` does not know whether the brake
    // holds it.
    let is_known = |page: &FeedPage| page.key.first <= newest.last;
    let found = |pages: Vec<FeedPage>, skipped, at| Found {
        pages: pages.into_iter().filter(is_known).collect(),
        skipped,
        unpacked: VecDeque::new(),
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
            let at = match pages.first() {
                Some(first) => Position::within(first, 0),
                None => Position::within(&newest, newest.event_count()),
            };
            Ok(found(up_to_first_break(pages), 0, After::Position(at)))
        }
        After::Position(position) => {
            let at = after.clone();
            let (pages, skipped) = behind(store, position, newest.clone(), limit, now).await?;
            Ok(found(pages, skipped, at))
        }
    }
}

/// How many events there are behind a position, of whatever types; `None` if it is of another epoch or there is
/// no such place. One call.
///
/// # Errors
/// `Unavailable` if the table could not be read.
pub async fn count_behind(store: &TenantStore, after: &After) -> Result<Option<u64>, Error> {
    let (_, newest) = store.feed().newest().await?;
    let last = newest.as_ref().map_or(0, |newest| newest.last);
    Ok(match after {
        After::Now => Some(0),
        After::Beginning => Some(last),
        After::Position(position) => newest
            .filter(|newest| newest.key.epoch == position.page.epoch)
            .and_then(|newest| (newest.last + 1).checked_sub(position.next_seq())),
    })
}

/// The answer to a reader of a feed whose epoch has no page yet.
fn nothing_yet(after: &After, epoch: Option<&Epoch>) -> Result<Found, ReadError> {
    match after {
        After::Position(position) if Some(&position.page.epoch) == epoch => {
            Err(ReadError::Gone(Gone::NoSuchPlace))
        }
        After::Position(_) => Err(ReadError::Gone(Gone::OtherEpoch)),
        After::Beginning | After::Now => Ok(Found {
            pages: VecDeque::new(),
            skipped: 0,
            unpacked: VecDeque::new(),
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
    let low = first_not(store, newest, last.last + 1, |page| page.is_expired(now)).await?;
    let mut pages = store.feed().from(&key(low), limit).await?;
    pages.retain(|page| !page.is_expired(now));
    Ok(pages)
}

/// The number at which the first page begins that does not fulfil a condition, or a number between it and
/// the page before it. `low` is the least that is possible, and the newest page counts as not fulfilling it.
/// If a page fulfils the condition, so do all pages before it. At most 64 calls of one page each.
async fn first_not(
    store: &TenantStore,
    newest: &FeedPage,
    mut low: u64,
    condition: impl Fn(&FeedPage) -> bool,
) -> Result<u64, StoreError> {
    let mut high = newest.key.first;
    while low < high {
        let middle = low + (high - low) / 2;
        let key = PageKey {
            epoch: newest.key.epoch.clone(),
            first: middle,
        };
        let page = store.feed().from(&key, 1).await?.pop();
        match page.filter(|page| condition(page)) {
            Some(page) => low = page.last + 1,
            None => high = middle,
        }
    }
    Ok(low)
}

/// Where a reader begins that wants what is in the feed since some time, in milliseconds since the Unix
/// epoch: before the first page that is not older. One call, or some more to find that page.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub async fn position_at(store: &TenantStore, since: u64) -> Result<After, StoreError> {
    let (_, newest) = store.feed().newest().await?;
    let Some(newest) = newest else {
        return Ok(After::Beginning);
    };
    if newest.time < since {
        let end = Position::within(&newest, newest.event_count());
        return Ok(After::Position(end));
    }
    // Times of pages never go back.
    let first = first_not(store, &newest, 1, |page| page.time < since).await?;
    let key = PageKey {
        epoch: newest.key.epoch.clone(),
        first,
    };
    let page = store.feed().from(&key, 1).await?.pop();
    Ok(After::Position(Position::within(
        &page.unwrap_or(newest),
        0,
    )))
}

impl Found {
    /// The length of what has to be unpacked, in bytes and before it is.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.pages.iter().map(|page| page.events.len()).sum()
    }

    /// Forgets the events that were unpacked and not taken yet, which are unpacked again when they are wanted.
    /// Returns the length of what is left, in bytes.
    pub fn pack(&mut self) -> usize {
        self.unpacked = VecDeque::new();
        self.packed_bytes()
    }

    /// How much there is to take after the last part.
    #[must_use]
    pub fn rest(&self) -> Rest {
        let passed = self.passed();
        match self.held {
            _ if passed >= self.newest => Rest::None,
            Some(hold) if passed + 1 >= hold.from => Rest::Held,
            _ if self.pages.is_empty() => Rest::Unread,
            _ => Rest::Found,
        }
    }

    /// Takes the next events that the reader wants, as many as fit, and unpacks the pages that they are in.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn part(
        &mut self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventBody) -> bool,
    ) -> Result<Part, Error> {
        let with_length = |event: &Event| {
            let length = event.to_json().to_string().len();
            (event.clone(), length)
        };
        self.part_in(tenant, limits, wanted, with_length)
    }

    /// Takes the next events as [`part`](Self::part) does, as their JSON texts. `text` writes one.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn texts(
        &mut self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventBody) -> bool,
        text: impl Fn(&Event) -> String,
    ) -> Result<Part<String>, Error> {
        let with_length = |event: &Event| {
            let text = text(event);
            let length = text.len();
            (text, length)
        };
        self.part_in(tenant, limits, wanted, with_length)
    }

    /// Takes the next events in some form, each with its length in bytes.
    fn part_in<E>(
        &mut self,
        tenant: &TenantId,
        limits: Limits,
        wanted: impl Fn(&EventBody) -> bool,
        form: impl Fn(&Event) -> (E, usize),
    ) -> Result<Part<E>, Error> {
        let mut part = Part {
            events: Vec::new(),
            from: self.begin(),
            next: self.at.clone(),
            behind: 0,
            gap: self.gap,
            held: self.held,
        };
        let (mut bytes, mut packed) = (0, 0);
        'pages: while let Some(page) = self.pages.front() {
            if packed > MAX_PACKED_BYTES {
                break;
            }
            packed += page.events.len();
            let place = Position::within(page, 0);
            if self.unpacked.is_empty() {
                let events = unpack(tenant, page)?.into_iter();
                self.unpacked = events.skip(count(self.skipped)).collect();
            }
            while let Some(event) = self.unpacked.front() {
                let seq = event.seq;
                if self.held.is_some_and(|hold| seq >= hold.from) {
                    break 'pages;
                }
                if wanted(&event.body) {
                    let (event, length) = form(event);
                    let is_full =
                        part.events.len() >= limits.events || bytes + length > limits.bytes;
                    if is_full && !part.events.is_empty() {
                        break 'pages;
                    }
                    bytes += length;
                    part.events.push(event);
                }
                self.unpacked.pop_front();
                self.skipped = seq + 1 - place.page.first;
                self.at = After::Position(place.after(self.skipped));
            }
            self.pages.pop_front();
            self.skipped = 0;
        }
        part.next = self.at.clone();
        part.behind = self.newest.saturating_sub(self.passed());
        Ok(part)
    }

    /// The position before the next event.
    fn begin(&self) -> After {
        let first = self.pages.front();
        let begin = first.map(|page| After::Position(Position::within(page, self.skipped)));
        begin.unwrap_or_else(|| self.at.clone())
    }

    /// The number of the last event before the next one; 0 if there is none.
    fn passed(&self) -> u64 {
        match &self.at {
            After::Position(position) => position.next_seq().saturating_sub(1),
            After::Beginning | After::Now => 0,
        }
    }
}

/// A number of events of one page, which is never larger than a page.
fn count(events: u64) -> usize {
    usize::try_from(events).unwrap_or(usize::MAX)
}
