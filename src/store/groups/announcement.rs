//! What is left to say of a set that was filled before it became the current one.
//!
//! The records of the set's items in the table's stream may have been read while the set was not
//! current, and then they said nothing. So its members are gone through once it is. An entry of the
//! journal holds how far that is. The feed does the work, because only it knows what to say; this file
//! gives it the members part by part.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::look::Pair;
use super::set::{MemberSet, is_filled_before};
use crate::identity::Cause;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::items::{self, MemberItem};
use crate::store::journal::{Journal, Lease, NewEntry};
use crate::store::key_range::EVERY_KEY;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, GroupState, Stored};
use crate::store::table::Table;
use crate::store::table::query::{Query, Window};

/// The name of the work in the journal.
const NAME: &str = "Announce";

/// A larger set that was replaced is not compared with the new one. Those of its members who are not in
/// the new set become known when the finisher removes their items.
const MAX_COMPARED: i64 = 10_000;

/// The members of a set that has become the current one, and before them those of the set that it has
/// replaced; or what is left of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The group's `id`.
    pub group: String,
    /// The set that has become the current one.
    set: GroupState,
    /// The set that it has replaced, until all its members are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<GroupState>,
    /// The partition of the set that is gone through.
    #[serde(default)]
    shard: usize,
    /// The member in that partition after which to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// Who made the set the current one and why, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// How many processes have begun this part.
    #[serde(default)]
    pub attempts: u32,
}

/// The text of an entry of the journal with an announcement.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Announce")]
    announcement: Announcement,
}

/// Some members of a set, and what is left to announce after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The members, each with the group.
    pub pairs: Vec<Pair>,
    /// What is left after them; `None` if nothing is.
    pub rest: Option<Announcement>,
}

impl Announcement {
    /// What there is to announce when a group has changed in this way; `None` if its current set is the
    /// same as before, or is known to have been written in one transaction with the group.
    #[must_use]
    pub fn of_change(before: Option<&Stored>, after: &Stored) -> Option<Self> {
        let set = after.group.as_ref()?;
        let replaced = before.and_then(|before| before.group.as_ref());
        if !is_filled_before(&set.set) || replaced.is_some_and(|old| old.set == set.set) {
            return None;
        }
        Some(Self {
            group: after.id.clone(),
            set: set.clone(),
            replaced: replaced.filter(|old| old.about <= MAX_COMPARED).cloned(),
            shard: 0,
            after: None,
            cause: None,
            attempts: 0,
        })
    }

    /// The name of the set that has become the current one.
    #[must_use]
    pub fn set(&self) -> &str {
        &self.set.set
    }

    /// Whether the members of the next part are those of the replaced set.
    #[must_use]
    pub fn is_comparing(&self) -> bool {
        self.replaced.is_some()
    }

    /// Up to `limit` members, who come next. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn next_part(&self, store: &TenantStore, limit: usize) -> Result<Part, StoreError> {
        let table = &store.table;
        let state = self.replaced.as_ref().unwrap_or(&self.set);
        let partitions = MemberSet::new(table, &self.group, state).partitions();
        let Some(partition) = partitions.get(self.shard) else {
            return Ok(self.part(Vec::new(), self.next_set()));
        };
        let window = Window {
            after: self.after.as_deref(),
            limit: Some(limit),
            ..Window::default()
        };
        let query = Query::new(partition, &EVERY_KEY, ProjectedAttributes::All).within(window);
        let page = query.page(table).await?;
        let rest = match page.next {
            Some(after) => Some(self.from(self.shard, Some(after))),
            None if self.shard + 1 < partitions.len() => Some(self.from(self.shard + 1, None)),
            None => self.next_set(),
        };
        let members = page.items.into_iter().map(items::from_item::<MemberItem>);
        Ok(self.part(members.collect::<Result<_, _>>()?, rest))
    }

    fn part(&self, members: Vec<MemberItem>, rest: Option<Self>) -> Part {
        let pair = |member: MemberItem| Pair {
            group: self.group.clone(),
            member: member.sk,
            member_type: member.type_name,
        };
        Part {
            pairs: members.into_iter().map(pair).collect(),
            rest,
        }
    }

    /// What is left from there on.
    fn from(&self, shard: usize, after: Option<String>) -> Self {
        Self {
            shard,
            after,
            attempts: 0,
            ..self.clone()
        }
    }

    /// What is left after all members of the set that is gone through.
    fn next_set(&self) -> Option<Self> {
        self.replaced.as_ref()?;
        Some(Self {
            replaced: None,
            ..self.from(0, None)
        })
    }
}

