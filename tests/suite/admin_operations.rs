//! All administrative operations: what each of them asks and answers, compared with `docs/admin.schema.json`, and what
//! a repeat of each does.

use std::cell::RefCell;
use std::collections::BTreeSet;

use scim_lambda::admin::names;
use serde_json::{Value, json};

use crate::admin::{Fixture, ask, error, kill_everywhere};
use crate::simulation::World;

pub(crate) const SCHEMA: &str = include_str!("../../docs/admin.schema.json");
const BADGE: &str = "urn:example:Badge";

/// What the operations are asked about.
pub(crate) struct Subjects {
    /// The id of a user called ada, who is in the group.
    user: String,
    /// The id of a group called Staff.
    group: String,
}

impl Subjects {
    pub(crate) async fn of(world: &World) -> Self {
        let process = world.process();
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada",
            "externalId": "x-ada", "emails": [{"value": "ada@example.com"}]});
        let user = process.post("User", body).await.unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let group = process.group("Staff", std::slice::from_ref(&user)).await;
        Self { user, group }
    }
}

/// Asks for every operation of tenant `acme`, in an order in which each succeeds. `ask` gets a request without `actor`,
/// and returns the value of `ok`.
///
/// A new operation is added here. The test of the schema fails until it is.
pub(crate) async fn every_operation(subjects: &Subjects, ask: &impl AsyncFn(Value) -> Value) {
    credentials(ask).await;
    ask(json!({"op": "tenant.show", "tenant": "acme"})).await;
    definitions(ask).await;
    directory(subjects, ask).await;
    data(ask).await;
    webhooks(ask).await;
    ask(json!({"op": "stack.status"})).await;
    ask(json!({"op": "stack.rotateKey"})).await;
    tenants(ask).await;
    // The last one: afterwards there are no tenants.
    ask(json!({"op": "stack.deleteTenants", "stack": "test"})).await;
}

async fn tenants(ask: &impl AsyncFn(Value) -> Value) {
    let switches = json!({"maxCount": 500});
    ask(json!({"op": "tenant.create", "tenant": "new", "switches": switches})).await;
    for mut request in [
        json!({"op": "tenant.set", "profile": "strict", "switches": switches}),
        json!({"op": "tenant.suspend", "reason": "unpaid"}),
        json!({"op": "tenant.resume"}),
        json!({"op": "tenant.delete", "deleteAfterDays": 1}),
        json!({"op": "tenant.restore"}),
    ] {
        request["tenant"] = json!("new");
        ask(request).await;
    }
    ask(json!({"op": "tenant.list", "limit": 2})).await;
}

async fn credentials(ask: &impl AsyncFn(Value) -> Value) {
    let create = json!({"op": "credential.create", "tenant": "acme", "label": "okta", "kind": "bearer",
        "days": 90, "permissions": ["users:read"], "requestId": "create-1"});
    let first = ask(create).await;
    let create = json!({"op": "credential.create", "tenant": "acme", "label": "sync", "neverExpires": true,
        "requestId": "create-2"});
    ask(create).await;
    ask(json!({"op": "credential.list", "tenant": "acme"})).await;
    let rotate = json!({"op": "credential.rotate", "tenant": "acme", "id": first["id"], "graceHours": 1,
        "requestId": "rotate-1"});
    ask(rotate).await;
    ask(json!({"op": "credential.list", "tenant": "acme"})).await;
    ask(json!({"op": "credential.revoke", "tenant": "acme", "id": first["id"]})).await;
    ask(json!({"op": "credential.revokeAll", "tenant": "acme"})).await;
}

fn badge_schema() -> Value {
    json!({"id": BADGE, "name": "Badge", "description": "A badge that opens doors",
        "attributes": [{"name": "number", "type": "string", "required": true, "uniqueness": "server"}]})
}

fn badge_type() -> Value {
    json!({"id": "Badge", "name": "Badge", "endpoint": "/Badges", "schema": BADGE})
}

