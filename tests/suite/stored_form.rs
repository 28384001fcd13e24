//! A table with attributes and kinds of items that only a later version of the service knows. Writes
//! keep them.
//!
//! `src/store/items/tests.rs` has the tests of single items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use scim_lambda::identity::TenantId;
use scim_lambda::provider::Repair;
use serde_json::{Value, json};

use crate::support::Server;

type Item = HashMap<String, AttributeValue>;

const LATER: &str = include_str!("../data/later-table.json");
const ADA: &str = "/scim/v2/Users/01900000-0000-7000-8000-00000000000a";
const BOB: &str = "01900000-0000-7000-8000-00000000000b";
const GUIDES: &str = "/scim/v2/Groups/01900000-0000-7000-8000-00000000000c";

/// A service on that table.
async fn start() -> Server {
    let mut server = Server::start().await;
    server.put_items(LATER).await;
    server
}

/// The attributes that a later version has added to items, by key.
async fn later(server: &Server) -> HashMap<[String; 2], Item> {
    let items = server.items().await.into_iter();
    let later = items.map(|mut item| {
        let key = ["pk", "sk"].map(|name| item[name].as_s().unwrap().clone());
        item.retain(|name, _| name.starts_with("later"));
        (key, item)
    });
    later.filter(|(_, item)| !item.is_empty()).collect()
}

async fn send(server: &Server, method: &str, path: &str, body: &Value) {
    let body = Some(body).filter(|body| !body.is_null());
    let answer = server.send(method, path, body).await;
    assert!(answer.status < 300, "{method} {path}: {}", answer.text);
}

fn patch(operations: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    })
}

#[tokio::test]
async fn requests_keep_attributes_of_a_later_version() {
    let server = start().await;
    let before = later(&server).await;
    assert_eq!(before.len(), 20);
    let list = server.send("GET", "/scim/v2/Users?filter=userName+eq+%22ADA%22", None);
    assert_eq!(list.await.json["totalResults"], 1);

    let title = json!([{"op": "add", "path": "title", "value": "Guide"}]);
    send(&server, "PATCH", ADA, &patch(&title)).await;
    let bob = format!("/scim/v2/Users/{BOB}");
    send(
        &server,
        "PUT",
        &bob,
        &json!({"userName": "bob", "title": "Cook"}),
    )
    .await;
    let v1 = format!("/scim/v1/Users/{BOB}");
    send(&server, "PATCH", &v1, &json!({"title": "Guide"})).await;
    let add = json!([{"op": "add", "path": "members", "value": [{"value": BOB}]}]);
    send(&server, "PATCH", GUIDES, &patch(&add)).await;
    let body = json!([{"op": "add", "path": "externalId", "value": "g"}]);
    send(&server, "PATCH", GUIDES, &patch(&body)).await;
    let large: Vec<Value> = (0..40)
        .map(|n| json!({"userName": format!("user{n}")}))
        .collect();
    let mut members = Vec::new();
    for user in &large {
        members.push(json!({"value": server.create("/scim/v2/Users", user).await}));
    }
    let add = json!([{"op": "add", "path": "members", "value": members}]);
    send(&server, "PATCH", GUIDES, &patch(&add)).await;
    let provider = &server.stack.service().provider;
    let acme = TenantId::parse("acme").unwrap();
    let mut rules = provider.rules(&acme).await.unwrap();
    assert_eq!(rules.switches.max_count, 500);
    rules.switches.max_count = 400;
    provider.set_rules(&acme, &rules).await.unwrap();
    provider.finish(&acme).await.unwrap();
    provider.examine(&acme, Repair::Mend).await.unwrap();
    assert_eq!(later(&server).await, before);

    // A whole new list replaces the current set by a new one.
    let list = json!({"displayName": "Guides", "members": members});
    send(&server, "PUT", GUIDES, &list).await;
    // A deletion removes what was added to the deleted items, and nothing else.
    send(&server, "DELETE", ADA, &Value::Null).await;
    let mut after = before;
    after.retain(|[pk, sk], _| {
        let is_of_ada =
            sk.contains(&ADA[16..]) || (pk.ends_with("userName") && sk.starts_with("ada"));
        !is_of_ada
    });
    assert_eq!(later(&server).await, after);
}
