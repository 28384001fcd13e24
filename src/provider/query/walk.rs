//! Goes through everything that a search reads, and keeps what matches.

use super::super::Scope;
use super::budget::ReadBudget;
use super::evaluation::{evaluate, in_order_of_values};
use super::position::Position;
use super::search::{Part, Search};
use super::source::{Batch, From, Source, tied};
use crate::protocol::error::Result;
use crate::protocol::filter::BoundFilter;
use crate::protocol::schema::ResourceType;
use crate::protocol::sort::{Border, SortKey};
use crate::store::{Access, Stored};

/// A walk through a search, from some position on.
pub(super) struct Walk<'s, 'r> {
    pub(super) scope: &'s Scope,
    pub(super) source: Source<'s>,
    pub(super) budget: ReadBudget,
    parts: &'s [Part<'r>],
    part: usize,
    after: Option<String>,
    /// Where to go on among resources that the keys of the part do not put in order.
    tied: Option<Border>,
}

/// A resource that matches, and where in the walk it was found.
pub(super) struct Match<'r> {
    pub(super) resource_type: &'r ResourceType,
    pub(super) stored: Stored,
    pub(super) position: Position,
    /// Its place in a list that is sorted in memory.
    pub(super) sort_key: Option<SortKey>,
}

impl<'s, 'r> Walk<'s, 'r> {
    pub(super) fn new(
        scope: &'s Scope,
        search: &'s Search<'r>,
        budget: ReadBudget,
        from: &Position,
    ) -> Self {
        let (part, after, tied) = match from {
            Position::Key(part, after) => (*part, after.clone(), None),
            Position::Tied(part, border) => (*part, None, Some(border.clone())),
            Position::Sorted(_) => (0, None, None),
        };
        Self {
            scope,
            source: Source::new(scope),
            budget,
            parts: &search.parts,
            part,
            after,
            tied,
        }
    }

    /// Whether everything has been read.
    pub(super) fn is_done(&self) -> bool {
        self.part >= self.parts.len()
    }

    /// Leaves the rest unread.
    pub(super) fn finish(&mut self) {
        self.part = self.parts.len();
        self.after = None;
        self.tied = None;
    }

    /// What is left to be read of the part that is read now, unless nothing of it was read yet.
    pub(super) fn rest(&self) -> Option<(&'s Part<'r>, Option<String>)> {
        let part = self.parts.get(self.part)?;
        self.after.is_some().then(|| (part, self.after.clone()))
    }

    /// Everything that is read, in order.
    pub(super) fn parts(&self) -> &'s [Part<'r>] {
        self.parts
    }

    /// Which part is read now.
    pub(super) fn part(&self) -> usize {
        self.part
    }

    /// Whether resources are read one after the other now, and not each by its key.
    pub(super) fn is_scan(&self) -> bool {
        let part = self.parts.get(self.part);
        part.is_some_and(|part| matches!(part.access, Access::All | Access::Without(..)))
    }

    /// Whether the part that is read now is read by keys that can be counted.
    pub(super) fn goes_by_keys(&self) -> bool {
        let part = self.parts.get(self.part);
        part.is_some_and(|part| match &part.access {
            Access::Range(range) => !range.is_whole(),
            access => matches!(access, Access::MembersOf { .. }),
        })
    }

    /// Where the walk stands: everything up to here has been looked at.
    pub(super) fn position(&self) -> Position {
        match &self.tied {
            Some(border) => Position::Tied(self.part, border.clone()),
            None => Position::Key(self.part, self.after.clone()),
        }
    }

    /// Whether most of what is read now will match.
    pub(super) fn is_dense(&self) -> bool {
        self.parts
            .get(self.part)
            .is_some_and(|part| match &part.access {
                Access::Without(..) => false,
                Access::All => part.residual == BoundFilter::Constant(true),
                Access::Range(range) => {
                    !range.is_whole() || part.residual == BoundFilter::Constant(true)
                }
                _ => true,
            })
    }

    /// Whether nothing is left but the resources without a value, which an index does not hold.
    pub(super) fn has_only_valueless(&self) -> bool {
        let rest = self.parts.get(self.part..).unwrap_or_default();
        let is_without = |part: &Part<'_>| matches!(part.access, Access::Without(..));
        !rest.is_empty() && rest.iter().all(is_without)
    }

    /// Reads the next batch and returns its matches. An empty result does not mean that the walk is
    /// over.
    pub(super) async fn next(&mut self, limit: Option<usize>) -> Result<Vec<Match<'r>>> {
        let Some(part) = self.parts.get(self.part) else {
            return Ok(Vec::new());
        };
        let position = self.part;
        let most = self.budget.resources;
        let from = From {
            after: self.after.as_deref(),
            limit: Some(limit.map_or(most, |limit| limit.min(most))),
            most,
        };
        let border = self.tied.take();
        let read = match (&part.access, &border) {
            (Access::Range(range), Some(border)) => {
                let prefix = border.unordered_prefix();
                let store = &self.scope.store;
                tied(store, part.resource_type, range, prefix, from).await?
            }
            _ => self.source.read(part, from).await?,
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
            self.part += 1;
        }
        self.after = next;
        let earlier = position - part.overlaps..position;
        let parts = (part, self.parts.get(earlier).unwrap_or_default());
        let kept = evaluate(&mut self.source, &mut self.budget, parts, found).await?;
        if let (Access::Range(range), true) = (&part.access, tied) {
            let placed = in_order_of_values(self.scope, (part, range), kept, border.as_ref())?;
            let matches = placed.into_iter().map(|(place, stored)| Match {
                resource_type: part.resource_type,
                position: Position::Tied(position, Border::of(&place)),
                stored,
                sort_key: None,
            });
            return Ok(matches.collect());
        }
        let matches = kept.into_iter().map(|kept| Match {
            resource_type: part.resource_type,
            position: match &kept.sort_key {
                Some(sort_key) => Position::Sorted(Border::of(sort_key)),
                None => Position::Key(position, Some(kept.key)),
            },
            stored: kept.stored,
            sort_key: kept.sort_key,
        });
        Ok(matches.collect())
    }
}
