//! A change of more members than one transaction takes.
//!
//! The membership items are written first, then the members are read strongly: a member that is being
//! deleted either shows its tombstone here, or its deletion finds the membership item. Then the member
//! items are written, and one transaction makes the change part of the group and says so in the
//! journal. Until then a replacement is in a set that nobody reads, so readers see the old members or
//! the new ones, never a mixture; a large addition or removal becomes visible bit by bit.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::TenantStore;
use super::batch::PlainWrite;
use super::call::Failure;
use super::entry::Entries;
use super::error::StoreError;
use super::item::{GroupState, Item, Stored, n, s};
use super::journal::{Step, Work};
use super::keys;
use super::member::{Member, MemberChange};
use super::meter::Account;
use super::resource::{BodyChange, Change, Guard, MemberEffect, New, Write};
use crate::protocol::schema::{Registry, ResourceType};

/// Conditional deletes under way at once.
const PARALLEL: usize = 32;

/// A large change of a group's members, with the change of its body that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    /// The group's resource type, by name.
    pub resource_type: String,
    /// The group's `id`.
    pub group: String,
    /// What the members are changed in.
    pub target: Target,
    /// The members to add and to remove.
    pub change: MemberChange,
    /// The new body, if it changes with the members.
    pub body: Option<FillBody>,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// Where a fill puts its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The group is new; the set is its first.
    Created(GroupState),
    /// The set takes the place of the one named.
    Replaced {
        /// The new set.
        fresh: GroupState,
        /// The set that was current when the change began.
        old: GroupState,
    },
    /// The current set.
    Current(GroupState),
}

/// The body that is written with a fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillBody {
    /// The revision of the group that the body was made from; 0 for a new group.
    pub revision: u64,
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

impl Target {
    fn state(&self) -> &GroupState {
        match self {
            Self::Created(state) | Self::Current(state) | Self::Replaced { fresh: state, .. } => {
                state
            }
        }
    }
}

