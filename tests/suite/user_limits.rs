//! `emailDomains` and `protectedUsers`, by every way in which a user can change.

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::protocol::profile::Rules;
use serde_json::{Value, json};

use crate::feed::{everything, follow, types};
use crate::simulation::{Fault, World};
use crate::support::Server;

const USERS: &str = "/scim/v2/Users";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

fn set(path: &str, value: &Value) -> Value {
    json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": path, "value": value}]})
}

fn bulk(method: &str, path: &str, data: &Value) -> Value {
    let operation = json!({"method": method, "path": path, "bulkId": "b", "data": data});
    json!({"schemas": [BULK], "Operations": [operation]})
}

async fn server(change: impl FnOnce(&mut Rules)) -> Server {
    let mut rules = Rules::default();
    change(&mut rules);
    Server::with_rules(&rules).await
}

/// Adds to the rules of `acme`, and begins anew, so that they count at once.
async fn change_rules(server: &mut Server, change: impl FnOnce(&mut Rules)) {
    let tenant = scim_lambda::identity::TenantId::parse("acme").unwrap();
    let service = server.stack.service();
    let mut rules = service.provider.rules(&tenant).await.unwrap();
    change(&mut rules);
    service.provider.set_rules(&tenant, &rules).await.unwrap();
    server.router = scim_lambda::http::router(service);
}

#[tokio::test]
async fn users_of_other_domains_are_refused_in_every_view() {
    let server =
        server(|rules| rules.switches.email_domains = vec!["example.com".to_owned()]).await;
    let ada = json!({"userName": "ada@home.net"});
    let refused = server.send("POST", USERS, Some(&ada)).await;
    refused.check_error(400, Some("invalidValue"));
    let detail = "`userName` must be an address of example.com";
    assert_eq!(refused.json["detail"], detail);
    for path in ["/scim/v1/Users", "/v2/acme/scim/Users"] {
        let refused = server.send("POST", path, Some(&ada)).await;
        refused.check_error_v1(400);
        assert!(refused.text.contains(detail), "{}", refused.text);
    }
    let many = bulk("POST", "/Users", &ada);
    let answer = server.send("POST", "/scim/v2/Bulk", Some(&many)).await;
    assert_eq!(answer.json["Operations"][0]["status"], "400");
    let list = server.send("GET", USERS, None).await;
    assert_eq!(list.json["totalResults"], 0);

    let id = server
        .create(USERS, &json!({"userName": "ada@Example.com"}))
        .await;
    let path = format!("{USERS}/{id}");
    let moved = json!([{"value": "ada@home.net", "primary": true}]);
    for (method, body) in [
        ("PATCH", set("userName", &json!("ada@home.net"))),
        ("PATCH", set("emails", &moved)),
        ("PUT", ada),
        (
            "PUT",
            json!({"userName": "ada@example.com", "emails": moved}),
        ),
    ] {
        let refused = server.send(method, &path, Some(&body)).await;
        refused.check_error(400, Some("invalidValue"));
    }
    let v1 = format!("/scim/v1/Users/{id}");
    let renamed = json!({"userName": "a@home.net"});
    let refused = server.send("PATCH", &v1, Some(&renamed)).await;
    refused.check_error_v1(400);
    assert_eq!(
        server.send("GET", &path, None).await.json["meta"]["version"],
        "W/\"1\""
    );
}

#[tokio::test]
async fn users_from_before_the_switch_can_be_changed() {
    let mut server = Server::start().await;
    let user = json!({"userName": "ada@home.net", "emails": [{"value": "ada@home.net"}]});
    let path = format!("{USERS}/{}", server.create(USERS, &user).await);
    change_rules(&mut server, |rules| {
        rules.switches.email_domains = vec!["example.com".to_owned()];
    })
    .await;
    for (attribute, value) in [("title", json!("Guide")), ("active", json!(false))] {
        let changed = server
            .send("PATCH", &path, Some(&set(attribute, &value)))
            .await;
        assert_eq!(changed.status, 200, "{}", changed.text);
    }
    let changed = server.send("PUT", &path, Some(&user)).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let renamed = set("userName", &json!("ada@elsewhere.net"));
    let refused = server.send("PATCH", &path, Some(&renamed)).await;
    refused.check_error(400, Some("invalidValue"));
}

