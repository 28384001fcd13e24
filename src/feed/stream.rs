//! A batch of the stream: records in, pages of feeds out.
//!
//! A batch comes from one shard, in which the records of one item are in order. What goes wrong decides
//! what comes again:
//!
//! - A record that cannot be understood is set aside, and its feed says that something is missing. It
//!   would not be understood the next time either.
//! - A feed that cannot be read or appended to, because the table is out of reach or throttles, fails. The
//!   shard then begins again with the first record of that feed. The other feeds of the batch are appended
//!   to all the same, and drop what comes to them a second time. What follows the batch waits, for them too,
//!   because a shard has one place where it goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::time::Instant;

use super::append::{ATTEMPT_BUDGET, Appended, Appender, Source, Tail};
use super::event::{EventBody, EventType, NewEvent, Subject};
use super::members::{self, Looks};
use super::record::Record;
use super::{resource_events, tenant_state};
use crate::identity::TenantId;
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::protocol::profile::EventValues;
use crate::protocol::schema::Registry;
use crate::store::{ItemChange, MemberItemChange, OccasionChange, StreamGap, UnreadableChange};

/// The number of feeds that are appended to side by side.
const PARALLEL: usize = 8;

/// Feeds that a batch has not come to by then fail, so that the function that handles it is not stopped
/// before it can say what it has done.
const BUDGET: Duration = Duration::from_secs(60);

/// Records of a tenant that are so much older than its feed's head are left over from an earlier tenant of
/// the name, in milliseconds. A name is used again a day later at the earliest, so this is far more than
/// clocks are apart and far less than a day.
const LATE_MILLIS: u64 = 60 * 60 * 1000;

/// The stream gives the time of a record in whole seconds, so it may have been made this much later, in
/// milliseconds.
const SECOND_MILLIS: u64 = 1000;

/// The result of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handled {
    /// The records that could not be understood. The feeds that they belong to say so.
    pub set_aside: Vec<SetAside>,
    /// The tenants whose feeds have new events.
    pub appended: Vec<TenantId>,
    /// Where the stream has to begin again: the sequence number of the first record that was not handled.
    /// `None` if all were.
    pub failed_from: Option<String>,
}

/// A record that could not be understood: what to find it by, and nothing of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The record's place in its shard.
    pub sequence: String,
    /// The partition key and the sort key of its item.
    pub key: (String, String),
}

/// The records of a batch that go into one feed.
struct TenantBatch<'b> {
    /// Each with its place in the batch.
    records: Vec<(usize, &'b Record)>,
    appender: &'b Appender<'b>,
    tenant: &'b TenantId,
    gap: Option<StreamGap>,
}

/// Appends what the records of a batch say to the feeds of their tenants. The records are in the order of
/// their shard. `gap` is the stack's last gap. To handle a record again does no harm.
pub async fn handle(
    appender: &Appender<'_>,
    records: &[Record],
    gap: Option<StreamGap>,
) -> Handled {
    let mut batches = BTreeMap::<&TenantId, Vec<(usize, &Record)>>::new();
    for (place, record) in records.iter().enumerate() {
        if let Some(tenant) = record.tenant() {
            batches.entry(tenant).or_default().push((place, record));
        }
    }
    let deadline = Instant::now() + BUDGET;
    let appends = batches.into_iter().map(async |(tenant, records)| {
        let batch = TenantBatch {
            records,
            appender,
            tenant,
            gap,
        };
        let outcome = match Instant::now() < deadline {
            true => batch.append().await,
            false => Err(Error::unavailable("The time for the batch is over")),
        };
        (batch, outcome)
    });
    // Collected first: a stream that still held the closure would not be `Send`.
    let appends: Vec<_> = appends.collect();
    let appends = stream::iter(appends).buffer_unordered(PARALLEL);
    let (mut handled, mut failed) = (Handled::default(), None::<usize>);
    for (batch, outcome) in appends.collect::<Vec<_>>().await {
        match outcome {
            Ok(appended) => {
                handled.set_aside.extend(batch.set_aside());
                if !matches!(appended, Appended::Events(0) | Appended::NoFeed) {
                    handled.appended.push(batch.tenant.clone());
                }
            }
            Err(error) => {
                let (tenant, cause) = (batch.tenant, error.causes());
                tracing::error!(tenant.id = %tenant, cause, "could not append to a feed");
                let first = batch.records.first().map(|(place, _)| *place);
                failed = failed.into_iter().chain(first).min();
            }
        }
    }
    handled.failed_from = failed.map(|place| records[place].sequence.clone());
    handled
}

