//! Bulk requests on an embedded table: order, references, failures, time (RFC 7644 §3.7).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use scim_lambda::http::render;
use scim_lambda::protocol::bulk::BulkRequest;
use scim_lambda::protocol::error::Result;
use scim_lambda::protocol::message::Selection;
use scim_lambda::protocol::resource::ResourceId;
use scim_lambda::protocol::version::{Precondition, Version};
use scim_lambda::provider::{Done, Patched, Performed, RequestScope};
use scim_lambda::store::Meter;
use scim_lambda::tenant::Permissions;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::support::cause;

use crate::directory::{BASE, Directory, resource_type, user};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

async fn bulk(directory: &Directory, scope: &RequestScope, body: Value) -> Vec<Performed> {
    let request = BulkRequest::parse(&object(body), &mut scope.reading()).unwrap();
    directory.provider.bulk(scope, request, 0).await.unwrap()
}

async fn operations(
    directory: &Directory,
    scope: &RequestScope,
    operations: Value,
) -> Vec<Performed> {
    bulk(directory, scope, json!({ "Operations": operations })).await
}

fn status(performed: &Performed) -> u16 {
    match &performed.outcome {
        Ok(Done::Created) => 201,
        Ok(Done::Changed) => 200,
        Ok(Done::ChangedUnseen | Done::Deleted) => 204,
        Err(error) => error.status(),
    }
}

fn statuses(performed: &[Performed]) -> Vec<u16> {
    performed.iter().map(status).collect()
}

fn id(performed: &Performed) -> String {
    performed.subject.as_ref().unwrap().id.clone()
}

fn members(group: &Value) -> BTreeSet<String> {
    let listed = group["members"].as_array().unwrap().iter();
    let values = listed.map(|member| member["value"].as_str().unwrap().to_owned());
    values.collect()
}

fn post(endpoint: &str, name: &str, data: &Value) -> Value {
    json!({"method": "POST", "path": format!("/{endpoint}"), "bulkId": name, "data": data})
}

fn new_user(name: &str) -> Value {
    post("Users", name, &json!({ "userName": name }))
}

fn new_group(name: &str, members: &[&str]) -> Value {
    let members: Vec<_> = members.iter().map(|id| json!({ "value": id })).collect();
    post(
        "Groups",
        name,
        &json!({"displayName": name, "members": members}),
    )
}

async fn count(directory: &Directory, scope: &RequestScope, name: &str) -> u64 {
    let list = directory.list(scope, name, "count=0").await.unwrap();
    list["totalResults"].as_u64().unwrap()
}

#[tokio::test]
async fn references_lead_forward_backward_and_in_circles() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let done = operations(
        &directory,
        &scope,
        json!([
            new_group("a", &["bulkId:b", "bulkId:u"]),
            new_group("b", &["bulkId:a"]),
            new_user("u"),
            {"method": "PATCH", "path": "/Groups/bulkId:b", "data": {"Operations": [
                {"op": "add", "path": "members", "value": [{"value": "bulkId:u"}]},
                {"op": "remove", "path": "members[value eq \"bulkId:u\"]"}]}},
            {"method": "DELETE", "path": "/Users/bulkId:lost"},
        ]),
    )
    .await;
    assert_eq!(statuses(&done), [201, 201, 201, 200, 400]);
    let group = directory.get(&scope, "Group", &id(&done[0])).await;
    assert_eq!(
        members(&group),
        BTreeSet::from([id(&done[1]), id(&done[2])])
    );
    let shown = Version::of_tag(group["meta"]["version"].as_str().unwrap());
    assert_eq!(Some(shown.stored()), done[0].version);
    let other = directory.get(&scope, "Group", &id(&done[1])).await;
    assert_eq!(members(&other), BTreeSet::from([id(&done[0])]));
    assert_eq!(
        render::operation_location(BASE, &done[4]),
        Some(format!("{BASE}/Users/bulkId:lost"))
    );
}

#[tokio::test]
async fn a_creation_that_cannot_be_completed_is_undone() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let done = operations(
        &directory,
        &scope,
        json!([
            new_group("a", &["bulkId:b"]),
            post("Groups", "b", &json!({"members": [{"value": "bulkId:a"}]})),
            {"method": "PATCH", "path": "/Groups/bulkId:a", "data": {"Operations": [
                {"op": "replace", "path": "displayName", "value": "x"}]}},
        ]),
    )
    .await;
    assert_eq!(statuses(&done), [400, 400, 400]);
    assert_eq!(render::operation_location(BASE, &done[0]), None);
    assert_eq!(count(&directory, &scope, "Group").await, 0);
}

