//! Finds the next page of a scan.

mod counting;
mod in_order;
mod sorted;

use super::position::Position;
use super::scan::{Match, Scan};
use super::search::Search;
use super::size::is_too_large;
use crate::protocol::error::Result;

pub(super) use in_order::has_another;

/// The first batch of a search whose matches may be few and far between.
const FIRST_BATCH: usize = 64;

/// What is asked of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRequest {
    /// Matches to pass over.
    pub(super) skip: usize,
    /// The most matches of the page.
    pub(super) size: usize,
    /// Whether to go on behind the page.
    pub(super) count: Count,
    /// As many matches as there can be; then no match is looked for among those without a value.
    pub(super) enough: Option<u64>,
}

/// Whether to look at the matches behind the page, to know how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Stop where the page is full.
    No,
    /// Go on if the rest is affordable; a page is wanted in any case.
    IfAffordable,
    /// Go on, and stop at once, without a page, if the rest is not affordable.
    Always,
}

impl PageRequest {
    /// The next matches, and no more than those.
    pub(super) fn first(size: usize) -> Self {
        Self {
            skip: 0,
            size,
            count: Count::No,
            enough: None,
        }
    }
}

/// A page.
pub(super) struct FoundPage<'r> {
    pub(super) matches: Vec<Match<'r>>,
    /// Where to go on, if there may be more.
    pub(super) next: Option<Position>,
    /// Whether a match behind the page was seen.
    pub(super) more: bool,
    /// The matches from where the scan began to its end, if it got there.
    pub(super) counted: Option<u64>,
    /// What is missing.
    pub(super) missing: Option<Missing>,
}

/// What could not be found within the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The rest of the page.
    Page,
    /// The number of matches.
    Total,
}

impl FoundPage<'_> {
    /// A page behind the last match.
    pub(super) fn nothing() -> Self {
        Self {
            matches: Vec::new(),
            next: None,
            more: false,
            counted: None,
            missing: None,
        }
    }
}

/// The next page, in the order of the search.
///
/// # Errors
/// `TooMany` for a list that has to be sorted in memory and is too large for that: it cannot be
/// sorted unless it is read to its end.
pub(super) async fn next_page<'r>(
    scan: &mut Scan<'_, 'r>,
    search: &Search<'_>,
    from: &Position,
    request: PageRequest,
) -> Result<FoundPage<'r>> {
    if search.sorted.is_none() {
        return in_order::next_page(scan, request).await;
    }
    let too_much = || search.too_much(&search.sortable());
    if is_too_large(scan, search).await? {
        return Err(too_much());
    }
    let border = match from {
        Position::Sorted(border) => Some(border),
        Position::Key(..) | Position::Tied(..) => None,
    };
    let page = sorted::next_page(scan, border, request).await?;
    match page.missing {
        Some(_) => Err(too_much()),
        None => Ok(page),
    }
}
