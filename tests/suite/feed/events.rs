//! Which events the changes of a directory become.

use std::sync::Arc;

use scim_lambda::feed::lifecycle;
use scim_lambda::protocol::profile::EventValues;
use serde_json::{Value, json};

use super::{everything, follow, store, types};
use crate::simulation::{Fault, World, add, user};

fn set(path: &str, value: &Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

#[tokio::test(start_paused = true)]
async fn changes_become_events_in_order() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let ada = process.user("ada").await;
    let changes = [
        ("title", json!("Tour Guide")),
        ("active", json!(false)),
        ("active", json!(true)),
        ("userName", json!("jensen")),
    ];
    for (path, value) in changes {
        process
            .patch("User", &ada, set(path, &value))
            .await
            .unwrap();
    }
    let guides = process.group("Guides", &[]).await;
    let members = add(std::slice::from_ref(&ada));
    process.patch("Group", &guides, members).await.unwrap();
    process.delete("User", &ada).await.unwrap();
    let handled = follow(&world).await;
    assert_eq!(handled.appended.len(), 1);
    assert_eq!((handled.failed_from, handled.set_aside), (None, Vec::new()));
    let events = everything(&process).await;
    let expected = [
        "feed.started",
        "user.created",
        "user.updated",
        "user.deactivated",
        "user.activated",
        "user.renamed",
        "group.created",
        // When the record of the new membership is handled, the user is deleted already.
        "group.member.removed",
        "user.deleted",
        "group.member.removed",
    ];
    assert_eq!(types(&events), expected);
    let renamed = events[5].to_json();
    assert_eq!(renamed["tenant"], "acme");
    assert_eq!(renamed["time"], "2023-11-14T22:13:20.000Z");
    assert_eq!(
        renamed["resource"],
        json!({"type": "User", "id": ada, "version": 5, "externalId": "external-ada"})
    );
    assert_eq!(
        renamed["changes"],
        json!({"userName": {"before": "ada", "after": "jensen"}})
    );
    assert_eq!(renamed["cause"]["request"], process.cause.request.as_str());
    assert_eq!(events[0].to_json()["detail"], json!({"complete": false}));
    assert_eq!(events[0].to_json()["cause"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_begins_with_its_tenant_is_complete() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    lifecycle::create(&store(&process)).await.unwrap();
    lifecycle::create(&store(&process)).await.unwrap();
    process.user("ada").await;
    follow(&world).await;
    let events = everything(&process).await;
    assert_eq!(types(&events), ["feed.started", "user.created"]);
    assert_eq!(events[0].to_json()["detail"], json!({"complete": true}));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_may_keep_values_out_of_its_feed() {
    let world = Arc::new(World::new().await);
    world
        .set_rules(|rules| rules.switches.event_values = EventValues::Names)
        .await;
    let process = world.process();
    let mut ada = user("ada");
    ada["externalId"] = json!("4711-external");
    process.post("User", ada).await.unwrap();
    follow(&world).await;
    let created = everything(&process).await[1].to_json();
    assert_eq!(created["changes"]["userName"], json!({}));
    assert_eq!(created["changes"]["externalId"], json!({}));
    let text = created.to_string();
    assert!(
        !text.contains("\"ada\"") && !text.contains("4711-external"),
        "{text}"
    );
}

/// The function remembers configurations for a minute, and a record may be newer than what it remembers.
#[tokio::test(start_paused = true)]
async fn an_attribute_that_was_registered_just_now_is_in_the_event() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    process.user("ada").await;
    let instance = super::Instance::new(&world);
    instance.handle(&super::records(&world)).await;
    let tenant = crate::simulation::tenant();
    let urn = "urn:example:schemas:Badge";
    let attribute = json!({"name": "colour", "type": "string", "multiValued": false,
        "required": false, "caseExact": false, "mutability": "readWrite", "returned": "default",
        "uniqueness": "none", "description": "Its colour"});
    let schema = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn,
        "name": "Badge", "description": "A badge", "attributes": [attribute]});
    let types = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "name": "Badge", "endpoint": "/Badges", "description": "A badge", "schema": urn});
    process.provider.add_schema(&tenant, &schema).await.unwrap();
    process
        .provider
        .add_resource_type(&tenant, &types)
        .await
        .unwrap();
    let badge = json!({"schemas": [urn], "colour": "red"});
    process.post("Badge", badge).await.unwrap();
    instance.handle(&super::records(&world)).await;
    let created = everything(&process).await[2].to_json();
    assert_eq!(created["type"], "badge.created");
    assert_eq!(created["changes"]["colour"], json!({"after": "red"}));
}

/// The items of its memberships are removed after the resource, so they may still be there.
#[tokio::test(start_paused = true)]
async fn a_deleted_user_is_no_member_wherever_the_deleting_process_dies() {
    let mut deletions = 0;
    for number in 0.. {
        let world = Arc::new(World::new().await);
        let process = world.process();
        let users = process.users("member", 1).await;
        follow(&world).await;
        process.group("Guides", &users).await;
        let dying = world.process();
        dying
            .line
            .plan(move |call| (call.number == number).then_some(Fault::KillAfter));
        let ended = dying.delete("User", &users[0]).await;
        follow(&world).await;
        let events = everything(&process).await;
        let (is_deleted, is_member) = (
            types(&events).contains(&"user.deleted"),
            types(&events).contains(&"group.member.added"),
        );
        assert_ne!(is_deleted, is_member, "{number}: {:?}", types(&events));
        deletions += u32::from(is_deleted);
        if ended.is_ok() {
            break;
        }
    }
    assert!(deletions > 1, "a process died behind the deletion");
}
