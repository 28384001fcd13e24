//! The next page of a walk whose order is that of the list.

use super::super::super::related::MAX_ANSWER_BYTES;
use super::super::walk::{Match, Walk};
use super::counting::Counting;
use super::{Collected, Count, Cut, FIRST_BATCH, Missing};
use crate::protocol::error::Result;

/// The next page in the order of the walk.
pub(super) async fn collect<'r>(walk: &mut Walk<'_, 'r>, cut: Cut) -> Result<Collected<'r>> {
    let mut matches = Vec::<Match<'r>>::new();
    let (mut met, mut bytes, mut more) = (0_usize, 0, false);
    let mut batch = FIRST_BATCH;
    let mut counting = Counting::new(cut.count);
    let is_full =
        |matches: &[Match<'_>], bytes| matches.len() >= cut.size || bytes >= MAX_ANSWER_BYTES;
    while !walk.is_done() && !walk.budget.is_spent() {
        let is_enough = cut.enough.is_some_and(|enough| met as u64 >= enough);
        if is_enough && walk.has_only_valueless() {
            walk.finish();
            break;
        }
        if is_full(&matches, bytes) && counting.units_left(walk) == 0 {
            break;
        }
        let left = (cut.skip + cut.size).saturating_sub(met);
        let limit = counting.batch_limit(walk, left, batch);
        batch = batch.saturating_mul(4);
        for found in walk.next(limit).await? {
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
        if counting.is_unaffordable(walk).await? {
            break;
        }
    }
    let is_done = walk.is_done();
    let full = is_full(&matches, bytes);
    let last = matches.last().map(|found| found.position.clone());
    let next = match (more || !is_done, full) {
        (false, _) => None,
        (true, true) => last,
        (true, false) => Some(walk.position()),
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

/// Whether there is one more match, as far as the budget reaches.
pub(in super::super) async fn has_another(walk: &mut Walk<'_, '_>) -> Result<bool> {
    while !walk.is_done() && !walk.budget.is_spent() {
        let limit = if walk.is_dense() { 1 } else { FIRST_BATCH };
        if !walk.next(Some(limit)).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(!walk.is_done())
}
