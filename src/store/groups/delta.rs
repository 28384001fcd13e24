//! A change of more members of a set that is in use than one transaction takes.
//!
//! One transaction writes the change down, with the change of the body that belongs to it, on the
//! condition that the group is still as it has to be: from here on nobody refuses it. Then members
//! are added and removed by transactions of as many as fit; readers see them come and go. The last
//! transaction tells the group that its members have changed and removes the journal entry.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::member::{MemberChange, Removal};
use super::member_write::{Applied, MemberWrite};
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{GroupState, Stored};
use crate::store::journal::{Note, Step, Work};
use crate::store::resources::change::{Change, MemberEffect};

/// Transactions under way at once.
const PARALLEL: usize = 8;

/// A large change of a set that is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The group's resource type, by name.
    pub resource_type: String,
    /// The group's `id`.
    pub group: String,
    /// The set, as the group was read.
    pub set: GroupState,
    /// Who is added and removed.
    pub change: MemberChange,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub now: u64,
}

impl TenantStore {
    /// Makes a large change of members, journalled, together with a change of the group's body.
    ///
    /// # Errors
    /// `NoMember`, `NotFound`, `VersionMismatch`, `Taken`, with nothing changed; `Unavailable` when
    /// the deadline passes, in which case the journal finishes the change.
    pub async fn change_members(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        delta: Delta,
        change: Change<'_>,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        self.check_members(delta.change.add.values(), types).await?;
        let entry = self.new_entry(&Work::Delta(delta.clone()))?;
        let leased = self.under_lease(&entry);
        leased.write_parts(&entry).await?;
        let change = Change {
            members: MemberEffect::Open,
            ..change
        };
        let begun = leased
            .update_noted(resource_type, before, change, Some(Note::Begin(&entry)))
            .await;
        if let Err(refused) = begun {
            if !matches!(refused, StoreError::Unavailable(_)) {
                leased.drop_parts(&entry).await?;
            }
            return Err(refused);
        }
        let all = delta.change.clone();
        leased.apply(&entry.step, &delta, all, 0, types).await?;
        self.get(resource_type, &delta.group)
            .await?
            .ok_or(StoreError::NotFound)
    }

    /// Does what is left of a large change that another writer began. What that one has done is not
    /// written again: a partition that was too slow for it would be for everybody after it.
    pub(in crate::store) async fn resume_delta(
        &self,
        step: &Step,
        delta: &Delta,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let Delta {
            group, set, change, ..
        } = delta;
        let ids = change.add.keys().chain(&change.remove);
        let stamps = self.member_stamps(group, set, ids).await?;
        let mut left = change.clone();
        left.add
            .retain(|id, _| stamps.get(id).is_none_or(|stamp| set.may_lose(*stamp)));
        left.remove.retain(|id| {
            stamps
                .get(id)
                .is_some_and(|stamp| *stamp <= set.member_revision)
        });
        let done = change.balance() - left.balance();
        self.apply(step, delta, left, done, types).await
    }

    /// Makes what is left of a change; so many more members there are already.
    async fn apply(
        &self,
        step: &Step,
        delta: &Delta,
        left: MemberChange,
        done: i64,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let writes: Vec<_> = left
            .in_transactions()
            .into_iter()
            .map(|part| self.write_part(delta, part, types))
            .collect();
        let applied: Vec<i64> = stream::iter(writes)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        let more = done + applied.into_iter().sum::<i64>();
        self.close(step, delta, more, types).await
    }

    /// Adds and removes what fits one transaction. Members that were deleted since the change began
    /// are left out, as if they had been deleted after it.
    async fn write_part(
        &self,
        delta: &Delta,
        mut part: MemberChange,
        types: &Registry,
    ) -> Result<i64, StoreError> {
        let write = MemberWrite {
            group: &delta.group,
            set: &delta.set,
            removal: Removal::Earlier,
            types,
        };
        loop {
            let applied: Applied = self.write_members(write, part.clone()).await?;
            if applied.missing.is_empty() {
                return Ok(applied.more());
            }
            for id in applied.missing {
                part.add.remove(&id);
            }
        }
    }

    async fn close(
        &self,
        step: &Step,
        delta: &Delta,
        more: i64,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let closed = match types.resource_type(&delta.resource_type) {
            Some(resource_type) => self.close_group(step, delta, more, resource_type).await,
            None => Err(StoreError::NotFound),
        };
        match closed {
            Ok(()) => self.end_parts(step).await,
            // The group is gone, or a whole new list came later: what was added is in a dead set.
            Err(StoreError::NotFound | StoreError::VersionMismatch) => {
                let added: Vec<String> = delta.change.add.keys().cloned().collect();
                self.remove_items(&delta.group, &delta.set, &added).await?;
                self.end(step).await
            }
            Err(error) => Err(error),
        }
    }

    async fn close_group(
        &self,
        step: &Step,
        delta: &Delta,
        more: i64,
        resource_type: &ResourceType,
    ) -> Result<(), StoreError> {
        let group = self.get(resource_type, &delta.group).await?;
        let group = group.ok_or(StoreError::NotFound)?;
        let is_current = |state: &GroupState| state.set == delta.set.set;
        if !group.group.as_ref().is_some_and(is_current) {
            return Err(StoreError::VersionMismatch);
        }
        let change = Change {
            members: MemberEffect::Close(more),
            now: delta.now,
            ..Change::default()
        };
        self.update_noted(resource_type, &group, change, Some(Note::End(step)))
            .await?;
        Ok(())
    }
}
