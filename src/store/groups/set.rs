//! One set of a group's members, as items in both directions.
//!
//! A member item says that a resource belongs to a set of a group; a membership item says the same
//! under the member. The group's own item names the set that counts, so a replaced set disappears in
//! one write, and items of any other set mean nothing.
//!
//! A set is spread over partitions, because one partition takes 1,000 writes a second.

use super::member::{self, Member};
use crate::store::error::StoreError;
use crate::store::items::{self, MemberItem, MembershipItem};
use crate::store::keys::{self, Key, Keys, Partition};
use crate::store::resources::write::New;
use crate::store::stored::{GroupState, Item, Stored, n, token};
use crate::store::table::Table;
use crate::store::table::batch::{self, PlainWrite};
use crate::store::table::write::{Condition, Delete, Put, Update};

/// A fresh set has one partition for each of this number of members.
const MEMBERS_PER_SHARD: usize = 2_500;
/// The most partitions of one set.
const MAX_SHARDS: u32 = 64;

/// A set of a group, and the items of its members.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct MemberSet<'s> {
    keys: &'s Keys,
    group: &'s str,
    state: &'s GroupState,
}

/// Which members a removal removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// All that are there.
    Any,
    /// Those that were added before the group was as the change saw it, and not again since.
    Earlier,
}

/// A new set, for this number of members.
pub(in crate::store) fn fresh(members: usize) -> GroupState {
    let shards = u32::try_from(members / MEMBERS_PER_SHARD + 1).unwrap_or(u32::MAX);
    GroupState {
        // 11 characters that no other set of the group has.
        set: token().chars().rev().take(11).collect(),
        shards: shards.min(MAX_SHARDS),
        about: member::count(members),
        ..GroupState::default()
    }
}

/// A new group with its first members in this set.
pub(in crate::store) fn first_state(new: New<'_>, set: &GroupState) -> Stored {
    Stored {
        // The first members are a revision of their own, so that no later change takes one of them for an
        // addition that the group has not counted.
        group: Some(GroupState {
            member_revision: 1,
            members_modified: new.write.now,
            ..set.clone()
        }),
        ..new.stored()
    }
}

/// Whether a large removal that is under way would remove a member with this stamp: it removes what
/// was stamped before it began.
pub(super) fn may_lose(state: &GroupState, stamp: u64) -> bool {
    state.open > 0 && stamp < state.member_revision
}

impl<'s> MemberSet<'s> {
    /// The set of a group that this state names.
    pub(in crate::store) fn new(table: &'s Table, group: &'s str, state: &'s GroupState) -> Self {
        Self {
            keys: table.keys(),
            group,
            state,
        }
    }

    /// What the group says of the set.
    pub(super) fn state(self) -> &'s GroupState {
        self.state
    }

    /// The partitions of the set.
    pub(super) fn partitions(self) -> Vec<Partition> {
        let shards = 0..u64::from(self.state.shards.max(1));
        shards.map(|shard| self.partition(shard)).collect()
    }

    fn partition(self, shard: u64) -> Partition {
        self.keys.members(self.group, &self.state.set, shard)
    }

    fn shard(self, member: &str) -> u64 {
        keys::stable_hash(member) % u64::from(self.state.shards.max(1))
    }

    /// The key of a member's item.
    pub(super) fn key(self, id: &str) -> Key {
        self.partition(self.shard(id)).key(id)
    }

    /// The key of the same membership's item on the member's side.
    pub(super) fn membership_key(self, id: &str) -> Key {
        let sort = keys::membership(id, self.group, &self.state.set);
        self.keys.memberships(id).key(sort)
    }

    /// A member's item. Its stamp is the revision of the members that the writer who added it has
    /// seen: a later revision says that the group has counted the addition.
    pub(in crate::store) fn item(self, member: &Member) -> Item {
        let item = MemberItem {
            sk: member.id.clone(),
            kind: "M".to_owned(),
            type_name: member.type_name.clone(),
            stamp: Some(self.state.member_revision),
            display: member.display.clone(),
        };
        let partition = self.partition(self.shard(&member.id));
        items::to_item(partition.as_str(), item)
    }

    /// The same membership's item on the member's side.
    pub(in crate::store) fn membership_item(self, id: &str) -> Item {
        let item = MembershipItem {
            sk: keys::membership(id, self.group, &self.state.set),
            kind: "B".to_owned(),
            shard: self.shard(id),
        };
        items::to_item(self.keys.memberships(id).as_str(), item)
    }

    /// Puts the item of a member who is not there.
    pub(super) fn put(self, member: &Member) -> Put {
        let is_new = Condition::new("attribute_not_exists(pk)").showing_item();
        Put::new(self.item(member)).when(is_new)
    }

    /// Puts the item on the member's side.
    pub(super) fn put_membership(self, id: &str) -> Put {
        Put::new(self.membership_item(id))
    }

    /// Stamps a member anew who is there.
    pub(super) fn restamp(self, id: &str) -> Update {
        let mut update = Update::unnamed(self.key(id));
        update
            .require("attribute_exists(pk)")
            .set("stamp = :stamp")
            .value(":stamp", n(self.state.member_revision));
        update
    }

    /// Deletes a member's item.
    pub(super) fn delete(self, id: &str, removal: Removal) -> Delete {
        let condition = match removal {
            Removal::Any => Condition::new("attribute_exists(pk)"),
            Removal::Earlier => {
                Condition::new("stamp <= :stamp").value(":stamp", n(self.state.member_revision))
            }
        };
        Delete::new(self.key(id)).when(condition)
    }

    /// Deletes the item on the member's side.
    pub(super) fn delete_membership(self, id: &str) -> Delete {
        Delete::new(self.membership_key(id))
    }

    /// Removes items of a set that is not the current one, or never was.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(super) async fn remove_items(
        self,
        table: &Table,
        ids: impl Iterator<Item = &String>,
    ) -> Result<(), StoreError> {
        let keys = ids.flat_map(|id| [self.key(id), self.membership_key(id)]);
        batch::write(table, keys.map(PlainWrite::Delete).collect()).await
    }
}
