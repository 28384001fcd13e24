//! Replaces all members of a group by more members than one transaction takes.
//!
//! 1. The journal entry is written.
//! 2. The members are written into a fresh set, which no request reads yet.
//! 3. The members are read, strongly consistent. A member that is being deleted shows its tombstone
//!    here, or else its deletion begins later and finds the membership item.
//! 4. One transaction makes the set the group's current one and says so in the journal entry. So
//!    readers see the old members or the new ones and never a mixture.
//! 5. The finisher removes the old set once no request can be reading it any more.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::member::{Member, count};
use super::missing;
use super::set::{MemberSet, first_state};
use super::sweep_set;
use super::update::{ChangeAttempt, Guard, MemberEffect, MemberItems, update_noted};
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::error::StoreError;
use crate::store::index_version::{FIRST_INDEX_VERSION, INDEX_VERSION};
use crate::store::journal::{Lease, NewEntry, Note, Stage};
use crate::store::resources::Resources;
use crate::store::resources::entry::Entries;
use crate::store::resources::write::{self, BodyChange, New, Write};
use crate::store::seats::SeatChange;
use crate::store::stored::{GroupState, Stored};
use crate::store::table::Table;
use crate::store::table::batch::{self, PlainWrite};

/// The number of members that are written and then checked together: as many as DynamoDB reads in
/// one call.
const CHUNK: usize = 100;
/// The number of chunks that are written at the same time.
const PARALLEL: usize = 4;

/// The name of the work in the journal.
const NAME: &str = "Fill";

/// A whole new list of a group's members, with the change of its body that belongs to it, as the
/// journal holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ReplaceSetJob {
    /// The group's resource type, by name.
    pub(super) resource_type: String,
    /// The group's `id`.
    pub(super) group: String,
    /// The set to fill.
    pub(super) fresh: GroupState,
    /// The group whose set is replaced; `None` for a new group.
    pub(super) replaced: Option<Replaced>,
    /// The members, by id.
    pub(super) members: BTreeMap<String, Member>,
    /// The new body, if it changes with the members.
    pub(super) body: Option<JobBody>,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub(super) now: u64,
}

/// The group as it was when the job began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// The revision of its body.
    pub(super) revision: u64,
    /// Its members' state.
    pub(super) old: GroupState,
}

/// The body that the job writes together with the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobBody {
    /// The canonical JSON text.
    pub(super) text: String,
    /// The index entries that the group had before.
    pub(super) entries_before: Entries,
    /// The index entries that the group has from now on.
    pub(super) entries: Entries,
    /// The version of the index entries. It is left out for the first version, which earlier
    /// versions of the service did not write down either.
    #[serde(default = "first_index_version", skip_serializing_if = "is_first")]
    pub(super) index_version: u64,
}

fn first_index_version() -> u64 {
    FIRST_INDEX_VERSION
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_first(index_version: &u64) -> bool {
    *index_version == FIRST_INDEX_VERSION
}

impl ReplaceSetJob {
    /// Whether a newer version of the service has written the job, with index entries that this
    /// version cannot write.
    pub(super) fn is_newer(&self) -> bool {
        self.index_version() > INDEX_VERSION
    }

    fn index_version(&self) -> u64 {
        self.body
            .as_ref()
            .map_or(INDEX_VERSION, |body| body.index_version)
    }
}

impl JobBody {
    /// The body of a change.
    pub(super) fn of_change(body: &BodyChange<'_>) -> Self {
        Self {
            text: body.write.body.to_owned(),
            entries_before: body.entries_before.clone(),
            entries: body.write.entries.clone(),
            index_version: INDEX_VERSION,
        }
    }

    fn write(&self, now: u64) -> Write<'_> {
        Write {
            body: &self.text,
            entries: &self.entries,
            password: None,
            seat: SeatChange::Ignore,
            now,
        }
    }
}

