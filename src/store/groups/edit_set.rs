//! A change of more members of a set that is in use than one transaction takes.
//!
//! One transaction writes the change down, with the change of the body that belongs to it, on the
//! condition that the group is still as it has to be: from here on nothing refuses it. Then members
//! are added and removed by transactions of as many as fit; readers see them come and go. The last
//! transaction counts the change in the group and removes the journal entry.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::member::MemberChange;
use super::member_write::write_members;
use super::members;
use super::missing;
use super::set::{MemberSet, Removal, may_lose};
use super::update::{ChangeAttempt, Guard, MemberEffect, MemberItems, update_noted};
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::error::StoreError;
use crate::store::journal::{Lease, NewEntry, Note};
use crate::store::resources::Resources;
use crate::store::stored::{GroupState, Stored};
use crate::store::table::Table;

/// Transactions under way at once.
const PARALLEL: usize = 8;

/// The name of the work in the journal.
const NAME: &str = "Delta";

/// A large change of a set that is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EditSetJob {
    /// The group's resource type, by name.
    pub(super) resource_type: String,
    /// The group's `id`.
    pub(super) group: String,
    /// The set, as the group was read.
    pub(super) set: GroupState,
    /// Who is added and removed.
    pub(super) change: MemberChange,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub(super) now: u64,
}

/// Writes the job into the journal together with the change of the group's body, and does it.
///
/// # Errors
/// `NoMember`, `NotFound`, `VersionMismatch`, `Taken`, with nothing changed; `Unavailable` when the
/// deadline passes, in which case the journal finishes the change.
pub(super) async fn begin(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    job: EditSetJob,
    types: &Registry,
) -> Result<Stored, StoreError> {
    missing::check(table, job.change.add.values(), types).await?;
    let entry = NewEntry::new(table, NAME, &job)?;
    let leased = entry.leased(table);
    entry.write_parts(&leased).await?;
    let (effect, items) = (MemberEffect::Open, MemberItems::default());
    let begun = update_noted(&leased, attempt, effect, items, Some(Note::Begin(&entry))).await;
    if let Err(refused) = begun {
        // Of an unavailable table it is not known whether the entry has begun: then its parts are needed.
        if !matches!(refused, StoreError::Unavailable(_)) {
            entry.drop_parts(&leased).await?;
        }
        return Err(refused);
    }
    let all = job.change.clone();
    apply(&leased, &entry.lease, &job, all, 0, types).await?;
    Resources::new(table)
        .get(attempt.resource_type, &job.group)
        .await?
        .ok_or(StoreError::NotFound)
}

/// Does what is left of a job that another writer began. What that one has done is not written again,
/// so that each writer gets further than the one before, however slow the partition is.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn resume(
    table: &Table,
    lease: &Lease,
    job: &EditSetJob,
    types: &Registry,
) -> Result<(), StoreError> {
    let EditSetJob {
        group, set, change, ..
    } = job;
    let ids = change.add.keys().chain(&change.remove);
    let stamps = members::stamps(table, group, set, ids).await?;
    let mut left = change.clone();
    left.add
        .retain(|id, _| stamps.get(id).is_none_or(|stamp| may_lose(set, *stamp)));
    left.remove.retain(|id| {
        stamps
            .get(id)
            .is_some_and(|stamp| *stamp <= set.member_revision)
    });
    let done = change.balance() - left.balance();
    apply(table, lease, job, left, done, types).await
}

/// Makes what is left of a change; by `done` there are more members already.
async fn apply(
    table: &Table,
    lease: &Lease,
    job: &EditSetJob,
    left: MemberChange,
    done: i64,
    types: &Registry,
) -> Result<(), StoreError> {
    let writes: Vec<_> = left
        .in_transactions()
        .into_iter()
        .map(|part| write_part(table, job, part, types))
        .collect();
    let applied: Vec<i64> = stream::iter(writes)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let more = done + applied.into_iter().sum::<i64>();
    close(table, lease, job, more, types).await
}

/// Adds and removes what fits one transaction; returns by how many members there are more. Members that
/// were deleted since the change began are left out, as if they had been deleted after it.
async fn write_part(
    table: &Table,
    job: &EditSetJob,
    mut part: MemberChange,
    types: &Registry,
) -> Result<i64, StoreError> {
    let set = MemberSet::new(table, &job.group, &job.set);
    loop {
        let change = part.clone();
        let applied = write_members(table, set, Removal::Earlier, change, types).await?;
        if applied.missing.is_empty() {
            return Ok(applied.more());
        }
        for id in applied.missing {
            part.add.remove(&id);
        }
    }
}

async fn close(
    table: &Table,
    lease: &Lease,
    job: &EditSetJob,
    more: i64,
    types: &Registry,
) -> Result<(), StoreError> {
    let closed = match types.resource_type(&job.resource_type) {
        Some(resource_type) => close_group(table, lease, job, more, resource_type).await,
        None => Err(StoreError::NotFound),
    };
    match closed {
        Ok(()) => lease.end_parts(table).await,
        // The group is gone, or a whole new list came later: what was added is in a set that does not
        // count any more.
        Err(StoreError::NotFound | StoreError::VersionMismatch) => {
            let set = MemberSet::new(table, &job.group, &job.set);
            set.remove_items(table, job.change.add.keys()).await?;
            lease.end(table).await
        }
        Err(error) => Err(error),
    }
}

async fn close_group(
    table: &Table,
    lease: &Lease,
    job: &EditSetJob,
    more: i64,
    resource_type: &ResourceType,
) -> Result<(), StoreError> {
    let group = Resources::new(table).get(resource_type, &job.group).await?;
    let group = group.ok_or(StoreError::NotFound)?;
    let is_current = |state: &GroupState| state.set == job.set.set;
    if !group.group.as_ref().is_some_and(is_current) {
        return Err(StoreError::VersionMismatch);
    }
    let attempt = ChangeAttempt {
        resource_type,
        before: &group,
        body: None,
        guard: Guard::Changed,
        now: job.now,
    };
    let (effect, items) = (MemberEffect::Close(more), MemberItems::default());
    update_noted(table, attempt, effect, items, Some(Note::End(lease))).await?;
    Ok(())
}
