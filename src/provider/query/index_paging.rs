//! Pages by `startIndex` (RFC 7644 §3.4.2.4).
//!
//! Every page that has a next one, and the last page of a walk of several pages, leaves a mark. The
//! next page is read from the mark of this one. So deletions in between do not shift it, and in a
//! walk through the whole directory the last page costs as much as the first.
//!
//! A mark also holds the walk's total, so pages in the middle of a walk need not count. But the
//! total does not decide where the walk ends: a page that reaches it, or begins after it, reads how
//! many matches there are now. So within a walk the total grows if resources are created, and it
//! never shrinks.

use super::super::{Representation, RequestScope};
use super::context::QueryContext;
use super::list::List;
use super::page::{Count, FoundPage, Missing, PageRequest, has_another, next_page};
use super::position::ScanPosition;
use super::rendering::{Rendered, rendered_page};
use super::scan::Scan;
use super::search::Search;
use super::size::is_too_large;
use super::total::{counters, known_total};
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{ListResponse, Paging};
use crate::store::{PageMark, Total};

/// How long a mark is valid, in seconds.
const MARK_SECONDS: u64 = 3_600;
/// What the error of a query that reads too much suggests in addition.
const WAY_OUT: &str = ", or page with `cursor` in SCIM 2.0";

/// Where reading for a page begins, and the total that an earlier page has found.
struct StartPoint {
    position: ScanPosition,
    /// The number of matches between the position and the page.
    skip: u64,
    total: Option<u64>,
}

/// The page that begins with the match at `start_index`, which is 1-based.
///
/// # Errors
/// `TooMany` when finding the page, sorting the list or counting the matches would read more than the
/// budget.
pub(super) async fn index_page<T>(
    context: &QueryContext<'_>,
    search: &Search<'_>,
    start_index: u64,
    render: &impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
) -> Result<List<T>> {
    // The page size is part of the name, so that walks with different page sizes have different
    // marks.
    let scope = context.scope;
    let walk_name = format!("{}#{}", search.walk, search.size);
    let start = start_of(scope, &walk_name, start_index).await?;
    let (page, total) = page_from(context, search, start_index, &start).await?;
    let last = page.matches.last().map(|last| last.position.clone());
    let rendered = rendered_page(scope, search.selection, page.matches, render).await?;
    let shown = rendered.resources.len() as u64;
    let next_index = start_index.saturating_add(shown);
    let next = rendered.cut_at.or(page.next);
    let next = next.filter(|_| next_index <= total);
    // The last page leaves a mark too. A client that returns to the end of its walk goes on after
    // the last resource that it has seen, even if resources before it were deleted.
    let next = next.or(last.filter(|_| start_index > 1));
    if let Some(next) = next.filter(|_| shown > 0) {
        let mark = PageMark {
            start_index: next_index,
            after: serde_json::to_string(&next).unwrap_or_default(),
            total,
            expires: context.clock.now_seconds() + MARK_SECONDS,
        };
        // The answer is right without the mark. The next page is then found from an earlier mark, so
        // the request does not fail.
        if let Err(error) = scope.store.marks().put(&walk_name, &mark).await {
            tracing::warn!(
                cause = Error::from(error).causes(),
                "left no page mark; the next page will be read from an earlier one"
            );
        }
    }
    Ok(List {
        head: ListResponse {
            total_results: Some(total),
            paging: Paging::Index { start_index },
        },
        resources: rendered.resources,
    })
}

/// Where reading begins: at this page's own mark, otherwise at the nearest mark before it, otherwise
/// at the beginning of the list.
async fn start_of(scope: &RequestScope, walk_name: &str, start_index: u64) -> Result<StartPoint> {
    let beginning = StartPoint {
        position: ScanPosition::START,
        skip: start_index - 1,
        total: None,
    };
    if start_index == 1 {
        return Ok(beginning);
    }
    let mark = scope.store.marks().nearest(walk_name, start_index).await?;
    let start = mark.and_then(|mark| {
        Some(StartPoint {
            position: serde_json::from_str(&mark.after).ok()?,
            skip: start_index.checked_sub(mark.start_index)?,
            total: Some(mark.total),
        })
    });
    Ok(start.unwrap_or(beginning))
}

/// The page and the total.
async fn page_from<'r>(
    context: &QueryContext<'_>,
    search: &Search<'r>,
    start_index: u64,
    start: &StartPoint,
) -> Result<(FoundPage<'r>, u64)> {
    let scan = Scan::new(context.scope, search, context.read_budget, &start.position);
    let mut at = PageAt {
        scan,
        search,
        start,
        start_index,
    };
    let behind = start_index.saturating_add(search.size as u64);
    match start.total {
        // In the middle of a walk the total is taken from the mark, and nothing is counted.
        Some(total) if behind <= total && search.sorted.is_none() => {
            let request = at.request(Count::No, None)?;
            let page = at.find(request).await?;
            Ok((page, total))
        }
        _ if search.looks_at_all() => at.counted_on_the_way().await,
        _ => at.counted_apart().await,
    }
}

