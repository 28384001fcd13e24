//! Reads the stream of the embedded table. Its only reader is in the same process.

use std::collections::HashMap;

use aws_lambda_events::dynamodb::EventRecord;
use chrono::DateTime;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::encode_shard_iterator;
use dynoxide::streams::shard_id;
use dynoxide::{AttributeValue, Database, Item};
use serde_dynamo::AttributeValue as Value;

use super::stream_records::stored_number;
use crate::protocol::BoxError;

/// Some records of the stream.
#[derive(Debug, Default)]
pub struct StreamPage {
    /// The wanted records, in order.
    pub records: Vec<EventRecord>,
    /// The sequence number of the last record that was read; `None` if no record was read.
    pub last: Option<String>,
    /// Whether the stream had no further record.
    pub is_at_end: bool,
}

/// Decides whether a record is wanted, by the `kind` of its new image and that of its old one.
pub type Wanted = fn(Option<&str>, Option<&str>) -> bool;

/// Reads up to `limit` records of a table's stream after a sequence number, or from the oldest
/// record on.
///
/// # Errors
/// The errors of the database.
pub(super) fn read(
    database: &Database,
    table: &str,
    after: Option<&str>,
    limit: usize,
    wanted: Wanted,
) -> Result<StreamPage, BoxError> {
    // The shard is not asked for: dynoxide would go through all of its records to describe it.
    let position = match after {
        Some(shown) => stored_number(shown).ok_or("the position is none of this table's stream")?,
        None => 0,
    };
    let shard_iterator = encode_shard_iterator(table, &shard_id(table), position);
    let page = database.get_records(GetRecordsRequest {
        shard_iterator,
        limit: Some(limit),
    })?;
    let is_at_end = page.records.len() < limit;
    let last = page.records.last();
    let last = last.map(|record| record.dynamodb.sequence_number.clone());
    let wanted = page.records.into_iter().filter(|record| {
        let change = &record.dynamodb;
        wanted(
            kind(change.new_image.as_ref()),
            kind(change.old_image.as_ref()),
        )
    });
    Ok(StreamPage {
        records: wanted.map(event_record).collect(),
        last,
        is_at_end,
    })
}

/// A record as Lambda gives it to a function.
fn event_record(record: Record) -> EventRecord {
    let change = record.dynamodb;
    // The type can only be made from its default.
    let mut event = EventRecord::default();
    event.aws_region = record.aws_region;
    event.event_id = record.event_id;
    event.event_name = record.event_name;
    event.change.keys = item(change.keys);
    event.change.new_image = item(change.new_image.unwrap_or_default());
    event.change.old_image = item(change.old_image.unwrap_or_default());
    event.change.sequence_number = Some(change.sequence_number);
    event.change.size_bytes = change.size_bytes;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "dynoxide counts whole seconds"
    )]
    let seconds = change.approximate_creation_date_time as i64;
    event.change.approximate_creation_date_time =
        DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    event
}

fn item(item: Item) -> serde_dynamo::Item {
    let attributes = item.into_iter();
    let attributes = attributes.map(|(name, attribute)| (name, value(attribute)));
    attributes.collect::<HashMap<_, _>>().into()
}

fn value(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::S(text),
        AttributeValue::N(digits) => Value::N(digits),
        AttributeValue::B(bytes) => Value::B(bytes),
        AttributeValue::BOOL(truth) => Value::Bool(truth),
        AttributeValue::NULL(truth) => Value::Null(truth),
        AttributeValue::SS(texts) => Value::Ss(texts),
        AttributeValue::NS(numbers) => Value::Ns(numbers),
        AttributeValue::BS(blobs) => Value::Bs(blobs),
        AttributeValue::L(values) => Value::L(values.into_iter().map(self::value).collect()),
        AttributeValue::M(entries) => Value::M(
            entries
                .into_iter()
                .map(|(name, entry)| (name, self::value(entry)))
                .collect(),
        ),
    }
}

fn kind(image: Option<&Item>) -> Option<&str> {
    match image?.get("kind")? {
        AttributeValue::S(kind) => Some(kind),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::dynamodb::Event;
    use dynoxide::actions::get_records::GetRecordsRequest;
    use serde_json::json;

    use super::super::{DataDirectory, Engine};
    use super::*;

    /// A table with one item that was put and changed.
    fn engine() -> Engine {
        let data = DataDirectory::in_memory().unwrap();
        let engine = Engine::new(data.open_table().unwrap());
        let call = |operation: &str, request: serde_json::Value| {
            let reply = engine.answer(operation, request.to_string().as_bytes());
            assert_eq!(reply.status, 200, "{}", reply.body);
        };
        call(
            "CreateTable",
            json!({
                "TableName": "scim",
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "StreamSpecification":
                    {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            }),
        );
        let mut item = json!({
            "pk": {"S": "a"}, "kind": {"S": "R"}, "n": {"N": "1"}, "b": {"B": "YWJj"},
            "t": {"BOOL": true}, "z": {"NULL": true}, "l": {"L": [{"S": "x"}, {"M": {"y": {"N": "2"}}}]},
            "ss": {"SS": ["p"]}, "ns": {"NS": ["3"]}, "bs": {"BS": ["YWJj"]},
        });
        call("PutItem", json!({"TableName": "scim", "Item": item}));
        item["n"]["N"] = "4".into();
        call("PutItem", json!({"TableName": "scim", "Item": item}));
        engine
    }

    #[test]
    fn a_record_is_read_as_lambda_writes_it() {
        let engine = engine();
        let read = read(engine.database(), "scim", None, 10, |_, _| true).unwrap();
        let shard_iterator = encode_shard_iterator("scim", &shard_id("scim"), 0);
        let written = engine.database().get_records(GetRecordsRequest {
            shard_iterator,
            limit: None,
        });
        let written = serde_json::to_value(written.unwrap()).unwrap();
        let mut event: Event = serde_json::from_value(written).unwrap();
        for record in &mut event.records {
            // What no reader of the stream looks at.
            record.event_source = None;
            record.event_version = None;
            record.change.stream_view_type = None;
        }
        assert_eq!(read.records, event.records);
    }

    #[test]
    fn a_reader_goes_on_behind_what_it_has_read() {
        let engine = engine();
        let first = read(engine.database(), "scim", None, 1, |_, _| true).unwrap();
        let read_on = |after: &Option<String>, kind: super::Wanted| {
            read(engine.database(), "scim", after.as_deref(), 10, kind).unwrap()
        };
        let rest = read_on(&first.last, |_, _| true);
        assert_eq!(rest.records.len(), 1);
        assert!(!first.is_at_end && rest.is_at_end);
        assert_eq!(rest.records[0].event_name, "MODIFY");
        // What is not wanted is passed over all the same.
        let unwanted = read_on(&first.last, |new, _| new != Some("R"));
        assert_eq!((unwanted.records.len(), &unwanted.last), (0, &rest.last));
        assert_eq!(read_on(&rest.last, |_, _| true).last, None);
        let other = read(engine.database(), "scim", Some("7"), 10, |_, _| true);
        assert!(other.is_err(), "a position of another kind of table");
    }
}
