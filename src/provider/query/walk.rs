//! Goes through everything that a search reads, and keeps what matches.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::super::Scope;
use super::super::compute::size_of;
use super::budget::ReadBudget;
use super::detached::Detached;
use super::position::Position;
use super::search::{Part, Search};
use super::source::{Batch, From, Source};
use crate::protocol::error::{Error, Result};
use crate::protocol::filter::BoundFilter;
use crate::protocol::key::Key;
use crate::protocol::schema::ResourceType;
use crate::protocol::sort::{Border, SortKey};
use crate::store::{Access, KeyRange, Range, Stored};

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
                let read = self.source.tied(part.resource_type, range, prefix, from);
                read.await?
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
        let kept = self.evaluate(part, position, found).await?;
        if let (Access::Range(range), true) = (&part.access, tied) {
            return self.in_order(part, (range, position), kept, border.as_ref());
        }
        let matches = kept.into_iter().map(|(key, stored, sort_key)| Match {
            resource_type: part.resource_type,
            position: match &sort_key {
                Some(sort_key) => Position::Sorted(Border::of(sort_key)),
                None => Position::Key(position, Some(key)),
            },
            stored,
            sort_key,
        });
        Ok(matches.collect())
    }

    /// The matches behind a border, sorted by their values. The keys of the part do not put them in
    /// order.
    fn in_order(
        &self,
        part: &Part<'r>,
        (range, position): (&Range, usize),
        kept: Vec<(String, Stored, Option<SortKey>)>,
        border: Option<&Border>,
    ) -> Result<Vec<Match<'r>>> {
        let mut placed = Vec::with_capacity(kept.len());
        for (_, stored, _) in kept {
            let resource = self.scope.complete(part.resource_type, &stored, None)?;
            placed.push((range.place(&resource), stored));
        }
        placed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let is_of = |border: &Border| {
            let mut keys = placed.iter().filter_map(|(place, _)| place.key.as_ref());
            keys.find(|key| border.is_of(key)).cloned()
        };
        let exact = border.and_then(is_of);
        placed.retain(|(place, _)| {
            border.is_none_or(|border| border.is_before(place, exact.as_ref()))
        });
        let matches = placed.into_iter().map(|(place, stored)| Match {
            resource_type: part.resource_type,
            position: Position::Tied(position, Border::of(&place)),
            stored,
            sort_key: None,
        });
        Ok(matches.collect())
    }

    /// The exact key of a border that holds only its beginning, if the resource still has it.
    pub(super) async fn exact_key(&self, border: &Border) -> Result<Option<Key<'static>>> {
        if !border.is_cut() {
            return Ok(None);
        }
        let mut seen = Vec::new();
        for part in self.parts {
            let (resource_type, Some(sort)) = (part.resource_type, &part.sort) else {
                continue;
            };
            if seen.contains(&resource_type.name.as_str()) {
                continue;
            }
            seen.push(&resource_type.name);
            let Some(stored) = self.scope.store.get(resource_type, border.id()).await? else {
                continue;
            };
            let resource = self.scope.complete(resource_type, &stored, None)?;
            return Ok(sort.key(&resource).key.filter(|key| border.is_of(key)));
        }
        Ok(None)
    }

    /// What matches of a batch, in its order.
    async fn evaluate(
        &mut self,
        part: &'s Part<'r>,
        position: usize,
        found: Vec<(String, Stored)>,
    ) -> Result<Vec<(String, Stored, Option<SortKey>)>> {
        let earlier = self
            .parts
            .get(position - part.overlaps..position)
            .unwrap_or_default();
        let is_plain = earlier.is_empty()
            && part.sort.is_none()
            && part.residual == BoundFilter::Constant(true)
            && !needs_a_look(&part.access);
        if is_plain {
            return Ok(found
                .into_iter()
                .map(|(key, stored)| (key, stored, None))
                .collect());
        }
        let mut known = HashSet::new();
        for earlier in earlier {
            known.extend(
                self.source
                    .found_by_membership(&earlier.access, &found)
                    .await?,
            );
        }
        let detached = self.detached(part, &found).await?;
        let size = size_of(found.iter().map(|(_, stored)| stored));
        let found = found
            .into_iter()
            .filter(|(_, stored)| !known.contains(&stored.id));
        let look = || look_at(self.scope, (part, earlier), found, detached);
        self.scope.compute(size, look).await?
    }

    /// The error of a request that would have to read the members of too large groups.
    pub(super) fn too_many_members() -> Error {
        Error::too_many(
            "The filter would read too many members; compare `members.value` with `eq` only, or \
             narrow the groups by an attribute with an index",
        )
    }
}

/// What matches of a part's batch and was not found by an earlier part.
fn look_at(
    scope: &Scope,
    (part, earlier): (&Part<'_>, &[Part<'_>]),
    found: impl Iterator<Item = (String, Stored)>,
    mut detached: HashMap<String, Detached>,
) -> Result<Vec<(String, Stored, Option<SortKey>)>> {
    let mut kept = Vec::new();
    for (key, stored) in found {
        scope.check_time()?;
        let Detached { value, residual } = detached.remove(&stored.id).unwrap_or_default();
        let resource = scope.complete(part.resource_type, &stored, value.as_ref())?;
        let residual = residual.as_ref().unwrap_or(&part.residual);
        let is_new = |part: &Part<'_>| !part.access.finds(&stored.id, &resource);
        if belongs(&part.access, &key, &resource)
            && residual.matches_within(&resource, &scope.work)?
            && earlier.iter().all(is_new)
        {
            let sort = part.sort.as_ref();
            let sort_key = sort.map(|sort| sort.key_within(&resource, &scope.work));
            let sort_key = sort_key.transpose()?;
            kept.push((key, stored, sort_key));
        }
    }
    Ok(kept)
}

/// Whether it takes a resource's body to tell whether it belongs to a part.
fn needs_a_look(access: &Access) -> bool {
    match access {
        Access::Range(range) => !range.distinct,
        Access::Values { index, .. } => index.multi_valued,
        Access::Without(..) => true,
        _ => false,
    }
}

/// Whether this is the place in the part where the resource is to be given.
fn belongs(access: &Access, key: &str, resource: &Map<String, Value>) -> bool {
    match access {
        Access::Range(range) if !range.distinct => range.begins_with(key, resource),
        // Under the first of its values that are looked for.
        Access::Values { index, texts } if index.multi_valued => {
            let own = index.texts(resource);
            let first = texts.iter().find(|text| own.contains(*text));
            first.is_some_and(|text| KeyRange::equal(text).contains(key))
        }
        Access::Without(index, _) => index.texts(resource).is_empty(),
        _ => true,
    }
}
