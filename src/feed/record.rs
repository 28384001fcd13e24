//! A record of the table's stream.

use aws_lambda_events::dynamodb::EventRecord;
use serde_dynamo::AttributeValue;

use crate::identity::TenantId;
use crate::store::ItemChange;

/// One change of one item, as the stream brings it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The record's id, which no other record of the stream has.
    pub id: String,
    /// Its place in its shard.
    pub sequence: String,
    /// When the change was made, in milliseconds since the Unix epoch. The stream gives it in whole seconds.
    pub time: u64,
    /// The label of the stream, if the record says it: when the stream was enabled, as text in order of
    /// time.
    pub stream: Option<String>,
    /// The partition key and the sort key of the item.
    pub key: (String, String),
    /// What has changed.
    pub change: ItemChange,
}

impl Record {
    /// Reads a record. What cannot be read is [`ItemChange::Unreadable`].
    #[must_use]
    pub fn read(record: &EventRecord) -> Self {
        let millis = record
            .change
            .approximate_creation_date_time
            .timestamp_millis();
        let arn = record.event_source_arn.as_deref();
        let label = arn.and_then(|arn| arn.rsplit_once("/stream/"));
        let key = |name: &str| match record.change.keys.get(name) {
            Some(AttributeValue::S(text)) => text.clone(),
            _ => String::new(),
        };
        Self {
            id: record.event_id.clone(),
            sequence: record.change.sequence_number.clone().unwrap_or_default(),
            time: u64::try_from(millis).unwrap_or(0),
            stream: label.map(|(_, label)| label.to_owned()),
            key: (key("pk"), key("sk")),
            change: ItemChange::read(&record.change),
        }
    }

    /// The tenant whose feed reports the change; `None` if none does.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        match &self.change {
            ItemChange::Resource(change) => Some(&change.tenant),
            ItemChange::Member(change) => Some(&change.tenant),
            ItemChange::State(change) => Some(&change.tenant),
            ItemChange::Occasion(change) => Some(&change.tenant),
            ItemChange::Unreadable(change) => Some(&change.tenant),
            ItemChange::Journal(_) | ItemChange::Heartbeat(_) | ItemChange::Other => None,
        }
    }
}
