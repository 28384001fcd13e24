//! How a resource of any type ends: by a tombstone that says who has deleted it, and as which version.
//! Then the tombstone is removed.

use scim_lambda::identity::Cause;
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::store::resource_cause;
use serde_json::{Value, json};

use crate::simulation::{Fault, World, group, id, kind, tenant, user};

const ROOM: &str = "urn:example:params:scim:schemas:Room";

/// A resource of every type, a registered one among them, with unique values where the type has some.
fn bodies() -> [(&'static str, Value); 5] {
    [
        ("User", user("bjensen")),
        ("Group", group("Guides", &[])),
        ("Device", json!({"name": "laptop"})),
        (
            "Role",
            json!({"name": "Reader", "scopes": ["users:read", "access:api"]}),
        ),
        ("Room", json!({"schemas": [ROOM], "number": "4711"})),
    ]
}

async fn world() -> World {
    let world = World::new().await;
    let provider = world.process().provider;
    let schema = json!({"id": ROOM, "name": "Room", "attributes": [
        {"name": "number", "type": "string", "uniqueness": "server"},
    ]});
    provider.add_schema(&tenant(), &schema).await.unwrap();
    let rooms = json!({"name": "Room", "endpoint": "/Rooms", "schema": ROOM});
    let registered = provider.add_resource_type(&tenant(), &rooms).await;
    registered.unwrap();
    world
}

/// The item of a resource.
fn item_of(world: &World, kind: &str, id: &str) -> Option<Value> {
    let partition = format!("T#acme#R#{kind}#0");
    let mut items = world.items().into_iter();
    items.find(|item| item["pk"]["S"] == *partition && item["sk"]["S"] == *id)
}

fn cause(item: &Value) -> Option<Cause> {
    resource_cause(item["rid"]["S"].as_str()?, item["by"]["S"].as_str()?)
}

/// What a writer that was killed has left of the resource that it deletes.
#[derive(Debug, PartialEq)]
enum Left {
    Resource,
    Tombstone,
    Nothing,
}

fn left(item: Option<&Value>) -> Left {
    match item {
        None => Left::Nothing,
        Some(item) if item["del"].is_null() => Left::Resource,
        Some(_) => Left::Tombstone,
    }
}

#[tokio::test(start_paused = true)]
async fn every_type_ends_with_a_tombstone_wherever_its_writer_dies() {
    let template = world().await;
    for (kind, body) in bodies() {
        for death in [Fault::Kill, Fault::KillAfter] {
            let mut met = Vec::new();
            let mut number = 0;
            while !dies_at(&template, kind, &body, death, number, &mut met).await {
                number += 1;
            }
            let all = [Left::Resource, Left::Tombstone, Left::Nothing];
            assert!(all.iter().all(|left| met.contains(left)), "{kind}: {met:?}");
        }
    }
}

/// Deletes a resource with a process that dies at one call; returns whether it ended before that call.
async fn dies_at(
    template: &World,
    kind: &str,
    body: &Value,
    death: Fault,
    number: u64,
    met: &mut Vec<Left>,
) -> bool {
    let world = template.copy();
    let maker = world.process();
    let resource = id(&maker.post(kind, body.clone()).await.unwrap());
    let writer = world.process();
    writer
        .line
        .plan(move |call| (call.number == number).then_some(death));
    let deleted = writer.delete(kind, &resource).await;
    let is_dead = writer.line.is_dead();

    let place = format!("{kind}: {death:?} at {number}");
    let item = item_of(&world, kind, &resource);
    let left = left(item.as_ref());
    let reader = world.process();
    let is_seen = reader.get(kind, &resource).await.is_ok();
    assert_eq!(is_seen, left == Left::Resource, "{place}");
    let total = reader.total(kind).await;
    assert_eq!(total, u64::from(left == Left::Resource), "{place}");
    match (&left, &item) {
        (Left::Resource, Some(item)) => {
            assert_eq!(item["v"]["N"], "1", "{place}");
            assert_eq!(cause(item), Some(maker.cause), "{place}");
        }
        (Left::Tombstone, Some(item)) => {
            assert_eq!(item["v"]["N"], "2", "{place}");
            assert_eq!(cause(item), Some(writer.cause), "{place}");
        }
        _ => assert!(
            left == Left::Nothing && (is_dead || deleted.is_ok()),
            "{place}"
        ),
    }
    if left != Left::Resource {
        // Its unique values are free at once.
        let again = world.copy().process().post(kind, body.clone()).await;
        assert!(again.is_ok(), "{place}: {again:?}");
    }

    world.finish().await;
    let is_there = item_of(&world, kind, &resource).is_some();
    assert_eq!(is_there, left == Left::Resource, "{place}");
    world.check().await;
    met.push(left);
    !is_dead
}

#[tokio::test(start_paused = true)]
async fn a_repeated_delete_removes_the_tombstone_of_any_type() {
    let template = world().await;
    for (kind_name, body) in bodies() {
        let world = template.copy();
        let resource = id(&world.process().post(kind_name, body).await.unwrap());
        let writer = world.process();
        writer
            .line
            .plan(|call| (call.operation == "TransactWriteItems").then_some(Fault::KillAfter));
        writer.delete(kind_name, &resource).await.unwrap_err();
        assert_eq!(
            left(item_of(&world, kind_name, &resource).as_ref()),
            Left::Tombstone
        );
        let process = world.process();
        process.delete(kind_name, &resource).await.unwrap();
        assert_eq!(item_of(&world, kind_name, &resource), None, "{kind_name}");
        let again = process.delete(kind_name, &resource).await;
        assert_eq!(kind(again), ErrorKind::NotFound);
        world.check().await;
    }
}
