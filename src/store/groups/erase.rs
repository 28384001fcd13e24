//! Deletes a resource that is in groups, or is one.
//!
//! First it becomes a tombstone and loses its index entries and its count: from here on no reader
//! sees it, and no writer makes it a member. Only then are its memberships read and swept, so that
//! none is missed. The tombstone goes last; until then a repeated DELETE resumes.

use std::time::Duration;

use aws_sdk_dynamodb::types::Delete;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::member::Membership;
use crate::protocol::schema::{Membership as Kind, Registry, ResourceType};
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, GroupState, Stored, n, s, signed};
use crate::store::journal::{NewEntry, Note, Stage, Step, Work};
use crate::store::keys;
use crate::store::resources::change::Guard;
use crate::store::resources::entry::Entries;
use crate::store::resources::{broken, token};
use crate::store::table::batch::PlainWrite;
use crate::store::table::expression::Expression;
use crate::store::table::transaction::{Refusal, Refused, Transaction};

/// How long a request goes on removing what nobody sees any more.
const SWEEP_TIME: Duration = Duration::from_secs(2);

/// Groups that are left before the next ones are looked for.
const PART: usize = 1_000;

/// Groups updated at once while a member of them is deleted.
const PARALLEL: usize = 16;

/// A resource that disappears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Erasure {
    /// The resource type, by name.
    pub(in crate::store) resource_type: String,
    /// The resource's `id`.
    pub(in crate::store) id: String,
    /// The set of its members, if it is a group.
    pub(in crate::store) set: Option<GroupState>,
}

impl TenantStore {
    /// Deletes a resource: when this returns it is in no group, list or index.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read;
    /// `Unavailable` when the deadline passes, in which case the journal finishes the deletion.
    pub async fn delete(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        entries: &Entries,
        guard: Guard,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let mut held = entries.clone();
        if resource_type.membership.is_none() {
            loop {
                match self.remove(resource_type, before, &held).await {
                    Err(StoreError::NotHeld(entry)) => {
                        held = held.filtered(|other| *other != entry);
                    }
                    outcome => return outcome,
                }
            }
        }
        let erasure = Erasure {
            resource_type: resource_type.name.clone(),
            id: before.id.clone(),
            set: before.group.clone(),
        };
        let entry = self.new_entry(&Work::Erase(erasure.clone()))?;
        while let Err(error) = self.bury(resource_type, before, &held, guard, &entry).await {
            match error {
                StoreError::NotHeld(entry) => held = held.filtered(|other| *other != entry),
                error => return Err(error),
            }
        }
        self.under_lease(&entry)
            .finish_erasure(&entry.step, &erasure, types)
            .await
    }

    /// Finishes the deletion of a resource that is a tombstone; `false` when it is none.
    ///
    /// # Errors
    /// As for [`delete`](TenantStore::delete).
    pub async fn resume_delete(
        &self,
        resource_type: &ResourceType,
        id: &str,
        types: &Registry,
    ) -> Result<bool, StoreError> {
        let item = self
            .get_item(self.keys.resources(resource_type), id)
            .await?;
        let Some(mut item) = item.filter(item::is_deleted) else {
            return Ok(false);
        };
        let op = item::take_text(&mut item, "del")?;
        let erasure = Erasure {
            resource_type: resource_type.name.clone(),
            id: id.to_owned(),
            set: Stored::from_item(item)?.group,
        };
        // Whoever holds the entry may be at it too: nothing of this harms when it is done twice.
        let step = Step { op, owner: token() };
        self.finish_erasure(&step, &erasure, types).await?;
        Ok(true)
    }

    /// Turns a resource into a tombstone and begins the journal entry: one transaction.
    async fn bury(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        entries: &Entries,
        guard: Guard,
        entry: &NewEntry,
    ) -> Result<(), StoreError> {
        let token = token();
        let mut transaction = Transaction::default();
        // The index entries are known from the body, so the body must be the one that was read.
        let mut parts = Expression::new(
            "attribute_not_exists(del) AND v = :v",
            "rid = :rid, del = :op",
            &token,
        );
        parts
            .value(":v", n(before.revision))
            .value(":op", s(&entry.step.op));
        if let Some(group) = &before.group {
            parts
                .require("#set = :set")
                .value(":set", s(&group.set))
                .name("#set", "set");
            if guard != Guard::Changed {
                parts
                    .require("mv = :mv")
                    .value(":mv", n(group.member_revision));
            }
        }
        let update = parts.update(&self.table, self.keys.resources(resource_type), &before.id)?;
        transaction.update(update, Refusal::Resource);
        for index_entry in entries.iter() {
            self.remove_entry(&mut transaction, resource_type, &before.id, index_entry)?;
        }
        transaction.update(self.count(resource_type, &before.id, -1)?, Refusal::Never);
        self.note(&mut transaction, Note::Begin(entry), &token)?;
        self.commit(transaction, &token)
            .await?
            .map_err(|refused| refused.into_error(Some(before)))
    }

