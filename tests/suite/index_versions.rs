//! Two versions of the service on one table. What a newer version has written is not changed, and
//! queries find resources whose index entries an earlier version has written.
//!
//! The attribute `ix` of a resource is the version of its index entries. A tenant has a version in the
//! item `indexes` of its configuration.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use scim_lambda::http;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::protocol::key::SEPARATOR;
use scim_lambda::provider::{Findings, Repair};
use serde_json::{Value, json};

use crate::support::Server;

const USERS: &str = "T#acme#R#User#0";
const GROUPS: &str = "T#acme#R#Group#0";

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Sets the version of the index entries in the tenant's configuration, and continues with a process
/// that has read it.
async fn set_version(server: &mut Server, version: &Value) {
    let text = AttributeValue::S(version.to_string());
    server
        .tamper("T#acme", "indexes", "SET body = :v", text)
        .await;
    server.router = http::router(server.stack.service());
}

async fn version(server: &Server) -> Option<Value> {
    let items = server.items().await;
    let item = items
        .iter()
        .find(|item| item["sk"].as_s().unwrap() == "indexes")?;
    serde_json::from_str(item["body"].as_s().unwrap()).unwrap()
}

async fn examine(server: &Server, repair: Repair) -> Findings {
    let service = server.stack.service();
    service.provider.examine(&acme(), repair).await.unwrap()
}

/// The resources with this user name, and the calls that it took to find them.
async fn found(server: &Server, user_name: &str) -> (Vec<String>, String) {
    let path =
        format!("/scim/v2/Users?attributes=userName&filter=userName%20eq%20%22{user_name}%22");
    let list = server.send("GET", &path, None).await;
    assert_eq!(list.status, 200, "{}", list.text);
    let found = list.json["Resources"].as_array().unwrap().iter();
    let ids = found.map(|user| user["id"].as_str().unwrap().to_owned());
    let timing = list.header("server-timing");
    let calls = timing.split_once("calls=").unwrap().1;
    (ids.collect(), calls.split(' ').next().unwrap().to_owned())
}

fn bulk(method: &str, path: &str, data: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": method, "bulkId": "1", "path": path, "data": data}],
    })
}

fn patch(operation: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [operation],
    })
}

/// Sends a change and checks that it is refused because of a newer version.
async fn check_left(server: &Server, (method, path): (&str, &str), body: &Value) {
    let body = Some(body).filter(|body| !body.is_null());
    let answer = server.send(method, path, body).await;
    let (status, detail) = match path.ends_with("/Bulk") {
        true => {
            let operation = &answer.json["Operations"][0];
            (
                operation["status"].clone(),
                &operation["response"]["detail"],
            )
        }
        false if path.starts_with("/scim/v1") => {
            let error = &answer.json["Errors"][0];
            (json!(answer.status.to_string()), &error["description"])
        }
        false => (json!(answer.status.to_string()), &answer.json["detail"]),
    };
    assert_eq!(status, "503", "{method} {path}: {}", answer.text);
    let detail = detail.as_str().unwrap();
    assert!(
        detail.contains("newer version"),
        "{method} {path}: {detail}"
    );
    if answer.status == 503 {
        assert_ne!(answer.header("retry-after"), "", "{method} {path}");
    }
}

/// Checks that a resource of a newer version can be read, and that others can be changed and created.
async fn check_others(server: &Server, newer: &str, other: &str, change: &Value) {
    assert_eq!(server.send("GET", newer, None).await.status, 200);
    let other = format!("/scim/v2/Users/{other}");
    let changed = server.send("PATCH", &other, Some(change)).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let eve = json!({"userName": "eve"});
    server.create("/scim/v2/Users", &eve).await;
}

