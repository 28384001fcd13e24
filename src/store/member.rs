//! Members of groups as items in both directions.
//!
//! A member item says that a resource belongs to a set of a group; a membership item says the same
//! under the member. The group's own item names the set that counts, so a replaced set disappears in
//! one write, and items of any other set mean nothing.
//!
//! A change of members is one transaction of member and membership items, and then one update of the
//! group, which is where it becomes part of the group's history: if the group is gone by then, or has
//! another set, the change is undone or made again.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put};
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::TenantStore;
use super::batch::PlainWrite;
use super::error::StoreError;
use super::item::{self, GroupState, Item, Stored, s};
use super::keys::{self, SEPARATOR};
use super::range::{KeyRange, Window};
use super::resource::{broken, token};
use super::transaction::{MAX_STEPS, Refusal, Transaction};
use crate::protocol::schema::{Registry, ResourceType};

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The member's `id`.
    pub id: String,
    /// The name of the member's resource type.
    pub kind: String,
}

/// A group that a resource is a member of, as the membership item says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The member's `id`.
    pub member: String,
    /// The group's `id`.
    pub group: String,
    /// The set of the group that the item belongs to; it counts only while it is the current one.
    pub set: String,
    /// The partition of the member item.
    pub(super) shard: u64,
}

/// Members to add and to remove; no id is in both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberChange {
    /// To add, by id.
    pub add: BTreeMap<String, Member>,
    /// To remove.
    pub remove: HashSet<String>,
}

/// Lookups under way at once.
const PARALLEL: usize = 32;

/// The steps of one addition: the check of the member, and the two items.
const STEPS_TO_ADD: usize = 3;
/// The steps of one removal: the two items.
const STEPS_TO_REMOVE: usize = 2;

impl MemberChange {
    /// Removes these ids, which are then not added.
    pub fn remove_all(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.add.remove(&id);
            self.remove.insert(id);
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// The steps this takes in a transaction.
    #[must_use]
    fn steps(&self) -> usize {
        self.add.len() * STEPS_TO_ADD + self.remove.len() * STEPS_TO_REMOVE
    }

    /// Whether this fits one transaction that has `others` more steps.
    #[must_use]
    pub fn fits(&self, others: usize) -> bool {
        self.steps() + others <= MAX_STEPS
    }
}

/// What became of a transaction of member items.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// Every change that was left took effect; these did.
    Changed(MemberChange),
    /// These ids are no resources of the type that was said.
    Missing(Vec<String>),
}

impl GroupState {
    /// A new, empty set.
    #[must_use]
    pub fn fresh(shards: u32) -> Self {
        Self {
            member_revision: 0,
            member_stamp: 0,
            set: fresh_set(),
            shards: shards.max(1),
        }
    }

    /// The partition of a member's item.
    pub(super) fn shard(&self, member: &str) -> u64 {
        keys::stable_hash(member) % u64::from(self.shards.max(1))
    }
}

/// A set's name: 11 characters that no other set of the group has.
pub(super) fn fresh_set() -> String {
    token().chars().rev().take(11).collect()
}

/// What a step of a member transaction was about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Check(String),
    Member(String),
    Membership,
}

