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
use crate::store::item::{self, GroupState, Item, token};
use crate::store::table::Table;
use crate::store::table::call::Backoff;
use crate::store::table::transaction::Transaction;

/// A change of members of a set that is in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemberWrite<'w> {
    /// The set.
    pub(super) set: MemberSet<'w>,
    /// What the group said of it when it was read.
    pub(super) state: &'w GroupState,
    /// Who is removed of those that are named.
    pub(super) removal: Removal,
    /// The tenant's resource types.
    pub(super) types: &'w Registry,
}

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

/// Whether a member's item must be there already when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It must not.
    Absent,
    /// It must.
    Present,
}

/// What is left to do.
struct Left {
    add: BTreeMap<String, (Member, Presence)>,
    remove: BTreeSet<String>,
}

/// What a step of the transaction was about.
enum Part {
    Check(String),
    Addition(String),
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
    write: MemberWrite<'_>,
    change: MemberChange,
) -> Result<Applied, StoreError> {
    let add = change.add.into_iter();
    let mut left = Left {
        add: add
            .map(|(id, member)| (id, (member, Presence::Absent)))
            .collect(),
        remove: change.remove.into_iter().collect(),
    };
    let mut applied = Applied::default();
    let mut backoff = Backoff::default();
    while !(left.add.is_empty() && left.remove.is_empty()) {
        let transaction = transaction(table, write, &left);
        let Err(refused) = transaction.commit_or_tell_all(table, &token()).await? else {
            let fresh = |(id, (_, presence)): (String, (Member, Presence))| {
                (presence == Presence::Absent).then_some(id)
            };
            applied.added = left.add.into_iter().filter_map(fresh).collect();
            applied.removed = left.remove.len();
            return Ok(applied);
        };
        let mut is_back = false;
        for refused in refused {
            let item = refused.item.as_ref();
            is_back |= left.refused(&refused.refusal, item, write.state, &mut applied);
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

fn transaction(table: &Table, write: MemberWrite<'_>, left: &Left) -> Transaction<Part> {
    let MemberWrite {
        set,
        removal,
        types,
        ..
    } = write;
    let mut transaction = Transaction::default();
    for (id, (member, presence)) in &left.add {
        let Some(resource_type) = types.resource_type(&member.kind) else {
            continue;
        };
        transaction.push(exists(table, resource_type, id), Part::Check(id.clone()));
        let part = Part::Addition(id.clone());
        match presence {
            Presence::Absent => transaction.push(set.put(member), part),
            Presence::Present => transaction.push(set.restamp(id), part),
        }
        transaction.push(set.put_membership(id), Part::Membership);
    }
    for id in &left.remove {
        transaction.push(set.delete(id, removal), Part::Removal(id.clone()));
        transaction.push(set.delete_membership(id), Part::Membership);
    }
    transaction
}

impl Left {
    /// Takes note of a refused step; says whether a member has disappeared that was there.
    fn refused(
        &mut self,
        part: &Part,
        item: Option<&Item>,
        state: &GroupState,
        applied: &mut Applied,
    ) -> bool {
        match part {
            Part::Check(id) => applied.missing.push(id.clone()),
            Part::Addition(id) => match self.add.get_mut(id) {
                Some((_, presence @ Presence::Present)) => {
                    *presence = Presence::Absent;
                    return true;
                }
                // A large removal is under way: it spares those that were added after it began, and
                // knows them by their stamp.
                Some((_, presence)) if state.open > 0 => *presence = Presence::Present,
                _ => {
                    self.add.remove(id);
                    let stamp = item.and_then(|item| item::number(item, "stamp").ok());
                    applied.is_owed |= stamp.is_some_and(|stamp| stamp >= state.member_revision);
                }
            },
            Part::Removal(id) => {
                self.remove.remove(id);
            }
            Part::Membership => {}
        }
        false
    }
}
