//! `tenant.show`: what a settings page shows of one tenant.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use scim_lambda::identity::TenantId;
use scim_lambda::worker::Worker;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admin::{Fixture, error};
use crate::tenancy::{router, send};
use crate::worker::Kept;

const USERS: &str = "/scim/v2/Users";

impl Fixture {
    async fn show(&self, tenant: &str) -> Value {
        let answer = self.ask(json!({"op": "tenant.show", "tenant": tenant}));
        Self::ok(answer.await)
    }

    /// A new credential of a tenant, with its token.
    async fn issue(&self, tenant: &str, label: &str) -> Value {
        let create = json!({"op": "credential.create", "tenant": tenant, "label": label});
        Self::ok(self.ask(create).await)
    }
}

/// When a credential of a shown tenant was last used; `None` if the tenant does not have it.
fn used(shown: &Value, id: &Value) -> Option<Value> {
    let credentials = shown["credentials"].as_array().unwrap();
    let found = credentials.iter().find(|each| each["id"] == *id);
    found.map(|credential| credential["lastUsed"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_new_tenant_has_urls_and_rules_and_nothing_has_happened_in_it() {
    let fixture = Fixture::new().await;
    let create = json!({"op": "tenant.create", "tenant": "initech", "profile": "strict"});
    let created = Fixture::ok(fixture.ask(create).await);
    let shown = fixture.show("initech").await;
    let base = "https://directory.example.com";
    let urls = json!({
        "tenantScim2": format!("{base}/t/initech/scim/v2"), "tenantScim1": format!("{base}/t/initech/scim/v1"),
        "scim2": format!("{base}/scim/v2"), "scim1": format!("{base}/scim/v1"),
        "ionic": format!("{base}/v2/initech/scim"),
    });
    assert_eq!(shown["urls"], urls);
    assert_eq!(created["urls"], urls);
    assert_eq!(
        (&shown["state"], &shown["profile"]),
        (&json!("active"), &json!("strict"))
    );
    assert!(shown["switches"]["maxCount"].is_number(), "{shown}");
    assert_eq!(shown["users"], json!({"total": 0, "active": 0}));
    assert_eq!(
        (&shown["groups"], &shown["credentials"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(
        (&shown["firstRequest"], &shown["lastRequest"]),
        (&Value::Null, &Value::Null)
    );
    let nothing = json!({"user": null, "group": null, "membership": null, "deactivation": null});
    assert_eq!(
        (&shown["milestones"], &shown["refusals"]["statuses"]),
        (&nothing, &json!({}))
    );

    let answer = fixture
        .ask(json!({"op": "tenant.show", "tenant": "nobody"}))
        .await;
    assert_eq!(error(&answer).0, "unknown");
}

/// Each URL leads to the tenant, and those with its name refuse the token of another one.
#[tokio::test(start_paused = true)]
async fn the_urls_with_the_name_of_a_tenant_are_for_its_own_credentials() {
    let fixture = Fixture::new().await;
    for tenant in ["initech", "umbrella"] {
        let create = json!({"op": "tenant.create", "tenant": tenant});
        Fixture::ok(fixture.ask(create).await);
    }
    let own = fixture.issue("initech", "own").await;
    let other = fixture.issue("umbrella", "other").await;
    let router = router(&fixture, fixture.world.process().provider);
    let urls = fixture.show("initech").await["urls"].take();
    let get = async |member: &str, issued: &Value| {
        let url = urls[member].as_str().unwrap();
        let path = url.strip_prefix("https://directory.example.com").unwrap();
        let token = issued["token"].as_str().unwrap();
        let path = format!("{path}/Users");
        send(&router, token, "GET", &path, &Value::Null)
            .await
            .status
    };
    for (member, for_others) in [
        ("tenantScim2", 401),
        ("tenantScim1", 401),
        ("ionic", 401),
        ("scim2", 200),
        ("scim1", 200),
    ] {
        let answered = (get(member, &own).await, get(member, &other).await);
        assert_eq!(answered, (200, for_others), "{member}");
    }
    assert_eq!(urls.as_object().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_in_use_shows_counts_uses_milestones_and_refusals() {
    let fixture = Fixture::new().await;
    let create = json!({"op": "tenant.create", "tenant": "initech"});
    Fixture::ok(fixture.ask(create).await);
    let (old, new) = (
        fixture.issue("initech", "old").await,
        fixture.issue("initech", "new").await,
    );
    let router = router(&fixture, fixture.world.process().provider);
    let token = old["token"].as_str().unwrap();
    let ask = async |method: &str, path: &str, body: Value| {
        send(&router, token, method, path, &body).await
    };
    let name = |name: &str| json!({"userName": name});
    let ada = ask("POST", USERS, name("ada")).await;
    assert_eq!(ada.status, 201, "{}", ada.text);
    for (user, status) in [("bob", 201), ("ada", 409), ("ada", 409)] {
        assert_eq!(ask("POST", USERS, name(user)).await.status, status);
    }
    let group = json!({"displayName": "Guides", "members": [{"value": ada.json["id"]}]});
    assert_eq!(ask("POST", "/scim/v2/Groups", group).await.status, 201);
    let path = format!("{USERS}/{}", ada.json["id"].as_str().unwrap());
    let leaver = json!({"userName": "ada", "active": false});
    assert_eq!(ask("PUT", &path, leaver).await.status, 200);
    let process = fixture.world.process();
    let reader = Worker::new(process.provider.tenants(), fixture.world.clock());
    reader
        .stream(&fixture.world.records(), &Kept::default())
        .await;

    let shown = fixture.show("initech").await;
    assert_eq!(shown["users"], json!({"total": 2, "active": 1}));
    assert_eq!(shown["groups"], 1);
    let milestones = shown["milestones"].as_object().unwrap();
    assert!(milestones.values().all(Value::is_string), "{shown}");
    assert!(shown["firstRequest"].is_string() && shown["lastRequest"].is_string());
    // One refusal was written; the second is with this process until its next write.
    assert_eq!(shown["refusals"]["statuses"], json!({"409": 1}));
    assert_eq!(
        used(&shown, &old["id"]),
        Some(shown["firstRequest"].clone())
    );
    assert_eq!(used(&shown, &new["id"]), Some(Value::Null));
    let list = json!({"op": "credential.list", "tenant": "initech"});
    let listed = Fixture::ok(fixture.ask(list).await);
    assert_eq!(listed["credentials"], shown["credentials"]);

    // What is gone is not shown, and leaves the table.
    let revoke = json!({"op": "credential.revoke", "tenant": "initech", "id": old["id"]});
    Fixture::ok(fixture.ask(revoke).await);
    assert_eq!(used(&fixture.show("initech").await, &old["id"]), None);
    let tenant = TenantId::parse("initech").unwrap();
    let wait = Duration::from_secs(10);
    let store = process.provider.store();
    let store = store.for_tenant(&tenant, crate::support::cause(), Default::default(), wait);
    assert!(store.status().read(0).await.unwrap().used.is_empty());
    tokio::time::advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(
        fixture.show("initech").await["refusals"]["statuses"],
        json!({})
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_of_ended_credentials_are_counted_and_are_no_use_of_them() {
    let fixture = Fixture::new().await;
    Fixture::ok(
        fixture
            .ask(json!({"op": "tenant.create", "tenant": "initech"}))
            .await,
    );
    let create = async |kind: &str| {
        let create = json!({"op": "credential.create", "tenant": "initech", "label": "okta", "kind": kind,
            "days": 1});
        Fixture::ok(fixture.ask(create).await)
    };
    let (short, client, revoked) = (
        create("bearer").await,
        create("oauth").await,
        create("bearer").await,
    );
    let revoke = json!({"op": "credential.revoke", "tenant": "initech", "id": revoked["id"]});
    Fixture::ok(fixture.ask(revoke).await);
    let router = router(&fixture, fixture.world.process().provider);
    let statuses = async || fixture.show("initech").await["refusals"]["statuses"].clone();
    let ask = async |token: &str| {
        send(&router, token, "GET", USERS, &Value::Null)
            .await
            .status
    };
    let revoked = revoked["token"].as_str().unwrap();

    // A stranger is nobody's refusal, and neither is the token of a tenant that does not exist.
    assert_eq!(ask("nonsense").await, 401);
    assert_eq!(ask(&revoked.replace("initech", "hooli")).await, 401);
    assert_eq!(statuses().await, json!({}));
    assert_eq!(ask(revoked).await, 401);
    assert_eq!(statuses().await, json!({"401": 1}));

    tokio::time::advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(ask(short["token"].as_str().unwrap()).await, 401);
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        client["userName"].as_str().unwrap(),
        client["token"].as_str().unwrap()
    );
    let request = Request::post("/oauth/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(Body::from(form));
    let refused = router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(statuses().await, json!({"400": 1, "401": 1}));
    let shown = fixture.show("initech").await;
    assert_eq!(shown["firstRequest"], Value::Null);
    for credential in [&short, &client] {
        assert_eq!(used(&shown, &credential["id"]), Some(Value::Null));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_suspended_or_deleted_is_shown_with_its_state() {
    let fixture = Fixture::new().await;
    for (op, state) in [
        ("tenant.suspend", "suspended"),
        ("tenant.resume", "active"),
        ("tenant.delete", "deleting"),
        ("tenant.restore", "active"),
    ] {
        Fixture::ok(fixture.ask(json!({"op": op, "tenant": "acme"})).await);
        assert_eq!(fixture.show("acme").await["state"], state);
    }
}
