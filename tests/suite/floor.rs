//! The cost of each operation on DynamoDB: calls, counted as attempts in the SDK, and capacity, as
//! DynamoDB reports it. It is the same in a small and in a large directory.
//!
//! Both directories are loaded by `scim generate`. Credentials and configuration are cached before
//! anything is counted.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use scim_lambda::clock::SystemClock;
use scim_lambda::embedded::{DataDirectory, Embedded};
use scim_lambda::http;
use scim_lambda::identity::{CauseKind, TenantId};
use scim_lambda::provider::Repair;
use scim_lambda::stack::{Config, Stack};
use scim_lambda::store::{Store, resource_cause};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::bearer;

const SMALL: (u64, u64) = (250, 220);
/// The group has more than twice as many members as a group shows.
const LARGE: (u64, u64) = (20_500, 20_500);

#[tokio::test]
async fn a_small_directory_has_the_documented_costs() {
    check_floor(SMALL).await;
}

#[tokio::test]
async fn a_large_directory_costs_no_more() {
    check_floor(LARGE).await;
}

#[tokio::test]
async fn nothing_is_wrong_with_a_generated_directory() {
    let directory = Directory::generate((1_000, 400)).await;
    let service = directory.stack.service();
    let tenant = TenantId::parse("demo").unwrap();
    let findings = service.provider.examine(&tenant, Repair::Look);
    let findings = findings.await.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!(findings.resources, 1_001);

    let users = directory.get("/Users?count=2&startIndex=400").await;
    assert_eq!(users["totalResults"], 1_000);
    assert_eq!(users["Resources"][0]["groups"][0]["display"], "Everyone");
    assert_eq!(users["Resources"][1]["groups"], Value::Null);
    let group = directory.get("/Groups").await;
    assert_eq!(group["totalResults"], 1);
    let members = &group["Resources"][0]["members"];
    assert_eq!(members.as_array().unwrap().len(), 400);
    assert_eq!(members[399]["value"], users["Resources"][0]["id"]);
}

#[tokio::test]
async fn a_typical_enterprise_user_fits_one_write_unit() {
    let directory = Directory::generate((100, 0)).await;
    // One more by a request, with the longest name of a request that is stored.
    let mut user = directory.get("/Users?count=1&startIndex=90").await["Resources"][0].take();
    user["userName"] = json!("margaret.lindqvist.101@example.com");
    user["emails"][0]["value"] = user["userName"].clone();
    let request = directory.request("POST", "/Users");
    let request = request.header("X-Request-Id", "Root=1-67891233-abcdef01234567890123");
    let request = request.body(Body::from(user.to_string())).unwrap();
    let made = directory.router.clone().oneshot(request).await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let page = directory.items("T#demo#R#User#0", None).await;
    let next = directory.items("T#demo#R#User#0", page.last_evaluated_key.clone());
    let next = next.await;
    let items: Vec<_> = page.items().iter().chain(next.items()).collect();
    assert_eq!(items.len(), 101);
    let text = |name: &str| items[0][name].as_s().unwrap();
    let cause = resource_cause(text("rid"), text("by")).unwrap();
    assert_eq!((cause.credential, cause.kind), (None, CauseKind::Import));
    assert!(
        items[100]["by"]
            .as_s()
            .unwrap()
            .ends_with("Root=1-67891233-abcdef01234567890123")
    );
    for item in items {
        let size: usize = item
            .iter()
            .map(|(name, value)| name.len() + size(value))
            .sum();
        assert!(size <= 1_024, "{size} bytes: {item:?}");
    }
}

/// The bytes that DynamoDB counts for a value.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        other => panic!("{other:?}"),
    }
}

/// The cost of some calls.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Cost {
    calls: u32,
    read_units: f64,
    write_units: f64,
}

const fn cost(calls: u32, read_units: f64, write_units: f64) -> Cost {
    Cost {
        calls,
        read_units,
        write_units,
    }
}

/// Counts every attempt of every call.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<Mutex<Cost>>);

impl Intercept for Ledger {
    fn name(&self) -> &'static str {
        "Ledger"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.lock().unwrap().calls += 1;
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().unwrap().name();
        let body = context.response().body().bytes().unwrap();
        let answer: Value = serde_json::from_slice(body)?;
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().map(units).sum(),
            table => units(table),
        };
        let mut cost = self.0.lock().unwrap();
        match operation {
            "GetItem" | "BatchGetItem" | "Query" | "TransactGetItems" => cost.read_units += units,
            _ => cost.write_units += units,
        }
        Ok(())
    }
}

fn units(table: &Value) -> f64 {
    table["CapacityUnits"].as_f64().unwrap_or(0.0)
}

