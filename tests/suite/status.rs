//! The status of a tenant: what is written down of its requests, what that costs, and that it never changes
//! an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use scim_lambda::http::{self, Admission, PublicUrl, RequestRates, Service, StatusLog};
use scim_lambda::identity::{CredentialId, TenantId};
use scim_lambda::store::{Meter, Milestones, TenantStatus};
use scim_lambda::tenant::{
    Authenticator, Credentials, Issuer, SecretStore, SecretsFile, StackKeys,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::simulation::{Fault, Line, Process, World, tenant, user};
use crate::support::{bearer, cause, stack_keys};

const HOUR: Duration = Duration::from_secs(3600);
const USERS: &str = "/scim/v2/Users";
const GROUPS: &str = "/scim/v2/Groups";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A table with the tenant `acme`, and the secrets of its stack.
struct Deployment {
    world: World,
    folder: TempDir,
    keys: Arc<StackKeys>,
}

/// One process of the service, with a token.
struct Node {
    router: Router,
    line: Arc<Line>,
    token: String,
}

struct Reply {
    status: u16,
    json: Value,
    /// What the answer says about its calls.
    cost: String,
}

impl Deployment {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        SecretsFile::new(folder.path().join("secrets.json"))
            .create_if_missing()
            .unwrap();
        let world = World::new().await;
        let deployment = Self {
            keys: stack_keys(world.clock()),
            world,
            folder,
        };
        deployment.issuer().create_tenant(&tenant()).await.unwrap();
        deployment
    }

    fn credentials(&self) -> Credentials {
        let path = self.folder.path().join("secrets.json");
        let file: Arc<dyn SecretStore> = Arc::new(SecretsFile::new(path));
        Credentials::new(file, "test")
    }

    fn issuer(&self) -> Issuer {
        let keys = Arc::clone(&self.keys);
        Issuer::new(keys, self.credentials(), self.world.clock())
    }

    /// A new credential of the tenant, as its id and its token.
    async fn issue(&self) -> (CredentialId, String) {
        let issued = self.issuer().create_credential(&tenant(), bearer()).await;
        let issued = issued.unwrap();
        (issued.credential.id, issued.secret)
    }

    /// One more process, whose requests have this token. It has read the configuration already.
    async fn node(&self, token: &str) -> Node {
        let Process { provider, line, .. } = self.world.process();
        let keys = Arc::clone(&self.keys);
        let store = provider.store();
        let store = store.for_tenant(&tenant(), cause(), Meter::default(), HOUR);
        provider.tenants().get(&tenant(), &store).await.unwrap();
        let service = Service {
            provider: Arc::new(provider),
            authenticator: Authenticator::new(keys, self.credentials(), self.world.clock()),
            admission: Admission::default(),
            rates: RequestRates::default(),
            status: StatusLog::new(self.world.clock()),
            public_url: Some(PublicUrl::parse("https://directory.example.com").unwrap()),
            server_timing: true,
            docs: None,
        };
        line.plan(|_| None);
        Node {
            router: http::router(Arc::new(service)),
            line,
            token: token.to_owned(),
        }
    }

    async fn status(&self) -> TenantStatus {
        self.status_of(&tenant()).await
    }

    async fn status_of(&self, tenant: &TenantId) -> TenantStatus {
        let process = self.world.process();
        let store = process.provider.store();
        let store = store.for_tenant(tenant, cause(), Meter::default(), HOUR);
        let since = self.world.clock().now_millis() - 24 * 3_600_000;
        store.status().read(since).await.unwrap()
    }

    /// The refusals as statuses and counts.
    async fn refusals(&self) -> Vec<(u16, u64)> {
        let refusals = self.status().await.refusals.into_iter();
        refusals.map(|each| (each.status, each.count)).collect()
    }
}

