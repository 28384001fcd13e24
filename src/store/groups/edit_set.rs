//! A change of a group's current set that has more members than one transaction takes.
//!
//! 1. One transaction writes the journal entry, the change of the body that belongs to it, and the
//!    note that a large change is open, if the group meets the conditions of the request. After that
//!    nothing can refuse the change.
//! 2. Members are added and removed by transactions of as many as fit. Readers see these members
//!    come and go one part at a time.
//! 3. One transaction counts the change in the group's own item, closes the large change, and
//!    removes the head of the journal entry.

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

/// The number of transactions that run at the same time.
const PARALLEL: usize = 8;

/// The name of the work in the journal.
const NAME: &str = "Delta";

/// A large change of a group's current set, as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EditSetJob {
    /// The group's resource type, by name.
    pub(super) resource_type: String,
    /// The group's `id`.
    pub(super) group: String,
    /// The set, as the group was read.
    pub(super) set: GroupState,
    /// The members to add and to remove.
    pub(super) change: MemberChange,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub(super) now: u64,
}

/// Writes the job into the journal together with the change of the group's body, and then makes the
/// change.
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
        // After `Unavailable` it is not known whether the transaction took effect. If it did, the
        // finisher needs the parts, so they stay; if it did not, the finisher removes them as
        // orphans. After any other error the entry has no head, and its parts can go.
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

/// Finishes a job that another writer began. The members are read first, and changes that the other
/// writer has made are not made again. So every finisher gets further than the process before it,
/// even if the partition is slow.
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

/// Makes the rest of a change and closes the group. `done` is the number of members that earlier
/// writers of this job have added, less those they have removed.
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

/// Makes a part of the change that fits one transaction, and returns the number of members added
/// less the number removed. Members that were deleted since the change began are left out, as if
/// they had been deleted after it.
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
        // The transaction that closed the group has removed the head of the entry; its parts are
        // left.
        Ok(()) => lease.end_parts(table).await,
        // The group is gone, or another writer has made another set current. The members that were
        // added are in a set that no reader reads any more, so their items are removed.
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
        // Not the time of the request, which may be hours ago: the time of the last change must not go
        // back, and the next writer relies on it to know how long the members have been as they are.
        now: job.now.max(table.now_millis()),
    };
    let (effect, items) = (MemberEffect::Close(more), MemberItems::default());
    update_noted(table, attempt, effect, items, Some(Note::End(lease))).await?;
    Ok(())
}
