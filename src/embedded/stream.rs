//! The stream of the embedded table, as its one reader in the same process reads it.

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
    /// Those that were asked for, in order.
    pub records: Vec<EventRecord>,
    /// The sequence number of the last record that was looked at; `None` if there was none.
    pub last: Option<String>,
}

/// Which records are asked for, by the `kind` of the new image and that of the old one.
pub type Wanted = fn(Option<&str>, Option<&str>) -> bool;

/// Looks at up to `limit` records of a table's stream behind a sequence number, or from the oldest one on.
///
/// # Errors
/// What the database says.
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
    // The two libraries agree about how a record is written, which is how Lambda writes it.
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