impl TenantStore {
    /// Adds and removes members that fit one transaction, as items; the group's own item is not
    /// touched. Additions of members that are there already, and removals of members that are not,
    /// fall out.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn write_members(
        &self,
        group: &str,
        state: &GroupState,
        change: MemberChange,
        types: &Registry,
        now: u64,
    ) -> Result<Applied, StoreError> {
        let mut left = change;
        while !left.is_empty() {
            let (transaction, steps) = self.member_transaction(group, state, &left, types, now)?;
            let Err(refused) = self.commit_steps(transaction, &token()).await? else {
                return Ok(Applied::Changed(left));
            };
            let refused: Vec<&Step> = refused.iter().filter_map(|step| steps.get(*step)).collect();
            let missing: Vec<String> = refused
                .iter()
                .filter_map(|step| {
                    if let Step::Check(id) = step {
                        Some(id.clone())
                    } else {
                        None
                    }
                })
                .collect();
            if !missing.is_empty() {
                return Ok(Applied::Missing(missing));
            }
            for step in refused {
                if let Step::Member(id) = step {
                    left.add.remove(id);
                    left.remove.remove(id);
                }
            }
        }
        Ok(Applied::Changed(left))
    }

    fn member_transaction(
        &self,
        group: &str,
        state: &GroupState,
        change: &MemberChange,
        types: &Registry,
        now: u64,
    ) -> Result<(Transaction, Vec<Step>), StoreError> {
        let mut transaction = Transaction::default();
        let mut steps = Vec::with_capacity(change.steps());
        for member in change.add.values() {
            let Some(resource_type) = types.resource_type(&member.kind) else {
                continue;
            };
            transaction.check(
                self.member_check(resource_type, &member.id)?,
                Refusal::Resource,
            );
            transaction.put(
                self.member_put(group, state, member, now)?,
                Refusal::Resource,
            );
            transaction.put(
                self.membership_put(group, state, &member.id, now)?,
                Refusal::Never,
            );
            steps.extend([
                Step::Check(member.id.clone()),
                Step::Member(member.id.clone()),
                Step::Membership,
            ]);
        }
        for id in &change.remove {
            transaction.delete(self.member_delete(group, state, id)?, Refusal::Resource);
            transaction.delete(self.membership_delete(group, state, id)?, Refusal::Never);
            steps.extend([Step::Member(id.clone()), Step::Membership]);
        }
        Ok((transaction, steps))
    }

    /// Checks that the member exists and is not being deleted.
    pub(super) fn member_check(
        &self,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<ConditionCheck, StoreError> {
        ConditionCheck::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.resources(resource_type)))
            .key("sk", s(id))
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(del)")
            .build()
            .map_err(broken)
    }

    pub(super) fn member_put(
        &self,
        group: &str,
        state: &GroupState,
        member: &Member,
        now: u64,
    ) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&*self.table)
            .set_item(Some(self.member_item(group, state, member, now)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(broken)
    }

    pub(super) fn membership_put(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
        now: u64,
    ) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&*self.table)
            .set_item(Some(self.membership_item(group, state, id, now)))
            .build()
            .map_err(broken)
    }

    fn member_delete(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
    ) -> Result<Delete, StoreError> {
        Delete::builder()
            .table_name(&*self.table)
            .key(
                "pk",
                s(self.keys.members(group, &state.set, state.shard(id))),
            )
            .key("sk", s(id))
            .condition_expression("attribute_exists(pk)")
            .build()
            .map_err(broken)
    }

    fn membership_delete(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
    ) -> Result<Delete, StoreError> {
        Delete::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.memberships(id)))
            .key("sk", s(keys::membership(id, group, &state.set)))
            .build()
            .map_err(broken)
    }

    /// The keys of a member's two items.
    pub(super) fn member_keys(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
    ) -> [(String, String); 2] {
        let member = self.keys.members(group, &state.set, state.shard(id));
        [
            (member, id.to_owned()),
            (
                self.keys.memberships(id),
                keys::membership(id, group, &state.set),
            ),
        ]
    }

    /// Removes member items of a set that is not the current one any more.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn remove_items(
        &self,
        group: &str,
        state: &GroupState,
        ids: &[String],
    ) -> Result<(), StoreError> {
        let keys = ids.iter().flat_map(|id| self.member_keys(group, state, id));
        self.write_all(keys.map(|(pk, sk)| PlainWrite::Delete { pk, sk }).collect())
            .await
    }

    /// Remembers that these groups are going to be members of a group: readers look for indirect
    /// membership from now on, and find inner groups without reading all members. It is never
    /// forgotten: that costs readers a look, and forgetting too early would cost truth.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn mark_nested(&self, group: &str, inner: &[&str]) -> Result<(), StoreError> {
        let (pk, mark) = self.keys.nested();
        let edges = inner.iter().map(|inner| keys::entry(group, inner));
        let item = |sk: String| {
            Item::from([
                ("pk".to_owned(), s(&pk)),
                ("sk".to_owned(), s(sk)),
                ("kind".to_owned(), s("N")),
            ])
        };
        let items = edges.chain([mark]).map(item);
        self.write_all(items.map(PlainWrite::Put).collect()).await
    }

    /// The ids of the groups that are members of a group.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn inner_groups(&self, group: &Stored) -> Result<HashSet<String>, StoreError> {
        let range = KeyRange::prefix(&keys::entry(&group.id, ""));
        let (pk, _) = self.keys.nested();
        let mut marked = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let window = Window {
                after: after.as_deref(),
                ..Window::default()
            };
            let output = self.query(pk.clone(), &range, window, None).await?;
            after = super::range::last_key(&output);
            for mut item in output.items.unwrap_or_default() {
                let edge = item::take_text(&mut item, "sk")?;
                marked.extend(
                    edge.split_once(SEPARATOR)
                        .map(|(_, inner)| inner.to_owned()),
                );
            }
            if after.is_none() {
                return self
                    .members_among(std::slice::from_ref(group), &marked)
                    .await;
            }
        }
    }

    /// Those of the ids that are members of at least one of the groups.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn members_among(
        &self,
        groups: &[Stored],
        ids: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        let sets = groups
            .iter()
            .filter_map(|group| Some((&group.id, group.group.as_ref()?)));
        let keys = sets.flat_map(|(group, state)| {
            ids.iter().map(move |id| {
                let pk = self.keys.members(group, &state.set, state.shard(id));
                (pk, id.clone())
            })
        });
        let items = self.get_keys(keys.collect()).await?;
        let ids = items
            .into_iter()
            .map(|mut item| item::take_text(&mut item, "sk"));
        ids.collect()
    }

    /// The groups with these ids that exist, and whether the tenant has groups in groups: one call
    /// for up to 99 groups.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn groups(
        &self,
        resource_type: &ResourceType,
        ids: &[String],
    ) -> Result<(Vec<Stored>, bool), StoreError> {
        let resources = self.keys.resources(resource_type);
        let nested = self.keys.nested();
        let groups = ids.iter().map(|id| (resources.clone(), id.clone()));
        let items = self
            .get_keys(groups.chain([nested.clone()]).collect())
            .await?;
        let is_mark = |item: &Item| {
            item.get("kind")
                .and_then(|kind| kind.as_s().ok())
                .is_some_and(|kind| kind == "N")
        };
        let has_nested = items.iter().any(is_mark);
        let groups = items
            .into_iter()
            .filter(|item| !is_mark(item) && !item::is_deleted(item));
        Ok((
            groups.map(Stored::from_item).collect::<Result<_, _>>()?,
            has_nested,
        ))
    }

    /// A member's item.
    pub(super) fn member_item(
        &self,
        group: &str,
        state: &GroupState,
        member: &Member,
        now: u64,
    ) -> Item {
        Item::from([
            (
                "pk".to_owned(),
                s(self
                    .keys
                    .members(group, &state.set, state.shard(&member.id))),
            ),
            ("sk".to_owned(), s(&member.id)),
            ("kind".to_owned(), s("M")),
            ("type".to_owned(), s(&member.kind)),
            ("stamp".to_owned(), item::n(now)),
        ])
    }

    /// The same membership's item on the member's side.
    pub(super) fn membership_item(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
        now: u64,
    ) -> Item {
        Item::from([
            ("pk".to_owned(), s(self.keys.memberships(id))),
            ("sk".to_owned(), s(keys::membership(id, group, &state.set))),
            ("kind".to_owned(), s("B")),
            ("shard".to_owned(), item::n(state.shard(id))),
            ("stamp".to_owned(), item::n(now)),
        ])
    }

    /// Up to `limit` members of a group's current set, in order of their ids, and whether there are
    /// more.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn members(
        &self,
        group: &Stored,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        self.members_after(group, None, limit).await
    }

    /// The same from after an id on.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn members_after(
        &self,
        group: &Stored,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        let Some(state) = &group.group else {
            return Ok((Vec::new(), false));
        };
        let shards = (0..u64::from(state.shards))
            .map(|shard| self.members_of_shard(&group.id, state, shard, (after, limit + 1)));
        let mut members: Vec<Member> = try_join_all(shards).await?.into_iter().flatten().collect();
        members.sort_unstable();
        let more = members.len() > limit;
        members.truncate(limit);
        Ok((members, more))
    }

    async fn members_of_shard(
        &self,
        group: &str,
        state: &GroupState,
        shard: u64,
        (after, limit): (Option<&str>, usize),
    ) -> Result<Vec<Member>, StoreError> {
        let mut members = Vec::new();
        let mut after = after.map(str::to_owned);
        loop {
            let window = Window {
                after: after.as_deref(),
                limit: Some(limit - members.len()),
                ..Window::default()
            };
            let pk = self.keys.members(group, &state.set, shard);
            let output = self.query(pk, &KeyRange::all(), window, None).await?;
            after = super::range::last_key(&output);
            for mut item in output.items.unwrap_or_default() {
                let (id, kind) = (
                    item::take_text(&mut item, "sk")?,
                    item::take_text(&mut item, "type")?,
                );
                members.push(Member { id, kind });
            }
            if after.is_none() || members.len() >= limit {
                return Ok(members);
            }
        }
    }

    /// Whether a resource is a member of the group's current set. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn is_member(&self, group: &Stored, member: &str) -> Result<bool, StoreError> {
        let Some(state) = &group.group else {
            return Ok(false);
        };
        let pk = self
            .keys
            .members(&group.id, &state.set, state.shard(member));
        Ok(self.get_item(pk, member).await?.is_some())
    }

    /// Every membership item of a resource, whether its set still counts or not.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn memberships(&self, member: &str) -> Result<Vec<Membership>, StoreError> {
        let range = KeyRange::prefix(&format!("{member}{SEPARATOR}"));
        self.memberships_in(&self.keys.memberships(member), &range)
            .await
    }

    /// Every membership item of these resources, each looked up by itself, in parallel.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn memberships_of(
        &self,
        members: impl Iterator<Item = &str>,
    ) -> Result<Vec<Membership>, StoreError> {
        let reads: Vec<_> = members.map(|member| self.memberships(member)).collect();
        let found: Vec<Vec<Membership>> =
            stream::iter(reads).buffered(PARALLEL).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Every membership item in a range of one partition.
    pub(super) async fn memberships_in(
        &self,
        pk: &str,
        range: &KeyRange,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut memberships = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let window = Window {
                after: after.as_deref(),
                ..Window::default()
            };
            let output = self.query(pk.to_owned(), range, window, None).await?;
            after = super::range::last_key(&output);
            for mut item in output.items.unwrap_or_default() {
                let key = item::take_text(&mut item, "sk")?;
                let shard = item::number(&item, "shard")?;
                let mut parts = key.splitn(3, SEPARATOR).map(str::to_owned);
                if let (Some(member), Some(group), Some(set)) =
                    (parts.next(), parts.next(), parts.next())
                {
                    memberships.push(Membership {
                        member,
                        group,
                        set,
                        shard,
                    });
                }
            }
            if after.is_none() {
                return Ok(memberships);
            }
        }
    }

    /// The memberships of many resources whose ids follow each other, by member: one range in each of
    /// the four partitions, in parallel.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn memberships_between(
        &self,
        first: &str,
        last: &str,
    ) -> Result<Vec<Membership>, StoreError> {
        let range = KeyRange::at_least(first).and(KeyRange::at_most(last));
        let range = &range;
        let partitions = self.keys.membership_partitions();
        let reads = partitions.iter().map(|pk| self.memberships_in(pk, range));
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }
}
