//! The one table: items, keys, and every call to DynamoDB.
//!
//! Invariants:
//! - A tenant's data is reached through a [`TenantStore`] only; no key lacks its tenant.
//! - Every read that a client can compare with its own write is strongly consistent.
//! - There is no secondary index: index entries are ordinary items of the same transaction.
//! - A write whose outcome is not known is sent again with the same `rid`, by which it recognises
//!   itself.
//!
//! It must not know HTTP, messages, or what a filter looks like as text.

mod cause;
mod configuration;
mod delivery;
mod error;
mod feed;
mod groups;
mod index_version;
#[cfg(feature = "worker")]
mod item_change;
mod items;
mod journal;
mod key_range;
mod keys;
mod load;
mod marks;
mod occasions;
mod plan;
mod projected_attributes;
mod purge;
mod request_periods;
mod resources;
mod seats;
mod signatures;
mod stack;
mod status;
mod stored;
mod table;
mod tenants;

use tokio::time::Instant;

use crate::identity::Cause;
use crate::protocol::schema::Registry;

pub use cause::{member_cause, resource_cause};
pub use configuration::{
    BuildingIndex, ConfigItem, Configuration, MAX_CONFIG_BYTES, MAX_CONFIG_ITEM_BYTES, SeatCount,
    TenantConfig,
};
pub use delivery::{
    Added, Batch, BatchGap, Deliveries, Delivery, Due, DueList, Failing, Lease, MAX_SUBSCRIPTIONS,
    Receiver, Start, Subscription, SubscriptionSet, SubscriptionState, Subscriptions,
};
pub use error::StoreError;
pub use feed::{Epoch, Feed, FeedHead, FeedPage, FeedState, PageKey};
pub use groups::{
    Announcement, AnnouncementPart, Announcements, ChangeAttempt, Departures, Groups, Guard,
    LeasedAnnouncement, Look, Member, MemberChange, MemberPlan, Members, Membership, Memberships,
    Nesting, Pair, WaitingAnnouncement,
};
pub use index_version::{IndexEntries, IndexVersion};
#[cfg(feature = "worker")]
pub use item_change::{
    ItemChange, MemberItemChange, OccasionChange, ResourceChange, ResourceImage, StateChange,
    UnreadableChange,
};
#[cfg(feature = "worker")]
pub use journal::JournalRecord;
pub use journal::{Finished, Journal, LEASE_MILLIS, Unfinished};
pub use key_range::KeyRange;
pub use load::{Loading, LoadingGroup, PlainItem};
pub use marks::{Marks, PageMark};
pub use occasions::{Occasion, Occasions, USER_PROTECTED};
pub use plan::{Access, Branch, Plan, Range, Total};
pub use purge::{IndexPaths, Purge};
pub use request_periods::{PERIOD_MILLIS, PERIOD_PARTS, RequestPeriods};
pub use resources::entry::{CLAIMED_BY_SWITCH, Entries, Entry, MAX_ENTRIES, MAX_ENTRIES_IN_ALL};
pub use resources::index::{IndexPage, Indexes, StrayEntry};
pub use resources::seat_marks::MarkedUser;
pub use resources::write::{Arrival, BodyChange, New, Write};
pub use resources::{ResourcePage, Resources};
pub use seats::{SeatChange, SeatShards, SeatState, Seats};
pub use signatures::Signatures;
pub use stack::{MAX_SILENCE_MILLIS, Round, StackStore, StreamGap, SweepProgress};
pub use status::{Milestones, Refusals, Status, TenantStatus};
pub use stored::{MemberListId, Stored};
pub use table::Store;
pub use table::allowance::CountLimit;
pub use table::call::Backoff;
pub use table::meter::{Cost, Meter};
pub use table::query::{Order, Window};
pub use tenants::{
    Deletion, DuePurges, ListedTenant, PurgeStage, Suspension, TenantList, TenantPage, TenantState,
};

use table::Table;

