//! Cuts one page out of a walk.

use std::collections::BinaryHeap;

use super::super::compute::size_of;
use super::super::render::MAX_ANSWER_BYTES;
use super::position::Position;
use super::search::Search;
use super::walk::{Match, Walk};
use crate::protocol::error::Result;
use crate::protocol::sort::{Border, SortKey};

/// The first batch of a search whose matches may be few and far between.
const FIRST_BATCH: usize = 64;
/// A batch that would be larger is as large as one call gives.
const LARGEST_BATCH: usize = 1_000;
/// How many resources that are read one after the other are taken to fit a read unit: about twice as
/// many as do.
const RESOURCES_PER_UNIT: usize = 8;

/// What to cut out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
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

impl Cut {
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
pub(super) struct Collected<'r> {
    pub(super) matches: Vec<Match<'r>>,
    /// Where to go on, if there may be more.
    pub(super) next: Option<Position>,
    /// Whether a match behind the page was seen.
    pub(super) more: bool,
    /// The matches from where the walk began to its end, if it got there.
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

impl Collected<'_> {
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

/// How far the matches behind a page are looked at.
struct Counting {
    count: Count,
    /// The request's read units when the page was full.
    began: Option<u64>,
    /// The part whose rest was found to be affordable.
    checked: Option<usize>,
}

impl Counting {
    fn new(count: Count) -> Self {
        Self {
            count,
            began: None,
            checked: None,
        }
    }
}

impl<'r> Walk<'_, 'r> {
    /// The next page in the order of the walk.
    pub(super) async fn collect(&mut self, cut: Cut) -> Result<Collected<'r>> {
        let mut matches = Vec::<Match<'r>>::new();
        let (mut met, mut bytes, mut more) = (0_usize, 0, false);
        let mut batch = FIRST_BATCH;
        let mut counting = Counting::new(cut.count);
        let is_full =
            |matches: &[Match<'_>], bytes| matches.len() >= cut.size || bytes >= MAX_ANSWER_BYTES;
        while !self.is_done() && !self.budget.is_spent() {
            let is_enough = cut.enough.is_some_and(|enough| met as u64 >= enough);
            if is_enough && self.has_only_valueless() {
                self.finish();
                break;
            }
            if is_full(&matches, bytes) && self.units_left(&mut counting) == 0 {
                break;
            }
            let left = (cut.skip + cut.size).saturating_sub(met);
            let limit = self.batch_limit(&mut counting, left, batch);
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
            if self.is_unaffordable(&mut counting).await? {
                break;
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
        let missing = match (is_done, full) {
            (true, _) => None,
            (false, false) => Some(Missing::Page),
            (false, true) => (cut.count != Count::No).then_some(Missing::Total),
        };
        Ok(Collected {
            next,
            more,
            counted: is_done.then_some(met as u64),
            missing,
            matches,
        })
    }

    /// How many read units may still be spent on the matches behind the page, which is full.
    fn units_left(&self, counting: &mut Counting) -> u64 {
        if counting.count == Count::No {
            return 0;
        }
        let units = self.scope.store.meter().whole_read_units();
        let began = *counting.began.get_or_insert(units);
        let most = self.budget.total_units;
        most.saturating_sub(units.saturating_sub(began))
    }

    /// How many resources to read next; nothing for as many as one call gives.
    fn batch_limit(&self, counting: &mut Counting, left: usize, batch: usize) -> Option<usize> {
        match (counting.count, self.is_dense()) {
            (Count::No, true) => return Some(left),
            (Count::No, false) => {
                return Some(left.max(batch)).filter(|limit| *limit <= LARGEST_BATCH);
            }
            _ => {}
        }
        // A small batch tells whether there are more, and then keys are counted before resources are
        // read.
        let is_first = self.goes_by_keys() && counting.checked != Some(self.part());
        let first = (is_first && left <= LARGEST_BATCH).then(|| left.max(FIRST_BATCH));
        let per_unit = match self.is_scan() {
            true => RESOURCES_PER_UNIT,
            false => 1,
        };
        let affordable = counting.began.map(|_| {
            let units = usize::try_from(self.units_left(counting)).unwrap_or(usize::MAX);
            units.saturating_mul(per_unit)
        });
        [first, affordable].into_iter().flatten().min()
    }

    /// Whether to stop because the rest of a part that was begun is more than may be looked at. Where a
    /// page is wanted in any case, only the counting stops. Each part is counted once.
    async fn is_unaffordable(&mut self, counting: &mut Counting) -> Result<bool> {
        let part = self.part();
        if counting.count == Count::No
            || counting.checked == Some(part)
            || self.is_done()
            || self.rest().is_none()
        {
            return Ok(false);
        }
        counting.checked = Some(part);
        if !self.rest_is_too_large().await? {
            return Ok(false);
        }
        let stops = counting.count == Count::Always;
        counting.count = Count::No;
        Ok(stops)
    }

    /// The next page of a list that is sorted here: the smallest matches behind a position. Only as
    /// many as are passed over or shown are kept.
    async fn collect_sorted(&mut self, after: Option<&Border>, cut: Cut) -> Result<Collected<'r>> {
        let exact = match after {
            Some(border) => self.exact_key(border).await?,
            None => None,
        };
        let mut heap = BinaryHeap::<Sorted<'r>>::new();
        let (mut met, mut is_affordable, mut read) = (0, true, 0);
        let mut counting = Counting::new(Count::Always);
        while !self.is_done() && !self.budget.is_spent() && is_affordable {
            let limit = self.batch_limit(&mut counting, 0, FIRST_BATCH);
            let batch = self.next(limit).await?;
            met += batch.len() as u64;
            // A key is part of its resource, so comparing keys takes as long as the resources are.
            let size = size_of(batch.iter().map(|found| &found.stored));
            read += size;
            let is_behind =
                |key: &SortKey| after.is_none_or(|after| after.is_before(key, exact.as_ref()));
            let keep = || keep_smallest(&mut heap, batch, is_behind, cut.skip + cut.size + 1);
            self.scope.compute(size, keep).await?;
            is_affordable = !self.is_unaffordable(&mut counting).await?;
        }
        let is_done = self.is_done();
        let sorted = self.scope.compute(read, || heap.into_sorted_vec()).await?;
        let sorted = sorted.into_iter().skip(cut.skip);
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
            more,
            counted: is_done.then_some(met),
            missing: (!is_done).then_some(Missing::Page),
            matches,
        })
    }

    /// Collects by the order of the search.
    ///
    /// # Errors
    /// `TooMany` for a list that has to be sorted in memory and is too large for that: it cannot be
    /// sorted unless it is read to its end.
    pub(super) async fn page(
        &mut self,
        search: &Search<'_>,
        from: &Position,
        cut: Cut,
    ) -> Result<Collected<'r>> {
        if search.sorted.is_none() {
            return self.collect(cut).await;
        }
        let too_much = || search.too_much(&search.sortable());
        if self.is_too_large(search).await? {
            return Err(too_much());
        }
        let border = match from {
            Position::Sorted(border) => Some(border),
            Position::Key(..) | Position::Tied(..) => None,
        };
        let collected = self.collect_sorted(border, cut).await?;
        match collected.missing {
            Some(_) => Err(too_much()),
            None => Ok(collected),
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

/// Adds the matches behind a position, and keeps the smallest.
fn keep_smallest<'r>(
    heap: &mut BinaryHeap<Sorted<'r>>,
    matches: Vec<Match<'r>>,
    is_behind: impl Fn(&SortKey) -> bool,
    most: usize,
) {
    for found in matches {
        let Some(key) = found.sort_key.clone() else {
            continue;
        };
        if !is_behind(&key) {
            continue;
        }
        heap.push(Sorted(key, found));
        if heap.len() > most {
            heap.pop();
        }
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