/// A generated directory, and the shipped router over it.
struct Directory {
    router: Router,
    token: String,
    ledger: Ledger,
    stack: Stack,
    client: Client,
    /// The operations that did not have the expected cost.
    missed: Mutex<Vec<String>>,
    _table: Embedded,
    _folder: tempfile::TempDir,
}

impl Directory {
    async fn generate((users, members): (u64, u64)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), users, members);
        let data = DataDirectory::at(folder.path()).unwrap();
        let table = Embedded::open(&data).unwrap();
        let sdk = table.sdk_config();
        let config = |name: &str| {
            let value = match name {
                "SCIM_TABLE" => "scim".to_owned(),
                "SCIM_STACK" => "local".to_owned(),
                "SCIM_SECRETS_FILE" => data.secrets_file().display().to_string(),
                "SCIM_PUBLIC_URL" => "https://directory.example.com".to_owned(),
                "SCIM_SERVER_TIMING" => "on".to_owned(),
                _ => return None,
            };
            Some(value)
        };
        let config = Config::read(config).unwrap();
        let mut stack = Stack::open(config, &sdk).await.unwrap();
        // What the counting of requests costs has tests of its own.
        let (provider, tenant) = (stack.provider(), TenantId::parse("demo").unwrap());
        let mut rules = provider.rules(&tenant).await.unwrap();
        rules.switches.requests_per_second = 0;
        provider.set_rules(&tenant, &rules).await.unwrap();
        let ledger = Ledger::default();
        let counted = aws_sdk_dynamodb::config::Builder::from(&sdk).interceptor(ledger.clone());
        stack.store = Store::with_config(counted, "scim", Arc::new(SystemClock));
        let directory = Self {
            router: http::router(stack.service()),
            token: issue(&stack).await,
            ledger,
            stack,
            client: Client::new(&sdk),
            missed: Mutex::default(),
            _table: table,
            _folder: folder,
        };
        directory.get("/Users?count=0").await;
        directory
    }

    /// Has the tenant reach every milestone, and refuses a request, so that nothing more is written of its status.
    async fn reach_milestones(&self) {
        let made = self.send("POST", "/Users", Some(json!({"userName": "first"})));
        let id = made.await.0["id"].as_str().unwrap().to_owned();
        let refused = self.ask("POST", "/Users", Some(json!({}))).await;
        assert_eq!(refused.0, StatusCode::BAD_REQUEST);
        let group = json!({"displayName": "First", "members": [{"value": id}]});
        let made = self.send("POST", "/Groups", Some(group)).await;
        let group = made.0["id"].as_str().unwrap();
        self.send("DELETE", &format!("/Groups/{group}"), None).await;
        self.send("DELETE", &format!("/Users/{id}"), None).await;
    }

    async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None).await.0
    }

    /// Sends a request that must succeed; the answer, and what it cost.
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (Value, Cost) {
        let (status, json, cost) = self.ask(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {json}");
        (json, cost)
    }

    /// Sends a request; its status, the answer, and what it cost.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value, Cost) {
        *self.ledger.0.lock().unwrap() = Cost::default();
        let request = self.request(method, path);
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let cost = *self.ledger.0.lock().unwrap();
        // `Server-Timing` says the same. It counts the reading of the configuration and the writing of the status
        // separately.
        let said = parts.headers["server-timing"].to_str().unwrap();
        let expected = format!(
            "calls={} rru={} wru={}",
            cost.calls, cost.read_units, cost.write_units
        );
        let is_said = said.contains(&expected) || said.contains("cfg=") || said.contains("status=");
        assert!(is_said, "{method} {path}: {said}, {expected}");
        (parts.status, json, cost)
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        let path = path.replace(' ', "%20").replace('"', "%22");
        Request::builder()
            .method(method)
            .uri(format!("/scim/v2{path}"))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/scim+json")
    }

    /// Compares what an operation cost with the floor.
    fn expect(&self, operation: &str, cost: Cost, floor: Cost) {
        if cost != floor {
            let missed = format!("{operation}: {cost:?}, the floor is {floor:?}");
            self.missed.lock().unwrap().push(missed);
        }
    }

    /// A hundred items of a partition.
    async fn items(&self, pk: &str, after: Option<Item>) -> QueryOutput {
        let query = self
            .client
            .query()
            .table_name("scim")
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .set_exclusive_start_key(after)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .limit(100);
        query.send().await.unwrap()
    }

    /// The units for reading the first hundred items of a partition, and the next hundred.
    async fn pages(&self, pk: &str) -> (f64, f64) {
        let first = self.items(pk, None).await;
        let second = self.items(pk, first.last_evaluated_key.clone()).await;
        let units = |output: &QueryOutput| {
            let consumed = output.consumed_capacity().unwrap();
            consumed.capacity_units().unwrap()
        };
        (units(&first), units(&second))
    }
}