    /// Finishes a deletion that another writer began.
    pub(in crate::store) async fn resume_erasure(
        &self,
        step: &Step,
        stage: Stage,
        erasure: &Erasure,
        types: &Registry,
    ) -> Result<(), StoreError> {
        if stage == Stage::Begun {
            self.leave(step, erasure, types).await?;
        }
        self.sweep_erased(step, erasure).await
    }

    /// Takes a tombstone out of every group, and removes it. What is left of a group then nobody
    /// sees, so what cannot be removed in good time is left to the journal.
    async fn finish_erasure(
        &self,
        step: &Step,
        erasure: &Erasure,
        types: &Registry,
    ) -> Result<(), StoreError> {
        self.leave(step, erasure, types).await?;
        let brief = Self {
            deadline: self.deadline.min(Instant::now() + SWEEP_TIME),
            ..self.clone()
        };
        match brief.sweep_erased(step, erasure).await {
            Ok(()) | Err(StoreError::Unavailable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn leave(
        &self,
        step: &Step,
        erasure: &Erasure,
        types: &Registry,
    ) -> Result<(), StoreError> {
        // Part by part, so that whoever takes over goes on where the last one was. A tombstone gets no
        // new memberships, so the end of a part is the end of all.
        loop {
            let (memberships, more) = self.some_memberships(&erasure.id, PART).await?;
            self.leave_groups(memberships, types).await?;
            if !more {
                break;
            }
        }
        let Some(resource_type) = types.resource_type(&erasure.resource_type) else {
            return self.end(step).await;
        };
        let tombstone = Delete::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.resources(resource_type)))
            .key("sk", s(&erasure.id));
        let token = token();
        let mut transaction = Transaction::default();
        transaction.delete(tombstone.build().map_err(broken)?, Refusal::Never);
        let note = match erasure.set {
            Some(_) => Note::Gone(step),
            None => Note::Drop(step),
        };
        self.note(&mut transaction, note, &token)?;
        match self.commit(transaction, &token).await? {
            // Somebody else has removed the tombstone and the entry.
            Ok(())
            | Err(Refused {
                refusal: Refusal::Journal,
                ..
            }) => Ok(()),
            Err(refused) => Err(refused.into_error(None)),
        }
    }

    async fn sweep_erased(&self, step: &Step, erasure: &Erasure) -> Result<(), StoreError> {
        let Some(set) = &erasure.set else {
            return Ok(());
        };
        self.sweep_set(&erasure.id, set).await?;
        self.end(step).await
    }

    /// Takes a resource out of the groups it is in: the items, and then the stamp of each group.
    async fn leave_groups(
        &self,
        memberships: Vec<Membership>,
        types: &Registry,
    ) -> Result<(), StoreError> {
        let members = memberships.iter().map(|membership| PlainWrite::Delete {
            pk: self
                .keys
                .members(&membership.group, &membership.set, membership.shard),
            sk: membership.member.clone(),
        });
        self.write_all(members.collect()).await?;
        let now = self.clock.now_millis();
        let groups = types
            .resource_types()
            .iter()
            .filter(|resource_type| resource_type.membership == Some(Kind::Members));
        for resource_type in groups {
            // Collected first: a stream that still held the closure would not be `Send`.
            let stamps: Vec<_> = memberships
                .iter()
                .map(|membership| self.stamp(resource_type, membership, now))
                .collect();
            stream::iter(stamps)
                .buffer_unordered(PARALLEL)
                .try_collect::<Vec<()>>()
                .await?;
        }
        let left = memberships.iter().map(|membership| PlainWrite::Delete {
            pk: self.keys.memberships(&membership.member),
            sk: keys::membership(&membership.member, &membership.group, &membership.set),
        });
        self.write_all(left.collect()).await
    }

    /// Says in a group that its members changed, if the set is its current one.
    async fn stamp(
        &self,
        resource_type: &ResourceType,
        membership: &Membership,
        now: u64,
    ) -> Result<(), StoreError> {
        match self
            .stamp_set(resource_type, &membership.group, &membership.set, now)
            .await
        {
            // The group is gone, or the set is: there is nothing left to stamp.
            Ok(()) | Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn stamp_set(
        &self,
        resource_type: &ResourceType,
        group: &str,
        set: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let token = token();
        let mut parts = Expression::new(
            "attribute_not_exists(del) AND #set = :set AND rid <> :rid",
            "rid = :rid, ms = :now",
            &token,
        );
        parts
            .add("mv :one, about :less")
            .value(":one", n(1))
            .value(":less", signed(-1))
            .value(":now", n(now))
            .value(":set", s(set))
            .name("#set", "set");
        let update = parts.update(&self.table, self.keys.resources(resource_type), group)?;
        self.update_item(update, &token).await?;
        Ok(())
    }
}
