//! The next page of a list that has to be sorted in memory.

use std::collections::BinaryHeap;

use super::super::super::compute::size_of;
use super::super::super::related::MAX_ANSWER_BYTES;
use super::super::evaluation::exact_key;
use super::super::scan::{Match, Scan};
use super::counting::Counting;
use super::{Count, FIRST_BATCH, FoundPage, Missing, PageRequest};
use crate::protocol::error::Result;
use crate::protocol::sort::{Border, SortKey};

/// The next page: the smallest matches after a position. Only as many matches are kept as are
/// skipped or shown.
pub(super) async fn next_page<'r>(
    scan: &mut Scan<'_, 'r>,
    after: Option<&Border>,
    request: PageRequest,
) -> Result<FoundPage<'r>> {
    let exact = match after {
        Some(border) => exact_key(scan.scope, scan.branches(), border).await?,
        None => None,
    };
    let mut heap = BinaryHeap::<Sorted<'r>>::new();
    let (mut met, mut is_affordable, mut read) = (0, true, 0);
    let mut counting = Counting::new(Count::Always);
    while !scan.is_done() && !scan.budget.is_spent() && is_affordable {
        let limit = counting.batch_limit(scan, 0, FIRST_BATCH);
        let batch = scan.next(limit).await?;
        met += batch.len() as u64;
        // A sort key is a part of its resource, so the size of the resources bounds the time to
        // compare keys.
        let size = size_of(batch.iter().map(|found| &found.stored));
        read += size;
        let is_behind =
            |key: &SortKey| after.is_none_or(|after| after.is_before(key, exact.as_ref()));
        let keep = || keep_smallest(&mut heap, batch, is_behind, request.skip + request.size + 1);
        scan.scope.compute.run(size, keep).await?;
        is_affordable = !counting.is_unaffordable(scan).await?;
    }
    let is_done = scan.is_done();
    let sorted = scan
        .scope
        .compute
        .run(read, || heap.into_sorted_vec())
        .await?;
    let sorted = sorted.into_iter().skip(request.skip);
    let (mut matches, mut bytes, mut more) = (Vec::new(), 0, false);
    for Sorted(_, found) in sorted {
        if matches.len() >= request.size || bytes >= MAX_ANSWER_BYTES {
            more = true;
            break;
        }
        bytes += found.stored.body.len();
        matches.push(found);
    }
    let last = matches
        .last()
        .map(|found: &Match<'_>| found.position.clone());
    Ok(FoundPage {
        next: last.filter(|_| more),
        more,
        counted: is_done.then_some(met),
        missing: (!is_done).then_some(Missing::Page),
        matches,
    })
}

/// Adds the matches that are after a position, and keeps only the smallest.
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
