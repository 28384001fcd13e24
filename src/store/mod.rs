//! The one table: items, keys, and every call to DynamoDB.
//!
//! Invariants:
//! - A tenant's data is reached through a [`TenantStore`] only; no call takes a bare key.
//! - Every read that a client can compare with its own write is strongly consistent.
//! - There is no secondary index: index entries are ordinary items of the same transaction.
//! - A write that met an ambiguous outcome is sent again with the same token, and recognises itself.
//!
//! It must not know HTTP, messages, or what a filter looks like as text.

mod configuration;
mod error;
mod groups;
mod item;
mod journal;
mod key_range;
mod keys;
mod load;
mod marks;
mod plan;
mod resources;
mod signatures;
mod table;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use tokio::time::Instant;

pub use configuration::{
    BuildingIndex, ConfigItem, MAX_CONFIG_BYTES, MAX_CONFIG_ITEM_BYTES, TenantConfig,
};
pub use error::StoreError;
pub use groups::delta::Delta;
pub use groups::fill::{Fill, FillBody, Replaced};
pub use groups::member::{Member, MemberChange, Membership, Removal};
pub use groups::member_write::{Applied, MemberWrite};
pub use item::{GroupState, Stored};
pub use journal::LEASE_MILLIS;
pub use journal::finish::{Finished, Unfinished};
#[cfg(feature = "worker")]
pub use journal::record::JournalRecord;
pub use key_range::KeyRange;
pub use load::{Loading, PlainItem, Scalar};
pub use marks::PageMark;
pub use plan::{Access, Branch, Plan, Range, Total};
pub use resources::change::{BodyChange, Change, Guard, MemberEffect, MemberItems};
pub use resources::entry::{Entries, Entry, MAX_ENTRIES, MAX_ENTRIES_IN_ALL};
pub use resources::repair::StrayEntry;
pub use resources::{New, Write};
pub use table::allowance::CountLimit;
pub use table::call::Backoff;
pub use table::meter::{Cost, Meter};
pub use table::range::{IndexPage, Order, ResourcePage, Window};

use crate::clock::Clock;
use crate::pool::Turns;
use crate::tenant::TenantId;
use keys::Keys;

/// The table, and the connection to it that every request of this process shares.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: Arc<str>,
    clock: Arc<dyn Clock>,
    /// Turns at a table that does one thing at a time.
    turns: Option<Turns>,
}

impl Store {
    /// Uses `table` at the endpoint, region and credentials of `config`.
    ///
    /// The SDK's own retries are off: the store retries by what it knows of each call.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str, clock: Arc<dyn Clock>) -> Self {
        Self::with_config(
            aws_sdk_dynamodb::config::Builder::from(config),
            table,
            clock,
        )
    }

    /// The same for a prepared client configuration, which is how tests add interceptors.
    #[must_use]
    pub fn with_config(
        config: aws_sdk_dynamodb::config::Builder,
        table: &str,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let config = config.retry_config(RetryConfig::disabled()).build();
        Self {
            client: Client::from_conf(config),
            table: table.into(),
            clock,
            turns: None,
        }
    }

    /// The same for a table that does one thing at a time, as the embedded one does: each tenant has at
    /// most this many calls under way, or one that reads a long page, so that another tenant's call is
    /// never far from the front.
    #[must_use]
    pub fn with_calls_per_tenant(self, calls: usize) -> Self {
        Self {
            turns: Some(Turns::new(calls)),
            ..self
        }
    }

    /// One tenant's part of the table, for one request that must be over in `budget`.
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId, meter: Meter, budget: Duration) -> TenantStore {
        TenantStore {
            client: self.client.clone(),
            table: Arc::clone(&self.table),
            keys: Keys::new(tenant),
            meter,
            deadline: Instant::now() + budget,
            clock: Arc::clone(&self.clock),
            lease_until: None,
            turns: self.turns.clone().map(|turns| (turns, tenant.clone())),
            is_alone: false,
        }
    }
}

/// One tenant's part of the table during one request.
#[derive(Clone)]
pub struct TenantStore {
    client: Client,
    table: Arc<str>,
    keys: Keys,
    meter: Meter,
    deadline: Instant,
    clock: Arc<dyn Clock>,
    /// Milliseconds since the Unix epoch after which this writer must not write any more, because
    /// somebody else may have taken its journal entry over.
    lease_until: Option<u64>,
    /// The tenant's turns at a table that does one thing at a time.
    turns: Option<(Turns, TenantId)>,
    /// Whether a call takes all turns of the tenant.
    is_alone: bool,
}

impl TenantStore {
    fn lease_is_over(&self) -> bool {
        self.lease_until
            .is_some_and(|until| self.clock.now_millis() >= until)
    }

    /// When the request has to be over.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What this request has cost so far.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }
}
