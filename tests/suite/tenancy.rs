//! Two tenants with resources of the same ids and the same names, which differ in one value. Every route and every
//! administrative operation is asked on behalf of one of them, `globex`: nothing of the other one, `acme`, may
//! appear or change, and its ids are answered as ids that no tenant has.
//!
//! The routes are read from the code, so a new one fails here until it has requests of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use scim_lambda::admin::names;
use scim_lambda::http::{self, Admission, PublicUrl, RequestRates, Service, StatusLog};
use scim_lambda::identity::TenantId;
use scim_lambda::pages::Docs;
use scim_lambda::provider::Provider;
use scim_lambda::tenant::{Authenticator, Credentials, Issuer, NewCredential, Permissions};
use scim_lambda::worker::Worker;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admin::{Fixture, ask};
use crate::secrecy::{keep_log, logged};
use crate::simulation::{Line, World};
use crate::support::{DOCS, bearer, stack_keys};
use crate::worker::Kept;

const TARGETS: &str = include_str!("../../src/http/route/target.rs");
const SCHEMA: &str = include_str!("../../docs/admin.schema.json");
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const BASES: [&str; 5] = [
    "/scim/v2",
    "/scim/v1",
    "/v2/globex/scim",
    "/t/globex/scim/v2",
    "/t/globex/scim/v1",
];
/// A form of id that no resource has.
const NO_ID: &str = "01900000-0000-7000-8000-000000000000";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// The ids of the resources that both tenants have, and of those that only `acme` has.
#[derive(Clone)]
struct Ids {
    user: String,
    group: String,
    role: String,
}

struct Twins {
    fixture: Fixture,
    router: Router,
    line: Arc<Line>,
    /// The number of calls that read the configuration or wrote the status, which differs from request to request.
    apart: Arc<AtomicU64>,
    /// Tokens of `globex`: one that may do everything, and one of its user.
    token: String,
    own: String,
    both: Ids,
    others: Ids,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Headers and body, without what is different in every answer.
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Twins {
    async fn new() -> Self {
        let fixture = Fixture::in_world(World::without_latency().await).await;
        let issue = async |tenant: &str, user: Option<String>| {
            let new = NewCredential {
                permissions: match user {
                    Some(_) => {
                        Permissions::Only(["me:read".to_owned(), "me:update".to_owned()].into())
                    }
                    None => Permissions::All,
                },
                user,
                ..bearer()
            };
            let (issuer, tenant) = (issuer(&fixture), tenant_id(tenant));
            let issued = issuer.create_credential(&tenant, new).await;
            issued.unwrap().secret
        };
        let router = router(&fixture, fixture.world.process().provider);
        let acme = issue("acme", None).await;
        let both = make(&router, &acme, "shared").await;
        copy(&fixture, "acme", "globex");
        // Requests are counted for each tenant by itself, which takes a call now and then.
        let rules = json!({"switches": {"requestsPerSecond": 0}}).to_string();
        let rules = json!({"pk": {"S": "T#globex"}, "sk": {"S": "config"}, "kind": {"S": "T"}, "body": {"S": rules}});
        let put = json!({"TableName": "scim", "Item": rules});
        fixture.world.tamper("PutItem", &put);
        let others = make(&router, &acme, "other").await;
        let token = issue("globex", None).await;
        let own = issue("globex", Some(both.user.clone())).await;
        // The feeds of both.
        let process = fixture.world.process();
        let reader = Worker::new(process.provider.tenants(), fixture.world.clock());
        let kept = Kept::default();
        assert_eq!(reader.stream(&fixture.world.records(), &kept).await, None);
        let process = fixture.world.process();
        let apart = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&apart);
        process.line.plan(move |call| {
            let body = call.body.to_string();
            let is_apart = body.contains("\"T#globex\"") || body.contains("T#globex#U");
            counted.fetch_add(u64::from(is_apart), Ordering::SeqCst);
            None
        });
        Self {
            router: self::router(&fixture, process.provider),
            line: process.line,
            apart,
            fixture,
            token,
            own,
            both,
            others,
        }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let token = match path.ends_with("/Me") {
            true => &self.own,
            false => &self.token,
        };
        send(&self.router, token, method, path, body).await
    }

    /// The number of calls so far that do the same for the same request.
    fn calls(&self) -> u64 {
        self.line.calls() - self.apart.load(Ordering::SeqCst)
    }

