//! The status of a tenant: what has happened in it, and when, for the people who support it.
//!
//! One item has the first and the last request, the last use of each credential, and the time of each
//! [milestone](Milestones). It is written seldom, so it is right to the hour. Refused requests are counted
//! beside it, in one item for each hour and status, which the table forgets after two days.
//!
//! It must not know when something is to be written, or what a request asks for.

use std::collections::HashMap;
use std::ops::BitOr;

use uuid::Uuid;

use super::error::StoreError;
use super::items::{self, RefusalsItem, StatusItem};
use super::key_range::KeyRange;
use super::keys::SEPARATOR;
use super::projected_attributes::ProjectedAttributes;
use super::stored::{self, Item, n, s};
use super::table::Table;
use super::table::query::Query;
use super::table::write::{Condition, Put, Update};
use crate::identity::CredentialId;

const HOUR_MILLIS: u64 = 60 * 60 * 1000;
/// How long the refusals of an hour are kept, in seconds.
const REFUSALS_SECONDS: u64 = 2 * 24 * 60 * 60;
/// The number of credentials whose last use is kept. A tenant has at most 100, and a revoked one is forgotten
/// only when an operator next asks about the tenant.
const MAX_USED: usize = 200;

/// The sort key of the status. It comes after those of refusals, which begin with a digit.
const STATUS: &str = "status";
const STATUS_KIND: &str = "U";
const REFUSALS_KIND: &str = "UR";

/// What can become true once in a tenant, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Milestones(u8);

/// Each milestone with the attribute that has its time.
const MILESTONES: [(Milestones, &str); 4] = [
    (Milestones::USER, "firstUser"),
    (Milestones::GROUP, "firstGroup"),
    (Milestones::MEMBERSHIP, "firstMembership"),
    (Milestones::DEACTIVATION, "firstDeactivation"),
];

impl Milestones {
    /// A client has created a user.
    pub const USER: Self = Self(1);
    /// A client has created a group.
    pub const GROUP: Self = Self(1 << 1);
    /// A client has made a resource a member of a group.
    pub const MEMBERSHIP: Self = Self(1 << 2);
    /// A client has deactivated or deleted a user.
    pub const DEACTIVATION: Self = Self(1 << 3);

    /// The set with these bits. Other bits are ignored.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1111)
    }

    /// The set as bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Those that are not in `others`.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Milestones {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The status of a tenant. All times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantStatus {
    /// When the first request with a valid credential came; `None` if there has been none.
    pub first_request: Option<u64>,
    /// When the last one came, right to the hour.
    pub last_request: Option<u64>,
    /// When a client first created a user.
    pub first_user: Option<u64>,
    /// When a client first created a group.
    pub first_group: Option<u64>,
    /// When a client first made a resource a member of a group.
    pub first_membership: Option<u64>,
    /// When a client first deactivated or deleted a user.
    pub first_deactivation: Option<u64>,
    /// When each credential was last used, right to the hour. One that is not in it was never used.
    pub used: HashMap<CredentialId, u64>,
    /// The refused requests, in order of hours and statuses.
    pub refusals: Vec<Refusals>,
}

/// The requests that were refused with one status in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// The beginning of the hour, in milliseconds since the Unix epoch.
    pub hour: u64,
    /// The status of HTTP, such as 409.
    pub status: u16,
    /// The number of requests: at least so many were refused.
    pub count: u64,
}

impl TenantStatus {
    fn reached(&self) -> Milestones {
        let times = [
            (self.first_user, Milestones::USER),
            (self.first_group, Milestones::GROUP),
            (self.first_membership, Milestones::MEMBERSHIP),
            (self.first_deactivation, Milestones::DEACTIVATION),
        ];
        let reached = times.into_iter().filter(|(time, _)| time.is_some());
        reached.fold(Milestones::default(), |all, (_, one)| all | one)
    }

    fn read(item: Item) -> Result<Self, StoreError> {
        let item: StatusItem = items::from_item(item)?;
        let used = item.used.into_iter();
        // An id that is none was written by a later version of the service.
        let used = used.filter_map(|(id, at)| Some((CredentialId::parse(&id).ok()?, at)));
        Ok(Self {
            first_request: Some(item.first_request),
            last_request: Some(item.last_request),
            first_user: item.first_user,
            first_group: item.first_group,
            first_membership: item.first_membership,
            first_deactivation: item.first_deactivation,
            used: used.collect(),
            refusals: Vec::new(),
        })
    }
}

/// The status of one tenant.
#[derive(Clone, Copy)]
pub struct Status<'t> {
    table: &'t Table,
}

