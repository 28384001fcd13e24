//! Goes through the members of sets that were filled before they became current, and says in the feed
//! who is a member.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::{Looks, group_type};
use crate::feed::append::{Appended, Appender, Source, Tail};
use crate::feed::event::{EventBody, EventVerb, NewEvent, Subject};
use crate::feed::lifecycle;
use crate::feed::record::Record;
use crate::identity::{Cause, CauseKind, TenantId};
use crate::protocol::error::Result;
use crate::protocol::schema::Registry;
use crate::store::{
    Announcement, AnnouncementPart, ItemChange, LeasedAnnouncement, Look, Meter, ResourceChange,
    TenantStore, WaitingAnnouncement,
};

/// Members announced by one append. The more there are, the likelier another append comes in between.
const MEMBERS_PER_PART: usize = 200;

/// After this number of attempts that got no further the feed says that it has a gap, and goes on.
const MAX_ATTEMPTS: u32 = 20;

/// How long one process goes on: shorter than a Lambda function may run.
const BUDGET: Duration = Duration::from_secs(240);

/// Writes into the journal what these records leave to announce.
///
/// This comes before the tail of the feed is read. A process may die after it has put the page with the
/// group's record. The record is then one that the feed has, and nothing else leads to the announcement.
///
/// # Errors
/// `Unavailable`.
pub(in crate::feed) async fn write_down_announcements(
    store: &TenantStore,
    records: impl Iterator<Item = &Record>,
) -> Result<()> {
    let left = records.filter_map(|record| match &record.change {
        ItemChange::Resource(change) => Some((record, announcement_of(change)?)),
        _ => None,
    });
    let left: Vec<(&Record, Announcement)> = left.collect();
    // An entry in the journal of a purged tenant would stay: nothing looks there any more.
    if left.is_empty() || lifecycle::is_ended(store).await? {
        return Ok(());
    }
    for (record, announcement) in left {
        let announcements = store.announcements();
        let begun = announcements.begin(&record.id, record.time, &announcement);
        begun.await?;
    }
    Ok(())
}

/// The announcement that a change of a resource asks for: that of the members of a set which was filled
/// before it became the current one.
fn announcement_of(change: &ResourceChange) -> Option<Announcement> {
    let after = change.after.as_ref().filter(|after| !after.is_deleted)?;
    let before = change.before.as_ref().map(|before| &before.stored);
    let mut announcement = Announcement::of_change(before, &after.stored)?;
    announcement.cause.clone_from(&after.cause);
    Some(announcement)
}

/// Makes the announcements that the journal of a tenant holds.
pub struct Announcer<'a> {
    appender: &'a Appender<'a>,
    members_per_part: usize,
}

impl<'a> Announcer<'a> {
    /// What announces in the feeds that this appends to.
    #[must_use]
    pub fn new(appender: &'a Appender<'a>) -> Self {
        Self {
            appender,
            members_per_part: MEMBERS_PER_PART,
        }
    }

    /// The same with another number of members that are announced together.
    #[must_use]
    pub fn with_members_per_part(self, members_per_part: usize) -> Self {
        Self {
            members_per_part,
            ..self
        }
    }

    /// Makes every announcement of the tenant that no other process holds, the oldest first; returns how
    /// many.
    ///
    /// # Errors
    /// `Unavailable`; what was not finished is left in the journal, with how far it is.
    pub async fn announce(&self, tenant: &TenantId) -> Result<usize> {
        let store = self.appender.store();
        let cause = Cause::without_credential(CauseKind::Service);
        let store = store.for_tenant(tenant, cause, Meter::default(), BUDGET);
        let (mut made, mut outcome) = (0, Ok(()));
        for waiting in store.announcements().waiting().await? {
            match self.make(tenant, &store, waiting).await {
                Ok(true) => made += 1,
                Ok(false) => {}
                // One group's announcement that fails must not keep those of the other groups.
                Err(error) => outcome = Err(error),
            }
        }
        outcome.map(|()| made)
    }

