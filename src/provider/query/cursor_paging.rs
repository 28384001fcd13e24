//! Pages by cursor (RFC 9865).
//!
//! A cursor holds the beginning of its page, the total that earlier pages have found, and the
//! beginnings of the pages before it. All of this is sealed. So the server stores nothing for a
//! walk. If a client goes back to an earlier page, that page begins where it began before, and shows
//! the resources as they are now.

use serde::{Deserialize, Serialize};

use super::super::Representation;
use super::context::QueryContext;
use super::cursor::{MAX_LENGTH, trail};
use super::list::List;
use super::page::{Count, FoundPage, PageRequest, has_another, next_page};
use super::position::ScanPosition;
use super::rendering::{Rendered, rendered_page};
use super::scan::Scan;
use super::search::Search;
use super::size::is_too_large;
use super::total::{counters, known_total};
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{ListResponse, Paging};
use crate::store::Total;

/// How long a cursor is valid, in seconds.
pub const CURSOR_TIMEOUT_SECONDS: u32 = 3_600;

/// Where a page begins.
#[derive(Clone, Serialize, Deserialize)]
struct Beginning {
    #[serde(rename = "p")]
    position: ScanPosition,
    /// The number of matches that were shown before it.
    #[serde(rename = "s")]
    shown: u64,
}

/// What a cursor holds.
#[derive(Serialize, Deserialize)]
struct ListCursor {
    /// The beginning of its page.
    #[serde(flatten)]
    begin: Beginning,
    /// The beginnings of the pages before it, the nearest last.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<Beginning>,
    /// The number of all matches when the walk began, if it is known.
    #[serde(rename = "t")]
    total: Option<u64>,
    /// The page size, which must stay the same.
    #[serde(rename = "c")]
    count: usize,
    /// When the cursor expires, in seconds since the Unix epoch.
    #[serde(rename = "e")]
    expires: u64,
}

impl Beginning {
    const FIRST: Self = Self {
        position: ScanPosition::START,
        shown: 0,
    };
}

/// The page that a cursor leads to, or the first page.
///
/// # Errors
/// `InvalidCursor`, `ExpiredCursor` and `InvalidCount` for the cursor; `TooMany` for a list that is too
/// large to be sorted in memory.
pub(super) async fn cursor_page<T>(
    context: &QueryContext<'_>,
    search: &Search<'_>,
    cursor: Option<&str>,
    render: &impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
) -> Result<List<T>> {
    let state = match cursor {
        Some(cursor) => Some(open(context, search, cursor)?),
        None => None,
    };
    let size = state.as_ref().map_or(search.size, |state| state.count);
    let (begin, behind) = match &state {
        Some(state) => (state.begin.clone(), state.behind.as_slice()),
        None => (Beginning::FIRST, &[][..]),
    };
    let from = begin.position.clone();
    let mut scan = Scan::new(context.scope, search, context.read_budget, &from);
    let (page, total) = match &state {
        Some(state) => {
            let page = next_page(&mut scan, search, &from, PageRequest::first(size));
            (page.await?, state.total)
        }
        None => first_page(&mut scan, search).await?,
    };
    let rendered = rendered_page(context.scope, search.selection, page.matches, render).await?;
    let shown = begin.shown + rendered.resources.len() as u64;
    let more = page.more;
    let next = match rendered.cut_at {
        // A full page may be the last one. It is worth a read to find out only if as many resources
        // have been shown as there were when the walk began.
        None if !more && total.is_some_and(|total| shown >= total) => {
            further(context, search, page.next).await?
        }
        None => page.next,
        cut_at => cut_at,
    };
    let at_least = shown + u64::from(next.is_some());
    let total = match total {
        Some(total) if total < at_least => grown(&mut scan, search, at_least).await?,
        total => total,
    };
    let cursor_to = |begin: Beginning, behind: Vec<Beginning>| {
        let expires = context.clock.now_seconds() + u64::from(CURSOR_TIMEOUT_SECONDS);
        let state = ListCursor {
            begin,
            behind,
            total,
            count: size,
            expires,
        };
        seal(context, search, state)
    };
    let previous = behind
        .split_last()
        .map(|(previous, behind)| cursor_to(previous.clone(), behind.to_vec()));
    let next = next.map(|position| cursor_to(Beginning { position, shown }, trail(behind, begin)));
    Ok(List {
        head: ListResponse {
            total_results: total,
            paging: Paging::Cursor {
                next: next.transpose()?,
                previous: previous.transpose()?,
            },
        },
        resources: rendered.resources,
    })
}