impl TenantStore {
    /// Makes a large change of members, journalled; the group is read back by the caller.
    ///
    /// # Errors
    /// `NoMember` with nothing changed, `NotFound`, `VersionMismatch`, `Taken`; `Unavailable` when the
    /// deadline passes, in which case the journal finishes the change.
    pub async fn fill(
        &self,
        fill: Fill,
        guard: Guard,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        self.check_members(fill.change.add.values(), types).await?;
        let work = Work::Fill(fill);
        let (step, leased) = self.begin(&work).await?;
        let Work::Fill(fill) = work else {
            return Err(StoreError::NotFound);
        };
        match leased.write_fill(&step, &fill, guard, types).await {
            Ok(group) => {
                leased.sweep_replaced(&fill).await?;
                leased.end(&step).await?;
                Ok(group)
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Backend(_))) => Err(error),
            Err(refused) => {
                leased.undo_fill(&fill).await?;
                leased.end(&step).await?;
                Err(refused)
            }
        }
    }

    /// Finishes a fill that another writer began.
    pub(super) async fn finish_fill(
        &self,
        step: &Step,
        fill: &Fill,
        done: u64,
        types: &Registry,
    ) -> Result<(), StoreError> {
        if done == 0 {
            match self.write_fill(step, fill, Guard::Changed, types).await {
                Ok(_) => {}
                Err(error @ (StoreError::Unavailable(_) | StoreError::Backend(_))) => {
                    return Err(error);
                }
                // The group is gone or was changed by somebody who came later: the change never was.
                Err(_) => {
                    self.undo_fill(fill).await?;
                    return self.end(step).await;
                }
            }
        }
        self.sweep_replaced(fill).await?;
        self.end(step).await
    }

    async fn write_fill(
        &self,
        step: &Step,
        fill: &Fill,
        guard: Guard,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        let resource_type = types
            .resource_type(&fill.resource_type)
            .ok_or(StoreError::NotFound)?;
        let state = fill.target.state();
        let added = fill.change.add.values();
        let memberships = added
            .clone()
            .map(|member| self.membership_item(&fill.group, state, &member.id, fill.now));
        self.write_all(memberships.map(PlainWrite::Put).collect())
            .await?;
        self.check_members(added.clone(), types).await?;
        let members = added.map(|member| self.member_item(&fill.group, state, member, fill.now));
        self.write_all(members.map(PlainWrite::Put).collect())
            .await?;
        self.remove_members(fill, state).await?;
        self.commit_fill(step, fill, guard, resource_type).await
    }

    /// Checks that every member exists and is not being deleted.
    async fn check_members(
        &self,
        members: impl Iterator<Item = &Member>,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let mut by_kind = BTreeMap::<&str, Vec<String>>::new();
        for member in members {
            by_kind
                .entry(&member.kind)
                .or_default()
                .push(member.id.clone());
        }
        for (kind, ids) in by_kind {
            let found = match types.resource_type(kind) {
                Some(resource_type) => self.existing(resource_type, &ids).await?,
                None => Vec::new(),
            };
            if let Some(missing) = ids.into_iter().find(|id| found.binary_search(id).is_err()) {
                return Err(StoreError::NoMember { id: missing });
            }
        }
        Ok(())
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
        let mut found: Vec<String> = self
            .get_many(resource_type, ids)
            .await?
            .into_iter()
            .map(|stored| stored.id)
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Removes members that were there when the change began, and not those added again meanwhile.
    async fn remove_members(&self, fill: &Fill, state: &GroupState) -> Result<(), StoreError> {
        let removals = fill.change.remove.iter().map(|id| async move {
            let member = self.keys.members(&fill.group, &state.set, state.shard(id));
            if self.delete_older(&member, id, fill.now).await? {
                let key = keys::membership(id, &fill.group, &state.set);
                self.delete_older(&self.keys.memberships(id), &key, fill.now)
                    .await?;
            }
            Ok::<_, StoreError>(())
        });
        // A stream that still held the closure would not be `Send`.
        let removals: Vec<_> = removals.collect();
        stream::iter(removals)
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Deletes an item unless it was written after `now`; tells whether it is gone.
    async fn delete_older(&self, pk: &str, sk: &str, now: u64) -> Result<bool, StoreError> {
        let attempt = || {
            self.client
                .delete_item()
                .table_name(&*self.table)
                .key("pk", s(pk))
                .key("sk", s(sk))
                .condition_expression("attribute_not_exists(pk) OR stamp <= :now")
                .expression_attribute_values(":now", n(now))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        match self.call(Account::Write, attempt).await {
            Ok(output) => {
                self.meter
                    .capacity(Account::Write, output.consumed_capacity());
                Ok(true)
            }
            Err(Failure::Refused(DeleteItemError::ConditionalCheckFailedException(_))) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    /// Makes the change part of the group and says so in the journal: one transaction.
    async fn commit_fill(
        &self,
        step: &Step,
        fill: &Fill,
        guard: Guard,
        resource_type: &ResourceType,
    ) -> Result<Stored, StoreError> {
        if let (Target::Created(state), Some(body)) = (&fill.target, &fill.body) {
            let new = New {
                id: &fill.group,
                write: body.write(fill.now),
                group: Some(state),
                members: &[],
                journal: Some(step),
            };
            return self.create(resource_type, new).await;
        }
        let before = self
            .get(resource_type, &fill.group)
            .await?
            .ok_or(StoreError::NotFound)?;
        let (expected, members) = match &fill.target {
            Target::Replaced { fresh, old } => (old, MemberEffect::Flip(fresh.clone())),
            Target::Created(state) | Target::Current(state) => {
                let by = fill.change.balance();
                (state, MemberEffect::Stamp { by })
            }
        };
        let is_current = before
            .group
            .as_ref()
            .is_some_and(|group| group.set == expected.set);
        let is_read = fill
            .body
            .as_ref()
            .is_none_or(|body| body.revision == before.revision);
        let guarded = guard == Guard::Changed
            || before
                .group
                .as_ref()
                .is_some_and(|group| group.member_revision == expected.member_revision);
        if !(is_current && is_read && guarded) {
            return Err(StoreError::VersionMismatch);
        }
        let body = fill.body.as_ref().map(|body| BodyChange {
            entries_before: &body.entries_before,
            write: body.write(fill.now),
        });
        self.update(
            resource_type,
            &before,
            Change {
                body,
                members,
                items: None,
                now: fill.now,
                guard,
                journal: Some(step),
            },
        )
        .await
    }

    /// Removes the items of the set that was replaced.
    async fn sweep_replaced(&self, fill: &Fill) -> Result<(), StoreError> {
        match &fill.target {
            Target::Replaced { old, .. } => self.sweep_set(&fill.group, old).await,
            Target::Created(_) | Target::Current(_) => Ok(()),
        }
    }

    /// Takes back what a refused fill wrote.
    async fn undo_fill(&self, fill: &Fill) -> Result<(), StoreError> {
        match &fill.target {
            Target::Created(state) | Target::Replaced { fresh: state, .. } => {
                let ids: Vec<String> = fill.change.add.keys().cloned().collect();
                self.remove_items(&fill.group, state, &ids).await
            }
            // What was added to a live set stays if its member exists, and falls with a group that is
            // gone; a member that does not exist must not stay.
            Target::Current(state) => self.undo_additions(fill, state).await,
        }
    }

    async fn undo_additions(&self, fill: &Fill, state: &GroupState) -> Result<(), StoreError> {
        let added = MemberChange {
            add: BTreeMap::new(),
            remove: fill.change.add.keys().cloned().collect(),
        };
        let undo = Fill {
            change: added,
            ..fill.clone()
        };
        self.remove_members(&undo, state).await
    }

    /// Removes every item of a set that nobody reads any more, membership items first, so that what
    /// is left of the work can always be found.
    pub(super) async fn sweep_set(
        &self,
        group: &str,
        state: &GroupState,
    ) -> Result<(), StoreError> {
        for shard in 0..u64::from(state.shards) {
            loop {
                let ids = self.some_members(group, state, shard).await?;
                if ids.is_empty() {
                    break;
                }
                let (members, memberships): (Vec<_>, Vec<_>) = ids
                    .iter()
                    .map(|id| {
                        self.member_keys(group, state, id)
                            .map(|(pk, sk)| PlainWrite::Delete { pk, sk })
                    })
                    .map(|[member, membership]| (member, membership))
                    .unzip();
                self.write_all(memberships).await?;
                self.write_all(members).await?;
            }
        }
        Ok(())
    }

    async fn some_members(
        &self,
        group: &str,
        state: &GroupState,
        shard: u64,
    ) -> Result<Vec<String>, StoreError> {
        let pk = self.keys.members(group, &state.set, shard);
        let range = super::key_range::KeyRange::all();
        let output = self
            .query(pk, &range, super::range::Window::default(), None)
            .await?;
        let id = |mut item: Item| super::item::take_text(&mut item, "sk");
        output
            .items
            .unwrap_or_default()
            .into_iter()
            .map(id)
            .collect()
    }
}