#[tokio::test]
async fn too_many_errors_end_the_request() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let wrong = json!({"method": "DELETE", "path": "/Users/nobody"});
    let listed = json!([new_user("a"), wrong, new_user("b"), wrong, new_user("c")]);
    let with = |limit: u32| json!({"failOnErrors": limit, "Operations": listed});
    let done = bulk(&directory, &scope, with(2)).await;
    assert_eq!(statuses(&done), [201, 404, 201, 404]);
    let all = directory.scope_of("other", "1").await;
    let done = bulk(&directory, &all, with(3)).await;
    assert_eq!(statuses(&done), [201, 404, 201, 404, 201]);
    let done = operations(&directory, &all, listed.clone()).await;
    assert_eq!(statuses(&done), [409, 404, 409, 404, 409]);
}

#[tokio::test]
async fn each_operation_needs_its_permission_and_its_version() {
    let directory = Directory::start().await;
    let mut scope = directory.scope().await;
    let done = operations(&directory, &scope, json!([new_user("a"), new_user("b")])).await;
    scope.caller.permissions = Permissions::of_credential(["users:update", "users:create"]);
    let change = |done: &Performed, version: &str| {
        json!({"method": "PUT", "path": format!("/Users/{}", id(done)), "version": version,
               "data": {"userName": done.label.path.clone() + &id(done)}})
    };
    let done = operations(
        &directory,
        &scope,
        json!([
            change(&done[0], &done[0].version.as_ref().unwrap().to_string()),
            change(&done[1], "W/\"old\""),
            {"method": "DELETE", "path": format!("/Users/{}", id(&done[1]))},
            new_group("g", &[]),
            post("Things", "t", &json!({})),
        ]),
    )
    .await;
    assert_eq!(statuses(&done), [200, 412, 403, 403, 404]);
    let missing = done[2].outcome.as_ref().unwrap_err();
    assert!(missing.detail().contains("users:delete"), "{missing}");
}

#[tokio::test]
async fn near_the_deadline_no_operation_begins_and_each_has_a_result() {
    let directory = Directory::start().await;
    let mut scope = directory.scope().await;
    let tenant = scope.caller.tenant.clone();
    let budget = Duration::from_millis(5_150);
    scope.store = directory
        .provider
        .store()
        .for_tenant(&tenant, cause(), Meter::default(), budget);
    let listed: Vec<_> = (0..1000).map(|n| new_user(&format!("u{n}"))).collect();
    let done = operations(&directory, &scope, json!(listed)).await;
    assert_eq!(done.len(), 1000);
    let made = done.iter().filter(|done| status(done) == 201).count();
    let late = done.iter().filter(|done| status(done) == 503).count();
    assert_eq!(made + late, 1000);
    assert!(late > 0, "{made} were made");
    let scope = directory.scope().await;
    assert_eq!(count(&directory, &scope, "User").await, made as u64);
}

#[tokio::test]
async fn a_thousand_users_are_created_in_time() {
    let directory = Directory::start().await;
    let mut scope = directory.scope().await;
    if cfg!(debug_assertions) {
        // The embedded table is several times slower without optimisation.
        let (tenant, budget) = (scope.caller.tenant.clone(), Duration::from_secs(100));
        let store = directory.provider.store();
        scope.store = store.for_tenant(&tenant, cause(), Meter::default(), budget);
    }
    let begun = Instant::now();
    let listed: Vec<_> = (0..1000)
        .map(|n| post("Users", &n.to_string(), &user(n)))
        .collect();
    let done = operations(&directory, &scope, json!(listed)).await;
    println!("1,000 creates took {:?}", begun.elapsed());
    assert!(done.iter().all(|done| status(done) == 201));
    assert_eq!(count(&directory, &scope, "User").await, 1000);
}

// --- any request equals its operations one by one ----------------------------------------------

/// The resources that exist before the request: users `@0` to `@2`, groups `@3` and `@4`.
const PRIOR: usize = 5;

