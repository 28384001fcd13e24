//! Goes through the branches of a search, and returns the matches.

use super::super::RequestScope;
use super::budget::ReadBudget;
use super::evaluation::{evaluate, in_order_of_values};
use super::position::ScanPosition;
use super::reader::{Batch, BatchRequest, Reader, all_tied};
use super::search::{Search, SearchBranch};
use crate::protocol::error::Result;
use crate::protocol::filter::BoundFilter;
use crate::protocol::schema::ResourceType;
use crate::protocol::sort::{Border, SortKey};
use crate::store::{Access, Stored};

/// A scan of the branches of a search, from a position on.
pub(super) struct Scan<'s, 'r> {
    pub(super) scope: &'s RequestScope,
    pub(super) reader: Reader<'s>,
    pub(super) budget: ReadBudget,
    branches: &'s [SearchBranch<'r>],
    branch: usize,
    after: Option<String>,
    /// Where to go on, if the position is among resources that the keys of the branch do not put in
    /// order.
    tied: Option<Border>,
}

/// A resource that matches, and where in the scan it was found.
pub(super) struct Match<'r> {
    pub(super) resource_type: &'r ResourceType,
    pub(super) stored: Stored,
    pub(super) position: ScanPosition,
    /// Its sort key, in a list that is sorted in memory.
    pub(super) sort_key: Option<SortKey>,
}

impl<'s, 'r> Scan<'s, 'r> {
    pub(super) fn new(
        scope: &'s RequestScope,
        search: &'s Search<'r>,
        budget: ReadBudget,
        from: &ScanPosition,
    ) -> Self {
        let (branch, after, tied) = match from {
            ScanPosition::Key(branch, after) => (*branch, after.clone(), None),
            ScanPosition::Tied(branch, border) => (*branch, None, Some(border.clone())),
            ScanPosition::Sorted(_) => (0, None, None),
        };
        Self {
            scope,
            reader: Reader::new(scope),
            budget,
            branches: &search.branches,
            branch,
            after,
            tied,
        }
    }

    /// Whether everything has been read.
    pub(super) fn is_done(&self) -> bool {
        self.branch >= self.branches.len()
    }

    /// Ends the scan without reading the rest.
    pub(super) fn finish(&mut self) {
        self.branch = self.branches.len();
        self.after = None;
        self.tied = None;
    }

    /// The current branch and the key up to which it has been read, if any of it has been read.
    pub(super) fn rest(&self) -> Option<(&'s SearchBranch<'r>, Option<String>)> {
        let branch = self.branches.get(self.branch)?;
        self.after.is_some().then(|| (branch, self.after.clone()))
    }

    /// All branches, in the order in which they are read.
    pub(super) fn branches(&self) -> &'s [SearchBranch<'r>] {
        self.branches
    }

    /// The number of the current branch.
    pub(super) fn branch(&self) -> usize {
        self.branch
    }

    /// Whether the current branch reads resources in order of creation, and not by keys.
    pub(super) fn is_sequential(&self) -> bool {
        let branch = self.branches.get(self.branch);
        branch.is_some_and(|branch| matches!(branch.access, Access::All | Access::Without(..)))
    }

    /// Whether the current branch is read by keys that can be counted.
    pub(super) fn goes_by_keys(&self) -> bool {
        let branch = self.branches.get(self.branch);
        branch.is_some_and(|branch| match &branch.access {
            Access::Range(range) => !range.is_whole(),
            access => matches!(access, Access::MembersOf { .. }),
        })
    }

    /// The position up to which the scan has read.
    pub(super) fn position(&self) -> ScanPosition {
        match &self.tied {
            Some(border) => ScanPosition::Tied(self.branch, border.clone()),
            None => ScanPosition::Key(self.branch, self.after.clone()),
        }
    }

    /// Whether most resources of the current branch are expected to match.
    pub(super) fn is_dense(&self) -> bool {
        self.branches
            .get(self.branch)
            .is_some_and(|branch| match &branch.access {
                Access::Without(..) => false,
                Access::All => branch.residual == BoundFilter::Constant(true),
                Access::Range(range) => {
                    !range.is_whole() || branch.residual == BoundFilter::Constant(true)
                }
                _ => true,
            })
    }

    /// Whether only resources without a value, which an index does not hold, are left.
    pub(super) fn has_only_valueless(&self) -> bool {
        let rest = self.branches.get(self.branch..).unwrap_or_default();
        let is_without = |branch: &SearchBranch<'_>| matches!(branch.access, Access::Without(..));
        !rest.is_empty() && rest.iter().all(is_without)
    }

    /// Reads the next batch and returns its matches. An empty result does not mean that the scan is
    /// over.
    pub(super) async fn next(&mut self, limit: Option<usize>) -> Result<Vec<Match<'r>>> {
        let Some(branch) = self.branches.get(self.branch) else {
            return Ok(Vec::new());
        };
        let position = self.branch;
        let most = self.budget.resources;
        let request = BatchRequest {
            after: self.after.as_deref(),
            limit: Some(limit.map_or(most, |limit| limit.min(most))),
            most,
        };
        let border = self.tied.take();
        let read = match (&branch.access, &border) {
            (Access::Range(range), Some(border)) => {
                let prefix = border.unordered_prefix();
                let store = &self.scope.store;
                all_tied(store, branch.resource_type, range, prefix, request).await?
            }
            _ => self.reader.read(branch, request).await?,
        };
        let Batch {
            found,
            next,
            items,
            tied,
        } = read;
        self.budget.spend(&found);
        self.budget.spend_items(items);
        if next.is_none() {
            self.branch += 1;
        }
        self.after = next;
        let earlier = position - branch.overlaps..position;
        let branches = (branch, self.branches.get(earlier).unwrap_or_default());
        let kept = evaluate(&mut self.reader, &mut self.budget, branches, found).await?;
        if let (Access::Range(range), true) = (&branch.access, tied) {
            let placed = in_order_of_values(self.scope, (branch, range), kept, border.as_ref())?;
            let matches = placed.into_iter().map(|(place, stored)| Match {
                resource_type: branch.resource_type,
                position: ScanPosition::Tied(position, Border::of(&place)),
                stored,
                sort_key: None,
            });
            return Ok(matches.collect());
        }
        let matches = kept.into_iter().map(|kept| Match {
            resource_type: branch.resource_type,
            position: match &kept.sort_key {
                Some(sort_key) => ScanPosition::Sorted(Border::of(sort_key)),
                None => ScanPosition::Key(position, Some(kept.key)),
            },
            stored: kept.stored,
            sort_key: kept.sort_key,
        });
        Ok(matches.collect())
    }
}
