//! Faults in a table that the doctor finds and repairs.

use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::provider::{Findings, Repair};
use serde_json::{Value, json};

use crate::simulation::{World, group, kind, tenant};

async fn examine(world: &World, repair: Repair) -> Findings {
    let process = world.process();
    process.provider.examine(&tenant(), repair).await.unwrap()
}

/// The key of the first item in a partition.
fn first(world: &World, pk: &str) -> Value {
    let items = world.items();
    let mut keys = items.iter().filter(|item| item["pk"]["S"] == pk);
    let item = keys.next().unwrap();
    json!({"pk": item["pk"], "sk": item["sk"]})
}

fn set(world: &World, key: &Value, expression: &str, value: &str) {
    world.tamper(
        "UpdateItem",
        &json!({"TableName": "scim", "Key": key, "UpdateExpression": expression,
               "ExpressionAttributeValues": {":v": {"N": value}}}),
    );
}

#[tokio::test(start_paused = true)]
async fn entries_and_counts_are_repaired() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 5).await;
    let guides = process.group("Guides", &users[..3]).await;
    assert!(examine(&world, Repair::Look).await.is_clean());

    let group = json!({"pk": {"S": "T#acme#R#Group#0"}, "sk": {"S": guides}});
    set(&world, &group, "SET about = :v", "7");
    // The number of members is approximate by design, so a difference is reported but is no fault.
    let approximate = examine(&world, Repair::Look).await;
    assert_eq!(approximate.members, [(guides.clone(), 7, 3)]);
    assert!(approximate.is_clean());

    let entry = first(&world, "T#acme#I#User#externalId");
    world.tamper("DeleteItem", &json!({"TableName": "scim", "Key": entry}));
    world.tamper(
        "PutItem",
        &json!({"TableName": "scim", "Item": {"pk": {"S": "T#acme#I#User#emails.value"},
               "sk": {"S": format!("nobody\u{1f}{}", users[0])}, "id": {"S": users[0]}}}),
    );
    set(&world, &first(&world, "T#acme#C#User"), "ADD n :v", "2");

    let looked = examine(&world, Repair::Look).await;
    assert_eq!((looked.missing, looked.stray), (1, 1));
    assert_eq!(looked.totals, [("User".to_owned(), 7, 5)]);
    assert_eq!(looked.members, [(guides.clone(), 7, 3)]);
    assert_eq!(examine(&world, Repair::Mend).await, looked);
    let after = examine(&world, Repair::Look).await;
    assert!(after.is_clean() && after.members.is_empty(), "{after:?}");
    assert_eq!(process.total("User").await, 5);
    let found = process.list("User", "filter=externalId+eq+%22external-user-0%22");
    assert_eq!(found.await.unwrap()["totalResults"], 1);
}

#[tokio::test(start_paused = true)]
async fn existing_names_are_claimed_and_shared_ones_reported() {
    let world = World::new().await;
    let process = world.process();
    process.group("One", &[]).await;
    process.group("Two", &[]).await;
    let others = [
        process.group("Two", &[]).await,
        process.group("Two", &[]).await,
    ];
    world
        .set_rules(|rules| rules.switches.unique_group_display_name = true)
        .await;
    let mended = examine(&world, Repair::Mend).await;
    assert_eq!(mended.conflicts.len(), 2, "{mended:?}");
    assert!(mended.conflicts[0].starts_with("Group displayName"));
    assert!(!mended.is_mendable());
    let process = world.process();
    let taken = process.post("Group", group("One", &[])).await;
    assert_eq!(
        kind(taken),
        scim_lambda::protocol::error::ErrorKind::Uniqueness
    );
    // The resources that do not hold the name can give it up, and it stays taken.
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Three"}]);
    process.patch("Group", &others[0], rename).await.unwrap();
    process.delete("Group", &others[1]).await.unwrap();
    let taken = process.post("Group", group("Two", &[])).await;
    assert_eq!(kind(taken), ErrorKind::Uniqueness);
    examine(&world, Repair::Mend).await;
    assert!(examine(&world, Repair::Look).await.is_clean());
}

/// A role in the form in which `tenant add-roles` created it in earlier versions.
#[tokio::test(start_paused = true)]
async fn a_role_without_id_is_read_with_one_and_repaired() {
    let world = World::new().await;
    let process = world.process();
    let made = process.provider.add_own_roles(&tenant()).await.unwrap();
    let id = &made[2].1;
    let key = json!({"pk": {"S": "T#acme#R#Role#0"}, "sk": {"S": id}});
    let text = || {
        let items = world.items();
        let item = items.iter().find(|item| item["sk"] == key["sk"]).unwrap();
        item["body"]["S"].as_str().unwrap().to_owned()
    };
    let whole = text();
    let member = format!("\"id\":\"{id}\",");
    assert_eq!(whole.matches(&member).count(), 1, "{whole}");
    world.tamper(
        "UpdateItem",
        &json!({"TableName": "scim", "Key": key, "UpdateExpression": "SET body = :v",
               "ExpressionAttributeValues": {":v": {"S": whole.replace(&member, "")}}}),
    );
    let query = format!("filter=id+eq+%22{id}%22");
    let before = process.list("Role", &query).await.unwrap();
    assert_eq!(before["totalResults"], 1);
    assert_eq!(before["Resources"][0]["id"], **id);
    assert_eq!(process.get("Role", id).await.unwrap()["id"], **id);
    let everyone = process.list("Role", "sortBy=id").await.unwrap();
    assert_eq!(everyone["totalResults"], 3);

    let looked = examine(&world, Repair::Look).await;
    assert_eq!((looked.without_id, looked.is_clean()), (1, false));
    assert_eq!(examine(&world, Repair::Mend).await, looked);
    assert!(examine(&world, Repair::Look).await.is_clean());
    assert_eq!(text(), whole);
    // Clients see no change.
    assert_eq!(process.list("Role", &query).await.unwrap(), before);
}
