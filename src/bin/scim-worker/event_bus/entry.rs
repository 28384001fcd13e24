//! The entries of an event bus: one for each event.

use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use scim_lambda::feed::Event;
use serde_json::{Value, json};

/// The number of entries that EventBridge takes in one call.
const MAX_ENTRIES: usize = 10;
/// The most bytes of all entries of one call. EventBridge takes 1 MB, but an event with more than
/// 256 KB would not reach a target that takes no more, such as an Amazon SNS topic.
const MAX_CALL_BYTES: usize = 256_000;
/// What EventBridge counts for the time of an entry, in bytes.
const TIME_BYTES: usize = 14;
/// The members of an event that a reference to it has.
const IDENTIFYING: [&str; 7] = ["id", "seq", "type", "time", "tenant", "resource", "member"];

/// One event for the bus, whole or by reference.
///
/// **Shape** of a reference: the members of the event that say what it is about, and where to read
/// it: `{"id":…,"seq":…,"type":"user.updated","time":…,"tenant":…,"resource":…,"reference":{"after":…}}`.
/// `GET /events?after=…` with that position returns the event, perhaps behind others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    detail_type: String,
    detail: String,
    /// The time of the event, in milliseconds since the Unix epoch.
    time: u64,
    /// The detail of a reference to the event; `None` if the entry is a reference already.
    reference: Option<String>,
}

impl Entry {
    /// The entry of an event that is behind the position `after` in the feed of its tenant. An event that
    /// is too long for a call becomes a reference.
    pub(super) fn new(event: &Event, after: Option<&str>) -> Self {
        let whole = event.to_json();
        let entry = Self {
            detail_type: event.body.event_type.as_str().to_owned(),
            detail: whole.to_string(),
            time: event.body.time,
            reference: Some(reference(whole, after)),
        };
        match entry.bytes() > MAX_CALL_BYTES {
            true => entry.as_reference().unwrap_or(entry),
            false => entry,
        }
    }

    /// The same event by reference; `None` if the entry is a reference already.
    pub(super) fn as_reference(&self) -> Option<Self> {
        Some(Self {
            detail: self.reference.clone()?,
            reference: None,
            ..self.clone()
        })
    }

    /// The entry in the form of the SDK.
    pub(super) fn to_sdk(&self, bus: &str, source: &str) -> PutEventsRequestEntry {
        let time = i64::try_from(self.time).unwrap_or(i64::MAX);
        PutEventsRequestEntry::builder()
            .event_bus_name(bus)
            .source(source)
            .detail_type(&self.detail_type)
            .detail(&self.detail)
            .time(DateTime::from_millis(time))
            .build()
    }

    /// What EventBridge counts for the entry. The name of the stack, in the source, is not in it; the
    /// bound leaves room for the sources of ten entries.
    fn bytes(&self) -> usize {
        TIME_BYTES + self.detail_type.len() + self.detail.len()
    }
}

/// How many of the first entries go in one call: at least one.
pub(super) fn fitting<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.bytes();
        bytes <= MAX_CALL_BYTES
    };
    let first = entries.into_iter().take(MAX_ENTRIES);
    first.take_while(fits).count().max(1)
}

/// What a reference to an event says.
fn reference(event: Value, after: Option<&str>) -> String {
    let Value::Object(mut members) = event else {
        unreachable!("an event is an object")
    };
    members.retain(|name, _| IDENTIFYING.contains(&name.as_str()));
    members.insert("reference".to_owned(), json!({"after": after}));
    Value::Object(members).to_string()
}
