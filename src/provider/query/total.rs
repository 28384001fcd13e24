//! `totalResults`, if it can be found without reading the resources.

use futures_util::future::try_join_all;

use super::super::RequestScope;
use super::count::count;
use super::scan::Scan;
use super::search::Search;
use crate::protocol::error::Result;
use crate::store::Total;

/// The number of all resources of the types of a search, which must have no filter.
pub(super) async fn counters(scope: &RequestScope, search: &Search<'_>) -> Result<u64> {
    let totals = search
        .types()
        .iter()
        .map(|resource_type| scope.store.resources().total(resource_type));
    Ok(try_join_all(totals).await?.into_iter().sum())
}

/// The number of matches by counters or keys. `None` if neither gives the number, or if counting the
/// keys costs more than the budget allows.
pub(super) async fn known_total(
    scan: &mut Scan<'_, '_>,
    search: &Search<'_>,
) -> Result<Option<u64>> {
    match search.total {
        Total::Counter => Ok(Some(counters(scan.scope, search).await?)),
        Total::Keys => count_keys(scan, search).await,
        Total::Resources => Ok(None),
    }
}

async fn count_keys(scan: &mut Scan<'_, '_>, search: &Search<'_>) -> Result<Option<u64>> {
    let mut limit = scan.budget.total();
    let mut total = 0;
    for branch in &search.branches {
        let before = scan.scope.store.meter().whole_read_units();
        let Some(counted) = count(&mut scan.reader, branch, limit).await? else {
            return Ok(None);
        };
        let spent = scan.scope.store.meter().whole_read_units() - before;
        limit.read_units = limit.read_units.saturating_sub(spent);
        total += counted;
    }
    Ok(Some(total))
}
