//! One set of a group's members: for each member an item under the group and an item under the
//! member.
//!
//! A member item is under the group and says that a resource belongs to a set; a membership item is
//! under the resource and says the same. The group's own item names its current set. So one write
//! replaces all members, and items of any other set mean nothing.
//!
//! A large set is spread over several partitions, because one partition takes 1,000 writes a second.

use super::member::{self, Member};
use crate::identity::Cause;
use crate::store::cause;
use crate::store::error::StoreError;
use crate::store::items::{self, MemberItem, MembershipItem};
use crate::store::keys::{self, ItemKey, Keys, Partition};
use crate::store::resources::write::{Arrival, New};
use crate::store::stored::{GroupState, Item, Stored, n, random_id};
use crate::store::table::Table;
use crate::store::table::batch::{self, PlainWrite};
use crate::store::table::write::{Condition, Delete, Put, Update};

/// The number of members for which a fresh set gets one more partition.
const MEMBERS_PER_PARTITION: usize = 2_500;
/// The largest number of partitions of one set.
const MAX_PARTITIONS: u32 = 64;

/// A set of a group. It makes the keys and items of the set's members, and the requests that write
/// them.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct MemberSet<'s> {
    keys: &'s Keys,
    cause: &'s Cause,
    group: &'s str,
    state: &'s GroupState,
}

/// How the members of a new set are written. It is a part of the set's name, because a reader of the
/// table's stream has to know which sets had members before they became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Filling {
    /// In the transaction that makes the set the current one.
    WithGroup,
    /// By plain writes, before the set becomes the current one.
    BeforeGroup,
}

/// The beginning of the name of a set that is filled in one transaction with its group. Names that
/// earlier versions made have no dot.
const FILLED_WITH_GROUP: &str = "t.";
/// The beginning of the name of a set that is filled before it becomes current.
const FILLED_BEFORE_GROUP: &str = "f.";
/// The number of random characters of a set's name, by which it differs from the other sets of its
/// group. 9 characters of the end of a random id have 50 random bits.
const NAME_CHARACTERS: usize = 9;

/// Which members a removal removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Every member that is in the set.
    Any,
    /// Only members whose stamp is not later than the revision that the change has seen: those that
    /// were added before the change began, and not added again since.
    Earlier,
}

/// A new set for this number of members.
pub(in crate::store) fn fresh(members: usize, filling: Filling) -> GroupState {
    let partitions = u32::try_from(members / MEMBERS_PER_PARTITION + 1).unwrap_or(u32::MAX);
    let mut set = match filling {
        Filling::WithGroup => FILLED_WITH_GROUP.to_owned(),
        Filling::BeforeGroup => FILLED_BEFORE_GROUP.to_owned(),
    };
    set.extend(random_id().chars().rev().take(NAME_CHARACTERS));
    GroupState {
        set,
        partitions: partitions.min(MAX_PARTITIONS),
        about: member::count(members),
        ..GroupState::default()
    }
}

/// Whether a set of this name may have had members before it became the current one. That is so
/// unless its name says that it was written in one transaction with its group.
pub(in crate::store) fn is_filled_before(set: &str) -> bool {
    !set.starts_with(FILLED_WITH_GROUP)
}

/// A new group whose first members are in this set.
pub(in crate::store) fn first_state(new: New<'_>, set: &GroupState) -> Stored {
    Stored {
        // The first members are stamped with 0, and the group begins with revision 1. So no later
        // change takes a first member for an addition that the group has not counted.
        group: Some(GroupState {
            member_revision: 1,
            members_modified: new.write.now,
            ..set.clone()
        }),
        ..new.stored()
    }
}

/// A group that arrives without members. Its set has the partitions that its members will need.
pub(super) fn arriving(arrival: Arrival<'_>) -> Stored {
    let set = GroupState {
        about: 0,
        ..fresh(arrival.members, Filling::WithGroup)
    };
    Stored {
        group: Some(GroupState {
            member_revision: 1,
            ..set
        }),
        ..arrival.stored()
    }
}

