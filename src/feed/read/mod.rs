//! Reads a feed from a position on.
//!
//! A read makes one or two calls, and unpacks a bounded part of what they bring. What is returned has
//! every event of its part: a position whose next event is not there any more is refused.

mod after;
mod found;

use std::collections::VecDeque;

pub use after::After;
pub use found::{Found, Limits, Part, Rest};

use super::brake::{BrakeRules, Tally};
use super::event::EventBody;
use super::position::Position;
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::protocol::profile::Switches;
use crate::store::{Epoch, FeedPage, PageKey, StoreError, TenantStore};

/// The most pages that one call reads. It also reads no more than 1 MB.
const MAX_PAGES: usize = 1_000;

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