/// The announcements of one tenant that are not finished.
#[derive(Clone, Copy)]
pub struct Announcements<'t> {
    table: &'t Table,
    journal: Journal<'t>,
}

/// An announcement that this process holds for the time of a lease.
pub struct HeldAnnouncement {
    /// What is left of it.
    pub announcement: Announcement,
    table: Table,
    lease: Lease,
    lease_until: u64,
}

/// An announcement that no process holds, or whose holder takes it over from itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingAnnouncement {
    entry: String,
    lease_until: u64,
}

impl<'t> Announcements<'t> {
    pub(in crate::store) fn new(table: &'t Table, journal: Journal<'t>) -> Self {
        Self { table, journal }
    }

    /// Writes an announcement into the journal, held by no process, unless the same record has led to it
    /// before. `record` names the record of the stream, and `time` is when that was written, in
    /// milliseconds since the Unix epoch. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn begin(
        self,
        record: &str,
        time: u64,
        announcement: &Announcement,
    ) -> Result<(), StoreError> {
        let entry = NewEntry::of_record(self.table, NAME, announcement, record, time)?;
        entry.begin_once(self.table).await
    }

    /// Those that no process holds, the oldest first.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn waiting(self) -> Result<Vec<WaitingAnnouncement>, StoreError> {
        let waiting = self.journal.waiting(NAME).await?.into_iter();
        let waiting =
            waiting.map(|(entry, lease_until)| WaitingAnnouncement { entry, lease_until });
        Ok(waiting.collect())
    }

    /// Takes one over, and counts the attempt; `None` if another process has it, or has finished it.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn take(
        self,
        waiting: &WaitingAnnouncement,
    ) -> Result<Option<HeldAnnouncement>, StoreError> {
        let WaitingAnnouncement { entry, lease_until } = waiting;
        let Some(taken) = self.journal.take_over(entry, *lease_until).await? else {
            return Ok(None);
        };
        let entry = serde_json::from_str(&taken.text);
        // What serde says may quote the text, and the text names members.
        let Entry { announcement } = entry.map_err(|_| stored::malformed("work"))?;
        let mut held = HeldAnnouncement {
            table: taken.leased(self.table),
            lease_until: taken.lease_until,
            lease: taken.lease,
            announcement,
        };
        let attempts = held.announcement.attempts + 1;
        held.save(Announcement {
            attempts,
            ..held.announcement.clone()
        })
        .await?;
        Ok(Some(held))
    }
}

impl HeldAnnouncement {
    /// The table to go on with under the lease: past it, every call is refused.
    #[must_use]
    pub fn store(&self) -> TenantStore {
        TenantStore::new(self.table.clone())
    }

    /// Whether the lease, or the time of this process, is too short for another call.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.table.deadline() <= Instant::now()
    }

    /// The same announcement, to be taken over with a new lease.
    #[must_use]
    pub fn waiting(self) -> WaitingAnnouncement {
        WaitingAnnouncement {
            entry: self.lease.entry,
            lease_until: self.lease_until,
        }
    }

    /// Writes down what is left.
    ///
    /// # Errors
    /// `Unavailable`, also when another process has taken the announcement over.
    pub async fn save(&mut self, rest: Announcement) -> Result<(), StoreError> {
        self.lease.rewrite(&self.table, NAME, &rest).await?;
        self.announcement = rest;
        Ok(())
    }

    /// Removes the announcement, of which nothing is left.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn end(self) -> Result<(), StoreError> {
        self.lease.end(&self.table).await
    }
}
