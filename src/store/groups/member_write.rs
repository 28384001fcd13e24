//! Adds members to a set that is in use, and removes them: one transaction of their items.
//!
//! Each member is checked in the transaction that adds it, and its two items are written and removed
//! together, so that parallel changes of one group never leave half of a membership. The group's own
//! item is not touched, or they would cancel each other.

use std::collections::{BTreeMap, BTreeSet};

use super::member::{Member, MemberChange, count};
use super::set::{MemberSet, Removal};
use super::update::exists;
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::stored::{self, GroupState, Item, token};
use crate::store::table::Table;
use crate::store::table::call::Backoff;
use crate::store::table::transaction::{Refused, Transaction};

/// What became of a change of members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Applied {
    /// The ids of the members that were not there before.
    pub(super) added: Vec<String>,
    /// How many members are gone.
    removed: usize,
    /// The ids that are no resources of the type that was said; if there are any, nothing changed.
    pub(super) missing: Vec<String>,
    /// Whether the group may not have counted an earlier change yet.
    is_owed: bool,
}

impl Applied {
    /// By how many members there are more.
    pub(super) fn more(&self) -> i64 {
        count(self.added.len()) - count(self.removed)
    }

    /// Whether the group has to count it.
    pub(super) fn is_change(&self) -> bool {
        self.is_owed || !self.added.is_empty() || self.removed > 0
    }
}

/// What is left to do.
struct Left {
    /// The members to add, as far as they were not seen there.
    add: BTreeMap<String, Member>,
    /// Members who are there, and whom a removal that is under way must spare.
    again: BTreeMap<String, Member>,
    remove: BTreeSet<String>,
}

/// What a step of the transaction was about.
enum Part {
    Check(String),
    Addition(String),
    Restamp(String),
    Removal(String),
    Membership,
}

/// Adds and removes members that fit one transaction. Additions of members that are there already, and
/// removals of members that are not, fall out.
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
        let Err(refused) = transaction.commit_or_tell_all(table, &token()).await? else {
            applied.added = left.add.into_keys().collect();
            applied.removed = left.remove.len();
            return Ok(applied);
        };
        let mut is_back = false;
        for Refused { refusal, item } in refused {
            is_back |= left.refused(refusal, item.as_ref(), set.state(), &mut applied);
        }
        if !applied.missing.is_empty() {
            return Ok(applied);
        }
        // Another request removed a member whom this one had just seen there.
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
    ) -> Transaction<Part> {
        let mut transaction = Transaction::default();
        let new = self.add.values().map(|member| (member, true));
        let again = self.again.values().map(|member| (member, false));
        for (member, is_new) in new.chain(again) {
            let Some(resource_type) = types.resource_type(&member.type_name) else {
                continue;
            };
            let id = &member.id;
            transaction.push(exists(table, resource_type, id), Part::Check(id.clone()));
            match is_new {
                true => transaction.push(set.put(member), Part::Addition(id.clone())),
                false => transaction.push(set.restamp(id), Part::Restamp(id.clone())),
            }
            transaction.push(set.put_membership(id), Part::Membership);
        }
        for id in &self.remove {
            transaction.push(set.delete(id, removal), Part::Removal(id.clone()));
            transaction.push(set.delete_membership(id), Part::Membership);
        }
        transaction
    }

    /// Takes note of a refused step; says whether a member has disappeared that was there.
    fn refused(
        &mut self,
        part: Part,
        item: Option<&Item>,
        state: &GroupState,
        applied: &mut Applied,
    ) -> bool {
        match part {
            Part::Check(id) => applied.missing.push(id),
            Part::Addition(id) => {
                let member = self.add.remove(&id);
                // A large removal is under way: it spares those that were added after it began, and
                // knows them by their stamp.
                if state.open > 0 {
                    self.again.extend(member.map(|member| (id, member)));
                } else {
                    // The group has not counted the addition, whose writer may have died before.
                    let stamp = item.and_then(|item| stored::number(item, "stamp").ok());
                    applied.is_owed |= stamp.is_some_and(|stamp| stamp >= state.member_revision);
                }
            }
            Part::Restamp(id) => {
                let member = self.again.remove(&id);
                self.add.extend(member.map(|member| (id, member)));
                return true;
            }
            Part::Removal(id) => {
                self.remove.remove(&id);
            }
            Part::Membership => {}
        }
        false
    }
}
