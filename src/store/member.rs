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
use serde::{Deserialize, Serialize};

use super::TenantStore;
use super::batch::PlainWrite;
use super::error::StoreError;
use super::item::{self, GroupState, Item, s};
use super::keys;
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
    /// Its name for people, if the client gave one with it.
    #[serde(default)]
    pub display: Option<String>,
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

    /// By how many members there are more afterwards, if those to add are new and those to remove
    /// are there.
    #[must_use]
    pub fn balance(&self) -> i64 {
        let count = |members: usize| i64::try_from(members).unwrap_or(i64::MAX);
        count(self.add.len()) - count(self.remove.len())
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
    /// A new set, for so many members.
    #[must_use]
    pub fn fresh(shards: u32, members: usize) -> Self {
        Self {
            member_revision: 0,
            member_stamp: 0,
            set: fresh_set(),
            shards: shards.max(1),
            about: i64::try_from(members).unwrap_or(i64::MAX),
            is_inner: false,
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

    /// A member's item.
    pub(super) fn member_item(
        &self,
        group: &str,
        state: &GroupState,
        member: &Member,
        now: u64,
    ) -> Item {
        let mut item = Item::from([
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
        ]);
        if let Some(display) = &member.display {
            item.insert("display".to_owned(), s(display));
        }
        item
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
}