impl Replaced {
    /// Whether what the guard covers is still as it was when the job began.
    fn allows(&self, group: &Stored, guard: Guard, has_body: bool) -> bool {
        let Some(state) = &group.group else {
            return false;
        };
        let is_same_body = self.revision == group.revision;
        let are_same_members = self.old.member_revision == state.member_revision;
        state.set == self.old.set
            && (is_same_body || !(has_body || guard == Guard::Whole))
            && (are_same_members || guard == Guard::Changed)
    }
}

/// Writes the job into the journal and then makes the change.
///
/// # Errors
/// `NoMember`, `NotFound`, `VersionMismatch`, `Taken`, with nothing changed; `Unavailable` when the
/// deadline passes, in which case the journal finishes the change.
pub(super) async fn begin(
    table: &Table,
    job: &ReplaceSetJob,
    guard: Guard,
    types: &Registry,
) -> Result<Stored, StoreError> {
    missing::check(table, job.members.values(), types).await?;
    let entry = NewEntry::new(table, NAME, job)?;
    let leased = entry.leased(table);
    entry.begin(&leased).await?;
    let lease = &entry.lease;
    match make(&leased, lease, job, guard, types).await {
        Ok(group) => {
            if job.replaced.is_none() {
                // The group is created. An error here only leaves the entry in the journal, and the
                // finisher removes it.
                let _ = lease.end(&leased).await;
            }
            Ok(group)
        }
        // It is not known whether the change was made. The entry stays, and the finisher finds out.
        Err(error @ (StoreError::Unavailable(_) | StoreError::Backend(_))) => Err(error),
        Err(refused) => {
            // The entry is marked as refused before any item is removed. Otherwise, if this process
            // died now, the finisher could make a set current of which some items are gone.
            lease.refuse(&leased).await?;
            // An error here only leaves items behind. The entry says that they are to be removed,
            // and the finisher does it.
            let _ = undo(&leased, lease, job).await;
            Err(refused)
        }
    }
}

/// Finishes a job that another writer began. If the group has changed since the job began, the set
/// is not made current, because the other change came later.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn resume(
    table: &Table,
    lease: &Lease,
    stage: Stage,
    job: &ReplaceSetJob,
    types: &Registry,
) -> Result<(), StoreError> {
    let stage = match stage {
        Stage::Begun if is_made(table, job, types).await? => Stage::Made,
        // An earlier version of the service wrote the job, and its index entries are not those of
        // this version. They cannot be derived again here, so the change will never be made.
        Stage::Begun if job.index_version() < INDEX_VERSION => {
            lease.refuse(table).await?;
            Stage::Refused
        }
        stage => stage,
    };
    match stage {
        Stage::Begun => match make(table, lease, job, Guard::Whole, types).await {
            // The transaction has begun a new lease, during which requests may still read the
            // replaced set. The entry stays, and a finisher sweeps that set when the lease is over.
            Ok(_) if job.replaced.is_some() => Ok(()),
            Ok(_) => lease.end(table).await,
            Err(error @ (StoreError::Unavailable(_) | StoreError::Backend(_))) => Err(error),
            // The group is gone or has changed, a value is taken, or a member is gone: the change will
            // never be made. Its client was answered with 503 or not at all.
            Err(_) => {
                lease.refuse(table).await?;
                undo(table, lease, job).await
            }
        },
        Stage::Made => {
            if let Some(Replaced { old, .. }) = &job.replaced {
                sweep_set::sweep(table, &job.group, old).await?;
            }
            lease.end(table).await
        }
        Stage::Refused => undo(table, lease, job).await,
    }
}

/// Whether the set is the group's current one already. The stage of the entry should say so, but
/// filling a current set could bring removed members back, so the group is read to be certain.
async fn is_made(table: &Table, job: &ReplaceSetJob, types: &Registry) -> Result<bool, StoreError> {
    let Some(resource_type) = types.resource_type(&job.resource_type) else {
        return Ok(false);
    };
    let group = Resources::new(table).get(resource_type, &job.group).await?;
    let state = group.and_then(|group| group.group);
    Ok(state.is_some_and(|state| state.set == job.fresh.set))
}