/// A page that is being found.
struct PageAt<'p, 'r> {
    scan: Scan<'p, 'r>,
    search: &'p Search<'r>,
    start: &'p StartPoint,
    start_index: u64,
}

impl<'r> PageAt<'_, 'r> {
    /// A page of a search whose matches have to be read to be counted or sorted.
    async fn counted_on_the_way(&mut self) -> Result<(FoundPage<'r>, u64)> {
        let is_whole = self.start.position == ScanPosition::START;
        // The size of a list that is sorted in memory is checked where the list is sorted.
        let is_checked = self.search.sorted.is_some();
        if is_whole && !is_checked && is_too_large(&self.scan, self.search).await? {
            return Err(self.search.too_much(WAY_OUT));
        }
        let request = self.request(Count::Always, None)?;
        let page = self.find(request).await?;
        let counted = page.counted.unwrap_or(0);
        // A list that is sorted in memory is read from its beginning for every page, so its count
        // includes earlier pages.
        let earlier = match self.search.sorted {
            Some(_) => 0,
            None => self.earlier(),
        };
        Ok((
            page,
            self.start.total.max(Some(earlier + counted)).unwrap_or(0),
        ))
    }

    /// A page of a search whose matches are counted by counters or by their keys.
    async fn counted_apart(&mut self) -> Result<(FoundPage<'r>, u64)> {
        if self.start_index == 1 {
            return self.first().await;
        }
        let current = known_total(&mut self.scan, self.search).await?;
        let current = current.ok_or_else(|| self.search.too_many_to_count(WAY_OUT))?;
        let known = current.max(self.start.total.unwrap_or(0));
        // The page begins after the last match that there can be, so nothing is read.
        if self.start_index > self.earlier().saturating_add(current) {
            return Ok((FoundPage::nothing(), known));
        }
        let request = self.request(Count::No, Some(known))?;
        let mut page = self.find(request).await?;
        let shown = self.start_index - 1 + page.matches.len() as u64;
        // A full page may be the last one. It is worth a read to find out only if all known matches
        // have been shown.
        let is_open = page.counted.is_none() && !page.more && shown >= known;
        if is_open && !has_another(&mut self.scan).await? {
            page.next = None;
        }
        let seen = match page.counted {
            Some(counted) => self.earlier() + counted,
            None => shown + u64::from(page.next.is_some()),
        };
        Ok((page, known.max(seen)))
    }

    /// The first page of a walk.
    async fn first(&mut self) -> Result<(FoundPage<'r>, u64)> {
        let request = PageRequest::first(self.search.size);
        if self.search.total == Total::Counter {
            let (scope, search) = (self.scan.scope, self.search);
            let page = self.find(request);
            let (page, total) = tokio::try_join!(page, counters(scope, search))?;
            let total = total.max(page.matches.len() as u64);
            return Ok((page, total));
        }
        let page = self.find(request).await?;
        let total = match page.counted {
            Some(counted) => Some(counted),
            None => known_total(&mut self.scan, self.search).await?,
        };
        let total = total.ok_or_else(|| self.search.too_many_to_count(WAY_OUT))?;
        Ok((page, total))
    }

    /// The number of matches before the mark.
    fn earlier(&self) -> u64 {
        (self.start_index - 1).saturating_sub(self.start.skip)
    }

    /// The page, or an error if a part of it could not be found within the budget.
    async fn find(&mut self, request: PageRequest) -> Result<FoundPage<'r>> {
        let page = next_page(&mut self.scan, self.search, &self.start.position, request);
        let page = page.await?;
        match page.missing {
            None => Ok(page),
            Some(Missing::Page) => Err(self.search.too_much(WAY_OUT)),
            Some(Missing::Total) => Err(self.search.too_many_to_count(WAY_OUT)),
        }
    }

    /// The request to the scan, given the number of matches if it is known.
    fn request(&self, count: Count, total: Option<u64>) -> Result<PageRequest> {
        let skip = usize::try_from(self.start.skip).unwrap_or(usize::MAX);
        // If all matches are counted anyway, the budget ends the scan. Otherwise a page that is too
        // far from the mark to be reached is refused at once.
        if count == Count::No && skip >= self.scan.budget.resources {
            return Err(self.search.too_much(WAY_OUT));
        }
        Ok(PageRequest {
            skip,
            size: self.search.size,
            count,
            enough: total.map(|total| total.saturating_sub(self.earlier())),
        })
    }
}
