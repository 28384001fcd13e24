//! Deletes a resource, which may be a group or a member of groups.
//!
//! 1. One transaction turns the resource into a tombstone and removes its index entries, its claims, its
//!    part in the count and its seat. From here on no reader sees the resource, no writer makes it a member of a
//!    group, and another resource may have its unique values.
//! 2. Its memberships are read and removed. They are read only now, so all of them are found. A type
//!    that cannot be a member of groups has none.
//! 3. The tombstone is removed. Until then a repeated DELETE goes on with the deletion.
//! 4. If the resource was a group, its own member items are removed.
//!
//! Every type is deleted in this way. The tombstone says in the table's stream which request has deleted
//! the resource, and as which version; the removal of an item could not say either.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::memberships::{Membership, Memberships};
use super::sweep_set;
use super::update::Guard;
use crate::protocol::schema::{self, Registry, ResourceType};
use crate::store::error::StoreError;
use crate::store::journal::{self, Lease, NewEntry, Note, Stage};
use crate::store::resources::entry::Entries;
use crate::store::resources::steps::Refusal;
use crate::store::resources::write;
use crate::store::seats::SeatChange;
use crate::store::stored::{self, GroupState, Stored, n, random_id, s, signed};
use crate::store::table::batch::{self, PlainWrite};
use crate::store::table::transaction::Transaction;
use crate::store::table::write::Delete;
use crate::store::table::{Table, get};

/// How long the request spends on removing a deleted group's member items, which no reader sees any
/// more. The finisher removes the rest.
const SWEEP_TIME: Duration = Duration::from_secs(2);

/// The number of memberships that are read and removed before the next ones are read.
const PART: usize = 1_000;

/// The number of groups that are updated at the same time when a member of them is deleted.
const PARALLEL: usize = 16;

/// The name of the work in the journal.
const NAME: &str = "Erase";

/// A resource to delete, as the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeleteJob {
    /// The resource type, by name.
    pub(super) resource_type: String,
    /// The resource's `id`.
    pub(super) id: String,
    /// The set of its members, if it is a group.
    set: Option<GroupState>,
}

/// Deletes a resource.
///
/// # Errors
/// As for [`super::Groups::delete`].
pub(super) async fn delete(
    table: &Table,
    resource_type: &ResourceType,
    before: &Stored,
    entries: &Entries,
    (guard, seat): (Guard, SeatChange),
    types: &Registry,
) -> Result<(), StoreError> {
    let job = DeleteJob {
        resource_type: resource_type.name.clone(),
        id: before.id.clone(),
        set: before.group.clone(),
    };
    let entry = NewEntry::new(table, NAME, &job)?;
    begin_deletion(table, resource_type, before, entries, (guard, seat), &entry).await?;
    finish(&entry.leased(table), &entry.lease, &job, types).await
}

/// Finishes the deletion of a resource that is a tombstone. False if there is no such tombstone.
///
/// # Errors
/// As for [`super::Groups::delete`].
pub(super) async fn resume(
    table: &Table,
    resource_type: &ResourceType,
    id: &str,
    types: &Registry,
) -> Result<bool, StoreError> {
    let key = table.keys().resources(resource_type).key(id);
    let item = get::one(table, &key).await?;
    let Some(mut item) = item.filter(stored::is_deleted) else {
        return Ok(false);
    };
    let entry = stored::take_text(&mut item, "del")?;
    // The rest of the deletion has the deletion's cause, not that of the request that goes on with it.
    let table = &match stored::cause(&item) {
        Some(cause) => table.caused_by(cause),
        None => table.clone(),
    };
    let tombstone = Stored::from_item(item)?;
    tombstone.check_write()?;
    let job = DeleteJob {
        resource_type: resource_type.name.clone(),
        id: id.to_owned(),
        set: tombstone.group,
    };
    // The writer that holds the journal entry may still be running, so every step may be made twice.
    // Removals can be repeated. A second count of a removal makes `mv` grow once more, which is
    // harmless, and `about` is only approximate.
    let owner = random_id();
    finish(table, &Lease { entry, owner }, &job, types).await?;
    Ok(true)
}

/// Turns a resource into a tombstone and begins the journal entry: one transaction.
async fn begin_deletion(
    table: &Table,
    resource_type: &ResourceType,
    before: &Stored,
    entries: &Entries,
    (guard, seat): (Guard, SeatChange),
    entry: &NewEntry,
) -> Result<(), StoreError> {
    let tombstone = |rid: &str| {
        let mut update = write::update_item(table, resource_type, &before.id, rid);
        // The index entries to remove were derived from the body that was read, so the body must not
        // have changed since.
        update
            .require("attribute_not_exists(del) AND v = :v")
            .set("del = :op, v = :tombstone")
            .value(":v", n(before.revision))
            .value(":tombstone", n(before.revision + 1))
            .value(":op", s(&entry.lease.entry));
        if let Some(group) = &before.group {
            update
                .require("#set = :set")
                .value(":set", s(&group.set))
                .name("#set", "set");
            if guard != Guard::Changed {
                update
                    .require("mv = :mv")
                    .value(":mv", n(group.member_revision));
            }
        }
        update
    };
    let note = |transaction: &mut Transaction<Refusal>, rid: &str| {
        let lost = Refusal::Is(journal::lost());
        transaction.push(Note::Begin(entry).request(table, rid), lost);
    };
    write::remove(table, resource_type, before, entries, seat, tombstone, note).await
}

