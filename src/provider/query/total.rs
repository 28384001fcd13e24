//! `totalResults`, where it is known without looking at the resources.

use futures_util::future::try_join_all;

use super::super::Scope;
use super::search::Search;
use super::walk::Walk;
use crate::protocol::error::Result;
use crate::store::Total;

/// The number of resources of all types of an unfiltered search.
pub(super) async fn counters(scope: &Scope, search: &Search<'_>) -> Result<u64> {
    let totals = search
        .types()
        .iter()
        .map(|resource_type| scope.store.total(resource_type));
    Ok(try_join_all(totals).await?.into_iter().sum())
}

impl Walk<'_, '_> {
    /// The number of matches, if counters or keys tell; nothing if they do not, or if there are more
    /// keys than the budget allows to read.
    pub(super) async fn known_total(&mut self, search: &Search<'_>) -> Result<Option<u64>> {
        match (search.total, search.parts.as_slice()) {
            (Total::Counter, _) => Ok(Some(counters(self.scope, search).await?)),
            (Total::Keys, [part]) => self.source.count(part, self.budget.keys()).await,
            _ => Ok(None),
        }
    }
}