/// One tenant's part of the table. A request reaches the tenant's resources, groups and
/// configuration only through it.
#[derive(Clone)]
pub struct TenantStore {
    table: Table,
}

impl TenantStore {
    fn new(table: Table) -> Self {
        Self { table }
    }

    /// The resources of every type.
    #[must_use]
    pub fn resources(&self) -> Resources<'_> {
        Resources::new(&self.table)
    }

    /// The indexes of every type.
    #[must_use]
    pub fn indexes(&self) -> Indexes<'_> {
        Indexes::new(&self.table)
    }

    /// The changes of groups.
    #[must_use]
    pub fn groups(&self) -> Groups<'_> {
        Groups::new(&self.table)
    }

    /// The members of groups.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        Members::new(&self.table)
    }

    /// The groups that resources are in.
    #[must_use]
    pub fn memberships(&self) -> Memberships<'_> {
        Memberships::new(&self.table)
    }

    /// The groups inside groups.
    #[must_use]
    pub fn nesting(&self) -> Nesting<'_> {
        Nesting::new(&self.table)
    }

    /// The members of sets that the feed has still to announce.
    #[must_use]
    pub fn announcements(&self) -> Announcements<'_> {
        Announcements::new(&self.table, self.journal())
    }

    /// The changes that writers have begun and a finisher can finish.
    #[must_use]
    pub fn journal(&self) -> Journal<'_> {
        Journal::new(&self.table, groups::parse)
    }

    /// The tenant's rules, and the schemas and resource types that it has registered.
    #[must_use]
    pub fn configuration(&self) -> Configuration<'_> {
        Configuration::new(&self.table)
    }

    /// The page marks of lists.
    #[must_use]
    pub fn marks(&self) -> Marks<'_> {
        Marks::new(&self.table)
    }

    /// The used signatures.
    #[must_use]
    pub fn signatures(&self) -> Signatures<'_> {
        Signatures::new(&self.table)
    }

    /// What has happened in the tenant.
    #[must_use]
    pub fn status(&self) -> Status<'_> {
        Status::new(&self.table)
    }

    /// What has happened without a change of a resource.
    #[must_use]
    pub fn occasions(&self) -> Occasions<'_> {
        Occasions::new(&self.table)
    }

    /// The seats: how many users are active, against a limit.
    #[must_use]
    pub fn seats(&self) -> Seats<'_> {
        Seats::new(&self.table)
    }

    /// The budgets of requests.
    #[must_use]
    pub fn request_periods(&self) -> RequestPeriods<'_> {
        RequestPeriods::new(&self.table)
    }

    /// The feed of the tenant's changes.
    #[must_use]
    pub fn feed(&self) -> Feed<'_> {
        Feed::new(&self.table)
    }

    /// How far the tenant's events are delivered.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries<'_> {
        Deliveries::new(&self.table)
    }

    /// The removal of everything of the tenant. It begins nothing new after `until`.
    #[must_use]
    pub fn purge(&self, until: Instant) -> Purge<'_> {
        Purge::new(&self.table, until)
    }

    /// Stores which indexes the tenant has with these types. See `store/purge.rs`.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn remember_indexes(&self, types: &Registry) -> Result<(), StoreError> {
        purge::remember_indexes(&self.table, types).await
    }

    /// Begins to load an empty directory in bulk.
    #[must_use]
    pub fn loading(&self) -> Loading {
        Loading::new(self.table.clone())
    }

    /// The cause of the request's writes.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        self.table.cause()
    }

    /// The same part of the table with another cause for its writes.
    #[must_use]
    pub fn caused_by(&self, cause: Cause) -> Self {
        Self::new(self.table.caused_by(cause))
    }

    /// When the request has to be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.table.deadline()
    }

    /// What this request has cost so far.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.table.meter()
    }

    /// Waits before another attempt of a change that other requests have conflicted with.
    ///
    /// # Errors
    /// `Unavailable` when the deadline would pass meanwhile.
    pub async fn pause(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        self.table.pause(backoff).await
    }
}