impl<'t> Status<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Reads the status, with the refusals since the hour of a time in milliseconds since the Unix epoch.
    /// Strongly consistent. One call for a day.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn read(self, since: u64) -> Result<TenantStatus, StoreError> {
        let partition = self.table.keys().status();
        let range = KeyRange::at_least(&hour_text(since));
        let query = Query::new(&partition, &range, ProjectedAttributes::All);
        let (mut status, mut refusals) = (TenantStatus::default(), Vec::new());
        for item in query.all(self.table).await? {
            match item.get("sk") {
                Some(sk) if *sk == s(STATUS) => status = TenantStatus::read(item)?,
                _ => refusals.push(Refusals::read(item)?),
            }
        }
        status.refusals = refusals;
        Ok(status)
    }

    /// Stores that a credential is being used now, and returns which milestones the tenant has reached. One
    /// call, one write unit for each 25 credentials. The first one of a tenant makes two calls.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn note_use(self, credential: &CredentialId) -> Result<Milestones, StoreError> {
        let item = loop {
            if let Some(item) = self.update_use(credential).await? {
                break item;
            }
            if self.begin(credential).await? {
                return Ok(Milestones::default());
            }
            // Another request has made the item between the two calls, so it can be updated now.
        };
        let status = TenantStatus::read(item)?;
        self.forget_oldest(&status).await?;
        Ok(status.reached())
    }

    /// Updates the item; `None` if there is none yet.
    async fn update_use(self, credential: &CredentialId) -> Result<Option<Item>, StoreError> {
        let mut update = self.update();
        update
            .require("attribute_exists(pk)")
            .set("lastRequest = :now, used.#credential = :now")
            .name("#credential", credential.as_str())
            .value(":now", n(self.table.now_millis()));
        update.send_if_returning(self.table).await
    }

    /// Makes the item, of the tenant's first request; false if there is one.
    async fn begin(self, credential: &CredentialId) -> Result<bool, StoreError> {
        let now = self.table.now_millis();
        let item = StatusItem {
            sk: STATUS.to_owned(),
            kind: STATUS_KIND.to_owned(),
            first_request: now,
            last_request: now,
            first_user: None,
            first_group: None,
            first_membership: None,
            first_deactivation: None,
            used: HashMap::from([(credential.as_str().to_owned(), now)]),
        };
        let item = items::to_item(self.table.keys().status().as_str(), item);
        let is_new = Condition::new("attribute_not_exists(pk)");
        Put::new(item).when(is_new).send(self.table).await
    }

    /// Stores that milestones have been reached. The time of one that was reached before stays. False if no use
    /// of a credential was stored yet: then nothing is written. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; also for an empty set.
    pub async fn note_milestones(self, reached: Milestones) -> Result<bool, StoreError> {
        let mut update = self.update();
        update
            .require("attribute_exists(pk)")
            .value(":now", n(self.table.now_millis()));
        for (milestone, attribute) in MILESTONES {
            if reached.without(milestone) != reached {
                update.set_first(attribute, ":now");
            }
        }
        update.send_if(self.table).await
    }

    /// Adds to the number of requests that were refused with a status in this hour. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn add_refusals(self, status: u16, count: u64) -> Result<(), StoreError> {
        let hour = hour_text(self.table.now_millis());
        let key = self.table.keys().status();
        let key = key.key(format!("{hour}{SEPARATOR}{status}"));
        // If the answer of an attempt was lost, the next attempt meets its `rid` and adds nothing.
        let mut update = Update::new(key, &Uuid::now_v7().to_string());
        update
            .require("attribute_not_exists(rid) OR rid <> :rid")
            .set("kind = :kind, expires = :expires")
            .add("n :count")
            .value(":kind", s(REFUSALS_KIND))
            .value(":expires", n(self.table.now_seconds() + REFUSALS_SECONDS))
            .value(":count", n(count));
        update.send_if(self.table).await?;
        Ok(())
    }

    /// Forgets the last use of credentials that do not exist any more. One call, and none for no credential.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn forget(self, credentials: &[&CredentialId]) -> Result<(), StoreError> {
        if credentials.is_empty() {
            return Ok(());
        }
        let mut update = self.update();
        update.require("attribute_exists(pk)");
        for credential in credentials {
            update.remove_entry("used", credential.as_str());
        }
        update.send_if(self.table).await?;
        Ok(())
    }

    /// Bounds the size of the item.
    async fn forget_oldest(self, status: &TenantStatus) -> Result<(), StoreError> {
        let mut by_age: Vec<_> = status.used.iter().map(|(id, at)| (at, id)).collect();
        by_age.sort();
        let surplus = by_age.len().saturating_sub(MAX_USED);
        let oldest: Vec<_> = by_age[..surplus].iter().map(|(_, id)| *id).collect();
        self.forget(&oldest).await
    }

    fn update(self) -> Update {
        Update::unnamed(self.table.keys().status().key(STATUS))
    }
}

impl Refusals {
    fn read(item: Item) -> Result<Self, StoreError> {
        let item: RefusalsItem = items::from_item(item)?;
        let parts = item.sk.split_once(SEPARATOR);
        let parts = parts.and_then(|(hour, status)| {
            let hour: u64 = hour.parse().ok()?;
            Some((hour.checked_mul(HOUR_MILLIS)?, status.parse().ok()?))
        });
        let (hour, status) = parts.ok_or_else(|| stored::malformed("sk"))?;
        Ok(Self {
            hour,
            status,
            count: item.n,
        })
    }
}

/// The hour of a time in milliseconds since the Unix epoch: as texts, hours have the order of time.
fn hour_text(millis: u64) -> String {
    format!("{:08}", millis / HOUR_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_as_texts_are_in_order_of_time_and_before_the_status() {
        let hours = [0, 1, 9, 10, 492_360, 99_999_999].map(|hour| hour_text(hour * HOUR_MILLIS));
        assert!(hours.is_sorted() && hours.iter().all(|hour| hour.as_str() < STATUS));
    }

    #[test]
    fn milestones_are_a_set() {
        let both = Milestones::USER | Milestones::GROUP;
        assert_eq!(both.without(Milestones::USER), Milestones::GROUP);
        assert_eq!(Milestones::from_bits(both.bits()), both);
        assert!(both.without(both).is_empty() && !both.is_empty());
        let status = TenantStatus {
            first_group: Some(1),
            first_user: Some(2),
            ..TenantStatus::default()
        };
        assert_eq!(status.reached(), both);
    }
}
