//! The filter of the stream's event source in `template.yaml`: which records of which items call the reader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lambda_events::dynamodb::EventRecord;
use scim_lambda::feed::record::Record;
use scim_lambda::identity::{CredentialId, TenantId};
use scim_lambda::store::{ItemChange, Meter, Occasion, Suspension, TenantStore, USER_PROTECTED};
use scim_lambda::worker::{self, Worker};
use serde_dynamo::{AttributeValue, Item};
use serde_json::{Value, json};

use crate::simulation::{World, remove, replace, tenant};
use crate::worker::Kept;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// The patterns, as the template gives them to Lambda.
fn patterns() -> Vec<Value> {
    let lines = TEMPLATE.lines().map(str::trim);
    let patterns = lines.filter_map(|line| line.strip_prefix("- Pattern: '")?.strip_suffix('\''));
    patterns
        .map(|pattern| serde_json::from_str(pattern).unwrap())
        .collect()
}

/// Whether a record matches a pattern of names, objects and lists of values: the part of Lambda's rules that
/// the template uses.
fn matches(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(members) => members.iter().all(|(name, pattern)| {
            record
                .get(name)
                .is_some_and(|value| matches(pattern, value))
        }),
        Value::Array(values) => values.contains(record),
        other => panic!("{other} is no part of a pattern that this test knows"),
    }
}

fn calls_reader(record: &EventRecord) -> bool {
    let record = serde_json::to_value(record).unwrap();
    patterns().iter().any(|pattern| matches(pattern, &record))
}

fn text<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    match item.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

/// The kind of partition that an item is in, such as `M`, or `S#H` in the part of the stack.
fn partition(record: &EventRecord) -> String {
    let key = text(&record.change.keys, "pk").unwrap();
    let parts: Vec<&str> = key.split('#').collect();
    match parts[..] {
        ["S", kind] => format!("S#{kind}"),
        ["T", _] => "T".to_owned(),
        ["T", _, kind, ..] => kind.to_owned(),
        _ => panic!("{key} is no partition"),
    }
}

/// Writes what requests leave behind besides resources.
async fn note_requests(store: &TenantStore) {
    let credential = CredentialId::parse("1").unwrap();
    let used = store.signatures();
    used.use_up(&credential, "signature", 1_800_000_000)
        .await
        .unwrap();
    let status = store.status();
    for _ in 0..2 {
        status.note_use(&credential).await.unwrap();
    }
    status.add_refusals(409, 1).await.unwrap();
    let occasion = Occasion {
        event: USER_PROTECTED,
        type_name: "User",
        id: "ada",
        what: "deletion",
    };
    assert!(store.occasions().note(&occasion).await.unwrap());
    let periods = store.request_periods();
    assert!(periods.take_part(170_000_000).await.unwrap());
}

/// A table in which an item of every kind was written, changed and removed.
async fn busy() -> World {
    let world = World::new().await;
    world.set_rules(|_| {}).await;
    let process = world.process();
    let users = process.users("member", 120).await;
    let inner = process.group("Inner", &users[..2]).await;
    let outer = process.group("Outer", std::slice::from_ref(&inner)).await;
    let all = process.patch("Group", &outer, replace(&users)).await;
    all.unwrap();
    process
        .patch("Group", &inner, remove(&users[..1]))
        .await
        .unwrap();
    let title = json!([{"op": "add", "path": "title", "value": "Guide"}]);
    process.patch("User", &users[0], title).await.unwrap();
    process.list("User", "count=10").await.unwrap();
    process.delete("Group", &outer).await.unwrap();
    process.delete("User", &users[1]).await.unwrap();
    let scope = process.scope().await.unwrap();
    note_requests(&scope.store).await;
    let stack = process.provider.store();
    let stack = stack.for_stack(Meter::default(), Duration::from_secs(10));
    stack.list_tenant(&tenant()).await.unwrap();
    stack
        .list_tenant(&TenantId::parse("umbrella").unwrap())
        .await
        .unwrap();
    stack.put_stream_position("1").await.unwrap();
    let active = stack.tenant_list().get(&tenant()).await.unwrap().unwrap();
    let mut suspended = active.clone();
    suspended.suspension = Some(Suspension {
        since: 7,
        reason: None,
    });
    let list = stack.tenant_list();
    assert!(list.change(&active, &suspended).await.unwrap());
    let suspended = list.get(&tenant()).await.unwrap().unwrap();
    let mut resumed = suspended.clone();
    resumed.suspension = None;
    assert!(list.change(&suspended, &resumed).await.unwrap());
    let (reader, kept) = (
        Worker::new(process.provider.tenants(), world.clock()),
        Kept::default(),
    );
    reader.sweep(&kept).await.unwrap();
    assert_eq!(reader.stream(&world.records(), &kept).await, None);
    // Replaced sets are swept one lease after the change is made.
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(
            reader.finish(BTreeSet::from([tenant()]), &kept).await,
            BTreeSet::new()
        );
    }
    assert_eq!(process.journal_len().await, 0);
    world
}

#[tokio::test(start_paused = true)]
async fn the_reader_is_called_for_what_it_handles_and_for_nothing_else() {
    let world = busy().await;
    let mut called = BTreeMap::<String, Vec<bool>>::new();
    for record in world.records() {
        let is_called = calls_reader(&record);
        let (new, old) = (&record.change.new_image, &record.change.old_image);
        let passes = worker::passes_filter(text(new, "kind"), text(old, "kind"));
        assert_eq!(is_called, passes, "{record:?}");
        let is_handled = match Record::read(&record).change {
            // Also heads that keep their lease: a pattern cannot compare two images.
            ItemChange::Journal(_) => text(new, "kind") == Some("J"),
            ItemChange::Other => false,
            ItemChange::Resource(_)
            | ItemChange::Member(_)
            | ItemChange::State(_)
            | ItemChange::Occasion(_)
            | ItemChange::Heartbeat(_)
            | ItemChange::Unreadable(_) => true,
        };
        assert_eq!(is_called, is_handled, "{record:?}");
        called
            .entry(partition(&record))
            .or_default()
            .push(is_called);
    }
    for kind in ["B", "C", "E", "I", "L", "N", "P", "S", "S#L", "S#T", "U"] {
        let found = called.remove(kind);
        assert!(found.is_some_and(|found| !found.contains(&true)), "{kind}");
    }
    for kind in ["R", "M", "O"] {
        let found = called.remove(kind);
        assert!(found.is_some_and(|found| !found.contains(&false)), "{kind}");
    }
    // In these partitions only heads of journal entries, states of tenants and the heartbeat call the reader.
    for kind in ["J", "T", "S#H"] {
        let found = called.remove(kind).unwrap();
        assert!(found.contains(&true) && found.contains(&false), "{kind}");
    }
    assert_eq!(called, BTreeMap::new(), "every kind of item is named here");
}