/// The position, if there is a match after it. In a list that is sorted in memory there always is
/// one.
async fn further(
    context: &QueryContext<'_>,
    search: &Search<'_>,
    next: Option<ScanPosition>,
) -> Result<Option<ScanPosition>> {
    let Some(position @ (ScanPosition::Key(..) | ScanPosition::Tied(..))) = &next else {
        return Ok(next);
    };
    let mut rest = Scan::new(context.scope, search, context.read_budget, position);
    Ok(if has_another(&mut rest).await? {
        next
    } else {
        None
    })
}

/// Seals a cursor. If it would be too long, the beginnings of earlier pages are left out.
fn seal(context: &QueryContext<'_>, search: &Search<'_>, mut state: ListCursor) -> Result<String> {
    loop {
        let payload = serde_json::to_vec(&state).map_err(Error::internal)?;
        let sealed = context.cursors.seal(payload, search.walk.as_bytes())?;
        if sealed.len() <= MAX_LENGTH || state.behind.is_empty() {
            return Ok(sealed);
        }
        state.behind.clear();
    }
}

fn open(context: &QueryContext<'_>, search: &Search<'_>, cursor: &str) -> Result<ListCursor> {
    let payload = context.cursors.open(cursor, search.walk.as_bytes());
    let state: Option<ListCursor> =
        payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let state = state.ok_or_else(|| {
        Error::invalid_cursor(
            "The cursor was not given out for this query; begin with an empty cursor",
        )
    })?;
    if state.expires <= context.clock.now_seconds() {
        return Err(Error::expired_cursor(format!(
            "The cursor is older than {CURSOR_TIMEOUT_SECONDS} seconds; begin with an empty cursor"
        )));
    }
    if search.sized && search.size != state.count {
        return Err(Error::invalid_count(format!(
            "`count` is not {}, as it was in the first request of this walk",
            state.count
        )));
    }
    Ok(state)
}

/// The number of all matches, for a walk that has shown more of them than there were when it began.
/// `None` if they cannot be counted without reading the resources.
async fn grown(scan: &mut Scan<'_, '_>, search: &Search<'_>, at_least: u64) -> Result<Option<u64>> {
    let total = known_total(scan, search).await?;
    Ok(total.map(|total| total.max(at_least)))
}

/// The first page, and the number of all matches if they can be counted within the budget.
async fn first_page<'r>(
    scan: &mut Scan<'_, 'r>,
    search: &Search<'r>,
) -> Result<(FoundPage<'r>, Option<u64>)> {
    let mut request = PageRequest::first(search.size);
    if search.sorted.is_none() && search.total == Total::Resources {
        // Counting does not begin if there is too much to count.
        request.count = match is_too_large(scan, search).await? {
            true => Count::No,
            false => Count::IfAffordable,
        };
    }
    if search.sorted.is_none() && search.total == Total::Counter {
        let scope = scan.scope;
        let page = next_page(scan, search, &ScanPosition::START, request);
        let (page, total) = tokio::try_join!(page, counters(scope, search))?;
        return Ok((page, Some(total)));
    }
    let page = next_page(scan, search, &ScanPosition::START, request).await?;
    let total = match page.counted {
        Some(counted) => Some(counted),
        None => known_total(scan, search).await?,
    };
    Ok((page, total))
}