/// One operation. `@n` is a resource that exists before, `bulkId:n` one that the operation at position
/// `n` creates.
fn any_operation(position: usize) -> impl Strategy<Value = Value> {
    let users = || reference(position, 0..3);
    let groups = || reference(position, 3..5);
    let anyone = || reference(position, 0..PRIOR);
    let name = || prop::sample::select(vec!["ann", "ANN", "bob", "eve"]);
    let title = || prop::sample::select(vec!["one", "two"]);
    let members = || prop::collection::vec(anyone(), 0..3);
    let version = || prop::option::weighted(0.1, Just("W/\"old\""));
    let bulk_id = position.to_string();
    let other_id = bulk_id.clone();
    prop_oneof![
        2 => (name(), prop::option::of(users())).prop_map(move |(name, manager)| {
            let mut data = json!({ "userName": name });
            if let Some(manager) = manager {
                let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
                data[urn] = json!({"manager": {"value": manager}});
            }
            post("Users", &bulk_id, &data)
        }),
        2 => (title(), members()).prop_map(move |(name, members)| {
            let members: Vec<_> = members.iter().map(|id| json!({ "value": id })).collect();
            post("Groups", &other_id, &json!({"displayName": name, "members": members}))
        }),
        1 => (users(), name(), version()).prop_map(|(user, name, version)| json!({
            "method": "PUT", "path": format!("/Users/{user}"), "version": version,
            "data": {"userName": name}})),
        2 => (users(), name(), title(), any::<bool>()).prop_map(|(user, name, title, renames)| {
            let (path, value) = if renames { ("userName", name) } else { ("title", title) };
            let replace = json!({"op": "replace", "path": path, "value": value});
            json!({"method": "PATCH", "path": format!("/Users/{user}"),
                   "data": {"Operations": [replace]}})
        }),
        3 => (groups(), members(), prop::sample::select(vec!["add", "remove", "replace"]), version())
            .prop_map(|(group, members, op, version)| {
                let members: Vec<_> = members.iter().map(|id| json!({ "value": id })).collect();
                let change = json!({"op": op, "path": "members", "value": members});
                json!({"method": "PATCH", "path": format!("/Groups/{group}"), "version": version,
                       "data": {"Operations": [change]}})
            }),
        1 => users().prop_map(|id| json!({"method": "DELETE", "path": format!("/Users/{id}")})),
        1 => groups().prop_map(|id| json!({"method": "DELETE", "path": format!("/Groups/{id}")})),
    ]
}

/// A resource that exists before the request, or one that an earlier operation creates, of any type.
fn reference(position: usize, prior: std::ops::Range<usize>) -> BoxedStrategy<String> {
    let prior = prior.prop_map(|number| format!("@{number}"));
    if position == 0 {
        return prior.boxed();
    }
    let earlier = (0..position).prop_map(|number| format!("bulkId:{number}"));
    prop_oneof![2 => prior, 1 => earlier].boxed()
}

fn any_request() -> impl Strategy<Value = Vec<Value>> {
    (1_usize..12).prop_flat_map(|length| {
        let listed: Vec<_> = (0..length)
            .map(|position| any_operation(position).boxed())
            .collect();
        listed
    })
}

/// A directory after a request: the status of each operation, and all resources with names in place of
/// ids.
#[derive(Debug, PartialEq)]
struct After {
    statuses: Vec<u16>,
    resources: BTreeMap<String, Value>,
}

/// The id of each name.
type Ids = BTreeMap<String, String>;

async fn prepare(directory: &Directory, scope: &RequestScope) -> Ids {
    let mut ids = Ids::new();
    for number in 0..PRIOR {
        let (kind, body) = match number {
            0..3 => ("User", json!({ "userName": format!("prior{number}") })),
            _ => (
                "Group",
                json!({"displayName": "prior", "members": [{"value": ids["@0"]}]}),
            ),
        };
        let id = directory.create(scope, kind, body).await;
        ids.insert(format!("@{number}"), id);
    }
    ids
}

/// Replaces names by ids, the longest names first.
fn with_ids(value: &Value, ids: &Ids) -> Value {
    let text = ids
        .iter()
        .rev()
        .fold(value.to_string(), |text, (name, id)| {
            text.replace(&format!("{name}\""), &format!("{id}\""))
        });
    serde_json::from_str(&text).unwrap()
}

async fn at_once(directory: &Directory, scope: &RequestScope, request: &[Value]) -> After {
    let mut ids = prepare(directory, scope).await;
    let listed: Vec<_> = request.iter().map(|one| with_ids(one, &ids)).collect();
    let done = operations(directory, scope, json!(listed)).await;
    for (position, done) in done
        .iter()
        .enumerate()
        .filter(|(_, done)| status(done) == 201)
    {
        ids.insert(format!("bulkId:{position}"), id(done));
    }
    after(directory, scope, statuses(&done), &ids).await
}

