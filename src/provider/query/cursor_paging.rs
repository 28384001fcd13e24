//! Pages by cursor (RFC 9865).
//!
//! A cursor holds where its page begins, what earlier pages have found out, and where the pages
//! behind it began, sealed, so that nothing has to be kept for a walk. A page that is gone back to
//! begins where it began, and has what is there now.

use serde::{Deserialize, Serialize};

use super::super::Representation;
use super::cursor::{MAX_LENGTH, trail};
use super::list::List;
use super::page::{Collected, Count, Cut, has_another, page};
use super::pages::Pages;
use super::position::Position;
use super::rendering::{Rendered, rendered_page};
use super::search::Search;
use super::size::is_too_large;
use super::total::{counters, known_total};
use super::walk::Walk;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{ListResponse, Paging};
use crate::store::Total;

/// For how many seconds a cursor leads on.
pub const CURSOR_TIMEOUT_SECONDS: u32 = 3_600;

/// Where a page begins.
#[derive(Clone, Serialize, Deserialize)]
struct Begin {
    #[serde(rename = "p")]
    position: Position,
    /// The number of matches that were shown before it.
    #[serde(rename = "s")]
    shown: u64,
}

/// What a cursor holds.
#[derive(Serialize, Deserialize)]
struct State {
    /// Where its page begins.
    #[serde(flatten)]
    begin: Begin,
    /// Where the pages behind it begin, the nearest last.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<Begin>,
    /// The number of all matches when the walk began, if it is known.
    #[serde(rename = "t")]
    total: Option<u64>,
    /// The page size, which must stay the same.
    #[serde(rename = "c")]
    count: usize,
    /// When the cursor stops leading on, in seconds since the Unix epoch.
    #[serde(rename = "e")]
    expires: u64,
}

impl Begin {
    const FIRST: Self = Self {
        position: Position::START,
        shown: 0,
    };
}

/// The page that a cursor leads to, or the first page.
///
/// # Errors
/// `InvalidCursor`, `ExpiredCursor` and `InvalidCount` for the cursor; `TooMany` for a list that is too
/// large to be sorted in memory.
pub(super) async fn cursor_page<T>(
    pages: &Pages<'_>,
    search: &Search<'_>,
    cursor: Option<&str>,
    render: &impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
) -> Result<List<T>> {
    let state = match cursor {
        Some(cursor) => Some(open(pages, search, cursor)?),
        None => None,
    };
    let size = state.as_ref().map_or(search.size, |state| state.count);
    let (begin, behind) = match &state {
        Some(state) => (state.begin.clone(), state.behind.as_slice()),
        None => (Begin::FIRST, &[][..]),
    };
    let from = begin.position.clone();
    let mut walk = Walk::new(pages.scope, search, pages.read_budget, &from);
    let (collected, total) = match &state {
        Some(state) => {
            let page = page(&mut walk, search, &from, Cut::first(size));
            (page.await?, state.total)
        }
        None => first_page(&mut walk, search).await?,
    };
    let rendered = rendered_page(pages.scope, search.selection, collected.matches, render).await?;
    let shown = begin.shown + rendered.resources.len() as u64;
    let more = collected.more;
    let next = match rendered.cut_at {
        // A full page may be the last one. That is worth a look only when as many were shown as
        // there were in the beginning.
        None if !more && total.is_some_and(|total| shown >= total) => {
            further(pages, search, collected.next).await?
        }
        None => collected.next,
        cut_at => cut_at,
    };
    let at_least = shown + u64::from(next.is_some());
    let total = match total {
        Some(total) if total < at_least => grown(&mut walk, search, at_least).await?,
        total => total,
    };
    let cursor_to = |begin: Begin, behind: Vec<Begin>| {
        let expires = pages.clock.now_seconds() + u64::from(CURSOR_TIMEOUT_SECONDS);
        let state = State {
            begin,
            behind,
            total,
            count: size,
            expires,
        };
        seal(pages, search, state)
    };
    let previous = behind
        .split_last()
        .map(|(previous, behind)| cursor_to(previous.clone(), behind.to_vec()));
    let next = next.map(|position| cursor_to(Begin { position, shown }, trail(behind, begin)));
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

/// The position, if there is a match behind it. One of a list sorted in memory has one for sure.
async fn further(
    pages: &Pages<'_>,
    search: &Search<'_>,
    next: Option<Position>,
) -> Result<Option<Position>> {
    let Some(position @ (Position::Key(..) | Position::Tied(..))) = &next else {
        return Ok(next);
    };
    let mut rest = Walk::new(pages.scope, search, pages.read_budget, position);
    Ok(if has_another(&mut rest).await? {
        next
    } else {
        None
    })
}

/// A cursor, without the way back if that would make it too long.
fn seal(pages: &Pages<'_>, search: &Search<'_>, mut state: State) -> Result<String> {
    loop {
        let payload = serde_json::to_vec(&state).map_err(Error::internal)?;
        let sealed = pages.cursors.seal(payload, search.walk.as_bytes())?;
        if sealed.len() <= MAX_LENGTH || state.behind.is_empty() {
            return Ok(sealed);
        }
        state.behind.clear();
    }
}

fn open(pages: &Pages<'_>, search: &Search<'_>, cursor: &str) -> Result<State> {
    let payload = pages.cursors.open(cursor, search.walk.as_bytes());
    let state: Option<State> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let state = state.ok_or_else(|| {
        Error::invalid_cursor(
            "The cursor was not given out for this query; begin with an empty cursor",
        )
    })?;
    if state.expires <= pages.clock.now_seconds() {
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

/// The number of all matches, now that the walk has come to more than there were when it began; nothing
/// if that cannot be told without looking at them.
async fn grown(walk: &mut Walk<'_, '_>, search: &Search<'_>, at_least: u64) -> Result<Option<u64>> {
    let total = known_total(walk, search).await?;
    Ok(total.map(|total| total.max(at_least)))
}

/// The first page, and the number of all matches if it can be told within the budget.
async fn first_page<'r>(
    walk: &mut Walk<'_, 'r>,
    search: &Search<'r>,
) -> Result<(Collected<'r>, Option<u64>)> {
    let mut cut = Cut::first(search.size);
    if search.sorted.is_none() && search.total == Total::Resources {
        // What is too large to be counted is not begun to be counted.
        cut.count = match is_too_large(walk, search).await? {
            true => Count::No,
            false => Count::IfAffordable,
        };
    }
    if search.sorted.is_none() && search.total == Total::Counter {
        let scope = walk.scope;
        let page = page(walk, search, &Position::START, cut);
        let (collected, total) = tokio::try_join!(page, counters(scope, search))?;
        return Ok((collected, Some(total)));
    }
    let collected = page(walk, search, &Position::START, cut).await?;
    let total = match collected.counted {
        Some(counted) => Some(counted),
        None => known_total(walk, search).await?,
    };
    Ok((collected, total))
}
