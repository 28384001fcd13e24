//! Announcements: the work of reporting the members of a set that has become the current one, and of
//! the set that it has replaced.
//!
//! If the set was filled before it became current, the stream may have brought its items while it was
//! not, and then the feed reported nothing. So once the set is current, all of its members are gone
//! through. The members of the replaced set are gone through first, because their items stay for a
//! while. A journal entry holds the progress. The feed does the work, because only the feed knows
//! events. This file gives it the members, part by part.

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

/// The name of the job in the journal.
const NAME: &str = "Announce";

/// The largest replaced set that is compared with the new one, in members. For a larger one, the
/// feed learns which members are not in the new set when the finisher removes their items.
const MAX_COMPARED: i64 = 10_000;

/// The members that are still to be reported: first those of the replaced set, then those of the set
/// that has become the current one, unless it was written in one transaction with its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The group's `id`.
    pub group: String,
    /// The set that has become the current one.
    set: GroupState,
    /// The set that it has replaced. `None` once all of its members are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<GroupState>,
    /// The number of the partition that is read next.
    #[serde(default)]
    partition: usize,
    /// The member in that partition after which reading goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The cause of the write that made the set the current one, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The number of processes that have begun this part.
    #[serde(default)]
    pub attempts: u32,
}

/// The text of a journal entry with an announcement.
#[derive(Deserialize)]
struct AnnouncementEntry {
    #[serde(rename = "Announce")]
    announcement: Announcement,
}

/// Some members of a set, and what is still to be announced after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncementPart {
    /// The members, each with the group.
    pub pairs: Vec<Pair>,
    /// What is still to be announced after them; `None` if they are the last ones.
    pub rest: Option<Announcement>,
}

impl Announcement {
    /// The announcement of a change of a group. `None` if the current set is the same as before. If it
    /// was written in one transaction with the group, the stream reports its members, and only
    /// those of the set that it has replaced are announced.
    #[must_use]
    pub fn of_change(before: Option<&Stored>, after: &Stored) -> Option<Self> {
        let set = after.group.as_ref()?;
        let replaced = before.and_then(|before| before.group.as_ref());
        if replaced.is_some_and(|old| old.set == set.set) {
            return None;
        }
        // The number of members is rough, so a set that seems to be empty may have some. Their removal
        // is reported when the finisher sweeps it.
        let compared = replaced.filter(|old| (1..=MAX_COMPARED).contains(&old.about));
        if compared.is_none() && !is_filled_before(&set.set) {
            return None;
        }
        Some(Self {
            group: after.id.clone(),
            set: set.clone(),
            replaced: compared.cloned(),
            partition: 0,
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

    /// The next members, at most `limit`. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn next_part(
        &self,
        store: &TenantStore,
        limit: usize,
    ) -> Result<AnnouncementPart, StoreError> {
        let table = &store.table;
        let state = self.replaced.as_ref().unwrap_or(&self.set);
        let partitions = MemberSet::new(table, &self.group, state).partitions();
        let Some(partition) = partitions.get(self.partition) else {
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
            Some(after) => Some(self.from(self.partition, Some(after))),
            None if self.partition + 1 < partitions.len() => {
                Some(self.from(self.partition + 1, None))
            }
            None => self.next_set(),
        };
        let members = page.items.into_iter().map(items::from_item::<MemberItem>);
        Ok(self.part(members.collect::<Result<_, _>>()?, rest))
    }

    fn part(&self, members: Vec<MemberItem>, rest: Option<Self>) -> AnnouncementPart {
        let pair = |member: MemberItem| Pair {
            group: self.group.clone(),
            member: member.sk,
            member_type: member.type_name,
        };
        AnnouncementPart {
            pairs: members.into_iter().map(pair).collect(),
            rest,
        }
    }

    /// What is left from this partition and member on.
    fn from(&self, partition: usize, after: Option<String>) -> Self {
        Self {
            partition,
            after,
            attempts: 0,
            ..self.clone()
        }
    }

    /// What is left after all members of the current one of the two sets.
    fn next_set(&self) -> Option<Self> {
        self.replaced.as_ref()?;
        if !is_filled_before(&self.set.set) {
            return None;
        }
        Some(Self {
            replaced: None,
            ..self.from(0, None)
        })
    }
}

/// The unfinished announcements of one tenant.
#[derive(Clone, Copy)]
pub struct Announcements<'t> {
    table: &'t Table,
    journal: Journal<'t>,
}

/// An announcement that this process holds for the time of a lease.
pub struct LeasedAnnouncement {
    /// What is left of the announcement.
    pub announcement: Announcement,
    table: Table,
    lease: Lease,
    lease_until: u64,
}

/// An announcement that can be taken over: no process holds it, or this process takes it over from
/// itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingAnnouncement {
    entry: String,
    lease_until: u64,
}

impl<'t> Announcements<'t> {
    pub(in crate::store) fn new(table: &'t Table, journal: Journal<'t>) -> Self {
        Self { table, journal }
    }

    /// Writes an announcement into the journal, without a lease, unless the same record of the
    /// stream has led to it before. `record` is the name of the record, and `time` is when it was
    /// written, in milliseconds since the Unix epoch. One call.
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

    /// The announcements that no process holds, the oldest first.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn waiting(self) -> Result<Vec<WaitingAnnouncement>, StoreError> {
        let waiting = self.journal.waiting(NAME).await?.into_iter();
        let waiting =
            waiting.map(|(entry, lease_until)| WaitingAnnouncement { entry, lease_until });
        Ok(waiting.collect())
    }

    /// Takes over an announcement, and counts the attempt. `None` if another process has it or has
    /// finished it.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn take(
        self,
        waiting: &WaitingAnnouncement,
    ) -> Result<Option<LeasedAnnouncement>, StoreError> {
        let WaitingAnnouncement { entry, lease_until } = waiting;
        let Some(taken) = self.journal.take_over(entry, *lease_until).await? else {
            return Ok(None);
        };
        let entry = serde_json::from_str(&taken.text);
        // The error of serde is dropped, because it may quote the text, which has names of members.
        let AnnouncementEntry { announcement } = entry.map_err(|_| stored::malformed("work"))?;
        let mut held = LeasedAnnouncement {
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

impl LeasedAnnouncement {
    /// The store for calls under the lease. After the end of the lease every call is refused.
    #[must_use]
    pub fn store(&self) -> TenantStore {
        TenantStore::new(self.table.clone())
    }

    /// Whether the lease or the deadline of this process is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.table.deadline() <= Instant::now()
    }

    /// The same announcement, for this process to take over from itself with a new lease.
    #[must_use]
    pub fn waiting(self) -> WaitingAnnouncement {
        WaitingAnnouncement {
            entry: self.lease.entry,
            lease_until: self.lease_until,
        }
    }

    /// Stores what is left.
    ///
    /// # Errors
    /// `Unavailable`, also when another process has taken the announcement over.
    pub async fn save(&mut self, rest: Announcement) -> Result<(), StoreError> {
        self.lease.rewrite(&self.table, NAME, &rest).await?;
        self.announcement = rest;
        Ok(())
    }

    /// Removes the announcement after its last part.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn end(self) -> Result<(), StoreError> {
        self.lease.end(&self.table).await
    }
}