async fn definitions(ask: &impl AsyncFn(Value) -> Value) {
    ask(json!({"op": "schema.add", "tenant": "acme", "schema": badge_schema()})).await;
    ask(json!({"op": "schema.list", "tenant": "acme"})).await;
    ask(json!({"op": "schema.show", "tenant": "acme", "id": BADGE})).await;
    ask(json!({"op": "resourceType.losses", "tenant": "acme", "resourceType": badge_type()})).await;
    ask(json!({"op": "resourceType.add", "tenant": "acme", "resourceType": badge_type()})).await;
    ask(json!({"op": "resourceType.list", "tenant": "acme"})).await;
    ask(json!({"op": "resourceType.show", "tenant": "acme", "name": "Badge"})).await;
    ask(json!({"op": "resourceType.remove", "tenant": "acme", "name": "Badge"})).await;
    ask(json!({"op": "schema.remove", "tenant": "acme", "id": BADGE})).await;
    ask(json!({"op": "role.addOwn", "tenant": "acme"})).await;
}

async fn directory(subjects: &Subjects, ask: &impl AsyncFn(Value) -> Value) {
    let Subjects { user, group } = subjects;
    for (member, value) in [
        ("id", user.as_str()),
        ("userName", "ADA"),
        ("externalId", "x-ada"),
        ("email", "Ada@Example.com"),
    ] {
        let mut find = json!({"op": "user.find", "tenant": "acme", "values": member == "id"});
        find[member] = json!(value);
        let found = ask(find).await;
        assert_eq!(found["found"][0]["id"], **user, "{member}");
    }
    for (member, value) in [("id", group.as_str()), ("displayName", "staff")] {
        let mut find = json!({"op": "group.find", "tenant": "acme", "values": member == "id"});
        find[member] = json!(value);
        let found = ask(find).await;
        assert_eq!(found["found"][0]["id"], **group, "{member}");
    }
    ask(json!({"op": "group.members", "tenant": "acme", "id": group})).await;
    ask(json!({"op": "event.list", "tenant": "acme", "types": ["user.*"], "limit": 10})).await;
    ask(json!({"op": "event.forget", "tenant": "acme", "id": user})).await;
    ask(json!({"op": "brake.status", "tenant": "acme"})).await;
    ask(json!({"op": "brake.release", "tenant": "acme"})).await;
}

