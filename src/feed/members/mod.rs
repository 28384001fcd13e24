//! Memberships: which resources are in which groups, reported as it is and not as it came about.
//!
//! The items of one membership move between sets, partitions and shards of the stream, so the order in
//! which their records come says nothing. For each record the stream function looks at the table, and the
//! event says what the table says. A look counts only for a page that is put behind the page that was the
//! newest one before the look. So the last event about a membership is true.
//!
//! A set that was filled before it became the current one has records that gave no events. When the record
//! of its group comes, an announcement is written into the journal, and then the members of the set are
//! gone through ([`announce`]).

mod announce;

use std::collections::BTreeMap;

pub use announce::Announcer;
pub(super) use announce::write_down_announcements;

use super::event::{EventBody, EventType, EventVerb, MemberRef, NewEvent, Subject};
use crate::identity::Cause;
use crate::protocol::schema::Registry;
use crate::store::{Look, MemberItemChange, Pair, StoreError, TenantStore};

/// The memberships that some records are about, as they were read from the table.
pub(super) struct Looks {
    /// The name of the tenant's type of groups.
    group_type: String,
    looks: BTreeMap<Pair, Look>,
}

impl Looks {
    /// Looks at the memberships that these changes are about, two rounds of calls in all.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(super) async fn at(
        store: &TenantStore,
        changes: impl Iterator<Item = &MemberItemChange>,
        types: &Registry,
    ) -> Result<Self, StoreError> {
        let told = changes.filter(|change| change.was_there != change.is_there);
        Self::at_pairs(store, told.map(pair), types).await
    }

    /// Looks at these memberships.
    async fn at_pairs(
        store: &TenantStore,
        pairs: impl Iterator<Item = Pair>,
        types: &Registry,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            group_type: group_type(types),
            looks: store.members().look(pairs.collect(), types).await?,
        })
    }

    /// The event of a change of a member's item, whose record has this id and time; `None` if there is
    /// nothing to say. The change must be one of those that were looked at.
    pub(super) fn event(&self, id: &str, time: u64, change: &MemberItemChange) -> Option<NewEvent> {
        let pair = pair(change);
        let look = self.looks.get(&pair)?;
        let verb = verb(change, look)?;
        let mut event = self.event_of(&pair, verb, id.to_owned(), time);
        event.body.cause = match verb {
            EventVerb::MemberRemoved => removal_cause(change, look),
            // Only the item of a member says who wrote it. What is left of a removed one says who once
            // added the member.
            _ => change.cause.clone().filter(|_| change.is_there),
        };
        Some(event)
    }

    /// The event with this verb about a membership.
    fn event_of(&self, pair: &Pair, verb: EventVerb, id: String, time: u64) -> NewEvent {
        let event_type = EventType::of(&self.group_type, verb);
        let member = MemberRef {
            type_name: pair.member_type.clone(),
            id: pair.member.clone(),
        };
        let body = EventBody {
            resource: Some(Subject::named(self.group_type.clone(), pair.group.clone())),
            member: Some(member),
            ..EventBody::new(event_type, time)
        };
        NewEvent::of(id, body)
    }
}

/// The name of the tenant's type of groups. It is empty for a tenant without one, whose records of
/// members are left over from when it had one.
pub(super) fn group_type(types: &Registry) -> String {
    let group_type = types.group_type();
    group_type.map_or_else(String::new, |found| found.name.clone())
}

/// The membership that a change of a member's item is about.
fn pair(change: &MemberItemChange) -> Pair {
    Pair {
        group: change.group.clone(),
        member: change.member.clone(),
        member_type: change.member_type.clone(),
    }
}

/// The event about a membership after a change of a member's item.
///
/// | the table now | the item is new | the item is gone |
/// |---|---|---|
/// | the group is gone | - | - |
/// | the item's set is the current one | what is true now | what is true now |
/// | it is another set, and the resource is a member | - | - |
/// | it is another set, and the resource is no member | - | removed |
///
/// An item of another set that is new may be of a set that never becomes the current one. If it does
/// become the current one, its group's record leads to an announcement. An item of another set that is
/// gone may be the last trace of a member of a set that was replaced.
fn verb(change: &MemberItemChange, look: &Look) -> Option<EventVerb> {
    let Look::Group { set, is_member, .. } = look else {
        // The event that says that the group is deleted ends all its memberships.
        return None;
    };
    match (change.was_there, change.is_there) {
        // A stamp or a display name has changed.
        (true, true) | (false, false) => None,
        _ if *set == change.set => Some(match is_member {
            true => EventVerb::MemberAdded,
            false => EventVerb::MemberRemoved,
        }),
        (true, false) if !is_member => Some(EventVerb::MemberRemoved),
        _ => None,
    }
}

/// The cause of the removal of a member from its group's current set, as far as it is known. A removal
/// leaves no item that could say so, and what the group says may be about an earlier removal of the same
/// member: it counts only if the item of this record was there before.
fn removal_cause(change: &MemberItemChange, look: &Look) -> Option<Cause> {
    match look {
        Look::Group { set, gone, .. } if *set == change.set => {
            gone.cause_of(set, &change.member, change.stamp?)
        }
        // The item was swept with its set, and the group's item says nothing about that set any more.
        Look::Group { .. } | Look::NoGroup => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TenantId;
    use crate::store::Departures;

    fn change(set: &str, was_there: bool, is_there: bool) -> MemberItemChange {
        MemberItemChange {
            tenant: TenantId::parse("acme").unwrap(),
            group: "g".to_owned(),
            set: set.to_owned(),
            member: "u".to_owned(),
            member_type: "User".to_owned(),
            stamp: None,
            was_there,
            is_there,
            cause: None,
        }
    }

    #[test]
    fn every_row_of_the_table_holds() {
        let look = |is_member| Look::Group {
            set: "current".to_owned(),
            is_member,
            gone: Departures::default(),
        };
        let (added, removed) = (Some(EventVerb::MemberAdded), Some(EventVerb::MemberRemoved));
        for (set, look, when_new, when_gone) in [
            ("current", Look::NoGroup, None, None),
            ("current", look(true), added, added),
            ("current", look(false), removed, removed),
            ("other", look(true), None, None),
            ("other", look(false), None, removed),
        ] {
            let told = |was, is| verb(&change(set, was, is), &look);
            assert_eq!(told(false, true), when_new, "{set} {look:?} new");
            assert_eq!(told(true, false), when_gone, "{set} {look:?} gone");
            assert_eq!(told(true, true), None, "{set} {look:?} stamped anew");
        }
    }
}
