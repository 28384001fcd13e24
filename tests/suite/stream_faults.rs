//! Faults of the stream: its reader is late, dies, or gets a record that it cannot read.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::dynamodb::EventRecord;
use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::feed::{Event, lifecycle};
use scim_lambda::store::{Meter, StackStore, TenantStore};
use scim_lambda::worker::{Worker, passes_filter};
use serde_dynamo::AttributeValue;
use serde_json::{Value, json};

use crate::simulation::{Fault, Process, World, tenant};
use crate::support::cause;
use crate::worker::Kept;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Limits that no feed of these tests reaches.
const ALL: Limits = Limits {
    events: 10_000,
    bytes: 100_000_000,
};

fn stack(process: &Process) -> StackStore {
    let store = process.provider.store();
    store.for_stack(Meter::default(), Duration::from_secs(60))
}

/// The records that call the reader, made at this time.
fn wanted(world: &World, made: u64) -> Vec<EventRecord> {
    let kind = |item: &serde_dynamo::Item| match item.get("kind") {
        Some(AttributeValue::S(kind)) => Some(kind.clone()),
        _ => None,
    };
    let mut records = world.records();
    records.retain(|record| {
        let (new, old) = (&record.change.new_image, &record.change.old_image);
        passes_filter(kind(new).as_deref(), kind(old).as_deref())
    });
    for record in &mut records {
        let made = i64::try_from(made).unwrap();
        let made = chrono::DateTime::from_timestamp_millis(made).unwrap();
        record.change.approximate_creation_date_time = made;
    }
    records
}

/// Handles records as Lambda does: in batches, and again from where a batch failed.
async fn handle(world: &World, records: &[EventRecord], kept: &Kept) {
    let process = world.process();
    let reader = Worker::new(process.provider.tenants(), world.clock());
    for batch in records.chunks(100) {
        assert_eq!(reader.stream(batch, kept).await, None);
    }
}

/// Every event of the tenant's feed; their numbers have no gap, and no id comes twice.
async fn events(world: &World) -> Vec<Event> {
    let store = store(&world.process());
    let (tenant, from) = (tenant(), After::Beginning);
    let part = read(&tenant, &store, &from, ALL, |_| true, None);
    let events = part.await.unwrap().events;
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert!(
        numbers.iter().copied().eq(1..=events.len() as u64),
        "{numbers:?}"
    );
    let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    events
}

fn types(events: &[Event]) -> Vec<&str> {
    let types = events.iter().map(|event| event.body.event_type.as_str());
    types.collect()
}

fn count(events: &[Event], name: &str) -> usize {
    types(events).iter().filter(|found| **found == name).count()
}

/// Writes the heartbeat, and lets the reader handle all records up to now.
async fn beat_and_handle(world: &World, kept: &Kept) {
    beat_and_handle_from(world, 0, kept).await;
}

/// The same without the first records, whose number is `handled`.
async fn beat_and_handle_from(world: &World, handled: usize, kept: &Kept) {
    stack(&world.process()).beat().await.unwrap();
    let now = world.clock().now_millis();
    handle(world, &wanted(world, now).split_off(handled), kept).await;
}

