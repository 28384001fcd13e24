//! Removes the items of a member set that nobody reads any more.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, GroupState, Item};
use crate::store::journal::{NewEntry, Step, Work};
use crate::store::key_range::KeyRange;
use crate::store::table::batch::PlainWrite;
use crate::store::table::range::{Shown, Window};

/// Partitions that are swept at once.
const PARALLEL: usize = 8;
/// Members that are read before they are removed: little enough for a request that has little time
/// left, and for its memory.
const PART: usize = 500;

/// A set to remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Sweep {
    /// The group's `id`.
    pub(in crate::store) group: String,
    /// The set.
    pub(in crate::store) set: GroupState,
}

impl TenantStore {
    /// The journal entry that leaves the removal of a set to the finisher: a reader may be in the
    /// middle of it.
    pub(in crate::store) fn sweep_entry(
        &self,
        group: &str,
        set: &GroupState,
    ) -> Result<NewEntry, StoreError> {
        self.new_entry(&Work::Sweep(Sweep {
            group: group.to_owned(),
            set: set.clone(),
        }))
    }

    /// Does what such an entry says.
    pub(in crate::store) async fn finish_sweep(
        &self,
        step: &Step,
        sweep: &Sweep,
    ) -> Result<(), StoreError> {
        self.sweep_set(&sweep.group, &sweep.set).await?;
        self.end(step).await
    }

    /// Removes every item of a set, membership items first, so that what is left of the work can
    /// always be found.
    pub(in crate::store) async fn sweep_set(
        &self,
        group: &str,
        set: &GroupState,
    ) -> Result<(), StoreError> {
        // Collected first: a stream that still held the closure would not be `Send`.
        let shards: Vec<_> = (0..u64::from(set.shards))
            .map(|shard| self.sweep_shard(group, set, shard))
            .collect();
        stream::iter(shards)
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn sweep_shard(
        &self,
        group: &str,
        set: &GroupState,
        shard: u64,
    ) -> Result<(), StoreError> {
        loop {
            let ids = self.some_members(group, set, shard).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let (members, memberships): (Vec<_>, Vec<_>) = ids
                .iter()
                .map(|id| {
                    self.member_keys(group, set, id)
                        .map(|(pk, sk)| PlainWrite::Delete { pk, sk })
                })
                .map(|[member, membership]| (member, membership))
                .unzip();
            self.write_all(memberships).await?;
            self.write_all(members).await?;
        }
    }

    async fn some_members(
        &self,
        group: &str,
        set: &GroupState,
        shard: u64,
    ) -> Result<Vec<String>, StoreError> {
        let pk = self.keys.members(group, &set.set, shard);
        let window = Window {
            limit: Some(PART),
            ..Window::default()
        };
        let output = self
            .query(pk, &KeyRange::all(), window, Shown::Keys)
            .await?;
        let id = |mut item: Item| item::take_text(&mut item, "sk");
        output
            .items
            .unwrap_or_default()
            .into_iter()
            .map(id)
            .collect()
    }
}
