//! The members of groups, and how they change.
//!
//! A change of a few members is one transaction of member and membership items, followed by one
//! update of the group's own item. The update counts the change in the group's revision. If the
//! group is gone by then, or another set is current, the change is undone or made again. A change
//! that does not fit one transaction is written into the journal first.
//!
//! | a request wants | file | if one transaction is too small |
//! |---|---|---|
//! | to add and remove members | `edit` | `edit_set` |
//! | to replace all members | `replace` | `replace_set` |
//! | to delete a resource of any type | `delete` | `delete` |
//!
//! It must not know which caller may change what, or what a request looks like.

mod announcement;
mod delete;
mod departures;
mod edit;
mod edit_set;
mod job;
mod look;
mod member;
mod member_steps;
mod member_write;
mod members;
mod memberships;
mod missing;
mod nesting;
mod replace;
mod replace_set;
pub(super) mod set;
mod sweep_set;
mod update;

use std::collections::BTreeMap;

use super::error::StoreError;
use super::resources::entry::Entries;
use super::resources::together::{self, NewResource};
use super::resources::write::{self, Arrival, New, Write};
use super::seats::SeatChange;
use super::stored::{Stored, n, random_id};
use super::table::Table;
use crate::protocol::schema::{MembershipAttribute, Registry, ResourceType};

pub use announcement::{
    Announcement, AnnouncementPart, Announcements, LeasedAnnouncement, WaitingAnnouncement,
};
pub(super) use job::parse;
pub use look::{Departures, Look, Pair};
pub use member::{Member, MemberChange};
pub use members::Members;
pub use memberships::{Membership, Memberships};
pub use nesting::Nesting;
pub use update::{ChangeAttempt, Guard};

/// What a request does to the members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberPlan {
    /// The members stay as they are.
    Keep,
    /// Some members are added and removed; all others stay as they are.
    Edit(MemberChange),
    /// These become all the members, by id. They are compared with the current members first: if
    /// they are equal nothing is written, and if they differ by one member only that one is changed.
    Replace(BTreeMap<String, Member>),
    /// All members are removed.
    Clear,
}

/// The groups of one tenant, with their members.
#[derive(Clone, Copy)]
pub struct Groups<'t> {
    table: &'t Table,
}

