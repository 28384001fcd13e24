//! Finds the next page of a scan.

mod counting;
mod in_order;
mod sorted;

use super::position::ScanPosition;
use super::scan::{Match, Scan};
use super::search::Search;
use super::size::is_too_large;
use crate::protocol::error::Result;

pub(super) use in_order::has_another;

/// The size of the first batch of a search whose matches may be few among many resources.
const FIRST_BATCH: usize = 64;

/// What a page asks of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRequest {
    /// The number of matches to skip.
    pub(super) skip: usize,
    /// The largest number of matches on the page.
    pub(super) size: usize,
    /// Whether to go on after the page.
    pub(super) count: Count,
    /// The number of matches that there can be, if it is known. Once all are found, resources
    /// without a value are not searched.
    pub(super) enough: Option<u64>,
}

/// Whether to count the matches after the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Stop when the page is full.
    No,
    /// Go on if the rest is within the budget. The page is wanted in any case.
    IfAffordable,
    /// Go on, or stop without a page if the rest is not within the budget.
    Always,
}

impl PageRequest {
    /// A request for the next matches, without counting.
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
    pub(super) next: Option<ScanPosition>,
    /// Whether a match after the page was found.
    pub(super) more: bool,
    /// The number of matches from the beginning of the scan to its end, if it got there.
    pub(super) counted: Option<u64>,
    /// What could not be found within the budget, if anything.
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
    /// A page after the last match.
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
/// `TooMany` for a list that has to be sorted in memory and is too large for it, because it must be
/// read to its end for that.
pub(super) async fn next_page<'r>(
    scan: &mut Scan<'_, 'r>,
    search: &Search<'_>,
    from: &ScanPosition,
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
        ScanPosition::Sorted(border) => Some(border),
        ScanPosition::Key(..) | ScanPosition::Tied(..) => None,
    };
    let page = sorted::next_page(scan, border, request).await?;
    match page.missing {
        Some(_) => Err(too_much()),
        None => Ok(page),
    }
}
