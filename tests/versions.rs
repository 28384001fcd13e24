//! Conditions hold at the moment of the write, and names of resources are exact
//! (RFC 7644 §3.14, RFC 7643 §3.1).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use axum::body::Body;
use futures_util::future::join_all;
use serde_json::{Value, json};
use support::{Answer, Server};

const USERS: &str = "/scim/v2/Users";

fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
    })
}

fn replace(path: &str, value: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": path, "value": value}],
    })
}

/// Eight changes at the same time, all of the version that the resource has.
async fn change_at_once(server: &Server, path: &str, attribute: &str) -> Vec<Answer> {
    let version = server.send("GET", path, None).await;
    let version = version.header("etag").to_owned();
    let changes = (0..8).map(|number| {
        let request = server.request("PATCH", path).header("If-Match", &version);
        let body = replace(attribute, &format!("value {number}"));
        server.answer(request.body(Body::from(body.to_string())).unwrap())
    });
    join_all(changes).await
}

#[tokio::test]
async fn of_changes_of_one_version_at_the_same_time_one_takes_place() {
    let server = Server::start().await;
    let check = async |path: String, attribute: &str| {
        let answers = change_at_once(&server, &path, attribute).await;
        let done = |answer: &&Answer| answer.status == 200;
        let changed: Vec<_> = answers.iter().filter(done).collect();
        let [changed] = changed.as_slice() else {
            panic!("{} of the changes took place", changed.len());
        };
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.check_error(412, None);
        }
        let now = server.send("GET", &path, None).await;
        assert_eq!(now.json[attribute], changed.json[attribute]);
    };
    let user = server.create(USERS, &user("bjensen")).await;
    let group = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Tour Guides",
        "members": [{"value": user}],
    });
    let group = server.create("/scim/v2/Groups", &group).await;
    check(format!("{USERS}/{user}"), "title").await;
    check(format!("/scim/v2/Groups/{group}"), "displayName").await;
}

#[tokio::test]
async fn a_name_that_many_want_at_the_same_time_goes_to_one() {
    let server = Server::start().await;
    let body = user("bjensen");
    let creations = (0..8).map(|_| server.send("POST", USERS, Some(&body)));
    let answers = join_all(creations).await;
    let created = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(created.count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.check_error(409, Some("uniqueness"));
    }
}

#[tokio::test]
async fn ids_are_all_different_and_exact() {
    let server = Server::start().await;
    let mut ids = BTreeSet::new();
    for number in 0..50 {
        let id = server.create(USERS, &user(&number.to_string())).await;
        assert!(!id.to_lowercase().contains("bulkid"), "{id}");
        let upper = format!("{USERS}/{}", id.to_uppercase());
        server
            .send("GET", &upper, None)
            .await
            .check_error(404, None);
        assert!(ids.insert(id));
    }
}