type Item = std::collections::HashMap<String, AttributeValue>;

fn generate(data: &Path, users: u64, members: u64) {
    let output = Command::new(env!("CARGO_BIN_EXE_scim"))
        .arg("generate")
        .args(["--users", &users.to_string()])
        .args(["--group-members", &members.to_string()])
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

async fn issue(stack: &Stack) -> String {
    let new = bearer();
    let tenant = TenantId::parse("demo").unwrap();
    let issued = stack.issuer().create_credential(&tenant, new).await;
    issued.unwrap().secret
}

const LEAN: &str = "excludedAttributes=groups";

async fn check_floor((users, members): (u64, u64)) {
    let directory = Directory::generate((users, members)).await;
    directory.reach_milestones().await;
    check_reads(&directory).await;
    check_lists(&directory).await;
    check_large_lists(&directory, users).await;
    check_writes(&directory).await;
    check_groups(&directory, members).await;
    let missed = directory.missed.lock().unwrap();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

async fn check_reads(directory: &Directory) {
    let first = &directory.get("/Users?count=1").await["Resources"][0];
    let id = first["id"].as_str().unwrap();
    let user_name = first["userName"].as_str().unwrap();
    let external_id = first["externalId"].as_str().unwrap();
    let check = async |path: String, expected: Cost| {
        let (_, cost) = directory.send("GET", &path, None).await;
        directory.expect(&path, cost, expected);
    };
    check(format!("/Users/{id}?{LEAN}"), cost(1, 1.0, 0.0)).await;
    check(format!("/Users/{id}"), cost(3, 3.0, 0.0)).await;
    let filters = [("userName", user_name), ("externalId", external_id)];
    for (attribute, value) in filters {
        let path = format!("/Users?filter={attribute} eq \"{value}\"&{LEAN}");
        check(path, cost(2, 2.0, 0.0)).await;
    }
}

async fn check_lists(directory: &Directory) {
    let (page, later) = directory.pages("T#demo#R#User#0").await;
    let list = async |parameters: &str| {
        let path = format!("/Users?count=100&{parameters}");
        directory.send("GET", &path, None).await
    };
    let first = list(LEAN).await.1;
    directory.expect("list, first page", first, cost(3, page + 1.0, 1.0));
    let second = list(&format!("startIndex=101&{LEAN}")).await.1;
    directory.expect("list, later page", second, cost(3, later + 1.0, 1.0));

    let (first, spent) = list(&format!("cursor&{LEAN}")).await;
    directory.expect(
        "list by cursor, first page",
        spent,
        cost(2, page + 1.0, 0.0),
    );
    let cursor = first["nextCursor"].as_str().unwrap();
    let (_, spent) = list(&format!("cursor={cursor}&{LEAN}")).await;
    directory.expect("list by cursor, later page", spent, cost(1, later, 0.0));

    let spent = list("").await.1;
    let floor = Cost { calls: 8, ..spent };
    directory.expect("list with groups", spent, floor);
}

/// Lists that would read much: refused before they do, or bounded.
async fn check_large_lists(directory: &Directory, users: u64) {
    let ask = async |filter: &str, rest: &str| {
        let path = format!("/Users?count=1&{LEAN}&filter={filter}{rest}");
        directory.ask("GET", &path, None).await
    };
    // The entries of the index are counted, not the resources they lead to: some 25 fit a read unit.
    let all = "emails.value ge \"a\"";
    let (status, list, spent) = ask(all, "").await;
    assert_eq!(
        (status.as_u16(), &list["totalResults"]),
        (200, &json!(users))
    );
    assert!(spent.read_units <= 3.0 + users as f64 / 25.0, "{spent:?}");

    let is_large = users > 10_000;
    for filter in ["title co \"e\"", "title co \"e\" or userName eq \"a\""] {
        let (status, list, spent) = ask(filter, "").await;
        let (by_cursor, page, spent_by_cursor) = ask(filter, "&cursor").await;
        assert_eq!(by_cursor, StatusCode::OK);
        if is_large {
            assert_eq!(
                (status.as_u16(), &list["scimType"]),
                (400, &json!("tooMany"))
            );
            directory.expect("unindexed filter", spent, cost(1, 1.0, 0.0));
            assert_eq!(page["totalResults"], Value::Null);
            // One batch of 64 users and the counter.
            assert!(spent_by_cursor.read_units <= 20.0, "{spent_by_cursor:?}");
        } else {
            assert_eq!(status, StatusCode::OK);
            assert_eq!(page["totalResults"], list["totalResults"]);
        }
    }
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "title co \"e\"",
        "sortBy": "title",
    });
    let searched = directory.ask("POST", "/Users/.search", Some(search)).await;
    if is_large {
        assert_eq!(searched.0, StatusCode::BAD_REQUEST);
        directory.expect("sort without an index", searched.2, cost(1, 1.0, 0.0));
    }
    // Each resource that is looked up by its key is a read unit, so keys are counted before.
    let (status, _, spent) = ask("userName ge \"a\" and title co \"e\"", "").await;
    if is_large {
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(spent.read_units <= 64.0 + 10_000.0 / 25.0, "{spent:?}");
    }
}