fn store(process: &Process) -> TenantStore {
    let store = process.provider.store();
    let (meter, budget) = (Meter::default(), Duration::from_secs(60));
    store.for_tenant(&tenant(), cause(), meter, budget)
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_away_for_an_hour_is_late_and_complete() {
    let (world, kept) = (World::new().await, Kept::default());
    beat_and_handle(&world, &kept).await;
    let made = world.clock().now_millis();
    world.process().users("member", 30).await;
    stack(&world.process()).beat().await.unwrap();
    world.jump(HOUR);
    handle(&world, &wanted(&world, made), &kept).await;
    let events = events(&world).await;
    assert_eq!(count(&events, "user.created"), 30);
    assert_eq!(count(&events, "feed.gap"), 0);
    assert_eq!(stack(&world.process()).gap().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_away_for_two_days_says_that_there_is_a_gap() {
    let (world, kept) = (World::new().await, Kept::default());
    let process = world.process();
    let early = process.user("early").await;
    beat_and_handle(&world, &kept).await;
    let before = world.records().len();
    process.users("lost", 5).await;
    let lost = world.records().len();
    world.jump(24 * HOUR);
    // When the reader is back, the stream still has the records from here on, and no earlier ones.
    process.user("late").await;
    stack(&process).beat().await.unwrap();
    let made = world.clock().now_millis();
    world.jump(24 * HOUR);
    let last_beat = Worker::new(process.provider.tenants(), world.clock());
    let rest = world.records().split_off(lost);
    assert!(before < lost);
    let rest: Vec<EventRecord> = wanted(&world, made)
        .into_iter()
        .filter(|record| rest.iter().any(|left| left.event_id == record.event_id))
        .collect();
    assert_eq!(last_beat.stream(&rest, &kept).await, None);
    let found = events(&world).await;
    assert_eq!(
        types(&found),
        ["feed.started", "user.created", "feed.gap", "user.created"]
    );
    assert_eq!(found[1].body.resource.as_ref().unwrap().id, early);
    // The next change is reported without a second gap.
    process.user("later").await;
    let now = world.clock().now_millis();
    let last = wanted(&world, now).split_off(wanted(&world, now).len() - 1);
    handle(&world, &last, &kept).await;
    assert_eq!(count(&events(&world).await, "feed.gap"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_a_day_late_says_so_before_its_records_are_lost() {
    let (world, kept) = (World::new().await, Kept::default());
    beat_and_handle(&world, &kept).await;
    let handled = wanted(&world, 0).len();
    world.process().user("ada").await;
    let made = world.clock().now_millis();
    world.jump(HOUR * 47 / 2);
    let late = wanted(&world, made).split_off(handled);
    handle(&world, &late, &kept).await;
    let gap = stack(&world.process()).gap().await.unwrap().unwrap();
    assert_eq!((gap.number, gap.since / 1000), (1, made / 1000));
    assert_eq!(count(&events(&world).await, "user.created"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_set_aside_and_the_rest_goes_on() {
    let (world, kept) = (World::new().await, Kept::default());
    let process = world.process();
    let ids = process.users("member", 3).await;
    world.tamper(
        "UpdateItem",
        &json!({
            "TableName": "scim",
            "Key": {"pk": {"S": "T#acme#R#User#0"}, "sk": {"S": ids[1]}},
            "UpdateExpression": "SET body = :body",
            "ExpressionAttributeValues": {":body": {"N": "4711"}},
        }),
    );
    process.user("after").await;
    let now = world.clock().now_millis();
    handle(&world, &wanted(&world, now), &kept).await;
    let kept = std::mem::take(&mut *kept.set_aside.lock().unwrap());
    let keys: Vec<_> = kept.iter().map(|record| record.key.clone()).collect();
    assert_eq!(keys, [("T#acme#R#User#0".to_owned(), ids[1].clone())]);
    assert!(!kept[0].sequence.is_empty());
    let events = events(&world).await;
    assert_eq!(count(&events, "user.created"), 4);
    let gap = events
        .iter()
        .find(|event| event.body.event_type.as_str() == "feed.gap");
    assert_eq!(gap.unwrap().body.resource.as_ref().unwrap().id, ids[1]);
}

/// A table whose stream has changes of several kinds.
async fn changed() -> World {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("member", 3).await;
    let group = process.group("Guides", &users[..2]).await;
    let title = json!([{"op": "add", "path": "title", "value": "Guide"}]);
    process.patch("User", &users[2], title).await.unwrap();
    process.delete("Group", &group).await.unwrap();
    stack(&process).beat().await.unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_dies_at_any_call_reports_each_change_once() {
    let undisturbed = changed().await;
    let made = undisturbed.clock().now_millis();
    handle(&undisturbed, &wanted(&undisturbed, made), &Kept::default()).await;
    let reported = events(&undisturbed).await;
    let expected = types(&reported);
    for fault in [Fault::Kill, Fault::KillAfter, Fault::LoseAnswer] {
        for number in 0.. {
            let (world, kept) = (changed().await, Kept::default());
            let records = wanted(&world, world.clock().now_millis());
            let dying = world.process();
            dying
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            let reader = Worker::new(dying.provider.tenants(), world.clock());
            let failed = reader.stream(&records, &kept).await;
            let has_met_fault = dying.line.calls() > number;
            // The whole batch comes again, also where the function has named the record to begin with. Records that
            // were handled must have no effect.
            handle(&world, &records, &kept).await;
            let found = events(&world).await;
            assert_eq!(types(&found), expected, "{fault:?} {number}: {failed:?}");
            assert!(kept.take_tenants().contains(&"acme".to_owned()));
            if !has_met_fault {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_300_changes_a_second_gets_a_page_for_each_batch() {
    let (world, kept) = (World::new().await, Kept::default());
    let process = world.process();
    let user = process.user("ada").await;
    for number in 0..299 {
        let title = json!([{"op": "replace", "path": "title", "value": format!("Guide {number}")}]);
        process.patch("User", &user, title).await.unwrap();
    }
    let records = wanted(&world, world.clock().now_millis());
    assert_eq!(records.len(), 300);
    let reading = world.process();
    let reader = Worker::new(reading.provider.tenants(), world.clock());
    reading.line.plan(|_| None);
    for batch in records.chunks(100) {
        assert_eq!(reader.stream(batch, &kept).await, None);
    }
    let pages = world
        .items()
        .into_iter()
        .filter(|item| item["kind"]["S"] == "E");
    let bytes = pages.map(|page| page.to_string().len()).collect::<Vec<_>>();
    assert_eq!(bytes.len(), 3, "pages of {bytes:?} bytes");
    // Two calls for each batch: one reads the newest page, one puts the next. Six for all batches: they read the
    // configuration of the tenant and the gaps of the stream, and begin the feed.
    assert!(
        reading.line.calls() <= 2 * 3 + 6,
        "{}",
        reading.line.calls()
    );
    assert_eq!(count(&events(&world).await, "user.updated"), 299);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_begins_on_a_table_with_data_says_that_it_is_not_complete() {
    let (world, kept) = (World::new().await, Kept::default());
    let process = world.process();
    process.users("before", 5).await;
    let before = wanted(&world, 0).len();
    process.user("after").await;
    let now = world.clock().now_millis();
    let records = wanted(&world, now).split_off(before);
    handle(&world, &records, &kept).await;
    let found = events(&world).await;
    assert_eq!(types(&found), ["feed.started", "user.created"]);
    let started: Value = found[0].to_json();
    assert_eq!(started["detail"]["complete"], false, "{started}");
    // The first append also adds the tenant to the stack's list, so that the sweep looks at its feed.
    let listed = stack(&process)
        .tenant_list()
        .names(None, 10)
        .await
        .unwrap()
        .tenants;
    assert_eq!(listed, [tenant()]);
}

/// The stream has forgotten the first changes of a tenant that was created with a complete feed, and what
/// comes next is its first record.
#[tokio::test(start_paused = true)]
async fn a_feed_whose_first_records_are_lost_does_not_say_that_it_is_complete() {
    for (is_before, expected) in [(true, false), (false, true)] {
        let (world, kept) = (World::new().await, Kept::default());
        let process = world.process();
        beat_and_handle(&world, &kept).await;
        let feed = store(&process);
        if is_before {
            lifecycle::create(&feed).await.unwrap();
        }
        let handled = wanted(&world, 0).len();
        world.jump(48 * HOUR);
        beat_and_handle_from(&world, handled, &kept).await;
        assert_eq!(stack(&process).gap().await.unwrap().unwrap().number, 1);
        world.jump(HOUR);
        if !is_before {
            lifecycle::create(&feed).await.unwrap();
        }
        let handled = wanted(&world, 0).len();
        process.user("late").await;
        beat_and_handle_from(&world, handled, &kept).await;
        let found = events(&world).await;
        assert_eq!(types(&found), ["feed.started", "user.created"]);
        let started = found[0].to_json();
        assert_eq!(started["detail"]["complete"], expected, "{started}");
    }
}

/// Nothing changes in the tenant, so no record brings the gap into its feed.
#[tokio::test(start_paused = true)]
async fn a_gap_comes_into_a_quiet_feed_with_the_next_sweep() {
    let (world, kept) = (World::new().await, Kept::default());
    let process = world.process();
    lifecycle::create(&store(&process)).await.unwrap();
    stack(&process).list_tenant(&tenant()).await.unwrap();
    process.user("ada").await;
    beat_and_handle(&world, &kept).await;
    let worker = Worker::new(process.provider.tenants(), world.clock());
    worker.sweep(&kept).await.unwrap();
    assert_eq!(count(&events(&world).await, "feed.gap"), 0);
    let handled = wanted(&world, 0).len();
    world.jump(48 * HOUR);
    beat_and_handle_from(&world, handled, &kept).await;
    for _ in 0..2 {
        worker.sweep(&kept).await.unwrap();
        let found = events(&world).await;
        assert_eq!(types(&found), ["feed.started", "user.created", "feed.gap"]);
        world.jump(Duration::from_secs(60));
    }
    let (head, _) = store(&process).feed().tail(0).await.unwrap();
    assert!(!head.unwrap().is_complete);
}
