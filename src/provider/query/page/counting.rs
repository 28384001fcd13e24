//! How many resources to read at a time, and how far those behind the page are counted.

use super::super::scan::Scan;
use super::super::size::rest_is_too_large;
use super::{Count, FIRST_BATCH};
use crate::protocol::error::Result;

/// A batch that would be larger is as large as one call gives.
const LARGEST_BATCH: usize = 1_000;
/// How many resources that are read one after the other are taken to fit a read unit: about twice as
/// many as do.
const RESOURCES_PER_UNIT: usize = 8;

/// How far the matches behind a page are looked at.
pub(super) struct Counting {
    count: Count,
    /// The request's read units when the page was full.
    began: Option<u64>,
    /// The branch whose rest was found to be affordable.
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

    /// How many read units may still be spent on the matches behind the page, which is full.
    pub(super) fn units_left(&mut self, scan: &Scan<'_, '_>) -> u64 {
        if self.count == Count::No {
            return 0;
        }
        let units = scan.scope.store.meter().whole_read_units();
        let began = *self.began.get_or_insert(units);
        let most = scan.budget.total_units;
        most.saturating_sub(units.saturating_sub(began))
    }

    /// How many resources to read next; nothing for as many as one call gives.
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
        // A small batch tells whether there are more, and then keys are counted before resources are
        // read.
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

    /// Whether to stop because the rest of a branch that was begun is more than may be looked at. Where a
    /// page is wanted in any case, only the counting stops. Each branch is counted once.
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
