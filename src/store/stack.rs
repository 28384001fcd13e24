//! The items of the stack that belong to no tenant: the list of tenants, the heartbeat that goes
//! through the table's stream, and the gaps of the stream's reader.
//!
//! The stream keeps a record for 24 hours. A reader that has not run for longer cannot see that
//! records are missing. So it stores the time of each heartbeat that it handles, and if the last one
//! is older than [`MAX_SILENCE_MILLIS`], it assumes a gap.

use super::delivery::{DueList, Subscriptions};
use super::error::StoreError;
use super::items::{
    self, HeartbeatItem, StreamPositionItem, StreamProgressItem, SweepProgressItem, TenantItem,
};
use super::keys::StackKeys;
use super::stored::{n, s};
use super::table::write::{Condition, Put, Update};
use super::table::{Table, get};
use super::tenants::{TENANT_KIND, TenantList};
use crate::identity::TenantId;

/// The age at which a record may be removed from the stream before it is read, in milliseconds.
/// DynamoDB keeps records for 24 hours, and the times of records are only approximate.
pub const MAX_SILENCE_MILLIS: u64 = 23 * 60 * 60 * 1000;

/// The sort key of the heartbeat.
const HEARTBEAT: &str = "heartbeat";
/// The sort key of the progress of the stream's reader.
const STREAM: &str = "stream";
/// The sort key of the progress of the sweep.
const SWEEP: &str = "sweep";

/// The `kind` of the heartbeat. The filter of the stream's event source names it.
pub(super) const HEARTBEAT_KIND: &str = "H";
/// The `kind` of the progress of the stream's reader.
const STREAM_KIND: &str = "HS";
/// The `kind` of the progress of the sweep.
const SWEEP_KIND: &str = "HW";
/// The `kind` of a position in the stream.
const POSITION_KIND: &str = "HL";

/// A gap: the reader of the stream may have missed records of any tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamGap {
    /// The number of the gap in the stack, from 1.
    pub number: u64,
    /// The time since which records may be missing, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When the reader noticed it, in milliseconds since the Unix epoch: it lacks no later record.
    pub noticed: u64,
}

/// The progress of the sweep, which goes through the tenants some at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepProgress {
    /// When it last wrote the heartbeat, in milliseconds since the Unix epoch.
    pub beat: u64,
    /// Its round through the journals of all tenants.
    pub journals: Round,
    /// Its round through the feeds of all tenants.
    pub feeds: Round,
    /// Its round that gives every tenant a job of the deliverer.
    pub deliveries: Round,
    /// Its round through the credentials of all tenants.
    pub credentials: Round,
}

/// A round of the sweep through the list of tenants, some at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// When it began, in milliseconds since the Unix epoch.
    pub began: u64,
    /// When the previous round began.
    pub before: u64,
    /// The last tenant that the round has handled; `None` when the round is over.
    pub after: Option<TenantId>,
}

/// The items of the stack that belong to no tenant, for one piece of work with its own deadline.
#[derive(Clone)]
pub struct StackStore {
    table: Table<StackKeys>,
}

impl StackStore {
    pub(super) fn new(table: Table<StackKeys>) -> Self {
        Self { table }
    }