impl TenantBatch<'_> {
    async fn append(&self) -> Result<Appended> {
        let store = self.appender.store_for(self.tenant, ATTEMPT_BUDGET);
        // Before any record is dropped as known: the process that has put its page may have died before it
        // wrote this down.
        members::write_down_announcements(&store, self.records.iter().map(|(_, record)| *record))
            .await?;
        self.appender.append(self.tenant, self).await
    }

    fn set_aside(&self) -> impl Iterator<Item = SetAside> {
        let records = self.records.iter().map(|(_, record)| record);
        let unreadable =
            records.filter(|record| matches!(record.change, ItemChange::Unreadable(_)));
        unreadable.map(|record| SetAside {
            sequence: record.sequence.clone(),
            key: record.key.clone(),
        })
    }

    /// The types and schemas to read the records by: those that the process remembers, or newer ones if they
    /// do not have everything that a record has.
    async fn registry(&self, tail: &Tail<'_>, records: &[&Record]) -> Result<Arc<Registry>> {
        let types = Arc::clone(&tail.tenant.registry);
        let is_known = |record: &&Record| match &record.change {
            ItemChange::Resource(change) => resource_events::is_known(change, &types),
            _ => true,
        };
        if records.iter().all(is_known) {
            return Ok(types);
        }
        let newest = records.iter().map(|record| record.time).max().unwrap_or(0);
        let tenants = self.appender.tenants();
        let since = newest + SECOND_MILLIS;
        match tenants.get_since(self.tenant, tail.store, since).await {
            Ok(tenant) => Ok(Arc::clone(&tenant.registry)),
            // A configuration that cannot be understood cannot be the next time either.
            Err(error) if error.kind() == ErrorKind::Internal => Ok(types),
            Err(error) => Err(error),
        }
    }
}

impl Source for TenantBatch<'_> {
    fn ids(&self) -> Vec<&str> {
        let records = self.records.iter();
        records.map(|(_, record)| record.id.as_str()).collect()
    }

    fn oldest(&self) -> Option<u64> {
        self.records.iter().map(|(_, record)| record.time).min()
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        let records = self.records.iter().map(|(_, record)| *record);
        let is_new = |record: &&Record| {
            !tail.has(&record.id) && record.time.saturating_add(LATE_MILLIS) >= tail.since
        };
        let records: Vec<&Record> = records.filter(is_new).collect();
        let types = self.registry(tail, &records).await?;
        let values = tail.tenant.rules.switches.event_values;
        let members = records.iter().filter_map(|record| member_change(record));
        let looks = Looks::at(tail.store, members, &types).await?;
        let events = records.iter();
        let events = events.filter_map(|record| event(record, &looks, &types, values));
        Ok(events.collect())
    }

    fn gap(&self) -> Option<StreamGap> {
        self.gap
    }

    fn stream(&self) -> Option<&str> {
        let mut labels = self.records.iter();
        labels.find_map(|(_, record)| record.stream.as_deref())
    }
}

fn member_change(record: &Record) -> Option<&MemberItemChange> {
    match &record.change {
        ItemChange::Member(change) => Some(change),
        _ => None,
    }
}

/// The event of a record; `None` if there is nothing to report.
fn event(
    record: &Record,
    looks: &Looks,
    types: &Registry,
    values: EventValues,
) -> Option<NewEvent> {
    match &record.change {
        ItemChange::Resource(change) => resource_events::event(record, change, types, values),
        ItemChange::Member(change) => looks.event(&record.id, record.time, change),
        ItemChange::State(change) => tenant_state::event(record, change),
        ItemChange::Occasion(change) => occasion_event(record, change),
        ItemChange::Unreadable(change) => Some(gap_event(record, change, types)),
        ItemChange::Journal(_) | ItemChange::Heartbeat(_) | ItemChange::Other => None,
    }
}

/// The event of an occasion; `None` for one that only a later version knows.
fn occasion_event(record: &Record, change: &OccasionChange) -> Option<NewEvent> {
    if change.event != EventType::USER_PROTECTED {
        return None;
    }
    let event_type = EventType::named(EventType::USER_PROTECTED);
    let body = EventBody {
        resource: Some(Subject::named(change.type_name.clone(), change.id.clone())),
        cause: change.cause.clone(),
        ..EventBody::new(event_type, record.time)
    };
    let body = body.with_detail([("refused", json!(change.what))]);
    Some(NewEvent::of(record.id.clone(), body))
}

/// The event that says that something about a resource is missing.
fn gap_event(record: &Record, change: &UnreadableChange, types: &Registry) -> NewEvent {
    // A change that names no type is one of a member, whose item is in its group's partition.
    let type_name = change.type_name.clone();
    let type_name = type_name.unwrap_or_else(|| members::group_type(types));
    let subject = Subject::named(type_name, change.id.clone());
    let body = EventBody::gap_about(subject, record.time);
    NewEvent::of(record.id.clone(), body)
}
