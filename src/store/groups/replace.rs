//! Replaces all members of a group. The new members go into a fresh set, and one write of the group
//! makes that set the current one, so readers see the old list or the new one and never a mixture.

use std::collections::{BTreeMap, HashSet};

use super::edit::edit_one;
use super::member::{Member, MemberChange, fit_beside};
use super::member_steps::typed;
use super::members::Members;
use super::nesting;
use super::replace_set::{self, JobBody, ReplaceSetJob, Replaced};
use super::set::{self, Filling};
use super::update::{ChangeAttempt, Guard, MemberEffect, MemberItems, keep_members, update};
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::error::StoreError;
use crate::store::index_version::INDEX_VERSION;
use crate::store::resources::entry::Entries;
use crate::store::resources::write::{self, New};
use crate::store::seats::SeatChange;
use crate::store::stored::{GroupState, Stored};
use crate::store::table::Table;

/// Compares the wanted list with the current members. If they are equal, no member is written. If
/// they differ by one member, only that member is changed, which readers cannot see half done.
/// Otherwise the list replaces the set. While a large change is running the current members are not
/// final, so a full list always replaces the set.
///
/// # Errors
/// As for [`super::Groups::change`].
pub(super) async fn compare_and_replace(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    wanted: BTreeMap<String, Member>,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let group = attempt.before;
    let limit = wanted.len() + 1;
    let (current, more) = Members::new(table).page(group, None, limit).await?;
    if more || group.members_are_changing() {
        return replace(table, attempt, wanted, types).await;
    }
    let current: HashSet<String> = current.into_iter().map(|member| member.id).collect();
    let gone: Vec<&String> = current
        .iter()
        .filter(|id| !wanted.contains_key(*id))
        .collect();
    let new: Vec<&Member> = wanted
        .values()
        .filter(|member| !current.contains(&member.id))
        .collect();
    let mut change = MemberChange::default();
    match (new.as_slice(), gone.as_slice()) {
        ([], []) => return keep_members(table, attempt).await,
        ([member], []) => {
            change.add.insert(member.id.clone(), (*member).clone());
        }
        ([], [id]) => {
            change.remove.insert((*id).clone());
        }
        _ => return replace(table, attempt, wanted, types).await,
    }
    nesting::note_inner_groups(table, types, &group.id, change.add.values()).await?;
    edit_one(table, attempt, change, types).await
}

/// Replaces the set: in one transaction if the members fit, by a job otherwise.
///
/// # Errors
/// As for [`super::Groups::change`].
pub(super) async fn replace(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    members: BTreeMap<String, Member>,
    types: &Registry,
) -> Result<Stored, StoreError> {
    nesting::note_inner_groups(table, types, &attempt.before.id, members.values()).await?;
    let current = attempt.state();
    let filling = filling(members.len(), attempt.entry_steps());
    let fresh = GroupState {
        member_revision: current.member_revision,
        ..set::fresh(members.len(), filling)
    };
    if filling == Filling::BeforeGroup {
        let job = ReplaceSetJob {
            resource_type: attempt.resource_type.name.clone(),
            group: attempt.before.id.clone(),
            fresh,
            replaced: Some(Replaced {
                revision: attempt.before.revision,
                old: current,
            }),
            members,
            body: attempt.body.as_ref().map(JobBody::of_change),
            now: attempt.now,
        };
        return replace_set::begin(table, &job, attempt.guard, types).await;
    }
    let items = MemberItems {
        group: &attempt.before.id,
        set: fresh.clone(),
        add: typed(members.into_values(), types),
        ..MemberItems::default()
    };
    update(table, attempt, MemberEffect::NewSet(fresh), items).await
}

/// How a set of this number of members is filled, if its transaction has this number of steps for
/// index entries.
fn filling(members: usize, entry_steps: usize) -> Filling {
    match fit_beside(members, 0, entry_steps) {
        true => Filling::WithGroup,
        false => Filling::BeforeGroup,
    }
}

/// Creates a group with its first members: in one transaction if the members fit, by a job
/// otherwise.
///
/// # Errors
/// As for [`super::Groups::create`].
pub(super) async fn create(
    table: &Table,
    resource_type: &ResourceType,
    new: New<'_>,
    members: BTreeMap<String, Member>,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let filling = filling(members.len(), new.write.entries.len());
    let fresh = set::fresh(members.len(), filling);
    if filling == Filling::BeforeGroup {
        let job = ReplaceSetJob {
            resource_type: resource_type.name.clone(),
            group: new.id.to_owned(),
            fresh,
            replaced: None,
            members,
            body: Some(JobBody {
                text: new.write.body.to_owned(),
                entries_before: Entries::default(),
                entries: new.write.entries.clone(),
                index_version: INDEX_VERSION,
            }),
            now: new.write.now,
        };
        return replace_set::begin(table, &job, Guard::Changed, types).await;
    }
    let stored = set::first_state(new, &fresh);
    let items = MemberItems {
        group: new.id,
        set: fresh,
        add: typed(members.into_values(), types),
        ..MemberItems::default()
    };
    let entries = new.write.entries;
    let no_user = SeatChange::Ignore;
    write::create(table, resource_type, stored, entries, no_user, &items).await
}