impl<'t> Groups<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Creates a group with its first members, by id. It is created as a whole or not at all.
    ///
    /// # Errors
    /// `Taken` naming the unique attribute whose value belongs to another resource; `NoMember`;
    /// `TooLarge`, `TooManyEntries`. `Unavailable` when the deadline passes, in which case the journal
    /// finishes the creation of a large group.
    pub async fn create(
        self,
        resource_type: &ResourceType,
        new: New<'_>,
        members: BTreeMap<String, Member>,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        nesting::note_inner_groups(self.table, types, new.id, members.values()).await?;
        replace::create(self.table, resource_type, new, members, types).await
    }

    /// Creates a resource of any type as it was exported: with its id and its times, and if it is a group without
    /// members. One transaction.
    ///
    /// # Errors
    /// `Taken` naming the unique attribute whose value belongs to another resource; `VersionMismatch` if the id
    /// belongs to a resource of the type, which may be being deleted; `TooLarge`.
    pub async fn arrive(
        self,
        resource_type: &ResourceType,
        arrival: Arrival<'_>,
    ) -> Result<Stored, StoreError> {
        let stored = arriving(resource_type, arrival);
        let Write { entries, seat, .. } = arrival.new.write;
        write::create(self.table, resource_type, stored, entries, seat, &()).await
    }

    /// Creates resources as [`arrive`](Self::arrive), as many in one transaction as fit. Returns of each whether it was
    /// created. One that was not has to arrive alone, which says why.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; then some of them may have been created.
    pub async fn arrive_together(
        self,
        arrivals: &[(&ResourceType, Arrival<'_>)],
    ) -> Result<Vec<bool>, StoreError> {
        let (mut new, mut places) = (Vec::new(), Vec::new());
        for (place, (resource_type, arrival)) in arrivals.iter().enumerate() {
            let Write { entries, seat, .. } = arrival.new.write;
            // Two users of one transaction could take their seats from one shard, which it can change only once.
            if !matches!(seat, SeatChange::Ignore | SeatChange::Keep) {
                continue;
            }
            places.push(place);
            new.push(NewResource {
                resource_type,
                stored: arriving(resource_type, *arrival),
                entries,
            });
        }
        let mut created = vec![false; arrivals.len()];
        let stored = together::create(self.table, &new).await?;
        for (place, is_stored) in places.into_iter().zip(stored) {
            created[place] = is_stored;
        }
        Ok(created)
    }

    /// Makes one attempt to change a group's body and members together. The change is made as a
    /// whole or not at all. Where nothing differs, nothing is written.
    ///
    /// # Errors
    /// `NotFound` when the group is gone, `VersionMismatch` when what the attempt's [`Guard`] covers
    /// has changed since the group was read, `Taken`, `NoMember`, `TooLarge`, `TooManyEntries`.
    /// `Unavailable` when the deadline passes, in which case the journal finishes a large change.
    pub async fn change(
        self,
        attempt: ChangeAttempt<'_>,
        plan: MemberPlan,
        types: &Registry,
    ) -> Result<Stored, StoreError> {
        let table = self.table;
        match plan {
            MemberPlan::Keep => update::keep_members(table, attempt).await,
            MemberPlan::Edit(change) => {
                let added = change.add.values();
                nesting::note_inner_groups(table, types, &attempt.before.id, added).await?;
                edit::edit(table, attempt, change, types).await
            }
            MemberPlan::Replace(members) => {
                replace::compare_and_replace(table, attempt, members, types).await
            }
            MemberPlan::Clear => replace::replace(table, attempt, BTreeMap::new(), types).await,
        }
    }

    /// Deletes a resource of any type. When this returns, the resource is in no group, list or index, and
    /// its unique values are free. The seat is that of a user.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read;
    /// `Unavailable` when the deadline passes, in which case the journal finishes the deletion.
    pub async fn delete(
        self,
        resource_type: &ResourceType,
        before: &Stored,
        entries: &Entries,
        guarded: (Guard, SeatChange),
        types: &Registry,
    ) -> Result<(), StoreError> {
        delete::delete(self.table, resource_type, before, entries, guarded, types).await
    }

    /// Finishes the deletion of a resource that is a tombstone. False if there is no such tombstone.
    ///
    /// # Errors
    /// As for [`delete`](Groups::delete).
    pub async fn resume_delete(
        self,
        resource_type: &ResourceType,
        id: &str,
        types: &Registry,
    ) -> Result<bool, StoreError> {
        delete::resume(self.table, resource_type, id, types).await
    }

    /// Writes the counted number of members into the group's own item, on the condition that the
    /// group has counted no change of members since it was read.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `Unavailable`, `Backend`.
    pub async fn correct_count(
        self,
        resource_type: &ResourceType,
        group: &Stored,
        counted: u64,
    ) -> Result<(), StoreError> {
        let read = group.group.as_ref();
        let revision = read.map_or(0, |state| state.member_revision);
        let rid = random_id();
        let mut update = write::update_item(self.table, resource_type, &group.id, &rid);
        update
            .require("attribute_not_exists(del) AND mv = :mv")
            .set("about = :about")
            .value(":mv", n(revision))
            .value(":about", n(counted));
        update.send(self.table, &rid).await?;
        Ok(())
    }
}

/// A resource that arrives, as it is stored.
fn arriving(resource_type: &ResourceType, arrival: Arrival<'_>) -> Stored {
    match resource_type.membership {
        Some(MembershipAttribute::Members) => set::arriving(arrival),
        Some(MembershipAttribute::MemberOf) | None => arrival.stored(),
    }
}