async fn data(ask: &impl AsyncFn(Value) -> Value) {
    let exported = ask(json!({"op": "data.export", "tenant": "acme", "withSecrets": true})).await;
    let text = exported["text"].as_str().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // A file with nothing of the directory removes it, and the whole one brings it back.
    let (head, end) = (lines[0], r#"{"end":{"resources":0,"memberships":0}}"#);
    for text in [format!("{head}\n{end}\n"), text.to_owned()] {
        for step in ["check", "remove", "write"] {
            let import = json!({"op": "data.import", "tenant": "acme", "step": step, "ifExists": "replace",
                "withSecrets": true, "text": text});
            let done = ask(import).await;
            assert_eq!((&done["done"], &done["errors"]), (&json!(true), &json!([])));
        }
    }
    for repair in [false, true] {
        let check = json!({"op": "data.check", "tenant": "acme", "repair": repair});
        // Whether it is well depends on what happened in the directory before.
        assert!(ask(check).await["well"].is_boolean());
    }
}

async fn webhooks(ask: &impl AsyncFn(Value) -> Value) {
    for tenant in [json!("acme"), Value::Null] {
        let add = json!({"op": "webhook.add", "url": "https://app.example.com/hook", "tenant": tenant,
            "from": "beginning", "requestId": format!("add-{tenant}").replace('"', "")});
        let id = ask(add).await["id"].take();
        ask(json!({"op": "webhook.list"})).await;
        for verb in ["show", "test", "rotate", "resume", "remove"] {
            ask(json!({"op": format!("webhook.{verb}"), "id": id})).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_operation_asks_and_answers_what_the_schema_says() {
    let fixture = Fixture::new().await;
    let subjects = Subjects::of(&fixture.world).await;
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let asked = RefCell::new(BTreeSet::new());
    every_operation(&subjects, &async |mut request: Value| {
        request["actor"] = json!("billing-service");
        let op = request["op"].as_str().unwrap().to_owned();
        check(&schema, &schema["$defs"][&op], &request, &op);
        let answer = Fixture::ok(fixture.ask(request).await);
        let name = format!("{op}.ok");
        check(&schema, &schema["$defs"][&name], &answer, &name);
        asked.borrow_mut().insert(op);
        answer
    })
    .await;
    let known: BTreeSet<String> = names().map(str::to_owned).collect();
    assert_eq!(*asked.borrow(), known, "every_operation lacks some");
    let defined: BTreeSet<String> = schema["$defs"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| schema["$defs"].get(format!("{name}.ok")).is_some())
        .cloned()
        .collect();
    assert_eq!(
        defined, known,
        "docs/admin.schema.json lacks some, or has more"
    );
    for (part, suffix) in [
        (&schema["anyOf"][0]["oneOf"], ""),
        (&schema["anyOf"][1]["properties"]["ok"]["anyOf"], ".ok"),
    ] {
        let listed: BTreeSet<_> = part
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["$ref"].to_string())
            .collect();
        let expected: BTreeSet<_> = known
            .iter()
            .map(|name| format!("\"#/$defs/{name}{suffix}\""))
            .collect();
        assert_eq!(listed, expected);
    }
}

/// Checks a value against a part of the schema, by the keywords that the schema uses except patterns and formats. In
/// contrast to a caller it allows no member that the schema does not have.
#[track_caller]
pub(crate) fn check(root: &Value, part: &Value, value: &Value, place: &str) {
    if let Err(fault) = fits(root, part, value, true) {
        panic!("{place}: {fault}: {value}");
    }
}

fn fits(root: &Value, part: &Value, value: &Value, is_closed: bool) -> Result<(), String> {
    if part.is_null() {
        return Err("it is not in the schema".to_owned());
    }
    if let Some(reference) = part["$ref"].as_str() {
        fits(
            root,
            root.pointer(&reference[1..]).unwrap(),
            value,
            is_closed,
        )?;
    }
    for taken_over in part["allOf"].as_array().into_iter().flatten() {
        fits(root, taken_over, value, false)?;
    }
    if let Some(choices) = part["anyOf"].as_array() {
        let mut fitting = choices
            .iter()
            .map(|choice| fits(root, choice, value, is_closed));
        if !fitting.any(|fitting| fitting.is_ok()) {
            return Err("it is none of the choices".to_owned());
        }
    }
    check_type(part, value)?;
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        if !part["items"].is_null() {
            fits(root, &part["items"], element, true)
                .map_err(|fault| format!("[{index}] {fault}"))?;
        }
    }
    for name in part["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
            return Err(format!("{name} is missing"));
        }
    }
    if let (Some(properties), Some(members)) = (part["properties"].as_object(), value.as_object()) {
        let has_others = !part["allOf"].is_null();
        for (name, member) in members {
            match properties.get(name) {
                Some(property) => fits(root, property, member, true)
                    .map_err(|fault| format!("{name}: {fault}"))?,
                None if is_closed && !has_others => {
                    return Err(format!("{name} is not in the schema"));
                }
                None => {}
            }
        }
    }
    Ok(())
}

fn check_type(part: &Value, value: &Value) -> Result<(), String> {
    let is_of = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not expected"),
    };
    let fits = match &part["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(|name| is_of(name.as_str().unwrap())),
        name => is_of(name.as_str().unwrap()),
    };
    let is_listed = |listed: &Value| {
        listed
            .as_array()
            .is_none_or(|listed| listed.contains(value))
    };
    let is_const = part["const"].is_null() || part["const"] == *value;
    let size = value
        .as_str()
        .map(str::len)
        .or(value.as_array().map(Vec::len));
    let size = size.map(|size| size as u64).or(value.as_u64());
    let bound = |name: &str| part[name].as_u64();
    let is_within = size.is_none_or(|size| {
        let lowest = bound("minLength")
            .or(bound("minItems"))
            .or(bound("minimum"));
        let highest = bound("maxLength")
            .or(bound("maxItems"))
            .or(bound("maximum"));
        lowest.is_none_or(|lowest| size >= lowest) && highest.is_none_or(|highest| size <= highest)
    });
    match fits && is_listed(&part["enum"]) && is_const && is_within {
        true => Ok(()),
        false => Err("it has another type, value or size".to_owned()),
    }
}