/// Finishes a deletion that another writer began.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn resume_job(
    table: &Table,
    lease: &Lease,
    stage: Stage,
    job: &DeleteJob,
    types: &Registry,
) -> Result<(), StoreError> {
    if stage == Stage::Begun {
        leave(table, lease, job, types).await?;
    }
    sweep(table, lease, job).await
}

/// Removes a tombstone from every group, then removes the tombstone.
async fn finish(
    table: &Table,
    lease: &Lease,
    job: &DeleteJob,
    types: &Registry,
) -> Result<(), StoreError> {
    leave(table, lease, job, types).await?;
    let brief = table.until(Instant::now() + SWEEP_TIME);
    match sweep(&brief, lease, job).await {
        // The resource is deleted for every reader. The journal entry is still there, so the
        // finisher removes the member items that this request had no time for.
        Ok(()) | Err(StoreError::Unavailable(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn leave(
    table: &Table,
    lease: &Lease,
    job: &DeleteJob,
    types: &Registry,
) -> Result<(), StoreError> {
    let resource_type = types.resource_type(&job.resource_type);
    if resource_type.is_none_or(|resource_type| resource_type.membership.is_some()) {
        leave_all_groups(table, &job.id, types).await?;
    }
    let Some(resource_type) = resource_type else {
        // The type is not registered any more, so the tombstone's key cannot be made. The tombstone
        // stays where no request reads it, and a DELETE removes it if the type is registered again.
        return lease.end(table).await;
    };
    let (rid, mut transaction) = (random_id(), Transaction::default());
    let tombstone = table.keys().resources(resource_type).key(&job.id);
    transaction.push(Delete::new(tombstone), ());
    let note = match job.set {
        Some(_) => Note::Gone(lease),
        None => Note::Drop(lease),
    };
    transaction.push(note.request(table, &rid), ());
    // Only the step of the journal entry has a condition. If it is refused, another process has
    // already removed both the tombstone and the entry.
    let _removed = transaction.commit(table, &rid).await?;
    Ok(())
}

/// Takes a tombstone out of every group that it is a member of.
async fn leave_all_groups(table: &Table, id: &str, types: &Registry) -> Result<(), StoreError> {
    // Each round removes what it has read, so a finisher that takes over begins with what is left. A
    // tombstone gets no new memberships, so the last page is the end of all of them.
    loop {
        let (memberships, more) = Memberships::new(table).some_of(id, PART).await?;
        leave_groups(table, memberships, types).await?;
        if !more {
            return Ok(());
        }
    }
}

async fn sweep(table: &Table, lease: &Lease, job: &DeleteJob) -> Result<(), StoreError> {
    let Some(set) = &job.set else {
        return Ok(());
    };
    sweep_set::sweep(table, &job.id, set).await?;
    lease.end(table).await
}

/// Removes a resource from the groups of these memberships: first the member items, then one from
/// the count of each group, then the membership items. The membership items go last, because a
/// finisher that takes over finds the groups by them.
async fn leave_groups(
    table: &Table,
    memberships: Vec<Membership>,
    types: &Registry,
) -> Result<(), StoreError> {
    let members = memberships
        .iter()
        .map(|membership| PlainWrite::Delete(membership.member_key(table)));
    batch::write(table, members.collect()).await?;
    let now = table.now_millis();
    let group_types = types.resource_types().iter().filter(|resource_type| {
        resource_type.membership == Some(schema::MembershipAttribute::Members)
    });
    for group_type in group_types {
        // Collected first: a stream that still held the closure would not be `Send`.
        let updates: Vec<_> = memberships
            .iter()
            .map(|membership| count_removal(table, group_type, membership, now))
            .collect();
        stream::iter(updates)
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
    }
    let left = memberships
        .iter()
        .map(|membership| PlainWrite::Delete(membership.key(table)));
    batch::write(table, left.collect()).await
}

/// Counts one member fewer in the group's own item, if the set is its current one.
async fn count_removal(
    table: &Table,
    group_type: &ResourceType,
    membership: &Membership,
    now: u64,
) -> Result<(), StoreError> {
    let rid = random_id();
    let mut update = write::update_item(table, group_type, &membership.group, &rid);
    update
        .require("attribute_not_exists(del) AND #set = :set AND rid <> :rid")
        .set("ms = :now")
        .add("mv :one, about :less")
        .value(":one", n(1))
        .value(":less", signed(-1))
        .value(":now", n(now))
        .value(":set", s(&membership.set))
        .name("#set", "set");
    match update.send(table, &rid).await {
        // The group is gone, or another set is current, or the group is of another type. There is
        // nothing to count.
        Ok(_) | Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(()),
        Err(error) => Err(error),
    }
}
