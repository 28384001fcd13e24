//! Decides which resources of a batch match, and where they are in the list.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::super::RequestScope;
use super::super::compute::size_of;
use super::budget::ReadBudget;
use super::candidate::{ReadMembers, candidate};
use super::looked_up::{LookedUp, look_up};
use super::reader::Reader;
use super::search::SearchBranch;
use crate::protocol::error::Result;
use crate::protocol::filter::BoundFilter;
use crate::protocol::key::Key;
use crate::protocol::sort::{Border, SortKey};
use crate::store::{Access, Entries, KeyRange, Range, Stored};

/// A resource of a batch that matches.
pub(super) struct Kept {
    /// The key under which the branch has found it.
    pub(super) key: String,
    pub(super) stored: Stored,
    /// Its sort key, in a list that is sorted in memory.
    pub(super) sort_key: Option<SortKey>,
}

/// The matches of a branch's batch that no earlier branch has found, in the order of the batch.
pub(super) async fn evaluate(
    reader: &mut Reader<'_>,
    budget: &mut ReadBudget,
    (branch, earlier): (&SearchBranch<'_>, &[SearchBranch<'_>]),
    found: Vec<(String, Stored)>,
) -> Result<Vec<Kept>> {
    let is_plain = earlier.is_empty()
        && branch.sort.is_none()
        && branch.residual == BoundFilter::Constant(true)
        && !needs_body(&branch.access);
    if is_plain {
        let kept = found.into_iter().map(|(key, stored)| Kept {
            key,
            stored,
            sort_key: None,
        });
        return Ok(kept.collect());
    }
    let mut known = HashSet::new();
    for earlier in earlier {
        let found = reader.found_by_membership(&earlier.access, &found);
        known.extend(found.await?);
    }
    let looked_up = look_up(reader, budget, branch, &found).await?;
    let size = size_of(found.iter().map(|(_, stored)| stored));
    let found = found
        .into_iter()
        .filter(|(_, stored)| !known.contains(&stored.id));
    let scope = reader.scope;
    let decide = || decide_each(scope, (branch, earlier), found, looked_up);
    scope.compute.run(size, decide).await?
}

fn decide_each(
    scope: &RequestScope,
    (branch, earlier): (&SearchBranch<'_>, &[SearchBranch<'_>]),
    found: impl Iterator<Item = (String, Stored)>,
    mut looked_up: HashMap<String, LookedUp>,
) -> Result<Vec<Kept>> {
    let members = ReadMembers::of(branch, earlier);
    let mut kept = Vec::new();
    for (key, stored) in found {
        scope.compute.check_time()?;
        let LookedUp { value, residual } = looked_up.remove(&stored.id).unwrap_or_default();
        let resource = candidate(scope, (branch.resource_type, &stored), value, &members)?;
        let residual = residual.as_ref().unwrap_or(&branch.residual);
        let is_new = |branch: &SearchBranch<'_>| !branch.access.finds(&stored.id, &resource);
        if belongs(&branch.access, &key, &resource)
            && residual.matches_within(&resource, &scope.work)?
            && earlier.iter().all(is_new)
        {
            let sort = branch.sort.as_ref();
            let sort_key = sort.map(|sort| sort.key_within(&resource, &scope.work));
            let sort_key = sort_key.transpose()?;
            kept.push(Kept {
                key,
                stored,
                sort_key,
            });
        }
    }
    Ok(kept)
}

/// Whether a resource's body is needed to decide whether the resource belongs to a branch.
fn needs_body(access: &Access) -> bool {
    match access {
        Access::Range(range) => !range.distinct,
        Access::Values { index, .. } => index.multi_valued,
        Access::Without(..) => true,
        _ => false,
    }
}

/// Whether the resource is returned under this key of the branch. A resource with several keys in a
/// branch is returned under one of them only.
fn belongs(access: &Access, key: &str, resource: &Map<String, Value>) -> bool {
    match access {
        Access::Range(range) if !range.distinct => range.begins_with(key, resource),
        // It is returned under the first of its values that the branch looks up.
        Access::Values { index, texts } if index.multi_valued => {
            let own = Entries::texts_in(index, resource);
            let first = texts.iter().find(|text| own.contains(*text));
            first.is_some_and(|text| KeyRange::equal(text).contains(key))
        }
        Access::Without(index, _) => Entries::texts_in(index, resource).is_empty(),
        _ => true,
    }
}

/// The matches after a border, sorted by their values, because the keys of the branch do not put
/// them in order.
pub(super) fn in_order_of_values(
    scope: &RequestScope,
    (branch, range): (&SearchBranch<'_>, &Range),
    kept: Vec<Kept>,
    border: Option<&Border>,
) -> Result<Vec<(SortKey, Stored)>> {
    let members = ReadMembers::of_index(&range.index);
    let mut placed = Vec::with_capacity(kept.len());
    for Kept { stored, .. } in kept {
        let resource = candidate(scope, (branch.resource_type, &stored), None, &members)?;
        placed.push((range.place(&resource), stored));
    }
    placed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let is_of = |border: &Border| {
        let mut keys = placed.iter().filter_map(|(place, _)| place.key.as_ref());
        keys.find(|key| border.is_of(key)).cloned()
    };
    let exact = border.and_then(is_of);
    placed.retain(|(place, _)| border.is_none_or(|border| border.is_before(place, exact.as_ref())));
    Ok(placed)
}

/// The whole key of a border. A border may hold only the beginning of a long key, so the resource is
/// read. `None` if the border holds the whole key, or if the resource does not have it any more.
pub(super) async fn exact_key(
    scope: &RequestScope,
    branches: &[SearchBranch<'_>],
    border: &Border,
) -> Result<Option<Key<'static>>> {
    if !border.is_cut() {
        return Ok(None);
    }
    let mut seen = Vec::new();
    for branch in branches {
        let (resource_type, Some(sort)) = (branch.resource_type, &branch.sort) else {
            continue;
        };
        if seen.contains(&resource_type.name.as_str()) {
            continue;
        }
        seen.push(&resource_type.name);
        let Some(stored) = scope
            .store
            .resources()
            .get(resource_type, border.id())
            .await?
        else {
            continue;
        };
        let members = ReadMembers::of_sort(sort);
        let resource = candidate(scope, (resource_type, &stored), None, &members)?;
        return Ok(sort.key(&resource).key.filter(|key| border.is_of(key)));
    }
    Ok(None)
}
