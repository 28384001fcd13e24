//! Adds members to a set that is in use, and removes them: one transaction of their items.
//!
//! Each member is checked in the transaction that adds it, and its two items are written and removed
//! together, so that parallel changes of one group never leave half of a membership. The group's own
//! item is not touched, or they would cancel each other.

use std::collections::{BTreeMap, BTreeSet};

use super::member::{Member, MemberChange, Presence, Removal};
use crate::protocol::schema::Registry;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, GroupState, Item};
use crate::store::resources::token;
use crate::store::table::call::Backoff;
use crate::store::table::transaction::{Refusal, Transaction};

/// A change of members of a set that is in use.
#[derive(Debug, Clone, Copy)]
pub struct MemberWrite<'w> {
    /// The group's `id`.
    pub group: &'w str,
    /// The set, as the group was read.
    pub set: &'w GroupState,
    /// Who is removed of those that are named.
    pub removal: Removal,
    /// The tenant's resource types.
    pub types: &'w Registry,
}

/// What became of a change of members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The ids of the members that were not there before.
    pub added: Vec<String>,
    /// How many members are gone.
    pub removed: usize,
    /// The ids that are no resources of the type that was said; if there are any, nothing changed.
    pub missing: Vec<String>,
    /// Whether an earlier change may not have been told in the group yet.
    pub is_owed: bool,
}

impl Applied {
    /// How many more members there are.
    #[must_use]
    pub fn more(&self) -> i64 {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        count(self.added.len()) - count(self.removed)
    }

    /// Whether the group has to be told.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.is_owed || !self.added.is_empty() || self.removed > 0
    }
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

impl TenantStore {
    /// Adds and removes members that fit one transaction. Additions of members that are there
    /// already, and removals of members that are not, fall out.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn write_members(
        &self,
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
            let (transaction, parts) = self.member_transaction(write, &left)?;
            let Err(refused) = self.commit_steps(transaction, &token()).await? else {
                let fresh = |(id, (_, presence)): (String, (Member, Presence))| {
                    (presence == Presence::Absent).then_some(id)
                };
                applied.added = left.add.into_iter().filter_map(fresh).collect();
                applied.removed = left.remove.len();
                return Ok(applied);
            };
            let refused = refused
                .iter()
                .filter_map(|(step, item)| Some((parts.get(*step)?, item.as_ref())));
            let mut is_back = false;
            for (part, item) in refused {
                is_back |= left.refused(part, item, write.set, &mut applied);
            }
            if !applied.missing.is_empty() {
                return Ok(applied);
            }
            if is_back {
                self.pause(&mut backoff).await?;
            }
        }
        Ok(applied)
    }

    fn member_transaction(
        &self,
        write: MemberWrite<'_>,
        left: &Left,
    ) -> Result<(Transaction, Vec<Part>), StoreError> {
        let MemberWrite {
            group,
            set,
            removal,
            types,
        } = write;
        let mut transaction = Transaction::default();
        let mut parts = Vec::new();
        for (id, (member, presence)) in &left.add {
            let Some(resource_type) = types.resource_type(&member.kind) else {
                continue;
            };
            let check = self.member_check(resource_type, id)?;
            transaction.check(check, Refusal::Member(id.clone()));
            match presence {
                Presence::Absent => {
                    transaction.put(self.member_put(group, set, member)?, Refusal::Changed);
                }
                Presence::Present => {
                    let restamp = self.member_restamp(group, set, id)?;
                    transaction.update(restamp, Refusal::Changed);
                }
            }
            transaction.put(self.membership_put(group, set, id)?, Refusal::Never);
            parts.extend([
                Part::Check(id.clone()),
                Part::Addition(id.clone()),
                Part::Membership,
            ]);
        }
        for id in &left.remove {
            let delete = self.member_delete(group, set, id, removal)?;
            transaction.delete(delete, Refusal::Changed);
            transaction.delete(self.membership_delete(group, set, id)?, Refusal::Never);
            parts.extend([Part::Removal(id.clone()), Part::Membership]);
        }
        Ok((transaction, parts))
    }
}

impl Left {
    /// Takes note of a refused step; tells whether a member has disappeared that was there.
    fn refused(
        &mut self,
        part: &Part,
        item: Option<&Item>,
        set: &GroupState,
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
                Some((_, presence)) if set.open > 0 => *presence = Presence::Present,
                _ => {
                    self.add.remove(id);
                    let stamp = item.and_then(|item| item::number(item, "stamp").ok());
                    applied.is_owed |= stamp.is_some_and(|stamp| stamp >= set.member_revision);
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