/// Whether a large removal that is under way could remove a member with this stamp. It removes
/// members that were stamped before it began.
pub(super) fn may_lose(state: &GroupState, stamp: u64) -> bool {
    state.open > 0 && stamp < state.member_revision
}

impl<'s> MemberSet<'s> {
    /// The current set of a group in this state.
    pub(in crate::store) fn new(table: &'s Table, group: &'s str, state: &'s GroupState) -> Self {
        Self {
            keys: table.keys(),
            cause: table.cause(),
            group,
            state,
        }
    }

    /// The state of the group that has this set.
    pub(super) fn state(self) -> &'s GroupState {
        self.state
    }

    /// The partitions of the set.
    pub(super) fn partitions(self) -> Vec<Partition> {
        let numbers = 0..u64::from(self.state.partitions.max(1));
        numbers.map(|number| self.partition(number)).collect()
    }

    fn partition(self, number: u64) -> Partition {
        self.keys.members(self.group, &self.state.set, number)
    }

    fn partition_number(self, member: &str) -> u64 {
        keys::stable_hash(member) % u64::from(self.state.partitions.max(1))
    }

    /// The key of a member's item.
    pub(super) fn key(self, id: &str) -> ItemKey {
        self.partition(self.partition_number(id)).key(id)
    }

    /// The key of the membership item, which is under the member.
    pub(super) fn membership_key(self, id: &str) -> ItemKey {
        let sort = keys::membership(id, self.group, &self.state.set);
        self.keys.memberships(id).key(sort)
    }

    /// A member's item. Its stamp is the revision `mv` of the group that its writer had read. Once
    /// the group has a greater `mv`, the addition is counted.
    pub(in crate::store) fn item(self, member: &Member) -> Item {
        let item = MemberItem {
            sk: member.id.clone(),
            kind: "M".to_owned(),
            type_name: member.type_name.clone(),
            stamp: Some(self.state.member_revision),
            by: Some(cause::of_member(self.cause)),
            display: member.display.clone(),
        };
        let partition = self.partition(self.partition_number(&member.id));
        items::to_item(partition.as_str(), item)
    }

    /// The membership item, which is under the member.
    pub(in crate::store) fn membership_item(self, id: &str) -> Item {
        let item = MembershipItem {
            sk: keys::membership(id, self.group, &self.state.set),
            kind: "B".to_owned(),
            shard: self.partition_number(id),
        };
        items::to_item(self.keys.memberships(id).as_str(), item)
    }

    /// Puts a member's item, on the condition that the set does not have it yet.
    pub(super) fn put(self, member: &Member) -> Put {
        let is_new = Condition::new("attribute_not_exists(pk)").showing_item();
        Put::new(self.item(member)).when(is_new)
    }

    /// Puts the membership item.
    pub(super) fn put_membership(self, id: &str) -> Put {
        Put::new(self.membership_item(id))
    }

    /// Gives a member's item a new stamp, on the condition that the set has it. `by` stays: it says who
    /// has added the member.
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

    /// Deletes the membership item.
    pub(super) fn delete_membership(self, id: &str) -> Delete {
        Delete::new(self.membership_key(id))
    }

    /// Removes both items of members, without conditions. The set must not be a group's current one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_set_shows_how_it_was_filled() {
        let with_group = fresh(2, Filling::WithGroup).set;
        let before_group = fresh(2, Filling::BeforeGroup).set;
        assert!(!is_filled_before(&with_group), "{with_group}");
        assert!(is_filled_before(&before_group), "{before_group}");
        // The names that earlier versions made: the end of a random id in base64url.
        for earlier in ["t5yxkZc9RQF", "f0AbCd_-xYz"] {
            assert!(is_filled_before(earlier), "{earlier}");
        }
        assert_ne!(fresh(2, Filling::WithGroup).set, with_group);
        assert_eq!(with_group.len(), 11);
    }
}
