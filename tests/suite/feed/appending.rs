//! Appends that are repeated, that run at the same time, whose process dies, or whose answers are lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use scim_lambda::feed::lifecycle;
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream::{self, Handled};
use scim_lambda::store::ItemChange;
use serde_json::json;

use super::{ALL, After, Gone, gone};
use super::{Instance, StreamGap, everything, follow, ids, newest, read, records, store, types};
use crate::simulation::{Fault, World, add};

/// A directory in which several things have changed.
async fn changed() -> Arc<World> {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let users = process.users("guide", 4).await;
    let guides = process.group("Guides", &users[..2]).await;
    process
        .patch("Group", &guides, add(&users[2..]))
        .await
        .unwrap();
    process.delete("User", &users[0]).await.unwrap();
    world
}

/// The same table once more.
fn copy(world: &World) -> Arc<World> {
    Arc::new(world.copy())
}

fn set(ids: Vec<&str>) -> BTreeSet<String> {
    let number = ids.len();
    let set: BTreeSet<String> = ids.into_iter().map(str::to_owned).collect();
    assert_eq!(set.len(), number, "an id comes twice");
    set
}

/// The ids of all events but the first, whose id is that of the epoch.
pub(super) async fn event_ids(world: &World) -> BTreeSet<String> {
    let events = everything(&world.process()).await;
    assert_eq!(events[0].body.event_type.as_str(), "feed.started");
    set(ids(&events[1..]))
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_again_appends_nothing() {
    let world = changed().await;
    let all = records(&world);
    let instance = Instance::new(&world);
    let appender = instance.appender();
    assert_eq!(
        stream::handle(&appender, &all, None).await.appended.len(),
        1
    );
    let expected = event_ids(&world).await;
    assert_eq!(expected.len(), 11);
    let again = stream::handle(&appender, &all, None).await;
    assert_eq!(again, Handled::default());
    assert_eq!(follow(&world).await, Handled::default());
    assert_eq!(event_ids(&world).await, expected);
}

/// Lambda may cut the records into other batches when it delivers them again.
#[tokio::test(start_paused = true)]
async fn batches_of_any_length_that_overlap_append_each_record_once() {
    let world = changed().await;
    let all = records(&world);
    let whole = copy(&world);
    follow(&whole).await;
    let expected = event_ids(&whole).await;
    for length in [1, 2, 3, 5] {
        let world = copy(&world);
        let instance = Instance::new(&world);
        let appender = instance.appender();
        for begin in 0..all.len() {
            let end = (begin + length).min(all.len());
            stream::handle(&appender, &all[begin..end], None).await;
        }
        assert_eq!(event_ids(&world).await, expected, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_call_loses_nothing() {
    let world = changed().await;
    let all = records(&world);
    let whole = copy(&world);
    let undisturbed = Instance::new(&whole);
    undisturbed.handle(&all).await;
    let calls = undisturbed.process.line.calls();
    let expected = event_ids(&whole).await;
    for fault in [
        Fault::Kill,
        Fault::KillAfter,
        Fault::LoseAnswer,
        Fault::LoseRequest,
    ] {
        for number in 0..calls {
            let world = copy(&world);
            let first = Instance::new(&world);
            let faults =
                move |call: &crate::simulation::Call| (call.number == number).then_some(fault);
            first.process.line.plan(faults);
            let handled = first.handle(&all).await;
            let is_dead = matches!(fault, Fault::Kill | Fault::KillAfter);
            assert_eq!(handled.failed_from.is_some(), is_dead, "{fault:?} {number}");
            // A process that survives the fault has appended everything by itself.
            if is_dead {
                follow(&world).await;
            }
            assert_eq!(event_ids(&world).await, expected, "{fault:?} {number}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn instances_that_append_at_once_make_one_order() {
    let world = changed().await;
    let all = records(&world);
    let whole = copy(&world);
    follow(&whole).await;
    let expected = event_ids(&whole).await;
    for round in 0..20 {
        let world = copy(&world);
        let (one, two, three) = (
            Instance::new(&world),
            Instance::new(&world),
            Instance::new(&world),
        );
        // Two shards, one of which is read by two instances.
        let lane = |number: u32| -> Vec<Record> {
            let hash = |record: &Record| record.key.1.bytes().map(u32::from).sum::<u32>() % 2;
            let of_lane = all.iter().filter(|record| hash(record) == number);
            of_lane.cloned().collect()
        };
        let (even, odd) = (lane(0), lane(1));
        tokio::join!(one.handle(&even), two.handle(&odd), three.handle(&odd));
        let found = event_ids(&world).await;
        assert_eq!(found, expected, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_of_one_change_costs_one_read_and_a_unit_for_each_kilobyte() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    process.user("ada").await;
    follow(&world).await;
    for (name, instance) in [
        ("grace", Instance::new(&world)),
        ("edith", Instance::new(&world)),
    ] {
        process.user(name).await;
        let last = newest(&world);
        let appender = instance.appender();
        for calls in [2, 1] {
            let before = appender.cost();
            stream::handle(&appender, std::slice::from_ref(&last), None).await;
            let after = appender.cost();
            assert_eq!(after.calls - before.calls, calls, "{name}");
            assert!(after.read_units - before.read_units <= 1.0, "{name}");
            let written = if calls == 2 { 1.0 } else { 0.0 };
            assert!(
                (after.write_units - before.write_units - written).abs() < 0.01,
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_many_changes_is_several_pages_in_few_calls() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    process.user("ada").await;
    let one = newest(&world);
    let many: Vec<Record> = (0..2_500)
        .map(|number| Record {
            id: format!("{number:032x}"),
            ..one.clone()
        })
        .collect();
    let instance = Instance::new(&world);
    instance.handle(&many).await;
    let pages = store(&process).feed().tail(100).await.unwrap().1;
    let lengths: Vec<u64> = pages.iter().rev().map(|page| page.event_count()).collect();
    assert_eq!(lengths, [1_000, 1_000, 501]);
    assert_eq!(everything(&process).await.len(), 2_501);
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_the_stack_is_reported_once_in_each_feed() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let instance = Instance::new(&world);
    let appender = instance.appender();
    let mut numbers = [None, Some(3), Some(3), Some(4)].into_iter();
    for name in ["ada", "grace", "edith", "mary"] {
        process.user(name).await;
        let since = 1_700_000_000_000;
        let gap = numbers.next().unwrap().map(|number| StreamGap {
            number,
            since,
            noticed: since,
        });
        stream::handle(&appender, &records(&world), gap).await;
    }
    let events = everything(&process).await;
    let expected = [
        "feed.started",
        "user.created",
        "feed.gap",
        "user.created",
        "user.created",
        "feed.gap",
        "user.created",
    ];
    assert_eq!(types(&events), expected);
    assert_eq!(
        events[2].to_json()["detail"],
        json!({"since": "2023-11-14T22:13:20.000Z"})
    );
    assert_eq!(read(&process, &After::Now, ALL).await.unwrap().gap, 4);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_set_aside_and_named() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let ada = process.user("ada").await;
    process.user("grace").await;
    let mut stream = world.records();
    let is_ada = |image: &serde_dynamo::Item| {
        image
            .get("sk")
            .is_some_and(|sk| *sk == serde_dynamo::AttributeValue::S(ada.clone()))
    };
    for record in stream
        .iter_mut()
        .filter(|record| is_ada(&record.change.keys))
    {
        let mut image: std::collections::HashMap<_, _> =
            record.change.new_image.clone().into_inner();
        image.remove("v");
        record.change.new_image = serde_dynamo::Item::from(image);
    }
    let stream: Vec<Record> = stream.iter().map(Record::read).collect();
    let handled = Instance::new(&world).handle(&stream).await;
    assert_eq!((handled.set_aside.len(), handled.failed_from), (1, None));
    assert_eq!(handled.set_aside[0].key.1, ada);
    let events = everything(&process).await;
    assert_eq!(types(&events), ["feed.started", "feed.gap", "user.created"]);
    assert_eq!(
        events[1].to_json()["resource"],
        json!({"type": "User", "id": ada})
    );
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_has_the_stream_begin_again_with_its_first_record() {
    let world = changed().await;
    let mut all = records(&world);
    // The same records, the third of which is of another tenant.
    let other = scim_lambda::identity::TenantId::parse("other").unwrap();
    let is_user = |record: &&mut Record| matches!(record.change, ItemChange::Resource(_));
    let moved = all.iter_mut().filter(is_user).nth(2).unwrap();
    let ItemChange::Resource(change) = &mut moved.change else {
        panic!()
    };
    change.tenant = other.clone();
    let sequence = moved.sequence.clone();
    let instance = Instance::new(&world);
    instance.process.line.plan(|call| {
        call.body
            .to_string()
            .contains("T#other#E")
            .then_some(Fault::Throttle)
    });
    let handled = instance.handle(&all).await;
    assert_eq!(handled.failed_from, Some(sequence));
    assert_eq!(handled.appended, [crate::simulation::tenant()]);
    assert_eq!(event_ids(&world).await.len(), 10);
    instance.process.line.plan(|_| None);
    let handled = instance.handle(&all).await;
    assert_eq!((handled.failed_from, handled.appended), (None, vec![other]));
}

#[tokio::test(start_paused = true)]
async fn another_stream_begins_another_epoch() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    process.user("ada").await;
    let of_stream = |label: &str| -> Record {
        Record {
            stream: Some(label.to_owned()),
            ..newest(&world)
        }
    };
    let instance = Instance::new(&world);
    instance
        .handle(&[of_stream("2024-01-01T00:00:00.000")])
        .await;
    let before = read(&process, &After::Now, ALL).await.unwrap().next;
    instance
        .handle(&[of_stream("2024-01-01T00:00:00.000")])
        .await;
    assert_eq!(read(&process, &before, ALL).await.unwrap().events, []);
    process.user("grace").await;
    let restored = of_stream("2024-02-02T00:00:00.000");
    instance.handle(&[restored]).await;
    assert_eq!(gone(&process, &before).await, Gone::OtherEpoch);
    let events = everything(&process).await;
    assert_eq!(types(&events), ["feed.started", "user.created"]);
    assert_eq!(events[0].to_json()["detail"], json!({"complete": false}));
    // A record of the stream that was replaced comes late: it begins no epoch.
    process.user("edith").await;
    let late = of_stream("2024-01-01T00:00:00.000");
    instance.handle(&[late]).await;
    assert_eq!(everything(&process).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn late_records_of_a_deleted_tenant_reach_no_reader() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    process.user("ada").await;
    follow(&world).await;
    process.user("grace").await;
    lifecycle::end(&store(&process)).await.unwrap();
    assert_eq!(follow(&world).await, Handled::default());
    world.jump(std::time::Duration::from_secs(25 * 60 * 60));
    lifecycle::create(&store(&process)).await.unwrap();
    // The records of the deleted tenant are a day old by now.
    assert_eq!(follow(&world).await, Handled::default());
    let mut own = newest(&world);
    own.time += 25 * 60 * 60 * 1000;
    Instance::new(&world).handle(&[own]).await;
    let events = everything(&process).await;
    assert_eq!(types(&events), ["feed.started", "user.created"]);
    assert_eq!(events[0].to_json()["detail"], json!({"complete": true}));
}