#[tokio::test]
async fn a_protected_user_keeps_its_access_in_every_view() {
    let mut server = Server::start().await;
    let id = server.create(USERS, &json!({"userName": "ada"})).await;
    let other = server.create(USERS, &json!({"userName": "bob"})).await;
    change_rules(&mut server, |rules| {
        rules.switches.protected_users = vec![id.clone()];
    })
    .await;
    let path = format!("{USERS}/{id}");
    let inactive = json!({"userName": "ada", "active": false});
    for (method, body) in [
        ("PATCH", Some(set("active", &json!(false)))),
        ("PATCH", Some(set("active", &json!("False")))),
        ("PUT", Some(inactive.clone())),
        ("DELETE", None),
    ] {
        let refused = server.send(method, &path, body.as_ref()).await;
        refused.check_error(403, None);
        assert!(refused.text.contains("protected"), "{}", refused.text);
    }
    for base in ["/scim/v1", "/v2/acme/scim"] {
        let path = format!("{base}/Users/{id}");
        for (method, body) in [
            ("PATCH", Some(json!({"active": false}))),
            ("PUT", Some(inactive.clone())),
            ("DELETE", None),
        ] {
            let refused = server.send(method, &path, body.as_ref()).await;
            refused.check_error_v1(403);
        }
    }
    check_bulk_is_refused(&server, &id, &inactive).await;
    let kept = server.send("GET", &path, None).await;
    assert_eq!(kept.json["meta"]["version"], "W/\"1\"", "{}", kept.text);
    // Everything else can change, also of groups that it is in, and other users can be deleted.
    let group = json!({"displayName": "Guides", "members": [{"value": id}]});
    let group = format!(
        "/scim/v2/Groups/{}",
        server.create("/scim/v2/Groups", &group).await
    );
    assert_eq!(server.send("DELETE", &group, None).await.status, 204);
    let renamed = set("userName", &json!("ada.lovelace"));
    assert_eq!(
        server.send("PATCH", &path, Some(&renamed)).await.status,
        200
    );
    let other = format!("{USERS}/{other}");
    assert_eq!(server.send("DELETE", &other, None).await.status, 204);
    change_rules(&mut server, |rules| rules.switches.protected_users.clear()).await;
    assert_eq!(server.send("DELETE", &path, None).await.status, 204);
}

/// No operation of a bulk request takes the access of the user away.
async fn check_bulk_is_refused(server: &Server, id: &str, inactive: &Value) {
    let path = format!("/Users/{id}");
    let operations = [
        bulk("PATCH", &path, &set("active", &json!(false))),
        bulk("PUT", &path, inactive),
        bulk("DELETE", &path, &Value::Null),
    ];
    for operation in operations {
        let answer = server.send("POST", "/scim/v2/Bulk", Some(&operation)).await;
        let status = &answer.json["Operations"][0]["status"];
        assert_eq!(status, "403", "{}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn the_feed_reports_a_refused_attempt_once_an_hour() {
    let world = Arc::new(World::new().await);
    let id = world.process().user("ada").await;
    let protected = id.clone();
    world
        .set_rules(|rules| rules.switches.protected_users = vec![protected])
        .await;
    let process = world.process();
    let deactivate = json!([{"op": "replace", "path": "active", "value": false}]);
    let refused = async |removal: &str| {
        let error = match removal {
            "deletion" => process.delete("User", &id).await.unwrap_err(),
            _ => process
                .patch("User", &id, deactivate.clone())
                .await
                .unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Forbidden);
    };
    for removal in ["deletion", "deletion", "deactivation"] {
        refused(removal).await;
    }
    world.jump(Duration::from_secs(3_600));
    refused("deactivation").await;
    for _ in 0..2 {
        follow(&world).await;
        let events = everything(&process).await;
        assert_eq!(
            types(&events),
            [
                "feed.started",
                "user.created",
                "user.protected",
                "user.protected"
            ]
        );
        let said: Vec<Value> = events[2..]
            .iter()
            .map(scim_lambda::feed::Event::to_json)
            .collect();
        assert_eq!(said[0]["resource"], json!({"type": "User", "id": id}));
        assert_eq!(said[0]["detail"], json!({"refused": "deletion"}));
        assert_eq!(said[1]["detail"], json!({"refused": "deactivation"}));
        assert_eq!(said[0]["cause"]["credential"], "1");
    }
    // The request is refused also if the table does not take the report.
    world.jump(Duration::from_secs(3_600));
    process
        .line
        .plan(|call| (call.operation == "PutItem").then_some(Fault::LoseRequest));
    refused("deletion").await;
    process.get("User", &id).await.unwrap();
}
