//! `groups` of users (RFC 7643 §4.1.2), and the groups inside a group.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::super::RequestScope;
use super::super::compute::size_of;
use super::display;
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::relative_reference;
use crate::protocol::schema::ResourceType;
use crate::store::{Membership, Stored};

/// The largest number of levels over which nested groups are followed. Further levels are left out.
const MAX_LEVELS: usize = 10;
/// The largest number of groups inside a group that are searched for its members.
const MAX_NESTED: usize = 200;

/// `groups` of each of these resources that is in a group, by resource id.
pub(in crate::provider) async fn groups_values(
    scope: &RequestScope,
    ids: impl Iterator<Item = &str>,
) -> Result<HashMap<String, Value>> {
    let memberships = scope.store.memberships().of_all(ids).await?;
    groups_of(scope, memberships).await
}

/// `groups` of each member, by its id.
pub(in crate::provider) async fn groups_of(
    scope: &RequestScope,
    memberships: Vec<Membership>,
) -> Result<HashMap<String, Value>> {
    if memberships.is_empty() {
        return Ok(HashMap::new());
    }
    let Some(group_type) = scope.tenant.registry.group_type() else {
        return Ok(HashMap::new());
    };
    let known = closure(scope, group_type, &memberships).await?;
    let mut direct = HashMap::<&str, Vec<&str>>::new();
    for membership in memberships
        .iter()
        .filter(|membership| known.counts(membership))
    {
        direct
            .entry(&membership.member)
            .or_default()
            .push(&membership.group);
    }
    // A group's body is read for the group's name once for each resource that is in the group, so
    // its size is counted as often.
    let groups = direct.values().flatten();
    let size = size_of(groups.filter_map(|group| known.groups.get(*group)));
    let value = |(member, groups): (&str, Vec<&str>)| {
        scope.compute.check_time()?;
        Ok((member.to_owned(), known.value(group_type, &groups)?))
    };
    let values = || direct.into_iter().map(value).collect();
    scope.compute.run(size, values).await?
}

/// A group, if it exists, and the groups inside it, directly or through other groups. No group
/// occurs twice.
///
/// # Errors
/// `TooMany` for more than [`MAX_NESTED`] groups.
pub(in crate::provider) async fn nested_groups(
    scope: &RequestScope,
    group_type: &ResourceType,
    group: &str,
) -> Result<Vec<Stored>> {
    let (outer, has_nested) = scope.store.nesting().outer(group_type, group).await?;
    let mut found: Vec<Stored> = outer.into_iter().collect();
    let mut level = 0..found.len();
    for _ in 1..MAX_LEVELS {
        if !has_nested || level.is_empty() {
            break;
        }
        let outer = found.get(level.clone()).unwrap_or_default();
        let inner =
            try_join_all(outer.iter().map(|group| scope.store.nesting().inner(group))).await?;
        let mut ids: Vec<String> = inner.into_iter().flatten().collect();
        ids.retain(|id| found.iter().all(|known| known.id != *id));
        ids.sort_unstable();
        ids.dedup();
        if found.len() + ids.len() > MAX_NESTED {
            return Err(Error::too_many(format!(
                "The group has more than {MAX_NESTED} groups inside it; ask for them one by one"
            )));
        }
        let begin = found.len();
        found.extend(scope.store.resources().get_many(group_type, &ids).await?);
        level = begin..found.len();
    }
    Ok(found)
}

/// The groups of these memberships, and the groups that these groups are in, level by level. Each
/// level takes one round of reads.
async fn closure(
    scope: &RequestScope,
    group_type: &ResourceType,
    memberships: &[Membership],
) -> Result<ReachedGroups> {
    let mut known = ReachedGroups::default();
    let mut wanted: HashSet<String> = memberships
        .iter()
        .map(|membership| membership.group.clone())
        .collect();
    for _ in 0..MAX_LEVELS {
        let ids: Vec<String> = wanted.drain().collect();
        let groups = scope.store.resources().get_many(group_type, &ids).await?;
        let inner = groups.iter().filter(|group| group.is_inner());
        let inner: Vec<String> = inner.map(|group| group.id.clone()).collect();
        known
            .groups
            .extend(groups.into_iter().map(|group| (group.id.clone(), group)));
        if inner.is_empty() {
            break;
        }
        for parent in scope
            .store
            .memberships()
            .of_all(inner.iter().map(String::as_str))
            .await?
        {
            if !known.groups.contains_key(&parent.group) {
                wanted.insert(parent.group.clone());
            }
            let parents = known.parents.entry(parent.member.clone());
            parents.or_default().push(parent);
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(known)
}

/// Groups that were read, and the memberships of groups in groups, by the inner group.
#[derive(Default)]
struct ReachedGroups {
    groups: HashMap<String, Stored>,
    parents: HashMap<String, Vec<Membership>>,
}

impl ReachedGroups {
    /// Whether the membership is in the current set of its group, as the group was read.
    fn counts(&self, membership: &Membership) -> bool {
        let group = self.groups.get(&membership.group);
        group.is_some_and(|group| membership.counts_in(group))
    }

    /// `groups` of a resource that is directly in these groups.
    fn value(&self, group_type: &ResourceType, direct: &[&str]) -> Result<Value> {
        let mut seen: HashSet<&str> = direct.iter().copied().collect();
        let mut values = Vec::new();
        let mut level: Vec<&str> = direct.to_vec();
        level.sort_unstable();
        let mut kind = "direct";
        while !level.is_empty() {
            for id in &level {
                values.extend(self.group_value(group_type, id, kind)?);
            }
            let parents = level
                .iter()
                .filter_map(|id| self.parents.get(*id))
                .flatten();
            let parents = parents.filter(|parent| self.counts(parent));
            let mut next: Vec<&str> = parents.map(|parent| parent.group.as_str()).collect();
            next.sort_unstable();
            next.retain(|id| seen.insert(id));
            (level, kind) = (next, "indirect");
        }
        Ok(Value::Array(values))
    }

    fn group_value(
        &self,
        group_type: &ResourceType,
        id: &str,
        kind: &str,
    ) -> Result<Option<Value>> {
        let Some(group) = self.groups.get(id) else {
            return Ok(None);
        };
        let mut value = Map::new();
        value.insert("value".to_owned(), json!(id));
        value.insert(
            "$ref".to_owned(),
            json!(relative_reference(&group_type.endpoint, id)),
        );
        if let Some(display) = display(group)? {
            value.insert("display".to_owned(), json!(display));
        }
        value.insert("type".to_owned(), json!(kind));
        Ok(Some(Value::Object(value)))
    }
}
