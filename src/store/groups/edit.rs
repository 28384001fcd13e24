//! Adds members to a group and removes others.
//!
//! There are three ways to write the change:
//!
//! - A change of members only, without a version from the client: one transaction of the member
//!   items, and then an update of the group's own item. The transactions do not contain the group's
//!   own item, so parallel changes of one group do not conflict.
//! - A change of the body too, or one for a version that the client names: one transaction that also
//!   contains the update of the group.
//! - A change that does not fit one transaction: a job of the journal ([`edit_set`]).

use std::collections::HashMap;

use super::edit_set::{self, EditSetJob};
use super::member::{Member, MemberChange, count};
use super::member_steps::typed;
use super::member_write::write_members;
use super::members;
use super::set::{MemberSet, Removal, may_lose};
use super::update::{ChangeAttempt, Guard, MemberEffect, MemberItems, update};
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::stored::Stored;
use crate::store::table::Table;

/// A change that has been reduced to what differs from the set: without additions of resources that
/// are members already, and without removals of resources that are not members.
pub(super) struct MemberDiff {
    change: MemberChange,
    /// The stamps of the named resources that are members, by id. If one of them is still in
    /// `change.add`, a large removal that is under way could remove it, so it is stamped again.
    stamps: HashMap<String, u64>,
    /// Whether a named member was added by a writer that may not have counted the addition in the
    /// group yet.
    is_owed: bool,
}

/// Adds and removes members and leaves all other members as they are.
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
    // Clients often send whole lists of which most members are known already, so the change may
    // still fit one transaction.
    let diff = diff(table, attempt.before, change).await?;
    match (diff.change.fits_beside(entry_steps), is_alone) {
        (false, _) => edit_large(table, attempt, diff.change, types).await,
        (true, true) if !diff.is_owed => edit_alone(table, attempt, diff.change, types).await,
        (true, _) => edit_together(table, attempt, diff, types).await,
    }
}

/// Adds or removes one member. The caller has compared the whole list of members, so the change is
/// refused if any member has changed since the group was read.
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

/// Adds and removes members in a transaction of the member items only, and then updates the group's
/// own item.
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
    let items = MemberItems {
        removed: applied.removed,
        ..MemberItems::default()
    };
    let updated = update(table, attempt, effect, items).await;
    if let Err(StoreError::VersionMismatch | StoreError::NotFound) = updated {
        // Another writer has made another set current, or the group is gone. The members that were
        // added are in a set that no reader reads any more, so their items are removed. The caller
        // reads the group again, and its next attempt adds the members to the current set.
        set.remove_items(table, applied.added.iter()).await?;
    }
    updated
}

/// Adds and removes members in one transaction with the update of the group's own item.
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
        removed: Vec::new(),
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

/// Reduces a change to what differs from the set.
async fn diff(
    table: &Table,
    group: &Stored,
    mut change: MemberChange,
) -> Result<MemberDiff, StoreError> {
    let state = group.group.clone().unwrap_or_default();
    let ids = change.add.keys().chain(&change.remove);
    let stamps = members::stamps(table, &group.id, &state, ids).await?;
    // The group's `mv` is not greater than the stamp, so no update of the group has followed the
    // addition yet. The writer that added the member may have died before that update, so this
    // change counts instead.
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
