//! Finds out in advance whether a query has to read more than the budget allows.

use super::count::count_rest;
use super::scan::Scan;
use super::search::Search;
use crate::protocol::error::Result;
use crate::store::Access;

/// Whether a search has to read every resource of some types, and the counters of these types say
/// that this is more than the budget allows. It takes one call for each of these types.
pub(super) async fn is_too_large(scan: &Scan<'_, '_>, search: &Search<'_>) -> Result<bool> {
    let (mut total, mut known) = (0_u64, Vec::<(&str, u64)>::new());
    for branch in &search.branches {
        let is_everything = match &branch.access {
            Access::All | Access::Without(..) => true,
            Access::Range(range) => range.is_whole(),
            _ => false,
        };
        if !is_everything {
            continue;
        }
        let name = branch.resource_type.name.as_str();
        let counted = known.iter().find(|(other, _)| *other == name);
        let count = match counted {
            Some((_, count)) => *count,
            None => {
                let count = scan
                    .scope
                    .store
                    .resources()
                    .total(branch.resource_type)
                    .await?;
                known.push((name, count));
                count
            }
        };
        total = total.saturating_add(count);
    }
    Ok(total > scan.budget.resources as u64)
}

/// Whether the rest of the current branch leads to more resources than the budget allows. To find
/// out, keys are counted and no resources are read.
pub(super) async fn rest_is_too_large(scan: &mut Scan<'_, '_>) -> Result<bool> {
    let Some((branch, after)) = scan.rest() else {
        return Ok(false);
    };
    let limit = scan.budget.size();
    let counted = count_rest(&mut scan.reader, branch, after.as_deref(), limit);
    Ok(counted.await?.is_none())
}
