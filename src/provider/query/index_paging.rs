//! Pages by `startIndex` (RFC 7644 §3.4.2.4).
//!
//! Every page that has a successor leaves a mark, so that the next page is read from where this one
//! ended: what was deleted meanwhile shifts nothing, and a walk of the whole directory costs as much
//! per page at its end as at its beginning. `totalResults` stays what it was when the walk began.

use super::super::{Provider, Scope};
use super::collect::{Collected, Cut};
use super::position::Position;
use super::search::Search;
use super::total::counters;
use super::walk::Walk;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{ListResponse, Paging};
use crate::store::{PageMark, Total};

/// How long a mark counts, in seconds.
const MARK_SECONDS: u64 = 3_600;
/// What to do instead of a query that reads too much.
const WAY_OUT: &str = ", or page with `cursor`";

/// Where a page is read from, and what an earlier page has found out.
struct Start {
    position: Position,
    /// Matches between the position and the page.
    skip: u64,
    total: Option<u64>,
}

impl Provider {
    pub(super) async fn index_page(
        &self,
        scope: &Scope,
        search: &Search<'_>,
        start_index: u64,
    ) -> Result<String> {
        // The size belongs to the name, so that walks with pages of other sizes have their own marks.
        let walk_name = format!("{}#{}", search.walk, search.size);
        let start = self.start(scope, &walk_name, start_index).await?;
        let (collected, total) = self
            .collect_from(scope, search, start_index, &start)
            .await?;
        let rendered = search.render(scope, collected.matches).await?;
        let shown = rendered.texts.len() as u64;
        let next_index = start_index.saturating_add(shown);
        let next = rendered.cut_at.or(collected.next);
        if let Some(next) = next.filter(|_| shown > 0 && next_index <= total) {
            let mark = PageMark {
                start_index: next_index,
                after: serde_json::to_string(&next).unwrap_or_default(),
                total,
                expires: self.clock.now_seconds() + MARK_SECONDS,
            };
            if let Err(error) = scope.store.put_mark(&walk_name, &mark).await {
                tracing::warn!(
                    cause = Error::from(error).causes(),
                    "left no page mark; the next page will be read from an earlier one"
                );
            }
        }
        let list = ListResponse {
            total_results: Some(total),
            paging: Paging::Index { start_index },
        };
        Ok(list.render(&rendered.texts))
    }

    /// The mark to begin from: this page's own, else the nearest one before it, else the beginning.
    async fn start(&self, scope: &Scope, walk_name: &str, start_index: u64) -> Result<Start> {
        let beginning = Start {
            position: Position::START,
            skip: start_index - 1,
            total: None,
        };
        if start_index == 1 {
            return Ok(beginning);
        }
        let mark = scope.store.nearest_mark(walk_name, start_index).await?;
        let start = mark.and_then(|mark| {
            Some(Start {
                position: serde_json::from_str(&mark.after).ok()?,
                skip: start_index.checked_sub(mark.start_index)?,
                total: Some(mark.total),
            })
        });
        Ok(start.unwrap_or(beginning))
    }

    /// The page and the total.
    async fn collect_from<'r>(
        &self,
        scope: &Scope,
        search: &Search<'r>,
        start_index: u64,
        start: &Start,
    ) -> Result<(Collected<'r>, u64)> {
        let mut walk = Walk::new(scope, search, self.read_budget, &start.position);
        if start_index == 1 && search.total == Total::Counter {
            let page = walk.page(search, &start.position, Cut::first(search.size));
            return tokio::try_join!(page, counters(scope, search));
        }
        let known = match start.total {
            None if start_index > 1 => walk.known_total(search).await?,
            total => total,
        };
        if let Some(total) = known.filter(|total| start_index > *total) {
            return Ok((Collected::nothing(), total));
        }
        let cut = self.cut(search, start_index, start, known)?;
        let collected = walk.page(search, &start.position, cut).await?;
        if collected.stopped {
            return Err(search.too_much(WAY_OUT));
        }
        let counted = collected
            .counted
            .filter(|_| start.position == Position::START);
        let total = match known.or(counted) {
            Some(total) => total,
            None => walk
                .known_total(search)
                .await?
                .ok_or_else(|| search.too_much(WAY_OUT))?,
        };
        Ok((collected, total))
    }

    /// What to cut out of the walk, given the total if it is known.
    fn cut(
        &self,
        search: &Search<'_>,
        start_index: u64,
        start: &Start,
        total: Option<u64>,
    ) -> Result<Cut> {
        let count = total.is_none() && search.total == Total::Resources;
        let skip = usize::try_from(start.skip).unwrap_or(usize::MAX);
        // Where all are counted anyway, the budget decides; a page that is too far away to be walked
        // to is refused at once.
        if !count && skip >= self.read_budget.resources {
            return Err(search.too_much(WAY_OUT));
        }
        Ok(Cut {
            skip,
            size: search.size,
            count,
            enough: total.map(|total| total - (start_index - 1) + start.skip),
        })
    }
}