    /// The subscriptions to events.
    #[must_use]
    pub fn subscriptions(&self) -> Subscriptions<'_> {
        Subscriptions::new(&self.table)
    }

    /// The list of what is due.
    #[must_use]
    pub fn due(&self) -> DueList<'_> {
        DueList::new(&self.table)
    }

    /// The list of tenants, with their states.
    #[must_use]
    pub fn tenant_list(&self) -> TenantList<'_> {
        TenantList::new(&self.table)
    }

    /// Puts a tenant on the list. It may be there already, and then stays as it is. One call, one write
    /// unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn list_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let item = TenantItem {
            sk: tenant.as_str().to_owned(),
            kind: TENANT_KIND.to_owned(),
            ..TenantItem::default()
        };
        let item = items::to_item(self.table.keys().tenants().as_str(), item);
        let is_new = Condition::new("attribute_not_exists(pk)");
        Put::new(item).when(is_new).send(&self.table).await?;
        Ok(())
    }

    /// Writes the heartbeat, so that the stream brings it to its reader. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn beat(&self) -> Result<(), StoreError> {
        let item = HeartbeatItem {
            sk: HEARTBEAT.to_owned(),
            kind: HEARTBEAT_KIND.to_owned(),
            at: self.table.now_millis(),
        };
        let item = items::to_item(self.table.keys().progress().as_str(), item);
        Put::new(item).send(&self.table).await?;
        Ok(())
    }

    /// The last gap of the stream; `None` if there has never been one. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn gap(&self) -> Result<Option<StreamGap>, StoreError> {
        let progress = self.progress().await?;
        Ok(progress.since.map(|since| StreamGap {
            number: progress.gap,
            since,
            noticed: progress.raised.unwrap_or(u64::MAX),
        }))
    }

    /// Handles the heartbeat that was written at `at`, in milliseconds since the Unix epoch. If the
    /// heartbeat that was handled last is more than 23 hours old by now, a gap since that time is
    /// stored. Returns whether that happened. Two calls, and one more for a gap.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; then the heartbeat has to be handled again.
    pub async fn hear(&self, at: u64) -> Result<bool, StoreError> {
        let mut is_gap = false;
        let heard = self.progress().await?.heard;
        if heard.is_some_and(|heard| heard >= at) {
            return Ok(false);
        }
        if let Some(heard) = heard.filter(|heard| self.is_too_old(*heard)) {
            // The gap is stored before the heartbeat. If this process dies in between, the next one
            // finds the gap again.
            is_gap = self.miss_records(heard).await?;
        }
        let mut update = self.update_progress();
        update
            .require("attribute_not_exists(heard) OR heard < :at")
            .set("heard = :at")
            .value(":at", n(at));
        // If the condition does not hold, another process has handled a later heartbeat.
        update.send_if(&self.table).await?;
        Ok(is_gap)
    }

    /// Whether a record of this time, in milliseconds since the Unix epoch, is so old by now that
    /// the stream may lose it before it is read.
    #[must_use]
    pub fn is_too_old(&self, at: u64) -> bool {
        at.saturating_add(MAX_SILENCE_MILLIS) < self.table.now_millis()
    }

    /// Stores a gap: records since `since`, in milliseconds since the Unix epoch, may be missing.
    /// False if a gap was stored in the last 23 hours already. Then no further gap is needed: every
    /// record that the stream has lost since then was written before the stored gap, and readers of
    /// a feed read the whole directory again at that gap. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn miss_records(&self, since: u64) -> Result<bool, StoreError> {
        let now = self.table.now_millis();
        let mut update = self.update_progress();
        update
            .require("attribute_not_exists(raised) OR raised < :past")
            .set("since = :since, raised = :now")
            .add("gap :one")
            .value(":past", n(now.saturating_sub(MAX_SILENCE_MILLIS)))
            .value(":since", n(since))
            .value(":now", n(now))
            .value(":one", n(1));
        update.send_if(&self.table).await
    }

    /// The progress of the sweep. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn sweep_progress(&self) -> Result<SweepProgress, StoreError> {
        let key = self.table.keys().progress().key(SWEEP);
        let Some(item) = get::one(&self.table, &key).await? else {
            return Ok(SweepProgress::default());
        };
        let item: SweepProgressItem = items::from_item(item)?;
        let round = |began, before, after: Option<String>| -> Result<Round, StoreError> {
            let after = after.as_deref().map(tenant).transpose()?;
            Ok(Round {
                began,
                before,
                after,
            })
        };
        Ok(SweepProgress {
            beat: item.beat,
            journals: round(
                item.journals_began,
                item.journals_before,
                item.journals_after,
            )?,
            feeds: round(item.feeds_began, item.feeds_before, item.feeds_after)?,
            deliveries: round(
                item.deliveries_began,
                item.deliveries_before,
                item.deliveries_after,
            )?,
            credentials: round(
                item.credentials_began.unwrap_or_default(),
                item.credentials_before.unwrap_or_default(),
                item.credentials_after,
            )?,
        })
    }

    /// Stores the progress of the sweep. If two sweeps run at the same time, the later one
    /// overwrites the progress of the other, and some tenants are handled twice. One call, one write
    /// unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put_sweep_progress(&self, progress: &SweepProgress) -> Result<(), StoreError> {
        let name = |round: &Round| {
            let tenant = round.after.as_ref();
            tenant.map(|tenant| tenant.as_str().to_owned())
        };
        let begun = |time: u64| (time > 0).then_some(time);
        let item = SweepProgressItem {
            sk: SWEEP.to_owned(),
            kind: SWEEP_KIND.to_owned(),
            beat: progress.beat,
            journals_began: progress.journals.began,
            journals_before: progress.journals.before,
            journals_after: name(&progress.journals),
            feeds_began: progress.feeds.began,
            feeds_before: progress.feeds.before,
            feeds_after: name(&progress.feeds),
            deliveries_began: progress.deliveries.began,
            deliveries_before: progress.deliveries.before,
            deliveries_after: name(&progress.deliveries),
            credentials_began: begun(progress.credentials.began),
            credentials_before: begun(progress.credentials.before),
            credentials_after: name(&progress.credentials),
        };
        let item = items::to_item(self.table.keys().progress().as_str(), item);
        Put::new(item).send(&self.table).await?;
        Ok(())
    }

    /// The sequence number of the last record that a reader which Lambda does not call has handled.
    /// `None` if it has handled none. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn stream_position(&self) -> Result<Option<String>, StoreError> {
        let key = self.table.keys().positions().key(STREAM);
        let Some(item) = get::one(&self.table, &key).await? else {
            return Ok(None);
        };
        let item: StreamPositionItem = items::from_item(item)?;
        Ok(Some(item.sequence))
    }

    /// Stores the sequence number of the last handled record. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put_stream_position(&self, sequence: &str) -> Result<(), StoreError> {
        let item = StreamPositionItem {
            sk: STREAM.to_owned(),
            kind: POSITION_KIND.to_owned(),
            sequence: sequence.to_owned(),
        };
        let item = items::to_item(self.table.keys().positions().as_str(), item);
        Put::new(item).send(&self.table).await?;
        Ok(())
    }

    fn update_progress(&self) -> Update {
        let mut update = Update::unnamed(self.table.keys().progress().key(STREAM));
        update.set("kind = :kind").value(":kind", s(STREAM_KIND));
        update
    }

    async fn progress(&self) -> Result<StreamProgressItem, StoreError> {
        let key = self.table.keys().progress().key(STREAM);
        let item = get::one(&self.table, &key).await?;
        item.map_or_else(|| Ok(StreamProgressItem::default()), items::from_item)
    }
}

fn tenant(name: &str) -> Result<TenantId, StoreError> {
    TenantId::parse(name).map_err(|error| StoreError::Backend(error.into()))
}