    /// The items of `acme`, without those that its own requests may still write.
    fn items(&self) -> Vec<Value> {
        let items = self.fixture.world.items().into_iter();
        let of_acme = items.filter(|item| {
            let partition = item["pk"]["S"].as_str().unwrap();
            partition == "T#acme" || partition.starts_with("T#acme#")
        });
        of_acme.collect()
    }
}

/// The requests to a template of a path below this base, with the ids of resources in it.
fn requests(base: &str, template: &str, method: &str, ids: &Ids) -> Vec<(String, Value)> {
    let with_ids = |suffix: &str| resources(base, suffix, method, ids);
    let search = json!({"schemas": [SEARCH], "filter": format!("id eq \"{}\"", ids.user)});
    match template {
        "/" => vec![
            (format!("{base}/"), Value::Null),
            ("/".to_owned(), Value::Null),
        ],
        "/.search" => vec![(format!("{base}/.search"), search)],
        "/{type}/.search" => vec![(format!("{base}/Users/.search"), search)],
        "/{type}" => collections(base, method, ids),
        "/{type}/{id}" => with_ids(""),
        "/{type}/{id}/members" => with_ids("/members"),
        "/Bulk" => vec![(format!("{base}/Bulk"), bulk(ids))],
        "/Me" => vec![(format!("{base}/Me"), body(method, "Users", ids))],
        "/Schemas/{urn}" => vec![(format!("{base}/Schemas/{USER}"), Value::Null)],
        "/ResourceTypes/{name}" => vec![(format!("{base}/ResourceTypes/User"), Value::Null)],
        "/ServiceProviderConfig" => vec![
            (format!("{base}/ServiceProviderConfig"), Value::Null),
            (format!("{base}/ServiceProviderConfigs"), Value::Null),
        ],
        "/events" => vec![
            ("/events".to_owned(), Value::Null),
            ("/events?after=beginning".to_owned(), Value::Null),
        ],
        "/docs" | "/openapi.json" => vec![(template.to_owned(), Value::Null)],
        "/docs/{file}" => vec![("/docs/init.js".to_owned(), Value::Null)],
        "/healthz" => vec![
            ("/healthz".to_owned(), Value::Null),
            ("/healthz?deep=1".to_owned(), Value::Null),
        ],
        "/Schemas" | "/ResourceTypes" | "/Scopes" => {
            vec![(format!("{base}{template}"), Value::Null)]
        }
        other => panic!("{other} has no requests here"),
    }
}

/// The requests to resources of every type, or to what is below them.
fn resources(base: &str, suffix: &str, method: &str, ids: &Ids) -> Vec<(String, Value)> {
    let named = [
        ("Users", &ids.user),
        ("Groups", &ids.group),
        ("Roles", &ids.role),
    ];
    let named = named.into_iter().map(|(endpoint, id)| {
        let path = format!("{base}/{endpoint}/{id}{suffix}");
        (path, body(method, endpoint, ids))
    });
    named.collect()
}

/// The requests to the lists of every type.
fn collections(base: &str, method: &str, ids: &Ids) -> Vec<(String, Value)> {
    let filters = [
        format!("id%20eq%20%22{}%22", ids.user),
        format!("members.value%20eq%20%22{}%22", ids.user),
        "userName%20eq%20%22shared%22".to_owned(),
    ];
    let mut requests = Vec::new();
    for endpoint in ["Users", "Groups", "Roles"] {
        let list = format!("{base}/{endpoint}");
        let filtered = filters.iter().filter(|_| method == "GET");
        let filtered = filtered.map(|filter| (format!("{list}?filter={filter}"), Value::Null));
        requests.extend(filtered);
        requests.push((list, body(method, endpoint, ids)));
    }
    requests
}

fn bulk(ids: &Ids) -> Value {
    let operations = [
        json!({"method": "DELETE", "path": format!("/Roles/{}", ids.role)}),
        json!({"method": "PATCH", "path": format!("/Groups/{}", ids.group),
            "data": body("PATCH", "Groups", ids)}),
    ];
    json!({"schemas": [BULK], "Operations": operations})
}

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

