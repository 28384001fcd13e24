//! A whole new list of more members than one transaction takes.
//!
//! The members go into a set of their own, which nobody reads yet. Then they are read strongly: a
//! member that is being deleted either shows its tombstone here, or its deletion finds the membership
//! item. One transaction makes the set that of the group and says so in the journal, so that readers
//! see the old members or the new ones, never a mixture. The old set is swept later, when no reader
//! can be in the middle of it.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::member::Member;
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, GroupState, Stored};
use crate::store::journal::{Note, Stage, Step, Work};
use crate::store::resources::change::{BodyChange, Change, Guard, MemberEffect};
use crate::store::resources::entry::Entries;
use crate::store::resources::{New, Write};
use crate::store::table::batch::PlainWrite;
use crate::store::table::range::Shown;

/// Members written and then checked together; DynamoDB reads so many in one call.
const CHUNK: usize = 100;
/// Chunks under way at once.
const PARALLEL: usize = 4;

/// A whole new list of a group's members, with the change of its body that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    /// The group's resource type, by name.
    pub resource_type: String,
    /// The group's `id`.
    pub group: String,
    /// The set that is filled.
    pub fresh: GroupState,
    /// What it takes the place of; nothing for a new group.
    pub replaced: Option<Replaced>,
    /// The members, by id.
    pub members: BTreeMap<String, Member>,
    /// The new body, if it changes with the members.
    pub body: Option<FillBody>,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// The group as it was when a fill began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The revision of its body.
    pub revision: u64,
    /// Its members' state.
    pub old: GroupState,
}

/// The body that is written with a fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillBody {
    /// The canonical JSON text.
    pub text: String,
    /// The keys the group stood under.
    pub entries_before: Entries,
    /// The keys it stands under from now on.
    pub entries: Entries,
}

impl FillBody {
    fn write(&self, now: u64) -> Write<'_> {
        Write {
            body: &self.text,
            entries: &self.entries,
            password: None,
            now,
        }
    }
}

impl Replaced {
    /// Whether the group is still as a change under this guard has to find it.
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

impl TenantStore {
    /// Gives a group a whole new list of members, journalled.
    ///
    /// # Errors
    /// `NoMember`, `NotFound`, `VersionMismatch`, `Taken`, with nothing changed; `Unavailable` when
    /// the deadline passes, in which case the journal finishes the change.
    pub async fn fill(
        &self,
        fill: &Fill,
        guard: Guard,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        self.check_members(fill.members.values(), types).await?;
        let entry = self.new_entry(&Work::Fill(fill.clone()))?;
        let leased = self.under_lease(&entry);
        leased.begin(&entry).await?;
        let step = &entry.step;
        match leased.make(step, fill, guard, types).await {
            Ok(group) => {
                if fill.replaced.is_none() {
                    // The group is there; an entry that stays is removed by the finisher.
                    let _ = leased.end(step).await;
                }
                Ok(group)
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Backend(_))) => Err(error),
            Err(refused) => {
                leased.refuse(step).await?;
                // From here on the finisher can do it.
                let _ = leased.undo(step, fill).await;
                Err(refused)
            }
        }
    }

    /// Finishes a fill that another writer began. If the group has changed since, the fill is not
    /// made: whoever changed it came later.
    pub(in crate::store) async fn resume_fill(
        &self,
        step: &Step,
        stage: Stage,
        fill: &Fill,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let stage = match stage {
            Stage::Begun if self.is_made(fill, types).await? => Stage::Made,
            stage => stage,
        };
        match stage {
            Stage::Begun => match self.make(step, fill, Guard::Whole, types).await {
                Ok(_) if fill.replaced.is_some() => Ok(()),
                Ok(_) => self.end(step).await,
                Err(error @ (StoreError::Unavailable(_) | StoreError::Backend(_))) => Err(error),
                Err(_) => {
                    self.refuse(step).await?;
                    self.undo(step, fill).await
                }
            },
            Stage::Made => {
                if let Some(Replaced { old, .. }) = &fill.replaced {
                    self.sweep_set(&fill.group, old).await?;
                }
                self.end(step).await
            }
            Stage::Refused => self.undo(step, fill).await,
        }
    }

    /// Whether the set is the group's already. The journal says so too; but what it would mean to
    /// fill a set that is in use makes it worth a look.
    async fn is_made(&self, fill: &Fill, types: &Registry) -> Result<bool, StoreError> {
        let Some(resource_type) = types.resource_type(&fill.resource_type) else {
            return Ok(false);
        };
        let group = self.get(resource_type, &fill.group).await?;
        let state = group.and_then(|group| group.group);
        Ok(state.is_some_and(|state| state.set == fill.fresh.set))
    }