impl Node {
    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/scim+json");
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let timing = parts.headers["server-timing"].to_str().unwrap();
        Reply {
            status: parts.status.as_u16(),
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            cost: timing.split('"').nth(1).unwrap().to_owned(),
        }
    }

    async fn get(&self) -> Reply {
        self.send("GET", "/scim/v2/Users?count=0", Value::Null)
            .await
    }

    /// Creates a resource; its id.
    async fn create(&self, path: &str, body: Value) -> String {
        let made = self.send("POST", path, body).await;
        assert_eq!(made.status, 201, "{}", made.json);
        made.json["id"].as_str().unwrap().to_owned()
    }

    async fn patch(&self, path: &str, operation: Value) {
        let body = json!({"schemas": [PATCH], "Operations": [operation]});
        let reply = self.send("PATCH", path, body).await;
        assert!(reply.status < 300, "{}", reply.json);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_request_makes_two_calls_more_and_later_ones_none() {
    let deployment = Deployment::new().await;
    assert_eq!(deployment.status().await, TenantStatus::default());
    let (id, token) = deployment.issue().await;
    let node = deployment.node(&token).await;
    let now = deployment.world.clock().now_millis();
    // One call counts the users, two write the status.
    assert_eq!(node.get().await.cost, "calls=1 rru=1 wru=0 status=2");
    assert_eq!(node.line.calls(), 3);
    // The tenth request is the last one that is not counted in the table.
    for _ in 0..9 {
        assert_eq!(node.get().await.cost, "calls=1 rru=1 wru=0");
    }
    assert_eq!(node.line.calls(), 12);
    let status = deployment.status().await;
    let first = status.first_request.unwrap();
    assert!((now..now + 1_000).contains(&first));
    assert_eq!(status.last_request, Some(first));
    assert_eq!(status.used.into_iter().collect::<Vec<_>>(), [(id, first)]);

    // Another process has not written it yet, and finds the item.
    let other = deployment.node(&token).await;
    assert_eq!(other.get().await.cost, "calls=1 rru=1 wru=0 status=1");
    assert_eq!(other.get().await.cost, "calls=1 rru=1 wru=0");
}

#[tokio::test(start_paused = true)]
async fn a_use_is_written_once_an_hour_for_each_credential() {
    let deployment = Deployment::new().await;
    let (first, token) = deployment.issue().await;
    let mut node = deployment.node(&token).await;
    node.get().await;
    let begun = deployment.status().await.first_request;
    tokio::time::advance(Duration::from_secs(3590)).await;
    let (second, token) = deployment.issue().await;
    let old = std::mem::replace(&mut node.token, token);
    assert!(node.get().await.cost.contains("status=1"));
    node.token = old;
    assert!(!node.get().await.cost.contains("status"));
    tokio::time::advance(Duration::from_secs(15)).await;
    assert!(node.get().await.cost.contains("status=1"));
    assert!(!node.get().await.cost.contains("status"));
    let status = deployment.status().await;
    assert_eq!(status.first_request, begun);
    assert_eq!(status.last_request, Some(status.used[&first]));
    assert!(status.used[&first] > status.used[&second]);
    assert!(status.used[&second] > begun.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_write_of_a_use_runs_beside_the_calls_of_the_request() {
    let deployment = Deployment::new().await;
    let (_, token) = deployment.issue().await;
    deployment.node(&token).await.get().await;
    let node = deployment.node(&token).await;
    // Both calls take this long, so one after the other they would take twice as long.
    node.line.plan(|_| Some(Fault::Slow(500)));
    let begun = tokio::time::Instant::now();
    assert_eq!(node.get().await.status, 200);
    assert!(
        begun.elapsed() < Duration::from_millis(700),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_changes_no_answer() {
    let deployment = Deployment::new().await;
    let (_, token) = deployment.issue().await;
    for fault in [
        Fault::Throttle,
        Fault::Status(500),
        Fault::LoseRequest,
        Fault::Slow(10_000),
    ] {
        let node = deployment.node(&token).await;
        node.line.plan(move |call| {
            let is_status = call.body.to_string().contains("T#acme#U");
            is_status.then_some(fault)
        });
        let begun = tokio::time::Instant::now();
        let reply = node.get().await;
        assert_eq!(reply.status, 200, "{fault:?}: {}", reply.json);
        assert!(begun.elapsed() < Duration::from_millis(1_100), "{fault:?}");
        let calls = node.line.calls();
        node.get().await;
        assert_eq!(
            node.line.calls(),
            calls + 1,
            "{fault:?}: not tried again at once"
        );
        node.line.plan(|_| None);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(node.get().await.cost.contains("status="), "{fault:?}");
    }
    assert!(deployment.status().await.first_request.is_some());
}

#[tokio::test(start_paused = true)]
async fn each_milestone_is_written_when_it_is_first_reached() {
    let deployment = Deployment::new().await;
    let (_, token) = deployment.issue().await;
    let node = deployment.node(&token).await;
    node.get().await;
    let ada = node.create(USERS, user("ada")).await;
    let reached = async || {
        let status = deployment.status().await;
        [
            status.first_user,
            status.first_group,
            status.first_membership,
            status.first_deactivation,
        ]
        .map(|time| time.is_some())
    };
    assert_eq!(reached().await, [true, false, false, false]);
    let group = json!({"displayName": "Guides"});
    let guides = format!("{GROUPS}/{}", node.create(GROUPS, group).await);
    assert_eq!(reached().await, [true, true, false, false]);
    let nobody = json!({"op": "remove", "path": "members", "value": [{"value": ada}]});
    node.patch(&guides, nobody).await;
    assert_eq!(reached().await, [true, true, false, false]);
    let add = json!({"op": "add", "path": "members", "value": [{"value": ada}]});
    node.patch(&guides, add).await;
    assert_eq!(reached().await, [true, true, true, false]);
    let one = format!("{USERS}/{ada}");
    node.patch(
        &one,
        json!({"op": "add", "path": "title", "value": "Guide"}),
    )
    .await;
    assert_eq!(reached().await, [true, true, true, false]);
    node.patch(
        &one,
        json!({"op": "replace", "path": "active", "value": false}),
    )
    .await;
    assert_eq!(reached().await, [true; 4]);
    // Nothing of it is written again, by this process or by one that learns it from its first write.
    let (before, other) = (deployment.status().await, deployment.node(&token).await);
    other.get().await;
    for node in [&node, &other] {
        let made = node.send(
            "POST",
            USERS,
            json!({"userName": node.line.calls().to_string()}),
        );
        let made = made.await;
        assert_eq!((made.status, made.cost.contains("status")), (201, false));
    }
    assert_eq!(deployment.status().await.first_user, before.first_user);
}

#[tokio::test(start_paused = true)]
async fn milestones_are_reached_in_every_protocol_and_in_bulk() {
    let creation = json!({"userName": "ada", "name": {"givenName": "A", "familyName": "L"}});
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": creation}],
    });
    for (path, body) in [
        ("/scim/v2/Users", creation.clone()),
        ("/scim/v1/Users", creation.clone()),
        ("/v2/acme/scim/Users", creation.clone()),
        ("/scim/v2/Bulk", bulk),
    ] {
        let deployment = Deployment::new().await;
        let (_, token) = deployment.issue().await;
        let node = deployment.node(&token).await;
        let reply = node.send("POST", path, body).await;
        assert!(reply.status < 300, "{path}: {}", reply.json);
        let status = deployment.status().await;
        assert!(status.first_user.is_some(), "{path}: {status:?}");
        assert!(status.first_request.is_some(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_by_status() {
    let deployment = Deployment::new().await;
    let (_, token) = deployment.issue().await;
    let node = deployment.node(&token).await;
    node.create(USERS, user("ada")).await;
    assert_eq!(deployment.refusals().await, []);
    let refuse = async |status: u16| {
        let (path, body) = match status {
            400 => (USERS, json!({})),
            409 => (USERS, user("ada")),
            _ => ("/scim/v2/Nothing", json!({})),
        };
        let reply = node.send("POST", path, body).await;
        assert_eq!(reply.status, status, "{}", reply.json);
        reply.cost.contains("status=1")
    };
    // The first one is written at once, those after it with the next write.
    assert!(refuse(409).await);
    for _ in 0..5 {
        assert!(!refuse(409).await);
    }
    assert_eq!(deployment.refusals().await, [(409, 1)]);
    // Both statuses are written, each by a call.
    assert!(!refuse(404).await);
    assert_eq!(deployment.refusals().await, [(404, 1), (409, 6)]);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(refuse(409).await);
    assert!(refuse(400).await);
    let all = deployment.refusals().await;
    let of = |wanted: u16| -> u64 {
        let counts = all.iter().filter(|(status, _)| *status == wanted);
        counts.map(|(_, count)| count).sum()
    };
    assert_eq!([400, 404, 409].map(of), [1, 1, 7]);
    // After a day they are read no more.
    tokio::time::advance(25 * HOUR).await;
    assert_eq!(deployment.refusals().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_answer_was_lost_is_counted_once() {
    let deployment = Deployment::new().await;
    let (_, token) = deployment.issue().await;
    let node = deployment.node(&token).await;
    node.get().await;
    node.line.plan(|call| {
        let is_count = call.body.to_string().contains("ADD n");
        (is_count && call.number == 0).then_some(Fault::LoseAnswer)
    });
    let refused = node.send("POST", "/scim/v2/Nothing", json!({})).await;
    assert_eq!(refused.status, 404);
    assert_eq!(node.line.calls(), 2);
    assert_eq!(deployment.refusals().await, [(404, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_credential_writes_nothing() {
    let deployment = Deployment::new().await;
    let (_, token) = deployment.issue().await;
    for wrong in ["", "nonsense", &token.replace("acme", "umbrella")] {
        let node = deployment.node(wrong).await;
        assert_eq!(node.get().await.status, 401);
        assert_eq!(node.line.calls(), 0);
    }
    let umbrella = TenantId::parse("umbrella").unwrap();
    for tenant in [tenant(), umbrella] {
        let status = deployment.status_of(&tenant).await;
        assert_eq!(status, TenantStatus::default());
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_a_suspended_tenant_are_counted_and_of_a_deleted_one_nothing_is_written() {
    let states = [
        (r#"{"state":"suspended","since":1}"#, 2),
        (r#"{"state":"deleting","since":1,"purgeAt":2}"#, 0),
    ];
    for (state, written) in states {
        let deployment = Deployment::new().await;
        let (_, token) = deployment.issue().await;
        let item = json!({
            "pk": {"S": "T#acme"}, "sk": {"S": "state"}, "kind": {"S": "T"}, "body": {"S": state},
        });
        let put = json!({"TableName": "scim", "Item": item});
        deployment.world.ask("PutItem", &put);
        let node = deployment.node(&token).await;
        let refused = node.get().await;
        assert_eq!(refused.status, 403, "{state}: {}", refused.json);
        let items = deployment.world.items().into_iter();
        let items = items.filter(|item| item["pk"]["S"] == "T#acme#U");
        assert_eq!(items.count(), written, "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn forgotten_credentials_leave_the_status_and_its_size_has_an_end() {
    let deployment = Deployment::new().await;
    let process = deployment.world.process();
    let scope = process.scope().await.unwrap();
    let status = scope.store.status();
    assert!(!status.note_milestones(Milestones::USER).await.unwrap());
    let ids: Vec<_> = (0..203)
        .map(|n| CredentialId::parse(&format!("c{n}")).unwrap())
        .collect();
    for id in &ids {
        status.note_use(id).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let used = deployment.status().await.used;
    assert_eq!(used.len(), 200);
    assert!(!used.contains_key(&ids[2]) && used.contains_key(&ids[3]));
    status.forget(&[&ids[3], &ids[4], &ids[0]]).await.unwrap();
    status.forget(&[]).await.unwrap();
    assert_eq!(deployment.status().await.used.len(), 198);
}