#[test]
fn a_value_that_does_not_fit_is_noticed() {
    let root = json!({"$defs": {"name": {"type": "string", "maxLength": 3}}});
    let part = json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/name"},
        "b": {"type": ["integer", "null"], "minimum": 1}, "c": {"type": "array", "items": {"enum": ["x"]}}}});
    for (value, is_right) in [
        (json!({"a": "abc", "b": null, "c": ["x"]}), true),
        (json!({"a": "abc", "b": 1}), true),
        (json!({"a": "abcd"}), false),
        (json!({"a": 7}), false),
        (json!({"b": 1}), false),
        (json!({"a": "a", "b": 0}), false),
        (json!({"a": "a", "c": ["y"]}), false),
        (json!({"a": "a", "d": 1}), false),
        (json!([]), false),
    ] {
        assert_eq!(
            fits(&root, &part, &value, true).is_ok(),
            is_right,
            "{value}"
        );
    }
}

/// What is there after the operations, without what is random in it.
async fn state(fixture: &Fixture) -> Value {
    let list = async |op: &str| {
        let mut request = json!({"op": op});
        if op != "webhook.list" {
            request["tenant"] = json!("acme");
        }
        Fixture::ok(fixture.ask(request).await)
    };
    let credentials = list("credential.list").await;
    let credentials = credentials["credentials"].as_array().unwrap().iter();
    let credentials: Vec<_> = credentials
        .map(|known| {
            json!([
                known["label"],
                known["kind"],
                known["expires"],
                known["permissions"],
                known["replaces"].is_null()
            ])
        })
        .collect();
    json!({
        "credentials": credentials,
        "schemas": list("schema.list").await,
        "types": list("resourceType.list").await,
        "webhooks": list("webhook.list").await["webhooks"].as_array().unwrap().len(),
        "secrets": fixture.names().await.len(),
        "roles": fixture.world.process().total("Role").await,
    })
}

/// An SDK repeats an invocation whose answer was lost.
#[tokio::test(start_paused = true)]
async fn every_operation_that_is_asked_twice_by_one_request_does_no_harm() {
    let mut states = Vec::new();
    for is_repeated in [false, true] {
        let fixture = Fixture::new().await;
        let subjects = Subjects::of(&fixture.world).await;
        let seen = RefCell::new(Vec::new());
        every_operation(&subjects, &async |mut request: Value| {
            request["actor"] = json!("billing-service");
            if request["requestId"].is_null() {
                request["requestId"] = json!(format!("r-{}", seen.borrow().len()));
            }
            let mut answer = Fixture::ok(fixture.ask(request.clone()).await);
            if is_repeated {
                answer = Fixture::ok(fixture.ask(request.clone()).await);
            }
            // Afterwards there is no tenant to look at.
            if request["op"] == "stack.deleteTenants" {
                return answer;
            }
            let now = state(&fixture).await;
            seen.borrow_mut().push((request["op"].clone(), now));
            answer
        })
        .await;
        states.push(seen.into_inner());
    }
    for (once, twice) in states[0].iter().zip(&states[1]) {
        assert_eq!(once, twice);
    }
}

async fn create(fixture: &Fixture, request: &str) -> Value {
    let create =
        json!({"op": "credential.create", "tenant": "acme", "label": "okta", "requestId": request});
    Fixture::ok(fixture.ask(create).await)
}