async fn one_by_one(directory: &Directory, scope: &RequestScope, request: &[Value]) -> After {
    let mut ids = prepare(directory, scope).await;
    let mut statuses = Vec::new();
    for (position, operation) in request.iter().enumerate() {
        let operation = with_ids(operation, &ids);
        if operation.to_string().contains("\"bulkId:")
            || operation["path"].as_str().unwrap().contains("bulkId:")
        {
            // It refers to a resource that could not be created.
            statuses.push(400);
            continue;
        }
        match single(directory, scope, operation).await {
            Ok((status, id)) => {
                statuses.push(status);
                ids.extend(id.map(|id| (format!("bulkId:{position}"), id)));
            }
            Err(error) => statuses.push(error.status()),
        }
    }
    after(directory, scope, statuses, &ids).await
}

async fn single(
    directory: &Directory,
    scope: &RequestScope,
    mut operation: Value,
) -> Result<(u16, Option<String>)> {
    let path = operation["path"].as_str().unwrap().to_owned();
    let mut segments = path.trim_matches('/').split('/');
    let resource_type = match segments.next() {
        Some("Users") => resource_type(scope, "User"),
        _ => resource_type(scope, "Group"),
    };
    let id = segments.next().and_then(ResourceId::parse);
    let condition = Precondition::parse(operation["version"].as_str(), None);
    let data = operation["data"].take();
    let (provider, selection) = (&directory.provider, Selection::default());
    match operation["method"].as_str().unwrap() {
        "POST" => {
            let made = provider
                .create(scope, resource_type, object(data), &selection)
                .await?;
            Ok((201, Some(made.id().to_owned())))
        }
        "PUT" => {
            let data = object(data);
            provider
                .replace(
                    scope,
                    resource_type,
                    &id.unwrap(),
                    data,
                    &selection,
                    &condition,
                )
                .await?;
            Ok((200, None))
        }
        "PATCH" => {
            let data = object(data);
            let done = provider
                .patch(
                    scope,
                    resource_type,
                    &id.unwrap(),
                    data,
                    &selection,
                    &condition,
                )
                .await?;
            assert!(matches!(done, Patched::Resource(_)));
            Ok((200, None))
        }
        _ => {
            provider
                .delete(scope, resource_type, &id.unwrap(), &condition)
                .await?;
            Ok((204, None))
        }
    }
}

async fn after(
    directory: &Directory,
    scope: &RequestScope,
    statuses: Vec<u16>,
    ids: &Ids,
) -> After {
    let names: BTreeMap<_, _> = ids
        .iter()
        .map(|(name, id)| (id.as_str(), name.as_str()))
        .collect();
    let named = |id: &Value| {
        names
            .get(id.as_str().unwrap())
            .copied()
            .unwrap_or("?")
            .to_owned()
    };
    let mut resources = BTreeMap::new();
    for kind in ["User", "Group"] {
        let list = directory.list(scope, kind, "").await.unwrap();
        for resource in list["Resources"].as_array().unwrap() {
            let members = resource["members"].as_array();
            let members: BTreeSet<_> = members
                .into_iter()
                .flatten()
                .map(|member| named(&member["value"]))
                .collect();
            let groups = resource["groups"].as_array();
            let groups: BTreeSet<_> = groups
                .into_iter()
                .flatten()
                .filter(|group| group["type"] == "direct")
                .map(|group| named(&group["value"]))
                .collect();
            let manager = &resource["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"];
            let manager = manager.pointer("/manager/value").map(&named);
            let shown = json!({
                "userName": resource["userName"], "displayName": resource["displayName"],
                "title": resource["title"], "members": members, "groups": groups,
                "manager": manager,
            });
            resources.insert(named(&resource["id"]), shown);
        }
    }
    After {
        statuses,
        resources,
    }
}

#[test]
fn any_request_equals_its_operations_one_by_one() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::start());
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let number = std::cell::Cell::new(0);
    let result = runner.run(&any_request(), |request| {
        let tenants = number.get();
        number.set(tenants + 2);
        runtime.block_on(async {
            let scope = directory.scope_of(&format!("t{tenants}"), "1").await;
            let bulk = at_once(&directory, &scope, &request).await;
            let scope = directory.scope_of(&format!("t{}", tenants + 1), "1").await;
            let single = one_by_one(&directory, &scope, &request).await;
            prop_assert_eq!(bulk, single);
            Ok::<_, TestCaseError>(())
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
