//! How much there is to look at, before it is read: from counters, and from keys, which are many times
//! cheaper to read than what they lead to.

use std::collections::HashSet;

use super::search::{Part, Search};
use super::source::Source;
use super::walk::Walk;
use crate::protocol::error::Result;
use crate::store::{Access, CountLimit, KeyRange, Order, Range, Window};

/// Members that are read to be counted once, for each read unit that this may take: half of what a unit
/// holds, because reading several partitions side by side reads up to twice what it returns.
const MEMBERS_PER_UNIT: u64 = 20;

impl Walk<'_, '_> {
    /// Whether looking at every resource takes more than the budget, as far as the counters tell: one
    /// call for each type whose resources all have to be looked at, and no call for others.
    pub(super) async fn is_too_large(&self, search: &Search<'_>) -> Result<bool> {
        let (mut total, mut known) = (0_u64, Vec::<(&str, u64)>::new());
        for part in &search.parts {
            let is_everything = match &part.access {
                Access::All | Access::Without(..) => true,
                Access::Range(range) => range.is_whole(),
                _ => false,
            };
            if !is_everything {
                continue;
            }
            let name = part.resource_type.name.as_str();
            let counted = known.iter().find(|(other, _)| *other == name);
            let count = match counted {
                Some((_, count)) => *count,
                None => {
                    let count = self.scope.store.total(part.resource_type).await?;
                    known.push((name, count));
                    count
                }
            };
            total = total.saturating_add(count);
        }
        Ok(total > self.budget.resources as u64)
    }

    /// Whether the rest of what is read by keys now leads to more resources than the budget allows to
    /// look at. Only keys are read.
    pub(super) async fn rest_is_too_large(&mut self) -> Result<bool> {
        let Some((part, after)) = self.rest() else {
            return Ok(false);
        };
        let limit = self.budget.size();
        let counted = self
            .source
            .count_rest(part, after.as_deref(), limit)
            .await?;
        Ok(counted.is_none())
    }
}

impl Source<'_> {
    /// The number of resources that a part leads to, if its keys tell within the limit. Only for parts
    /// where every key stands for a match.
    pub(super) async fn count(
        &mut self,
        part: &Part<'_>,
        limit: CountLimit,
    ) -> Result<Option<u64>> {
        let resource_type = part.resource_type;
        match &part.access {
            Access::Range(Range {
                index,
                keys,
                distinct,
                ..
            }) => {
                let (store, index) = (&self.scope.store, &index.index);
                let counted = match distinct {
                    true => {
                        let all = Window::default();
                        store
                            .index_count(resource_type, index, keys, all, limit)
                            .await
                    }
                    false => {
                        store
                            .index_count_distinct(resource_type, index, keys, limit)
                            .await
                    }
                };
                Ok(counted?)
            }
            Access::MembersOf { group } => {
                self.count_members(group, &resource_type.name, limit).await
            }
            _ => Ok(None),
        }
    }

    /// The number of keys of a part behind one of them; nothing if they are more than the limit. Parts
    /// that are few by themselves, or that no keys tell of, count as nothing.
    async fn count_rest(
        &mut self,
        part: &Part<'_>,
        after: Option<&str>,
        limit: CountLimit,
    ) -> Result<Option<u64>> {
        let resource_type = part.resource_type;
        match &part.access {
            Access::Range(range) if !range.is_whole() => {
                let from = Window {
                    after,
                    limit: None,
                    order: range.order,
                };
                let (store, index) = (&self.scope.store, &range.index.index);
                let counted = store.index_count(resource_type, index, &range.keys, from, limit);
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
                    let store = &self.scope.store;
                    let counted =
                        store.index_count(resource_type, &index.index, &range, from, left);
                    let Some(counted) = counted.await? else {
                        return Ok(None);
                    };
                    total += counted;
                }
                Ok(Some(total))
            }
            Access::MembersOf { group } => {
                self.count_members(group, &resource_type.name, limit).await
            }
            _ => Ok(Some(0)),
        }
    }

    async fn count_members(
        &mut self,
        group: &str,
        kind: &str,
        limit: CountLimit,
    ) -> Result<Option<u64>> {
        let scope = self.scope;
        let groups = self.nested(group).await?;
        if let [group] = groups.as_slice() {
            return Ok(scope.store.member_count(group, kind, limit).await?);
        }
        // A resource that is in several of the groups counts once, so the ids have to be read.
        let mut found = HashSet::new();
        let before = scope.store.meter().whole_read_units();
        let mut left = limit
            .items
            .min(limit.read_units.saturating_mul(MEMBERS_PER_UNIT));
        for group in groups {
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let (members, more) = scope.store.members(group, most).await?;
            left = left.saturating_sub(members.len() as u64);
            let members = members.into_iter().filter(|member| member.kind == kind);
            found.extend(members.map(|member| member.id));
            let spent = scope.store.meter().whole_read_units() - before;
            if more || spent > limit.read_units {
                return Ok(None);
            }
        }
        Ok(Some(found.len() as u64))
    }
}
