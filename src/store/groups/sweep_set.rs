//! Removes the items of a set that no request reads any more.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::set::MemberSet;
use crate::store::error::StoreError;
use crate::store::journal::{Lease, NewEntry};
use crate::store::key_range::EVERY_KEY;
use crate::store::keys::Partition;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, GroupState, Item};
use crate::store::table::Table;
use crate::store::table::batch::{self, PlainWrite};
use crate::store::table::query::{Query, Window};

/// The number of partitions that are swept at the same time.
const PARALLEL: usize = 8;
/// The number of members that are read, and then removed, in one round. It is small, because a
/// request may have little time left for it, and the keys are held in memory.
const PART: usize = 500;

/// The name of the work in the journal.
const NAME: &str = "Sweep";

/// A set to remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SweepSetJob {
    /// The group's `id`.
    pub(super) group: String,
    /// The set.
    pub(super) set: GroupState,
}

/// A journal entry that leaves the removal of a set to the finisher. The set cannot be removed at
/// once, because another request may be reading it page by page.
///
/// # Errors
/// `Backend`.
pub(super) fn entry(table: &Table, group: &str, set: &GroupState) -> Result<NewEntry, StoreError> {
    let job = SweepSetJob {
        group: group.to_owned(),
        set: set.clone(),
    };
    NewEntry::new(table, NAME, &job)
}

/// Removes the set of such an entry, and then the entry.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn resume(
    table: &Table,
    lease: &Lease,
    job: &SweepSetJob,
) -> Result<(), StoreError> {
    sweep(table, &job.group, &job.set).await?;
    lease.end(table).await
}

/// Removes every item of a set. A member's membership item goes before its member item, because the
/// next round, or another finisher, finds what is left by the member items.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn sweep(table: &Table, group: &str, set: &GroupState) -> Result<(), StoreError> {
    let set = MemberSet::new(table, group, set);
    let partitions = set.partitions();
    // Collected first: a stream that still held the closure would not be `Send`.
    let sweeps: Vec<_> = partitions
        .iter()
        .map(|partition| sweep_partition(table, set, partition))
        .collect();
    stream::iter(sweeps)
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn sweep_partition(
    table: &Table,
    set: MemberSet<'_>,
    partition: &Partition,
) -> Result<(), StoreError> {
    loop {
        let ids = some_members(table, partition).await?;
        if ids.is_empty() {
            return Ok(());
        }
        let memberships = ids.iter().map(|id| set.membership_key(id));
        batch::write(table, memberships.map(PlainWrite::Delete).collect()).await?;
        let members = ids.iter().map(|id| set.key(id));
        batch::write(table, members.map(PlainWrite::Delete).collect()).await?;
    }
}

async fn some_members(table: &Table, partition: &Partition) -> Result<Vec<String>, StoreError> {
    let window = Window {
        limit: Some(PART),
        ..Window::default()
    };
    let query = Query::new(partition, &EVERY_KEY, ProjectedAttributes::Keys).within(window);
    let page = query.page(table).await?;
    let id = |mut item: Item| stored::take_text(&mut item, "sk");
    page.items.into_iter().map(id).collect()
}
