//! The next page of a scan whose order is that of the list.

use super::super::super::related::MAX_ANSWER_BYTES;
use super::super::scan::{Match, Scan};
use super::counting::Counting;
use super::{Count, FIRST_BATCH, FoundPage, Missing, PageRequest};
use crate::protocol::error::Result;

/// The next page in the order of the scan.
pub(super) async fn next_page<'r>(
    scan: &mut Scan<'_, 'r>,
    request: PageRequest,
) -> Result<FoundPage<'r>> {
    let mut matches = Vec::<Match<'r>>::new();
    let (mut met, mut bytes, mut more) = (0_usize, 0, false);
    let mut batch = FIRST_BATCH;
    let mut counting = Counting::new(request.count);
    let is_full =
        |matches: &[Match<'_>], bytes| matches.len() >= request.size || bytes >= MAX_ANSWER_BYTES;
    while !scan.is_done() && !scan.budget.is_spent() {
        let is_enough = request.enough.is_some_and(|enough| met as u64 >= enough);
        if is_enough && scan.has_only_valueless() {
            scan.finish();
            break;
        }
        if is_full(&matches, bytes) && counting.units_left(scan) == 0 {
            break;
        }
        let left = (request.skip + request.size).saturating_sub(met);
        let limit = counting.batch_limit(scan, left, batch);
        batch = batch.saturating_mul(4);
        for found in scan.next(limit).await? {
            met += 1;
            if met <= request.skip {
                continue;
            }
            if is_full(&matches, bytes) {
                more = true;
            } else {
                bytes += found.stored.body.len();
                matches.push(found);
            }
        }
        if counting.is_unaffordable(scan).await? {
            break;
        }
    }
    let is_done = scan.is_done();
    let full = is_full(&matches, bytes);
    let last = matches.last().map(|found| found.position.clone());
    let next = match (more || !is_done, full) {
        (false, _) => None,
        (true, true) => last,
        (true, false) => Some(scan.position()),
    };
    let missing = match (is_done, full) {
        (true, _) => None,
        (false, false) => Some(Missing::Page),
        (false, true) => (request.count != Count::No).then_some(Missing::Total),
    };
    Ok(FoundPage {
        next,
        more,
        counted: is_done.then_some(met as u64),
        missing,
        matches,
    })
}

/// Whether there is another match. If the budget ends before the scan, this is assumed.
pub(in super::super) async fn has_another(scan: &mut Scan<'_, '_>) -> Result<bool> {
    while !scan.is_done() && !scan.budget.is_spent() {
        let limit = if scan.is_dense() { 1 } else { FIRST_BATCH };
        if !scan.next(Some(limit)).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(!scan.is_done())
}