    /// Makes one, under as many leases as it takes; false if another process has it.
    async fn make(
        &self,
        tenant: &TenantId,
        store: &TenantStore,
        mut waiting: WaitingAnnouncement,
    ) -> Result<bool> {
        while let Some(mut held) = store.announcements().take(&waiting).await? {
            if self.make_held(tenant, &mut held).await? {
                held.end().await?;
                return Ok(true);
            }
            // The lease is over, and this process has more time.
            waiting = held.waiting();
        }
        Ok(false)
    }

    /// Goes on with an announcement until its lease ends; whether nothing is left of it.
    async fn make_held(&self, tenant: &TenantId, held: &mut LeasedAnnouncement) -> Result<bool> {
        let found = self.appender.tenants().get(tenant, &held.store()).await?;
        let types = &found.registry;
        if held.announcement.attempts > MAX_ATTEMPTS {
            let group = &held.announcement.group;
            tracing::error!(tenant.id = %tenant, group, "gave up announcing the members of a group");
            let gap = Gap {
                announcement: &held.announcement,
                types,
                now: self.appender.now(),
            };
            self.appender.append(tenant, &gap).await?;
            return Ok(true);
        }
        while !held.is_over() {
            let part = NextPart {
                announcement: &held.announcement,
                limit: self.members_per_part,
                types,
                now: self.appender.now(),
                rest: Mutex::new(None),
            };
            // A deleted tenant's feed says no more about its groups.
            if self.appender.append(tenant, &part).await? == Appended::NoFeed {
                return Ok(true);
            }
            let rest = part.rest.into_inner();
            let Some(rest) = rest.unwrap_or_else(PoisonError::into_inner) else {
                return Ok(true);
            };
            // After the page is put: if a process dies in between, the same is announced again.
            held.save(rest).await?;
        }
        Ok(false)
    }
}

/// The events of the next part of an announcement. It is read again for each attempt to append.
struct NextPart<'p> {
    announcement: &'p Announcement,
    limit: usize,
    types: &'p Registry,
    now: u64,
    /// What is left after the part that the last attempt has read.
    rest: Mutex<Option<Announcement>>,
}

impl Source for NextPart<'_> {
    fn ids(&self) -> Vec<&str> {
        Vec::new()
    }

    fn oldest(&self) -> Option<u64> {
        None
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        let (announcement, types) = (self.announcement, self.types);
        let AnnouncementPart { pairs, rest } =
            announcement.next_part(tail.store, self.limit).await?;
        let looks = Looks::at_pairs(tail.store, pairs.into_iter(), types).await?;
        // Each attempt has ids of its own, because it may find other members than the one before.
        let attempt = Uuid::now_v7().simple();
        let mut events = Vec::new();
        let mut is_current = true;
        for (pair, look) in &looks.looks {
            let Look::Group { set, is_member, .. } = look else {
                is_current = false;
                continue;
            };
            is_current &= set == announcement.set();
            let verb = match (announcement.is_comparing(), is_member) {
                (true, false) => EventVerb::MemberRemoved,
                (false, true) => EventVerb::MemberAdded,
                // A member of both sets is announced with the new one. A member of the new set that is
                // gone since has a record of its own, or its resource has.
                (true, true) | (false, false) => continue,
            };
            let id = format!("{attempt}-{}", events.len());
            let mut event = looks.event_of(pair, verb, id, self.now);
            if verb == EventVerb::MemberAdded {
                event.body.cause.clone_from(&announcement.cause);
            }
            events.push(event);
        }
        // Another set has become the current one since. Its own announcement or its records report it.
        if !is_current {
            events.clear();
        }
        let mut left = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *left = rest.filter(|_| is_current);
        Ok(events)
    }
}

/// The event that says that the members of a group may not be what the feed says.
struct Gap<'g> {
    announcement: &'g Announcement,
    types: &'g Registry,
    now: u64,
}

impl Source for Gap<'_> {
    fn ids(&self) -> Vec<&str> {
        Vec::new()
    }

    fn oldest(&self) -> Option<u64> {
        None
    }

    async fn events(&self, _: &Tail<'_>) -> Result<Vec<NewEvent>> {
        let group = self.announcement.group.clone();
        let body = EventBody::gap_about(Subject::named(group_type(self.types), group), self.now);
        let id = Uuid::now_v7().simple().to_string();
        Ok(vec![NewEvent::of(id, body)])
    }
}