/// Fills the set and makes it the group's current one.
async fn make(
    table: &Table,
    lease: &Lease,
    job: &ReplaceSetJob,
    guard: Guard,
    types: &Registry,
) -> Result<Stored, StoreError> {
    let resource_type = types
        .resource_type(&job.resource_type)
        .ok_or(StoreError::NotFound)?;
    let members: Vec<&Member> = job.members.values().collect();
    let chunks: Vec<_> = members
        .chunks(CHUNK)
        .map(|chunk| fill_chunk(table, job, chunk, types))
        .collect();
    let written: Vec<usize> = stream::iter(chunks)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let fresh = GroupState {
        about: count(written.into_iter().sum()),
        ..job.fresh.clone()
    };
    match &job.replaced {
        None => make_group(table, lease, job, &fresh, resource_type).await,
        Some(replaced) => {
            make_current(table, lease, job, fresh, (replaced, guard), resource_type).await
        }
    }
}

/// Writes the items of some members. The items of members that were deleted meanwhile are removed
/// again, as if the members had been deleted after the change. Returns the number of members that
/// stay.
async fn fill_chunk(
    table: &Table,
    job: &ReplaceSetJob,
    chunk: &[&Member],
    types: &Registry,
) -> Result<usize, StoreError> {
    let set = MemberSet::new(table, &job.group, &job.fresh);
    let items = chunk
        .iter()
        .flat_map(|member| [set.membership_item(&member.id), set.item(member)]);
    batch::write(table, items.map(PlainWrite::Put).collect()).await?;
    // The members are checked only after their items are written. A deletion that begins before this
    // read shows its tombstone here; one that begins later finds the membership item.
    let missing = missing::find(table, chunk.iter().copied(), types).await?;
    if !missing.is_empty() {
        set.remove_items(table, missing.iter()).await?;
    }
    Ok(chunk.len() - missing.len())
}

async fn make_group(
    table: &Table,
    lease: &Lease,
    job: &ReplaceSetJob,
    fresh: &GroupState,
    resource_type: &ResourceType,
) -> Result<Stored, StoreError> {
    let body = job.body.as_ref().ok_or(StoreError::NotFound)?;
    let new = New {
        id: &job.group,
        write: body.write(job.now),
    };
    let (stored, entries) = (first_state(new, fresh), &body.entries);
    let (no_user, note) = (SeatChange::Ignore, Note::Made(lease));
    write::create(table, resource_type, stored, entries, no_user, &note).await
}

async fn make_current(
    table: &Table,
    lease: &Lease,
    job: &ReplaceSetJob,
    fresh: GroupState,
    (replaced, guard): (&Replaced, Guard),
    resource_type: &ResourceType,
) -> Result<Stored, StoreError> {
    let before = Resources::new(table).get(resource_type, &job.group).await?;
    let before = before.ok_or(StoreError::NotFound)?;
    if !replaced.allows(&before, guard, job.body.is_some()) {
        return Err(StoreError::VersionMismatch);
    }
    let attempt = ChangeAttempt {
        resource_type,
        before: &before,
        body: job.body.as_ref().map(|body| BodyChange {
            entries_before: &body.entries_before,
            write: body.write(job.now),
        }),
        guard,
        now: job.now,
    };
    let (effect, items) = (MemberEffect::NewSet(fresh), MemberItems::default());
    update_noted(table, attempt, effect, items, Some(Note::Made(lease))).await
}

/// Removes the items that a refused job has written, and then its entry.
async fn undo(table: &Table, lease: &Lease, job: &ReplaceSetJob) -> Result<(), StoreError> {
    let set = MemberSet::new(table, &job.group, &job.fresh);
    set.remove_items(table, job.members.keys()).await?;
    lease.end(table).await
}
