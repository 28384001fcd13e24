//! Reads the stream of the embedded table. Its only reader is in the same process.

use aws_lambda_events::dynamodb::{Event, EventRecord};
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::{AttributeValue, Database, Item};
use serde_json::json;

use crate::protocol::BoxError;

/// Some records of the stream.
#[derive(Debug, Default)]
pub struct StreamPage {
    /// The wanted records, in order.
    pub records: Vec<EventRecord>,
    /// The sequence number of the last record that was read; `None` if no record was read.
    pub last: Option<String>,
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
    let shard_iterator = iterator(database, table, after)?;
    let page = database.get_records(GetRecordsRequest {
        shard_iterator,
        limit: Some(limit),
    })?;
    let last = page.records.last();
    let last = last.map(|record| record.dynamodb.sequence_number.clone());
    let records = page.records.iter().filter(|record| {
        let change = &record.dynamodb;
        wanted(
            kind(change.new_image.as_ref()),
            kind(change.old_image.as_ref()),
        )
    });
    let records: Vec<&Record> = records.collect();
    if records.is_empty() {
        return Ok(StreamPage {
            records: Vec::new(),
            last,
        });
    }
    // Both libraries write a record in JSON as Lambda does, so one can read the JSON of the other.
    let event: Event = serde_json::from_value(json!({"Records": records}))?;
    Ok(StreamPage {
        records: event.records,
        last,
    })
}

fn iterator(database: &Database, table: &str, after: Option<&str>) -> Result<String, BoxError> {
    let streams = database.list_streams(dynoxide::actions::list_streams::ListStreamsRequest {
        table_name: Some(table.to_owned()),
        ..Default::default()
    })?;
    let stream = streams
        .streams
        .into_iter()
        .next()
        .ok_or("the table has no stream")?;
    let described = database.describe_stream(DescribeStreamRequest {
        stream_arn: stream.stream_arn.clone(),
        ..Default::default()
    })?;
    let shards = described.stream_description.shards.into_iter();
    // The embedded table has one shard for each table.
    let shard = shards.last().ok_or("the stream has no shard")?;
    let kind = match after {
        Some(_) => "AFTER_SEQUENCE_NUMBER",
        None => "TRIM_HORIZON",
    };
    let answer = database.get_shard_iterator(GetShardIteratorRequest {
        stream_arn: stream.stream_arn,
        shard_id: shard.shard_id,
        shard_iterator_type: kind.to_owned(),
        sequence_number: after.map(str::to_owned),
    })?;
    Ok(answer.shard_iterator.ok_or("the shard has no iterator")?)
}

fn kind(image: Option<&Item>) -> Option<&str> {
    match image?.get("kind")? {
        AttributeValue::S(kind) => Some(kind),
        _ => None,
    }
}
