//! Cuts one page out of a walk.

use std::collections::BinaryHeap;

use super::super::render::MAX_ANSWER_BYTES;
use super::position::Position;
use super::search::Search;
use super::walk::{Match, Walk};
use crate::protocol::error::Result;
use crate::protocol::sort::SortKey;

/// The first batch of a search whose matches may be few and far between.
const FIRST_BATCH: usize = 64;
/// A batch that would be larger is as large as one call gives.
const LARGEST_BATCH: usize = 1_000;

/// What to cut out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Matches to pass over.
    pub(super) skip: usize,
    /// The most matches of the page.
    pub(super) size: usize,
    /// Whether to go on to the end, to know how many there are.
    pub(super) count: bool,
    /// As many matches as there can be; then nobody is looked for among those without a value.
    pub(super) enough: Option<u64>,
}

impl Cut {
    /// The next matches, and no more than those.
    pub(super) fn first(size: usize) -> Self {
        Self {
            skip: 0,
            size,
            count: false,
            enough: None,
        }
    }
}

/// A page.
pub(super) struct Collected<'r> {
    pub(super) matches: Vec<Match<'r>>,
    /// Where to go on, if there may be more.
    pub(super) next: Option<Position>,
    /// The matches from where the walk began to its end, if it got there.
    pub(super) counted: Option<u64>,
    /// Whether the budget was spent before the page was full or everything was counted.
    pub(super) stopped: bool,
}

impl Collected<'_> {
    /// A page behind the last match.
    pub(super) fn nothing() -> Self {
        Self {
            matches: Vec::new(),
            next: None,
            counted: None,
            stopped: false,
        }
    }
}

impl<'r> Walk<'_, 'r> {
    /// The next page in the order of the walk.
    pub(super) async fn collect(&mut self, cut: Cut) -> Result<Collected<'r>> {
        let mut matches = Vec::<Match<'r>>::new();
        let (mut met, mut bytes, mut more) = (0_usize, 0, false);
        let mut batch = FIRST_BATCH;
        let is_full =
            |matches: &[Match<'_>], bytes| matches.len() >= cut.size || bytes >= MAX_ANSWER_BYTES;
        while !self.is_done() && (cut.count || !is_full(&matches, bytes)) && !self.budget.is_spent()
        {
            let enough = cut.enough.is_some_and(|enough| met as u64 >= enough);
            if enough && self.has_only_valueless() {
                self.finish();
                break;
            }
            let left = (cut.skip + cut.size).saturating_sub(met);
            let limit = match (cut.count, self.is_dense()) {
                (true, _) => None,
                (false, true) => Some(left),
                (false, false) => Some(left.max(batch)).filter(|limit| *limit <= LARGEST_BATCH),
            };
            batch = batch.saturating_mul(4);
            for found in self.next(limit).await? {
                met += 1;
                if met <= cut.skip {
                    continue;
                }
                if is_full(&matches, bytes) {
                    more = true;
                } else {
                    bytes += found.stored.body.len();
                    matches.push(found);
                }
            }
        }
        let is_done = self.is_done();
        let full = is_full(&matches, bytes);
        let last = matches.last().map(|found| found.position.clone());
        let next = match (more || !is_done, full) {
            (false, _) => None,
            (true, true) => last,
            (true, false) => Some(self.position()),
        };
        Ok(Collected {
            next,
            counted: is_done.then_some(met as u64),
            stopped: !is_done && (cut.count || !full),
            matches,
        })
    }

    /// The next page of a list that is sorted here: the smallest matches behind a position. Only as
    /// many as are passed over or shown are kept.
    pub(super) async fn collect_sorted(
        &mut self,
        after: Option<&SortKey>,
        cut: Cut,
    ) -> Result<Collected<'r>> {
        let mut heap = BinaryHeap::<Sorted<'r>>::new();
        let mut met = 0;
        while !self.is_done() && !self.budget.is_spent() {
            for found in self.next(None).await? {
                met += 1;
                let Some(key) = found.sort_key.clone() else {
                    continue;
                };
                if after.is_some_and(|after| key <= *after) {
                    continue;
                }
                heap.push(Sorted(key, found));
                if heap.len() > cut.skip + cut.size + 1 {
                    heap.pop();
                }
            }
        }
        let stopped = !self.is_done();
        let sorted = heap.into_sorted_vec().into_iter().skip(cut.skip);
        let (mut matches, mut bytes, mut more) = (Vec::new(), 0, false);
        for Sorted(_, found) in sorted {
            if matches.len() >= cut.size || bytes >= MAX_ANSWER_BYTES {
                more = true;
                break;
            }
            bytes += found.stored.body.len();
            matches.push(found);
        }
        let last = matches
            .last()
            .map(|found: &Match<'_>| found.position.clone());
        Ok(Collected {
            next: last.filter(|_| more),
            counted: (!stopped).then_some(met),
            stopped,
            matches,
        })
    }

    /// Collects by the order of the search.
    pub(super) async fn page(
        &mut self,
        search: &Search<'_>,
        from: &Position,
        cut: Cut,
    ) -> Result<Collected<'r>> {
        match search.sorted {
            None => self.collect(cut).await,
            Some(order) => {
                let collected = self
                    .collect_sorted(from.sort_key(order).as_ref(), cut)
                    .await?;
                match collected.stopped {
                    // A list that is not read to its end cannot be sorted.
                    true => Err(search.too_much(", or sort by one")),
                    false => Ok(collected),
                }
            }
        }
    }

    /// Whether there is one more match, as far as the budget reaches.
    pub(super) async fn has_another(&mut self) -> Result<bool> {
        while !self.is_done() && !self.budget.is_spent() {
            let limit = if self.is_dense() { 1 } else { FIRST_BATCH };
            if !self.next(Some(limit)).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(!self.is_done())
    }
}

/// A match in the order of the list.
struct Sorted<'r>(SortKey, Match<'r>);

impl Ord for Sorted<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Sorted<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sorted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Sorted<'_> {}