async fn check_writes(directory: &Directory) {
    let body = |name: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": format!("{name}@example.com"),
            "externalId": name,
            "emails": [{ "value": format!("{name}@example.com"), "type": "work" }],
            "title": "Tour Guide",
        })
    };
    let patch = |path: &str, value: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": path, "value": value }],
        })
    };
    let (created, spent) = directory.send("POST", "/Users", Some(body("new"))).await;
    directory.expect("create", spent, cost(1, 0.0, 10.0));
    let lean = format!("/Users/{}?{LEAN}", created["id"].as_str().unwrap());
    let mut other = body("new");
    other["title"] = json!("Guide");
    let (_, spent) = directory.send("PUT", &lean, Some(other)).await;
    directory.expect("PUT", spent, cost(2, 1.0, 1.0));
    let change = patch("title", "Senior Guide");
    let (_, spent) = directory.send("PATCH", &lean, Some(change)).await;
    directory.expect("PATCH", spent, cost(2, 1.0, 1.0));
    let change = patch("userName", "renamed@example.com");
    let (_, spent) = directory.send("PATCH", &lean, Some(change)).await;
    directory.expect("rename", spent, cost(2, 1.0, 6.0));
    let (_, spent) = directory.send("DELETE", &lean, None).await;
    directory.expect(
        "delete a user without memberships",
        spent,
        cost(4, 2.0, 16.0),
    );
    // Of a type that can be in no group, no memberships are read.
    let role = json!({"name": "Reader", "scopes": ["users:read"]});
    for (endpoint, body, write_units) in [
        ("/Devices", json!({"name": "laptop"}), 10.0),
        ("/Roles", role, 12.0),
    ] {
        let (made, _) = directory.send("POST", endpoint, Some(body)).await;
        let path = format!("{endpoint}/{}", made["id"].as_str().unwrap());
        let (_, spent) = directory.send("DELETE", &path, None).await;
        let floor = cost(3, 1.0, write_units);
        directory.expect(&format!("delete below {endpoint}"), spent, floor);
    }
}

async fn check_groups(directory: &Directory, members: u64) {
    let groups = directory.get("/Groups?excludedAttributes=members").await;
    let group = groups["Resources"][0]["id"].as_str().unwrap();
    let path = format!("/Groups/{group}");
    let lean = format!("{path}?excludedAttributes=members");
    let (_, spent) = directory.send("GET", &lean, None).await;
    directory.expect("group without members", spent, cost(1, 1.0, 0.0));
    let (shown, spent) = directory.send("GET", &path, None).await;
    let shown = shown["members"].as_array().map_or(0, Vec::len) as u64;
    match members {
        // Their items are not read, and no names are.
        20_001.. => {
            assert_eq!(shown, 0);
            directory.expect("group too large to be shown", spent, cost(1, 1.0, 0.0));
        }
        members => assert_eq!(shown, members),
    }

    let newcomer = json!({ "userName": "newcomer@example.com" });
    let (user, _) = directory.send("POST", "/Users", Some(newcomer)).await;
    let user = user["id"].as_str().unwrap();
    let (_, spent) = directory.send("GET", &format!("/Users/{user}"), None).await;
    directory.expect("get of a user in no group", spent, cost(2, 2.0, 0.0));
    let patch = |operation: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        })
    };
    let add = json!({ "op": "add", "path": "members", "value": [{ "value": user }] });
    let (_, spent) = directory.send("PATCH", &path, Some(patch(add))).await;
    directory.expect("add one member", spent, cost(3, 1.0, 7.0));
    let both = format!("id eq \"{group}\" and members eq \"{user}\"");
    let path_of_both = format!("/Groups?filter={both}&excludedAttributes=members");
    let (found, spent) = directory.send("GET", &path_of_both, None).await;
    assert_eq!(found["totalResults"], 1);
    directory.expect("id eq and members eq", spent, cost(2, 2.0, 0.0));
    let remove = json!({ "op": "remove", "path": format!("members[value eq \"{user}\"]") });
    let (_, spent) = directory.send("PATCH", &path, Some(patch(remove))).await;
    directory.expect("remove one member", spent, cost(3, 1.0, 5.0));
}