async fn listed(fixture: &Fixture) -> Vec<Value> {
    let list = json!({"op": "credential.list", "tenant": "acme"});
    let list = Fixture::ok(fixture.ask(list).await);
    list["credentials"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_credential_whose_answer_was_lost_is_revoked_by_the_repeat() {
    let fixture = Fixture::new().await;
    let lost = create(&fixture, "r-1").await;
    let second = create(&fixture, "r-1").await;
    assert_ne!(
        (&lost["id"], &lost["token"]),
        (&second["id"], &second["token"])
    );
    assert_eq!(listed(&fixture).await[0]["id"], second["id"]);
    // Another request has another name, and so is a request after ten minutes.
    create(&fixture, "r-2").await;
    assert_eq!(listed(&fixture).await.len(), 2);
    fixture.world.jump(std::time::Duration::from_secs(601));
    create(&fixture, "r-1").await;
    assert_eq!(listed(&fixture).await.len(), 3);
    let other =
        json!({"op": "credential.create", "tenant": "acme", "label": "entra", "requestId": "r-1"});
    let answer = fixture.ask(other).await;
    assert_eq!(error(&answer).0, "refused", "{answer}");
    assert_eq!(listed(&fixture).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_process_dies_anywhere_leaves_one_credential_after_the_repeat() {
    let prepare = async |_: &Fixture| json!({"op": "credential.create", "tenant": "acme", "label": "okta", "requestId": "r-1"});
    kill_everywhere(prepare, async |fixture, request, _| {
        let issued = Fixture::ok(fixture.ask(request).await);
        let listed = listed(fixture).await;
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0]["id"], issued["id"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_whose_process_dies_anywhere_leaves_the_old_credential_and_one_new_one_after_the_repeat()
 {
    for grace in [24, 0] {
        let prepare = async |fixture: &Fixture| {
            let old = create(fixture, "r-1").await;
            json!({"op": "credential.rotate", "tenant": "acme", "id": old["id"], "graceHours": grace,
                "requestId": "r-2"})
        };
        kill_everywhere(prepare, async |fixture, request, _| {
            let rotated = Fixture::ok(fixture.ask(request.clone()).await);
            let listed = listed(fixture).await;
            let ids: Vec<_> = listed.iter().map(|known| &known["id"]).collect();
            match grace {
                0 => assert_eq!(ids, [&rotated["id"]]),
                _ => assert_eq!(ids, [&request["id"], &rotated["id"]]),
            }
            assert_eq!(rotated["previousUntil"].is_null(), grace == 0, "{rotated}");
            assert_eq!(rotated["replaces"], request["id"]);
            assert_eq!(rotated["label"], "okta");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_users_in_a_tenant_in_use_is_noted_once_until_they_are_counted() {
    let fixture = Fixture::new().await;
    Subjects::of(&fixture.world).await;
    for switches in [json!({"maxActiveUsers": 5}), json!({"maxCount": 300})] {
        let set = json!({"op": "tenant.set", "tenant": "acme", "switches": switches});
        let rules = Fixture::ok(fixture.ask(set).await);
        let notes = rules["notes"].as_array().unwrap();
        assert_eq!(notes.len(), 1, "{rules}");
        assert!(
            notes[0]
                .as_str()
                .unwrap()
                .contains("until the active users are counted")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_use_is_not_removed() {
    let fixture = Fixture::new().await;
    let refused = async |request: Value, reason: &str| {
        let answer = fixture.ask(request).await;
        let (code, detail) = error(&answer);
        assert_eq!(code, "refused", "{answer}");
        assert!(detail.contains(reason), "{answer}");
    };
    let schema = json!({"op": "schema.add", "tenant": "acme", "schema": badge_schema()});
    Fixture::ok(fixture.ask(schema).await);
    let add = json!({"op": "resourceType.add", "tenant": "acme", "resourceType": badge_type()});
    Fixture::ok(fixture.ask(add).await);
    refused(
        json!({"op": "schema.remove", "tenant": "acme", "id": BADGE}),
        "The resource type Badge uses the schema",
    )
    .await;
    let badge = json!({"schemas": [BADGE], "number": "7"});
    let process = fixture.world.process();
    let badge = process.post("Badge", badge).await.unwrap();
    let remove = json!({"op": "resourceType.remove", "tenant": "acme", "name": "badge"});
    refused(remove.clone(), "The tenant has resources of the type Badge").await;
    process
        .delete("Badge", badge["id"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(Fixture::ok(fixture.ask(remove).await)["existed"], true);
    let remove = json!({"op": "schema.remove", "tenant": "acme", "id": BADGE});
    assert_eq!(Fixture::ok(fixture.ask(remove).await)["existed"], true);
}

#[tokio::test(start_paused = true)]
async fn two_operators_of_whom_one_adds_a_type_and_one_removes_its_schema_leave_a_tenant_that_answers()
 {
    for _ in 0..20 {
        let fixture = Fixture::new().await;
        Fixture::ok(
            fixture
                .ask(json!({"op": "schema.add", "tenant": "acme", "schema": badge_schema()}))
                .await,
        );
        let admins = [fixture.admin(), fixture.admin()];
        let remove = json!({"op": "schema.remove", "tenant": "acme", "id": BADGE});
        let add = json!({"op": "resourceType.add", "tenant": "acme", "resourceType": badge_type()});
        let (removed, added) = tokio::join!(ask(&admins[0], remove), ask(&admins[1], add));
        for answer in [removed, added] {
            assert!(
                answer["error"].is_null() || ["refused", "invalid"].contains(&error(&answer).0),
                "{answer}"
            );
        }
        fixture.world.process().user("ada").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_up_has_values_only_if_they_are_asked_for_and_goes_on_part_by_part() {
    let fixture = Fixture::new().await;
    let process = fixture.world.process();
    let mut ids = Vec::new();
    for number in 0..5 {
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("u{number}"),
            "emails": [{"value": "shared@example.com"}], "title": "Secret agent"});
        ids.push(
            process.post("User", body).await.unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let group = process.group("Staff", &ids).await;
    let mut request =
        json!({"op": "user.find", "tenant": "acme", "email": "shared@example.com", "limit": 2});
    let mut found = Vec::new();
    loop {
        let part = Fixture::ok(fixture.ask(request.clone()).await);
        assert!(!part.to_string().contains("Secret agent"), "{part}");
        found.extend(
            part["found"]
                .as_array()
                .unwrap()
                .iter()
                .map(|user| user["id"].as_str().unwrap().to_owned()),
        );
        if part["next"].is_null() {
            break;
        }
        request["after"] = part["next"].clone();
    }
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
    let find = json!({"op": "user.find", "tenant": "acme", "userName": "u3", "values": true});
    let user = Fixture::ok(fixture.ask(find).await)["found"][0].take();
    assert_eq!(
        (&user["resource"]["title"], &user["active"]),
        (&json!("Secret agent"), &json!(true))
    );
    assert_eq!(user["resource"]["groups"][0]["value"], *group);
    let members = json!({"op": "group.members", "tenant": "acme", "id": group, "limit": 3});
    let part = Fixture::ok(fixture.ask(members).await);
    assert_eq!(
        (
            part["members"].as_array().unwrap().len(),
            part["next"].is_string()
        ),
        (3, true)
    );
    // The same names in another tenant are other people.
    let find = json!({"op": "user.find", "tenant": "globex", "userName": "u3"});
    assert_eq!(Fixture::ok(fixture.ask(find).await)["found"], json!([]));
    let elsewhere = json!({"op": "group.members", "tenant": "globex", "id": group});
    assert_eq!(error(&fixture.ask(elsewhere).await).0, "unknown");
}

/// Operations with arguments that are wrong, and the code of the answer. The tenant is `acme` if there is no other, and
/// `LONG` is a text that is too long.
const FAULTS: [(&str, &str, &str); 30] = [
    (
        "credential.create",
        r#"{"tenant":"nobody","label":"a"}"#,
        "unknown",
    ),
    ("credential.create", r#"{"label":""}"#, "invalid"),
    (
        "credential.create",
        r#"{"label":"a","kind":"smoke"}"#,
        "invalid",
    ),
    (
        "credential.create",
        r#"{"label":"a","kind":"basic"}"#,
        "invalid",
    ),
    (
        "credential.create",
        r#"{"label":"a","kind":"oauth-jwt"}"#,
        "invalid",
    ),
    (
        "credential.create",
        r#"{"label":"a","kind":"oauth-jwt","jwks":{"keys":[]}}"#,
        "invalid",
    ),
    ("credential.create", r#"{"label":"a","days":0}"#, "invalid"),
    (
        "credential.create",
        r#"{"label":"a","days":1,"neverExpires":true}"#,
        "invalid",
    ),
    (
        "credential.create",
        r#"{"label":"a","permissions":["users:fly"]}"#,
        "invalid",
    ),
    (
        "credential.create",
        r#"{"label":"a","role":"none"}"#,
        "unknown",
    ),
    (
        "credential.create",
        r#"{"label":"a","user":"LONG"}"#,
        "invalid",
    ),
    ("credential.rotate", r#"{"id":"5f0c"}"#, "unknown"),
    (
        "credential.rotate",
        r#"{"id":"5f0c","graceHours":721}"#,
        "invalid",
    ),
    ("schema.add", r#"{"schema":7}"#, "invalid"),
    ("schema.show", r#"{"id":"urn:x"}"#, "unknown"),
    ("resourceType.add", r#"{"resourceType":[]}"#, "invalid"),
    (
        "resourceType.add",
        r#"{"resourceType":{"name":"Badge","endpoint":"/Badges","schema":"urn:x"}}"#,
        "invalid",
    ),
    ("user.find", r#"{}"#, "invalid"),
    ("user.find", r#"{"id":"1","userName":"a"}"#, "invalid"),
    ("user.find", r#"{"userName":"LONG"}"#, "invalid"),
    ("user.find", r#"{"userName":"a","limit":0}"#, "invalid"),
    ("user.find", r#"{"userName":"a","after":"x"}"#, "invalid"),
    ("group.members", r#"{"id":"1"}"#, "unknown"),
    ("event.list", r#"{"after":"then"}"#, "invalid"),
    ("event.list", r#"{"limit":1001}"#, "invalid"),
    ("event.list", r#"{"types":["*.*.*"]}"#, "invalid"),
    ("event.forget", r#"{"id":""}"#, "invalid"),
    ("event.forget", r#"{"id":"1","after":"x-y"}"#, "invalid"),
    ("brake.status", r#"{"tenant":"nobody"}"#, "unknown"),
    ("stack.status", r#"{"tenant":null,"after":"A"}"#, "invalid"),
];

#[tokio::test(start_paused = true)]
async fn faults_of_the_caller_are_never_failures_of_the_service() {
    let fixture = Fixture::new().await;
    let before = fixture.world.items();
    for (op, arguments, code) in FAULTS {
        let arguments = arguments.replace("LONG", &"x".repeat(3_000));
        let mut request: Value = serde_json::from_str(&arguments).unwrap();
        request["op"] = json!(op);
        if request.get("tenant").is_none() {
            request["tenant"] = json!("acme");
        }
        let answer = fixture.ask(request.clone()).await;
        assert_eq!(error(&answer).0, code, "{request}: {answer}");
    }
    assert_eq!(fixture.world.items(), before);
    // What a user is called may have any characters.
    for name in [
        "\"",
        "\\",
        "a\" or userName pr or userName eq \"b",
        "\u{0}",
        "é",
    ] {
        let find = json!({"op": "user.find", "tenant": "acme", "userName": name});
        let found = Fixture::ok(fixture.ask(find).await);
        assert_eq!(found["found"], json!([]), "{name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_says_where_the_stack_is_and_what_is_unfinished() {
    let fixture = Fixture::new().await;
    let status = Fixture::ok(fixture.ask(json!({"op": "stack.status"})).await);
    assert_eq!(
        (&status["stack"], &status["functions"]),
        (&json!("test"), &json!(["test-Function"]))
    );
    assert!(
        status["table"].as_str().unwrap().ends_with(":table/scim"),
        "{status}"
    );
    assert_eq!(status["secretsInReach"], true);
    assert_eq!(
        (&status["unfinished"], &status["swept"]),
        (&json!([]), &Value::Null)
    );
    std::fs::write(fixture.secrets_path(), "no JSON").unwrap();
    let status = Fixture::ok(fixture.ask(json!({"op": "stack.status"})).await);
    assert_eq!(status["secretsInReach"], false);
}
