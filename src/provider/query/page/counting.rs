//! Decides how many resources are read at a time, and how far the matches after the page are
//! counted.

use super::super::scan::Scan;
use super::super::size::rest_is_too_large;
use super::{Count, FIRST_BATCH};
use crate::protocol::error::Result;

/// The largest batch that is read with a limit. A larger one is read without, so it is as large as
/// one call returns.
const LARGEST_BATCH: usize = 1_000;
/// The assumed number of resources in order of creation that one read unit reads: about twice the
/// real number.
const RESOURCES_PER_UNIT: usize = 8;

/// How far the matches after a page are counted.
pub(super) struct Counting {
    count: Count,
    /// The read units that the request had used when the page was full.
    began: Option<u64>,
    /// The branch whose rest was checked against the budget last.
    checked: Option<usize>,
}

impl Counting {
    pub(super) fn new(count: Count) -> Self {
        Self {
            count,
            began: None,
            checked: None,
        }
    }

    /// The number of read units that may still be spent on the matches after the page, which is
    /// full.
    pub(super) fn units_left(&mut self, scan: &Scan<'_, '_>) -> u64 {
        if self.count == Count::No {
            return 0;
        }
        let units = scan.scope.store.meter().whole_read_units();
        let began = *self.began.get_or_insert(units);
        let most = scan.budget.total_units;
        most.saturating_sub(units.saturating_sub(began))
    }

    /// The number of resources to read next; `None` for as many as one call returns.
    pub(super) fn batch_limit(
        &mut self,
        scan: &Scan<'_, '_>,
        left: usize,
        batch: usize,
    ) -> Option<usize> {
        match (self.count, scan.is_dense()) {
            (Count::No, true) => return Some(left),
            (Count::No, false) => {
                return Some(left.max(batch)).filter(|limit| *limit <= LARGEST_BATCH);
            }
            _ => {}
        }
        // The first batch of a branch with countable keys is small. If it does not reach the end,
        // keys are counted before further resources are read.
        let is_first = scan.goes_by_keys() && self.checked != Some(scan.branch());
        let first = (is_first && left <= LARGEST_BATCH).then(|| left.max(FIRST_BATCH));
        let per_unit = match scan.is_sequential() {
            true => RESOURCES_PER_UNIT,
            false => 1,
        };
        let affordable = self.began.map(|_| {
            let units = usize::try_from(self.units_left(scan)).unwrap_or(usize::MAX);
            units.saturating_mul(per_unit)
        });
        [first, affordable].into_iter().flatten().min()
    }

    /// Whether to stop because the rest of the current branch exceeds the budget. If a page is
    /// wanted in any case, only the counting stops. The rest of a branch is counted once.
    pub(super) async fn is_unaffordable(&mut self, scan: &mut Scan<'_, '_>) -> Result<bool> {
        let branch = scan.branch();
        if self.count == Count::No
            || self.checked == Some(branch)
            || scan.is_done()
            || scan.rest().is_none()
        {
            return Ok(false);
        }
        self.checked = Some(branch);
        if !rest_is_too_large(scan).await? {
            return Ok(false);
        }
        let stops = self.count == Count::Always;
        self.count = Count::No;
        Ok(stops)
    }
}
