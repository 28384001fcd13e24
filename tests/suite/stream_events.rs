//! Events of the table's stream, processed like in the worker.

#[path = "../../src/bin/scim-worker/finisher.rs"]
mod finisher;

use std::time::Duration;

use aws_lambda_events::dynamodb::Event;
use scim_lambda::protocol::error::ErrorKind;
use serde_json::{Value, json};

use crate::simulation::{Fault, World, kind};

/// More members than one transaction takes.
const MANY: usize = 120;

/// The event of a stream for items that were put.
fn event(items: &[Value]) -> Event {
    let record = |item: &Value| {
        json!({
            "eventID": "1",
            "eventName": "INSERT",
            "awsRegion": "eu-west-1",
            "dynamodb": {
                "Keys": {"pk": item["pk"], "sk": item["sk"]},
                "NewImage": item,
                "SizeBytes": item.to_string().len(),
            },
        })
    };
    let records: Vec<Value> = items.iter().map(record).collect();
    serde_json::from_value(json!({"Records": records})).unwrap()
}

/// A table with a group whose deletion was begun by a writer that died.
async fn half_deleted() -> World {
    let world = World::new().await;
    let process = world.process();
    let members = process.users("member", MANY).await;
    let group = process.group("Guides", &members).await;
    let writer = world.process();
    writer
        .line
        .plan(|call| (call.operation == "TransactWriteItems").then_some(Fault::KillAfter));
    let deleted = writer.delete("Group", &group).await;
    assert_eq!(kind(deleted), ErrorKind::Unavailable);
    assert_eq!(process.journal_len().await, 1);
    world
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_dead_writer_are_finished() {
    let world = half_deleted().await;
    let finisher = world.process();
    let event = event(&world.items());
    tokio::time::advance(Duration::from_secs(30)).await;
    finisher::finish(&finisher.provider, &event).await.unwrap();
    assert_eq!(finisher.journal_len().await, 0);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn records_of_other_items_cause_no_work() {
    let world = half_deleted().await;
    let finisher = world.process();
    let mut items = world.items();
    items.retain(|item| item["kind"]["S"] != "J");
    let event = event(&items);
    tokio::time::advance(Duration::from_secs(30)).await;
    finisher::finish(&finisher.provider, &event).await.unwrap();
    assert_eq!(finisher.line.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_could_not_be_finished_fails_the_event() {
    let world = half_deleted().await;
    let finisher = world.process();
    finisher.line.plan(|_| Some(Fault::LoseRequest));
    let event = event(&world.items());
    tokio::time::advance(Duration::from_secs(30)).await;
    let finished = finisher::finish(&finisher.provider, &event).await;
    assert!(finished.is_err());
}

#[test]
fn the_sample_event_names_its_tenant_and_lease() {
    let sample = include_str!("../../events/stream-journal-entry.json");
    let event: Event = serde_json::from_str(sample).unwrap();
    let record = scim_lambda::store::JournalRecord::read(&event.records[0].change).unwrap();
    assert_eq!(record.tenant.as_str(), "acme");
    assert_eq!(record.lease_until, Some(1_710_270_263_000));
}
