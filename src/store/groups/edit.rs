//! Adds members to a group and removes others.
//!
//! What fits one transaction, and comes alone, does not touch the group itself: the update of the group
//! follows, so that parallel changes of one group do not meet. With a change of the body, or where the
//! client names a version, the update is part of the transaction. What does not fit is a job.

use std::collections::HashMap;

use super::edit_set::{self, EditSetJob};
use super::member::{Member, MemberChange, count};
use super::member_write::write_members;
use super::members;
use super::set::{MemberSet, Removal, may_lose};
use super::update::{ChangeAttempt, Guard, MemberEffect, MemberItems, typed, update};
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::stored::Stored;
use crate::store::table::Table;

/// What is left of a change without the members to add who are there already, and those to remove who
/// are not there.
pub(super) struct MemberDiff {
    change: MemberChange,
    /// The stamps of those named who are there. Those of them that are still to be added are those
    /// whom a removal that is under way would remove.
    stamps: HashMap<String, u64>,
    /// Whether the group may not have counted an earlier addition yet.
    is_owed: bool,
}

/// Adds and removes members, whichever others there are.
///
/// # Errors
/// As for [`super::Groups::change`].
pub(super) async fn edit(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    change: MemberChange,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let entry_steps = attempt.entry_steps();
    let is_alone = attempt.body.is_none() && attempt.guard == Guard::Changed;
    if is_alone && change.fits_beside(entry_steps) {
        return edit_alone(table, attempt, change, types).await;
    }
    // Clients send whole lists of members most of whom are there.
    let diff = diff(table, attempt.before, change).await?;
    match (diff.change.fits_beside(entry_steps), is_alone) {
        (false, _) => edit_large(table, attempt, diff.change, types).await,
        (true, true) if !diff.is_owed => edit_alone(table, attempt, diff.change, types).await,
        (true, _) => edit_together(table, attempt, diff, types).await,
    }
}

/// Adds or removes one member of those that were read: refused if the members have changed since.
///
/// # Errors
/// As for [`super::Groups::change`].
pub(super) async fn edit_one(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    change: MemberChange,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let attempt = ChangeAttempt {
        guard: attempt.guard.max(Guard::Members),
        ..attempt
    };
    let diff = MemberDiff {
        change,
        stamps: HashMap::new(),
        is_owed: false,
    };
    edit_together(table, attempt, diff, types).await
}

/// Adds and removes in a transaction of the member items, and then updates the group.
async fn edit_alone(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    change: MemberChange,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let state = attempt.state();
    let set = MemberSet::new(table, &attempt.before.id, &state);
    let applied = write_members(table, set, Removal::Any, change, types).await?;
    if let Some(id) = applied.missing.first().cloned() {
        return Err(StoreError::NoMember { id });
    }
    if !applied.is_change() {
        return Ok(attempt.before.clone());
    }
    let effect = MemberEffect::Counted(applied.more());
    let updated = update(table, attempt, effect, MemberItems::default()).await;
    if let Err(StoreError::VersionMismatch | StoreError::NotFound) = updated {
        // Another set has taken over, or the group is gone: what was added is in a set that does not
        // count any more, and the attempt that follows adds it to the new one.
        set.remove_items(table, applied.added.iter()).await?;
    }
    updated
}

/// Adds and removes in one transaction with the group's own update.
async fn edit_together(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    diff: MemberDiff,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let MemberDiff {
        change,
        stamps,
        is_owed,
    } = diff;
    let is_change = is_owed || !change.is_empty();
    if !is_change && attempt.body.is_none() {
        return Ok(attempt.before.clone());
    }
    let (again, new): (Vec<Member>, Vec<Member>) = change
        .add
        .into_values()
        .partition(|member| stamps.contains_key(&member.id));
    let items = MemberItems {
        group: &attempt.before.id,
        set: attempt.state(),
        add: typed(new, types),
        again: typed(again, types),
        remove: change.remove.into_iter().collect(),
    };
    let effect = match is_change {
        false => MemberEffect::None,
        true => MemberEffect::Counted(count(items.add.len()) - count(items.remove.len())),
    };
    update(table, attempt, effect, items).await
}

async fn edit_large(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    change: MemberChange,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let job = EditSetJob {
        resource_type: attempt.resource_type.name.clone(),
        group: attempt.before.id.clone(),
        set: attempt.state(),
        change,
        now: attempt.now,
    };
    edit_set::begin(table, attempt, job, types).await
}

/// Leaves out of a change the members to add who are there already, and those to remove who are not.
async fn diff(
    table: &Table,
    group: &Stored,
    mut change: MemberChange,
) -> Result<MemberDiff, StoreError> {
    let state = group.group.clone().unwrap_or_default();
    let ids = change.add.keys().chain(&change.remove);
    let stamps = members::stamps(table, &group.id, &state, ids).await?;
    // The group's revision has not gone beyond the stamp: the writer that added the member may have
    // died before its update of the group.
    let is_uncounted = |id| {
        let stamp = stamps.get(id);
        stamp.is_some_and(|stamp| *stamp >= state.member_revision)
    };
    let is_owed = change.add.keys().any(is_uncounted);
    change.remove.retain(|id| stamps.contains_key(id));
    let is_needed = |id: &String| stamps.get(id).is_none_or(|stamp| may_lose(&state, *stamp));
    change.add.retain(|id, _| is_needed(id));
    Ok(MemberDiff {
        change,
        stamps,
        is_owed,
    })
}