#[tokio::test]
async fn resources_of_a_newer_version_are_left_as_they_are() {
    let server = Server::start().await;
    let ada = json!({"userName": "ada"});
    let user = server.create("/scim/v2/Users", &ada).await;
    let other = server
        .create("/scim/v2/Users", &json!({"userName": "bob"}))
        .await;
    let guides = json!({"displayName": "Guides", "members": [{"value": user}]});
    let group = server.create("/scim/v2/Groups", &guides).await;
    server.tamper(USERS, &user, "SET ix = :v", number(99)).await;
    server
        .tamper(GROUPS, &group, "SET ix = :v", number(99))
        .await;
    let before = server.items().await;

    let title = patch(&json!({"op": "add", "path": "title", "value": "Guide"}));
    let add = patch(&json!({"op": "add", "path": "members", "value": [{"value": other}]}));
    let remove = patch(&json!({"op": "remove", "path": format!("members[value eq \"{user}\"]")}));
    let many: Vec<Value> = (0..200).map(|n| json!({"value": format!("{n}")})).collect();
    let large = patch(&json!({"op": "add", "path": "members", "value": many}));
    let (users, groups) = (format!("/Users/{user}"), format!("/Groups/{group}"));
    let (v2_user, v2_group) = (format!("/scim/v2{users}"), format!("/scim/v2{groups}"));
    let v1_user = format!("/scim/v1{users}");
    let v1_members = json!({"members": [{"value": other}]});
    for (method, path, body) in [
        ("PUT", &*v2_user, &ada),
        ("PATCH", &v2_user, &title),
        ("DELETE", &v2_user, &Value::Null),
        ("PUT", &v2_group, &guides),
        ("PATCH", &v2_group, &add),
        ("PATCH", &v2_group, &remove),
        ("PATCH", &v2_group, &large),
        ("DELETE", &v2_group, &Value::Null),
        ("PUT", &v1_user, &ada),
        ("PATCH", &v1_user, &json!({"title": "Guide"})),
        ("DELETE", &v1_user, &Value::Null),
        ("PATCH", &format!("/scim/v1{groups}"), &v1_members),
        ("POST", "/scim/v2/Bulk", &bulk("PUT", &users, &ada)),
        ("POST", "/scim/v2/Bulk", &bulk("PATCH", &groups, &add)),
        (
            "POST",
            "/scim/v2/Bulk",
            &bulk("DELETE", &groups, &Value::Null),
        ),
    ] {
        check_left(&server, (method, path), body).await;
        assert!(
            server.items().await == before,
            "{method} {path} changed something"
        );
    }

    let findings = examine(&server, Repair::Mend).await;
    assert_eq!((findings.newer, findings.is_mendable()), (2, false));
    assert_eq!((findings.missing, findings.stray), (0, 0));
    assert!(
        server.items().await == before,
        "the doctor changed something"
    );

    check_others(&server, &v2_user, &other, &title).await;
}