    /// Fills the set, and makes it that of the group.
    async fn make(
        &self,
        step: &Step,
        fill: &Fill,
        guard: Guard,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        let resource_type = types
            .resource_type(&fill.resource_type)
            .ok_or(StoreError::NotFound)?;
        let members: Vec<&Member> = fill.members.values().collect();
        let chunks: Vec<_> = members
            .chunks(CHUNK)
            .map(|chunk| self.fill_chunk(fill, chunk, types))
            .collect();
        let written: Vec<usize> = stream::iter(chunks)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        let fresh = GroupState {
            about: i64::try_from(written.into_iter().sum::<usize>()).unwrap_or(i64::MAX),
            ..fill.fresh.clone()
        };
        match &fill.replaced {
            None => self.make_group(step, fill, &fresh, resource_type).await,
            Some(replaced) => {
                self.flip(step, fill, fresh, replaced, guard, resource_type)
                    .await
            }
        }
    }

    /// Writes some members, and takes back those that were deleted meanwhile, as if they had been
    /// deleted afterwards; returns how many are there.
    async fn fill_chunk(
        &self,
        fill: &Fill,
        chunk: &[&Member],
        types: &Registry,
    ) -> Result<usize, StoreError> {
        let Fill { group, fresh, .. } = fill;
        let items = chunk.iter().flat_map(|member| {
            [
                self.membership_item(group, fresh, &member.id),
                self.member_item(group, fresh, member),
            ]
        });
        self.write_all(items.map(PlainWrite::Put).collect()).await?;
        let missing = self.missing_members(chunk.iter().copied(), types).await?;
        if !missing.is_empty() {
            self.remove_items(group, fresh, &missing).await?;
        }
        Ok(chunk.len() - missing.len())
    }

    async fn make_group(
        &self,
        step: &Step,
        fill: &Fill,
        fresh: &GroupState,
        resource_type: &ResourceType,
    ) -> Result<Stored, StoreError> {
        let body = fill.body.as_ref().ok_or(StoreError::NotFound)?;
        let new = New {
            id: &fill.group,
            write: body.write(fill.now),
            group: Some(fresh),
            members: &[],
        };
        self.create_noted(resource_type, new, Some(Note::Made(step)))
            .await
    }

    async fn flip(
        &self,
        step: &Step,
        fill: &Fill,
        fresh: GroupState,
        replaced: &Replaced,
        guard: Guard,
        resource_type: &ResourceType,
    ) -> Result<Stored, StoreError> {
        let before = self.get(resource_type, &fill.group).await?;
        let before = before.ok_or(StoreError::NotFound)?;
        if !replaced.allows(&before, guard, fill.body.is_some()) {
            return Err(StoreError::VersionMismatch);
        }
        let change = Change {
            body: fill.body.as_ref().map(|body| BodyChange {
                entries_before: &body.entries_before,
                write: body.write(fill.now),
            }),
            members: MemberEffect::Flip(fresh),
            now: fill.now,
            guard,
            ..Change::default()
        };
        self.update_noted(resource_type, &before, change, Some(Note::Made(step)))
            .await
    }

    /// Removes what a refused fill wrote.
    async fn undo(&self, step: &Step, fill: &Fill) -> Result<(), StoreError> {
        let ids: Vec<String> = fill.members.keys().cloned().collect();
        self.remove_items(&fill.group, &fill.fresh, &ids).await?;
        self.end(step).await
    }

    /// Checks that every member exists and is not being deleted.
    pub(in crate::store) async fn check_members(
        &self,
        members: impl Iterator<Item = &Member>,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let missing = self.missing_members(members, types).await?;
        match missing.into_iter().next() {
            Some(id) => Err(StoreError::NoMember { id }),
            None => Ok(()),
        }
    }

    /// The ids of those members that do not exist or are being deleted.
    async fn missing_members(
        &self,
        members: impl Iterator<Item = &Member>,
        types: &Registry,
    ) -> Result<Vec<String>, StoreError> {
        let mut by_kind = BTreeMap::<&str, Vec<String>>::new();
        for member in members {
            by_kind
                .entry(&member.kind)
                .or_default()
                .push(member.id.clone());
        }
        let mut missing = Vec::new();
        for (kind, mut ids) in by_kind {
            let found = match types.resource_type(kind) {
                Some(resource_type) => self.existing(resource_type, &ids).await?,
                None => Vec::new(),
            };
            ids.retain(|id| found.binary_search(id).is_err());
            missing.extend(ids);
        }
        Ok(missing)
    }

    /// Those of the ids that are resources of the type, sorted.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn existing(
        &self,
        resource_type: &ResourceType,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let pk = self.keys.resources(resource_type);
        let keys = ids.iter().map(|id| (pk.clone(), id.clone()));
        let items = self.get_keys(keys.collect(), Shown::Keys).await?;
        let found = items.into_iter().filter(|item| !item::is_deleted(item));
        let found = found.map(|mut item| item::take_text(&mut item, "sk"));
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        Ok(found)
    }
}
