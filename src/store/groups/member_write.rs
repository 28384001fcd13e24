//! Adds members to a group's current set and removes members from it, in one transaction of their
//! items.
//!
//! The transaction checks that each added member exists. It writes and removes the two items of a
//! membership together, so parallel changes of one group never leave half of a membership. It does
//! not contain the group's own item: if it did, parallel changes of one group would cancel each
//! other.

use std::collections::{BTreeMap, BTreeSet};

use super::member::{Member, MemberChange, count};
use super::member_steps::{MemberStep, MemberSteps, typed};
use super::set::{MemberSet, Removal};
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::stored::{self, GroupState, Item, random_id};
use crate::store::table::Table;
use crate::store::table::call::Backoff;
use crate::store::table::transaction::{Refused, Transaction};

/// The result of [`write_members`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Applied {
    /// The ids of the members that this call added.
    pub(super) added: Vec<String>,
    /// The ids of the members that this call removed.
    pub(super) removed: Vec<String>,
    /// The ids of members to add that do not exist or are being deleted. If there are any, nothing
    /// was changed.
    pub(super) missing: Vec<String>,
    /// Whether a member to add was there already, added by a writer that may not have counted the
    /// addition in the group yet.
    is_owed: bool,
}

impl Applied {
    /// The number of members added less the number removed.
    pub(super) fn more(&self) -> i64 {
        count(self.added.len()) - count(self.removed.len())
    }

    /// Whether the group's own item has to be updated.
    pub(super) fn is_change(&self) -> bool {
        self.is_owed || !self.added.is_empty() || !self.removed.is_empty()
    }
}

/// The part of the change that the next attempt of the transaction makes.
struct Left {
    /// The members to add, without those that earlier attempts found in the set.
    add: BTreeMap<String, Member>,
    /// Members that earlier attempts found in the set. They are stamped again, so that a large
    /// removal that is under way does not remove them.
    again: BTreeMap<String, Member>,
    remove: BTreeSet<String>,
}

/// A step of the transaction that has a condition, with the member's id.
enum Conditional {
    Check(String),
    Add(String),
    Restamp(String),
    Remove(String),
}

/// Makes a change that fits one transaction. An addition of a resource that is a member already, and
/// a removal of one that is not, are dropped, and the rest is tried again.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn write_members(
    table: &Table,
    set: MemberSet<'_>,
    removal: Removal,
    change: MemberChange,
    types: &Registry,
) -> Result<Applied, StoreError> {
    let mut left = Left {
        add: change.add,
        again: BTreeMap::new(),
        remove: change.remove.into_iter().collect(),
    };
    let mut applied = Applied::default();
    let mut backoff = Backoff::default();
    while !left.is_empty() {
        let transaction = left.transaction(table, set, removal, types);
        let Err(refused) = transaction
            .commit_or_list_refusals(table, &random_id())
            .await?
        else {
            applied.added = left.add.into_keys().collect();
            applied.removed = left.remove.into_iter().collect();
            return Ok(applied);
        };
        let mut is_back = false;
        for Refused { refusal, item } in refused {
            // A step without a condition is never refused.
            let Some(step) = refusal else { continue };
            is_back |= left.refused(step, item.as_ref(), set.state(), &mut applied);
        }
        if !applied.missing.is_empty() {
            return Ok(applied);
        }
        // Another request has removed a member that this call had found in the set a moment ago.
        if is_back {
            table.pause(&mut backoff).await?;
        }
    }
    Ok(applied)
}

impl Left {
    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.again.is_empty() && self.remove.is_empty()
    }

    fn transaction(
        &self,
        table: &Table,
        set: MemberSet<'_>,
        removal: Removal,
        types: &Registry,
    ) -> Transaction<Option<Conditional>> {
        let steps = MemberSteps {
            add: typed(self.add.values(), types),
            again: typed(self.again.values(), types),
            remove: self.remove.iter().map(String::as_str).collect(),
            removal,
        };
        let mut transaction = Transaction::default();
        steps.push(table, set, &mut transaction, |step| match step {
            MemberStep::Check(member) => Some(Conditional::Check(member.id.clone())),
            MemberStep::Add(member) => Some(Conditional::Add(member.id.clone())),
            MemberStep::Restamp(member) => Some(Conditional::Restamp(member.id.clone())),
            MemberStep::Remove(id) => Some(Conditional::Remove(id.to_owned())),
            MemberStep::Membership => None,
        });
        transaction
    }

    /// Drops the change of a refused step from the next attempt. Returns whether a member that was
    /// found in the set has been removed since.
    fn refused(
        &mut self,
        step: Conditional,
        item: Option<&Item>,
        state: &GroupState,
        applied: &mut Applied,
    ) -> bool {
        match step {
            Conditional::Check(id) => applied.missing.push(id),
            Conditional::Add(id) => {
                let member = self.add.remove(&id);
                // A large removal is under way. It removes members whose stamp is from before it
                // began, so a new stamp keeps this member in the set.
                if state.open > 0 {
                    self.again.extend(member.map(|member| (id, member)));
                } else {
                    // With a stamp that the group's `mv` has not passed, the addition may not be
                    // counted yet: its writer may have died before its update of the group.
                    let stamp = item.and_then(|item| stored::number(item, "stamp").ok());
                    applied.is_owed |= stamp.is_some_and(|stamp| stamp >= state.member_revision);
                }
            }
            Conditional::Restamp(id) => {
                let member = self.again.remove(&id);
                self.add.extend(member.map(|member| (id, member)));
                return true;
            }
            Conditional::Remove(id) => {
                self.remove.remove(&id);
            }
        }
        false
    }
}