#[tokio::test]
async fn a_tenant_of_a_newer_version_is_read_without_its_indexes_and_not_written() {
    let mut server = Server::start().await;
    let ada = json!({"userName": "ada"});
    let user = server.create("/scim/v2/Users", &ada).await;
    assert_eq!(found(&server, "ada").await.1, "2");
    set_version(&mut server, &json!({"version": 99})).await;
    let before = resources(&server).await;
    // As a newer version would find it, whatever its entries are.
    let (ids, _) = found(&server, "ada").await;
    assert_eq!(ids, std::slice::from_ref(&user));
    let path = format!("/scim/v2/Users/{user}");
    for (method, path, body) in [
        ("POST", "/scim/v2/Users", json!({"userName": "bob"})),
        ("POST", "/scim/v2/Groups", json!({"displayName": "Guides"})),
        ("POST", "/scim/v1/Users", json!({"userName": "bob"})),
        (
            "POST",
            "/scim/v2/Bulk",
            bulk("POST", "/Users", &json!({"userName": "bob"})),
        ),
        ("PUT", &path, ada),
        ("DELETE", &path, Value::Null),
    ] {
        check_left(&server, (method, path), &body).await;
    }
    let service = server.stack.service();
    let provider = &service.provider;
    for refused in [
        provider.examine(&acme(), Repair::Mend).await,
        provider.build_indexes(&acme()).await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(provider.finish(&acme()).await.unwrap(), 0);
    assert!(resources(&server).await == before);
}

/// All items but those of the status, which every request may write.
async fn resources(server: &Server) -> Vec<HashMap<String, AttributeValue>> {
    let mut items = server.items().await;
    items.retain(|item| item["pk"] != AttributeValue::S("T#acme#U".to_owned()));
    items
}

/// Replaces the index entries of a user by those that an earlier version would have written: with the
/// name itself, without folding.
async fn make_earlier(server: &Server, id: &str, user_name: &str) {
    let pk = "T#acme#I#User#userName";
    let key = |name: &str| AttributeValue::S(format!("{name}{SEPARATOR}"));
    let table = server.table();
    let delete = table.delete_item().table_name(server.stack.store.table());
    let delete = delete.key("pk", AttributeValue::S(pk.to_owned()));
    delete
        .key("sk", key(&user_name.to_lowercase()))
        .send()
        .await
        .unwrap();
    let sk = format!("{user_name}{SEPARATOR}");
    let id_value = AttributeValue::S(id.to_owned());
    server.tamper(pk, &sk, "SET id = :v", id_value).await;
    server.tamper(USERS, id, "SET ix = :v", number(0)).await;
}

#[tokio::test]
async fn resources_of_an_earlier_version_are_found_and_get_their_entries() {
    let mut server = Server::start().await;
    let mut users = Vec::new();
    for name in ["Ada", "Bob", "Eve"] {
        let user = server
            .create("/scim/v2/Users", &json!({"userName": name}))
            .await;
        make_earlier(&server, &user, name).await;
        users.push(user);
    }
    set_version(&mut server, &json!({"version": 0})).await;
    for (user, name) in users.iter().zip(["ada", "BOB", "Eve"]) {
        assert_eq!(found(&server, name).await.0, std::slice::from_ref(user));
    }
    let looked = examine(&server, Repair::Look).await;
    assert_eq!((looked.earlier, looked.missing, looked.stray), (3, 3, 3));
    assert!(!looked.is_clean() && looked.is_mendable());

    // A change of another attribute writes all entries of its resource.
    let title = patch(&json!({"op": "add", "path": "title", "value": "Guide"}));
    let path = format!("/scim/v2/Users/{}", users[0]);
    assert_eq!(server.send("PATCH", &path, Some(&title)).await.status, 200);
    let looked = examine(&server, Repair::Look).await;
    assert_eq!((looked.earlier, looked.missing, looked.stray), (2, 2, 3));

    // Earlier versions may not write any more before all entries are rewritten.
    let service = server.stack.service();
    let provider = &service.provider;
    let early = provider.build_indexes(&acme()).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Conflict);
    assert!(early.detail().contains("80 seconds"), "{early}");
    let announced = version(&server).await.unwrap();
    assert_eq!(announced["version"], 1);
    assert!(announced["since"].is_u64());
    let rebuilding = json!({"version": 1, "since": 1_000});
    set_version(&mut server, &rebuilding).await;
    assert_eq!(
        found(&server, "bob").await.0,
        std::slice::from_ref(&users[1])
    );

    let service = server.stack.service();
    let built = service.provider.build_indexes(&acme()).await.unwrap();
    assert_eq!((built.earlier, built.missing, built.stray), (2, 2, 3));
    assert_eq!(version(&server).await, Some(json!({"version": 1})));
    server.router = http::router(server.stack.service());
    for (user, name) in users.iter().zip(["ada", "BOB", "Eve"]) {
        let (ids, calls) = found(&server, name).await;
        assert_eq!((ids, &*calls), (vec![user.clone()], "2"));
    }
    assert!(examine(&server, Repair::Look).await.is_clean());
}

#[tokio::test]
async fn a_name_that_two_resources_of_an_earlier_version_share_keeps_queries_from_the_index() {
    let mut server = Server::start().await;
    let mut users = Vec::new();
    for (name, earlier) in [("ada", "ada"), ("ADB", "ADA")] {
        let user = server
            .create("/scim/v2/Users", &json!({"userName": name}))
            .await;
        make_earlier(&server, &user, name).await;
        let items = server.items().await;
        let item = items
            .iter()
            .find(|item| item["sk"].as_s().unwrap() == &user);
        let body = item.unwrap()["body"].as_s().unwrap().replace(name, earlier);
        let body = AttributeValue::S(body);
        server.tamper(USERS, &user, "SET body = :v", body).await;
        users.push(user);
    }
    set_version(&mut server, &json!({"version": 1, "since": 1_000})).await;
    // Each keeps its other values.
    let title = patch(&json!({"op": "add", "path": "title", "value": "Guide"}));
    for user in &users {
        let path = format!("/scim/v2/Users/{user}");
        let answer = server.send("PATCH", &path, Some(&title)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let service = server.stack.service();
    let provider = &service.provider;
    let built = provider.build_indexes(&acme()).await.unwrap();
    assert_eq!(built.conflicts, [format!("User userName {}", users[1])]);
    assert!(version(&server).await.unwrap()["since"].is_u64());
    server.router = http::router(server.stack.service());
    assert_eq!(found(&server, "ada").await.0, users);
}