fn tenant_id(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn credentials(fixture: &Fixture) -> Credentials {
    Credentials::new(fixture.secrets.clone(), "test")
}

fn issuer(fixture: &Fixture) -> Issuer {
    Issuer::new(
        stack_keys(fixture.world.clock()),
        credentials(fixture),
        fixture.world.clock(),
    )
}

pub(crate) fn router(fixture: &Fixture, provider: Provider) -> Router {
    let clock = || fixture.world.clock();
    http::router(Arc::new(Service {
        provider: Arc::new(provider),
        authenticator: Authenticator::new(stack_keys(clock()), credentials(fixture), clock()),
        admission: Admission::default(),
        rates: RequestRates::default(),
        status: StatusLog::new(clock()),
        public_url: Some(PublicUrl::parse("https://directory.example.com").unwrap()),
        server_timing: false,
        docs: Some(Docs::in_folder(DOCS.into())),
    }))
}

pub(crate) async fn send(
    router: &Router,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Authorization", format!("Bearer {token}"))
        .header("X-Request-Id", "tenancy")
        .header("Content-Type", "application/json");
    let body = match body {
        Value::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    let response = router.clone().oneshot(request.body(body).unwrap()).await;
    let (parts, body) = response.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(bytes.to_vec()).unwrap();
    Reply {
        status: parts.status.as_u16(),
        text: format!("{:?}\n{body}", parts.headers),
        json: serde_json::from_str(&body).unwrap_or_default(),
    }
}

/// Makes a user, a group of it and a role in `acme`, each with that name and with the value `of-acme`.
async fn make(router: &Router, token: &str, name: &str) -> Ids {
    let create = async |endpoint: &str, body: Value| {
        let path = format!("/scim/v2/{endpoint}");
        let made = send(router, token, "POST", &path, &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["id"].as_str().unwrap().to_owned()
    };
    let user = json!({
        "userName": name, "externalId": name, "nickName": "of-acme", "name": {"familyName": "of-acme"},
        "emails": [{"value": format!("{name}@example.com"), "type": "work"}],
    });
    let user = create("Users", user).await;
    let members = json!([{"value": user, "type": "User"}]);
    let group = json!({"displayName": name, "externalId": "of-acme", "members": members});
    let group = create("Groups", group).await;
    let role = json!({"name": name, "description": "of-acme", "scopes": ["users:read"]});
    let role = create("Roles", role).await;
    Ids { user, group, role }
}

/// A body for a request with this method to an endpoint, which names further ids.
fn body(method: &str, endpoint: &str, ids: &Ids) -> Value {
    match (method, endpoint) {
        ("GET" | "DELETE", _) => Value::Null,
        ("PATCH", "Groups") => json!({"schemas": [PATCH], "Operations": [
            {"op": "add", "path": "members", "value": [{"value": ids.user, "type": "User"}]},
        ]}),
        ("PATCH", _) => json!({"schemas": [PATCH], "Operations": [
            {"op": "add", "path": "displayName", "value": "changed"},
        ]}),
        (_, "Users") => json!({"userName": "made", "name": {"familyName": "M", "givenName": "M"}}),
        (_, "Groups") => {
            json!({"displayName": "made", "members": [{"value": ids.user, "type": "User"}]})
        }
        (_, _) => json!({"name": "made", "scopes": ["users:read"]}),
    }
}

/// Gives a tenant every resource of another one, under the same ids. Values that name the other one name this one.
fn copy(fixture: &Fixture, from: &str, to: &str) {
    let prefix = format!("T#{from}#");
    for item in fixture.world.items() {
        let partition = item["pk"]["S"].as_str().unwrap();
        let kind = partition
            .strip_prefix(&prefix)
            .and_then(|rest| rest.chars().next());
        if matches!(kind, Some('R' | 'I' | 'M' | 'B' | 'C' | 'N')) {
            let item: Value = serde_json::from_str(&item.to_string().replace(from, to)).unwrap();
            let put = json!({"TableName": "scim", "Item": item});
            fixture.world.tamper("PutItem", &put);
        }
    }
}

/// The templates of all targets, as the code names them.
fn templates() -> BTreeSet<&'static str> {
    let names = TARGETS.split("fn template").nth(1).unwrap();
    let names = names
        .lines()
        .filter_map(|line| line.split_once("=> \"")?.1.split('"').next());
    names.filter(|name| name.starts_with('/')).collect()
}

/// Whether a target is not there for any caller: then its path is not one of this protocol.
fn is_nowhere(reply: &Reply) -> bool {
    reply.status == 404 && reply.text.contains("no such endpoint") || reply.status == 405
}

#[tokio::test(start_paused = true)]
async fn nothing_of_another_tenant_appears_in_any_answer_or_changes() {
    keep_log();
    let twins = Twins::new().await;
    let (before, from) = (twins.items(), logged().len());
    assert!(
        before
            .iter()
            .any(|item| item.to_string().contains("of-acme"))
    );
    let mut answered = BTreeMap::<&str, usize>::new();
    for template in templates() {
        for base in BASES {
            for method in METHODS {
                for (path, body) in requests(base, template, method, &twins.both) {
                    let reply = twins.send(method, &path, &body).await;
                    assert!(
                        !reply.text.contains("acme"),
                        "{method} {path}: {}",
                        reply.text
                    );
                    assert!(
                        reply.status < 500 || reply.status == 501,
                        "{method} {path}: {}",
                        reply.text
                    );
                    *answered.entry(template).or_default() += usize::from(!is_nowhere(&reply));
                    if reply.text.contains("of-globex") {
                        *answered.entry("own values").or_default() += 1;
                    }
                }
            }
        }
    }
    assert!(twins.items() == before);
    // Every route was reached, and answers had values of the tenant itself.
    assert!(answered.values().all(|count| *count > 0), "{answered:?}");
    assert!(answered["own values"] > 10, "{answered:?}");
    let log = logged();
    assert!(!log[from..].contains("acme"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn ids_of_another_tenant_are_answered_as_ids_that_do_not_exist() {
    let twins = Twins::new().await;
    let nobody = Ids {
        user: NO_ID.to_owned(),
        group: NO_ID.to_owned(),
        role: NO_ID.to_owned(),
    };
    let mut compared = 0;
    for template in templates() {
        for base in BASES {
            for method in METHODS {
                let others = requests(base, template, method, &twins.others);
                let unknown = requests(base, template, method, &nobody);
                for (other, unknown) in others.into_iter().zip(unknown) {
                    // A request without an id of another tenant is the same request twice.
                    if other == unknown {
                        continue;
                    }
                    let (path, body) = other;
                    let begun = twins.calls();
                    let reply = twins.send(method, &path, &body).await;
                    let calls = twins.calls();
                    let expected = twins.send(method, &unknown.0, &unknown.1).await;
                    let ids = [&twins.others.user, &twins.others.group, &twins.others.role];
                    let ids = ids.into_iter();
                    let text = ids.fold(reply.text, |text, id| text.replace(id, NO_ID));
                    assert_eq!(reply.status, expected.status, "{method} {path}");
                    assert_eq!(text, expected.text, "{method} {path}");
                    // The same calls take as long, whatever other tenants have.
                    assert_eq!(calls - begun, twins.calls() - calls, "{method} {path}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 60, "{compared}");
}

#[tokio::test(start_paused = true)]
async fn a_path_of_another_tenant_is_that_of_an_unknown_one() {
    let twins = Twins::new().await;
    for rest in ["/Users", "/Groups", "/Users/1"] {
        for base in ["/v2/TENANT/scim", "/t/TENANT/scim/v2", "/t/TENANT/scim/v1"] {
            let path = |name: &str| format!("{}{rest}", base.replace("TENANT", name));
            let other = twins.send("GET", &path("acme"), &Value::Null).await;
            let unknown = twins.send("GET", &path("nobody"), &Value::Null).await;
            assert_eq!((other.status, &other.text), (401, &unknown.text));
            assert_eq!(twins.calls(), 0);
        }
    }
}

/// The operations that ask about the whole stack, or about a webhook of any tenant by its id.
const OF_STACK: [&str; 10] = [
    "webhook.list",
    "webhook.show",
    "webhook.test",
    "webhook.rotate",
    "webhook.resume",
    "webhook.remove",
    "tenant.list",
    "stack.status",
    "stack.deleteTenants",
    "stack.rotateKey",
];

/// Values of the arguments of operations, by the name of the operation and of the argument, or of the argument alone.
fn argument(op: &str, name: &str, ids: &Ids, credential: &str) -> Value {
    let schema = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": "urn:example:Badge", "name": "Badge",
        "description": "", "attributes": [],
    });
    let resource_type = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": "User", "name": "User",
        "endpoint": "/Users", "schema": USER,
        "schemaExtensions": [
            {"schema": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "required": false},
            {"schema": "urn:ietf:params:scim:schemas:extension:ionic:2.0:User", "required": false},
        ],
    });
    match (op, name) {
        ("user.find" | "event.forget", "id") => json!(ids.user),
        ("group.find" | "group.members", "id") => json!(ids.group),
        ("credential.revoke" | "credential.rotate", "id") => json!(credential),
        ("schema.show" | "schema.remove", "id") => json!("urn:example:Badge"),
        ("credential.create", "user") => json!(ids.user),
        ("credential.create", "role") => json!(ids.role),
        ("tenant.create" | "tenant.set", "switches") => json!({"maxCount": 300}),
        ("data.import", "step") => json!("write"),
        (_, "tenant") => json!("globex"),
        (_, "userName" | "externalId" | "displayName") => json!("shared"),
        (_, "email") => json!("shared@example.com"),
        (_, "label") => json!("made"),
        (_, "url") => json!("https://app.example.com/events"),
        (_, "schema") => schema,
        (_, "resourceType") => resource_type,
        (_, "name") => json!("User"),
        (_, "values" | "withSecrets" | "withCredentials") => json!(true),
        (_, "limit") => json!(10),
        (_, "profile") => json!("strict"),
        (_, "text") => json!(""),
        (_, other) => panic!("{op} has no value of `{other}` here"),
    }
}

/// Requests for an operation, by what the page of operations says of it: with the arguments that it needs, and
/// with each of the others that say what it is about.
fn operations(op: &str, ids: &Ids, credential: &str) -> Vec<Value> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let form = &schema["$defs"][op];
    assert!(
        form.is_object(),
        "docs/admin.schema.json does not have {op}"
    );
    let mut request = json!({"op": op});
    for name in form["required"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        if !["op", "actor"].contains(&name) {
            request[name] = argument(op, name, ids, credential);
        }
    }
    let mut requests = vec![request.clone()];
    for name in [
        "tenant",
        "id",
        "userName",
        "externalId",
        "displayName",
        "email",
        "user",
        "role",
        "switches",
        "values",
    ] {
        if form["properties"].get(name).is_some() && request.get(name).is_none() {
            let mut with = request.clone();
            with[name] = argument(op, name, ids, credential);
            requests.push(with);
        }
    }
    requests
}

/// The operations that are asked on behalf of a tenant. Those that end it come last.
fn of_tenant() -> Vec<&'static str> {
    let mut names: Vec<_> = names().filter(|name| !OF_STACK.contains(name)).collect();
    names.sort_by_key(|name| (["tenant.suspend", "tenant.delete"].contains(name), *name));
    names
}

#[tokio::test(start_paused = true)]
async fn operations_on_a_tenant_show_and_change_nothing_of_another() {
    keep_log();
    let twins = Twins::new().await;
    let acme = issuer(&twins.fixture).credentials(&tenant_id("acme")).await;
    let credential = acme.unwrap()[0].id.as_str().to_owned();
    let (before, from) = (twins.items(), logged().len());
    let admin = twins.fixture.admin();
    for op in of_tenant() {
        let mut is_understood = false;
        for request in operations(op, &twins.both, &credential) {
            let answer = ask(&admin, request.clone()).await;
            assert!(!answer.to_string().contains("acme"), "{request}: {answer}");
            is_understood |= answer["error"]["code"] != "invalid";
        }
        assert!(
            is_understood,
            "{op} has no request here that it understands"
        );
    }
    assert!(twins.items() == before);
    let left = issuer(&twins.fixture).credentials(&tenant_id("acme")).await;
    assert_eq!(left.unwrap()[0].id.as_str(), credential);
    let log = logged();
    assert!(!log[from..].contains("acme"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn operations_take_ids_of_another_tenant_for_unknown_ones() {
    let twins = Twins::new().await;
    let acme = issuer(&twins.fixture).credentials(&tenant_id("acme")).await;
    let credential = acme.unwrap()[0].id.as_str().to_owned();
    let nobody = Ids {
        user: NO_ID.to_owned(),
        group: NO_ID.to_owned(),
        role: NO_ID.to_owned(),
    };
    let admin = twins.fixture.admin();
    for op in of_tenant() {
        let others = operations(op, &twins.others, &credential);
        let unknown = operations(op, &nobody, "0000000000000000");
        for (other, unknown) in others.into_iter().zip(unknown) {
            if other == unknown {
                continue;
            }
            let answer = ask(&admin, other.clone()).await.to_string();
            let expected = ask(&admin, unknown).await.to_string();
            let ids = [&twins.others.user, &twins.others.group, &twins.others.role];
            let answer = ids
                .into_iter()
                .fold(answer, |text, id| text.replace(id, NO_ID));
            let answer = answer.replace(&credential, "0000000000000000");
            assert_eq!(answer, expected, "{other}");
        }
    }
}
