//! Counts the resources of a branch by its keys. A key is many times cheaper to read than its
//! resource.

use std::collections::HashSet;

use super::reader::Reader;
use super::search::SearchBranch;
use crate::protocol::error::Result;
use crate::store::{Access, CountLimit, KeyRange, Order, Range, Window};

/// The number of members that may be read for each read unit of the limit, where their ids have to
/// be compared. It is half of what a unit reads, because reading several partitions in parallel
/// reads up to twice what it returns.
const MEMBERS_PER_UNIT: u64 = 20;

/// The number of resources of a branch, if its keys can be counted within the limit. Every key of
/// the branch must lead to a match.
pub(super) async fn count(
    reader: &mut Reader<'_>,
    branch: &SearchBranch<'_>,
    limit: CountLimit,
) -> Result<Option<u64>> {
    let resource_type = branch.resource_type;
    match &branch.access {
        Access::Range(Range {
            index,
            keys,
            distinct,
            ..
        }) => {
            let store = &reader.scope.store;
            let counted = match distinct {
                true => {
                    let all = Window::default();
                    store
                        .indexes()
                        .count(resource_type, index, keys, all, limit)
                        .await
                }
                false => {
                    store
                        .indexes()
                        .count_distinct(resource_type, index, keys, limit)
                        .await
                }
            };
            Ok(counted?)
        }
        Access::MembersOf { group } => {
            count_members(reader, group, &resource_type.name, limit).await
        }
        _ => Ok(None),
    }
}

/// The number of keys of a branch after one of them; `None` if they are more than the limit. The
/// result is 0 for a branch that is small in any case, and for one that is not read by keys.
pub(super) async fn count_rest(
    reader: &mut Reader<'_>,
    branch: &SearchBranch<'_>,
    after: Option<&str>,
    limit: CountLimit,
) -> Result<Option<u64>> {
    let resource_type = branch.resource_type;
    match &branch.access {
        Access::Range(range) if !range.is_whole() => {
            let from = Window {
                after,
                limit: None,
                order: range.order,
            };
            let (store, index) = (&reader.scope.store, &range.index);
            let counted = store
                .indexes()
                .count(resource_type, index, &range.keys, from, limit);
            Ok(counted.await?)
        }
        Access::Values { index, texts } => {
            let mut total = 0;
            for text in texts {
                let range = KeyRange::equal(text);
                if after.is_some_and(|after| range.is_before(after)) {
                    continue;
                }
                let from = Window {
                    after: after.filter(|after| range.contains(after)),
                    limit: None,
                    order: Order::Ascending,
                };
                let left = CountLimit {
                    items: limit.items - total,
                    ..limit
                };
                let store = &reader.scope.store;
                let counted = store
                    .indexes()
                    .count(resource_type, index, &range, from, left);
                let Some(counted) = counted.await? else {
                    return Ok(None);
                };
                total += counted;
            }
            Ok(Some(total))
        }
        Access::MembersOf { group } => {
            count_members(reader, group, &resource_type.name, limit).await
        }
        _ => Ok(Some(0)),
    }
}

async fn count_members(
    reader: &mut Reader<'_>,
    group: &str,
    kind: &str,
    limit: CountLimit,
) -> Result<Option<u64>> {
    let scope = reader.scope;
    let groups = reader.nested(group).await?;
    if let [group] = groups.as_slice() {
        return Ok(scope
            .store
            .members()
            .count_of_type(group, kind, limit)
            .await?);
    }
    // A resource that is in several of the groups must be counted once, so the ids have to be read
    // and compared.
    let mut found = HashSet::new();
    let before = scope.store.meter().whole_read_units();
    let mut left = limit
        .items
        .min(limit.read_units.saturating_mul(MEMBERS_PER_UNIT));
    for group in groups {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let (members, more) = scope.store.members().page(group, None, most).await?;
        left = left.saturating_sub(members.len() as u64);
        let members = members
            .into_iter()
            .filter(|member| member.type_name == kind);
        found.extend(members.map(|member| member.id));
        let spent = scope.store.meter().whole_read_units() - before;
        if more || spent > limit.read_units {
            return Ok(None);
        }
    }
    Ok(Some(found.len() as u64))
}
