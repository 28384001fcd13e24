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

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, Update};
use serde::{Deserialize, Serialize};

use crate::protocol::schema::ResourceType;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, GroupState, Item, s};
use crate::store::keys;
use crate::store::resources::{broken, token};
use crate::store::table::batch::PlainWrite;
use crate::store::table::transaction::{MAX_STEPS, WITH_OLD_ITEM};

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
    pub(in crate::store) shard: u64,
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

    /// The same in parts that each fit a transaction.
    pub(in crate::store) fn in_transactions(&self) -> Vec<Self> {
        let (add, remove): (Vec<_>, Vec<_>) =
            (self.add.iter().collect(), self.remove.iter().collect());
        let additions = add.chunks(MAX_STEPS / STEPS_TO_ADD).map(|part| Self {
            add: part
                .iter()
                .map(|(id, member)| ((*id).clone(), (*member).clone()))
                .collect(),
            remove: HashSet::new(),
        });
        let removals = remove.chunks(MAX_STEPS / STEPS_TO_REMOVE).map(|part| Self {
            add: BTreeMap::new(),
            remove: part.iter().map(|id| (*id).clone()).collect(),
        });
        additions.chain(removals).collect()
    }

    /// Whether this fits one transaction that has `others` more steps.
    #[must_use]
    pub fn fits(&self, others: usize) -> bool {
        self.steps() + others <= MAX_STEPS
    }
}

impl GroupState {
    /// A new set, for so many members.
    #[must_use]
    pub fn fresh(shards: u32, members: usize) -> Self {
        Self {
            set: fresh_set(),
            shards: shards.max(1),
            about: i64::try_from(members).unwrap_or(i64::MAX),
            ..Self::default()
        }
    }

    /// Whether a large removal that is under way would remove a member with this stamp: it removes
    /// what was stamped before it began.
    #[must_use]
    pub fn may_lose(&self, stamp: u64) -> bool {
        self.open > 0 && stamp < self.member_revision
    }

    /// The partition of a member's item.
    pub(in crate::store) fn shard(&self, member: &str) -> u64 {
        keys::stable_hash(member) % u64::from(self.shards.max(1))
    }
}

/// A set's name: 11 characters that no other set of the group has.
pub(in crate::store) fn fresh_set() -> String {
    token().chars().rev().take(11).collect()
}

/// Whether a member's item must be there already when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Presence {
    /// It must not.
    Absent,
    /// It must.
    Present,
}

/// Which members a removal removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Whoever is there.
    Any,
    /// Those that were added before the group was as the change saw it, and not again since.
    Earlier,
}

impl TenantStore {
    /// Checks that the member exists and is not being deleted.
    pub(in crate::store) fn member_check(
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

    /// Puts the item of a member who is not there.
    pub(in crate::store) fn member_put(
        &self,
        group: &str,
        state: &GroupState,
        member: &Member,
    ) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&*self.table)
            .set_item(Some(self.member_item(group, state, member)))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .build()
            .map_err(broken)
    }

    /// Stamps a member anew who is there.
    pub(in crate::store) fn member_restamp(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
    ) -> Result<Update, StoreError> {
        Update::builder()
            .table_name(&*self.table)
            .key(
                "pk",
                s(self.keys.members(group, &state.set, state.shard(id))),
            )
            .key("sk", s(id))
            .condition_expression("attribute_exists(pk)")
            .update_expression("SET stamp = :stamp")
            .expression_attribute_values(":stamp", item::n(state.member_revision))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .build()
            .map_err(broken)
    }

    pub(in crate::store) fn membership_put(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
    ) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&*self.table)
            .set_item(Some(self.membership_item(group, state, id)))
            .build()
            .map_err(broken)
    }

    /// Deletes a member's item.
    pub(in crate::store) fn member_delete(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
        removal: Removal,
    ) -> Result<Delete, StoreError> {
        let delete = Delete::builder()
            .table_name(&*self.table)
            .key(
                "pk",
                s(self.keys.members(group, &state.set, state.shard(id))),
            )
            .key("sk", s(id));
        let delete = match removal {
            Removal::Any => delete.condition_expression("attribute_exists(pk)"),
            Removal::Earlier => delete
                .condition_expression("stamp <= :stamp")
                .expression_attribute_values(":stamp", item::n(state.member_revision)),
        };
        delete.build().map_err(broken)
    }

    pub(in crate::store) fn membership_delete(
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
    pub(in crate::store) fn member_keys(
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

    /// Removes member items of a set that is not the current one, or never was.
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

    /// A member's item. Its stamp is the revision of the members that whoever added it has seen: a
    /// later revision says that the addition has been told in the group.
    pub(in crate::store) fn member_item(
        &self,
        group: &str,
        state: &GroupState,
        member: &Member,
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
            ("stamp".to_owned(), item::n(state.member_revision)),
        ]);
        if let Some(display) = &member.display {
            item.insert("display".to_owned(), s(display));
        }
        item
    }

    /// The same membership's item on the member's side.
    pub(in crate::store) fn membership_item(
        &self,
        group: &str,
        state: &GroupState,
        id: &str,
    ) -> Item {
        Item::from([
            ("pk".to_owned(), s(self.keys.memberships(id))),
            ("sk".to_owned(), s(keys::membership(id, group, &state.set))),
            ("kind".to_owned(), s("B")),
            ("shard".to_owned(), item::n(state.shard(id))),
        ])
    }
}
