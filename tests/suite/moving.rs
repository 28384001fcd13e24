//! Export and import: a directory moves as it is, a second import changes nothing, and what cannot be taken is named by
//! its line.

mod bad_days;
mod command;
mod credentials;
mod lines;
mod replacing;
mod seats;

use std::collections::BTreeMap;

use scim_lambda::admin::Admin;
use scim_lambda::outgoing::Reach;
use scim_lambda::protocol::profile::{Passwords, Rules};
use serde_json::{Map, Value, json};

use crate::support::Server;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// A deployment with the tenant `acme`, and its administrative operations.
struct Deployment {
    server: Server,
    admin: Admin,
}

/// What an import has answered in all its parts.
#[derive(Debug, Default)]
struct Imported {
    counts: BTreeMap<String, u64>,
    /// The line, the code and the detail of each error.
    errors: Vec<(u64, String, String)>,
    is_done: bool,
}

impl Deployment {
    async fn start() -> Self {
        Self::with_rules(&Rules::default()).await
    }

    async fn with_rules(rules: &Rules) -> Self {
        let server = Server::with_rules(rules).await;
        let admin = server
            .stack
            .admin(Reach::Public, std::sync::Arc::new(server.stack.provider()));
        Self { server, admin }
    }

    /// Asks for an operation, as a program does.
    async fn ask(&self, mut request: Value) -> Value {
        request["actor"] = json!("test");
        self.admin.answer(request.to_string().as_bytes()).await
    }

    /// All lines of an export.
    async fn export(&self) -> Vec<String> {
        self.export_with(json!({"op": "data.export", "tenant": "acme"}))
            .await
    }

    async fn export_with(&self, mut request: Value) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let answer = self.ask(request.clone()).await;
            let part = &answer["ok"];
            let text = part["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(text.ends_with('\n'), "a part has whole lines");
            lines.extend(text.lines().map(str::to_owned));
            match part.get("cursor") {
                Some(cursor) => request["cursor"] = cursor.clone(),
                None => return lines,
            }
        }
    }

    /// One round through a file, in parts of a few lines.
    async fn round(&self, step: &str, if_exists: &str, lines: &[String]) -> Imported {
        let request =
            json!({"op": "data.import", "tenant": "acme", "step": step, "ifExists": if_exists});
        self.round_with(request, lines, 7).await
    }

    async fn round_with(&self, mut request: Value, lines: &[String], part: usize) -> Imported {
        let (mut imported, mut next) = (Imported::default(), 0);
        while next < lines.len() && !imported.is_done {
            let end = (next + part).min(lines.len());
            request["text"] = json!(lines[next..end].join("\n") + "\n");
            let answer = self.ask(request.clone()).await;
            let ok = &answer["ok"];
            assert!(ok.is_object(), "{answer}");
            imported.add(ok);
            request["state"] = ok["state"].clone();
            next = usize::try_from(ok["line"].as_u64().unwrap()).unwrap() - 1;
        }
        imported
    }

    /// Imports lines, of which none may have a fault.
    async fn import(&self, if_exists: &str, lines: &[String]) -> Imported {
        let imported = self.round("write", if_exists, lines).await;
        assert_eq!(imported.errors, [], "{imported:?}");
        assert!(imported.is_done);
        let compared = self
            .ask(json!({"op": "data.check", "tenant": "acme"}))
            .await;
        assert_eq!(compared["ok"]["well"], true, "{compared}");
        imported
    }
}

impl Imported {
    fn add(&mut self, part: &Value) {
        for (name, count) in part["counts"].as_object().unwrap() {
            *self.counts.entry(name.clone()).or_default() += count.as_u64().unwrap();
        }
        for error in part["errors"].as_array().unwrap() {
            let text = |name: &str| error[name].as_str().unwrap().to_owned();
            let line = error["line"].as_u64().unwrap();
            self.errors.push((line, text("code"), text("detail")));
        }
        assert_eq!(part["moreErrors"], 0);
        self.is_done = part["done"] == true;
    }

    /// The counts that are not zero.
    fn counted(&self) -> Vec<(&str, u64)> {
        let counts = self.counts.iter().filter(|(_, count)| **count > 0);
        counts
            .map(|(name, count)| (name.as_str(), *count))
            .collect()
    }
}

/// A user with an address, a manager and an extension.
fn user(name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": format!("{name}@example.com"),
        "externalId": format!("x-{name}"),
        "name": {"givenName": name, "familyName": "Example \"quoted\" \\ ünï"},
        "active": name != "carla",
        "emails": [{"value": format!("{name}@example.com"), "type": "work", "primary": true}],
        ENTERPRISE: {"employeeNumber": name, "manager": {"value": "019f0000-0000-7000-8000-000000000000"}},
    })
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [GROUP], "displayName": name, "members": members})
}

/// Fills a directory with one of everything: users with passwords, groups in groups, a role, a registered type.
async fn fill(deployment: &Deployment) -> Vec<String> {
    let server = &deployment.server;
    let mut ids = Vec::new();
    for name in ["ada", "bert", "carla"] {
        let mut body = user(name);
        body["password"] = json!(format!("correct horse {name}"));
        ids.push(server.create("/scim/v2/Users", &body).await);
    }
    let inner = group("Inner", &[&ids[0], &ids[1]]);
    let inner = server.create("/scim/v2/Groups", &inner).await;
    let mut outer = group("Outer", &[&ids[2]]);
    let nested = json!({"value": inner, "type": "Group", "display": "The inner ones"});
    outer["members"].as_array_mut().unwrap().push(nested);
    let outer = server.create("/scim/v2/Groups", &outer).await;
    let empty = server.create("/scim/v2/Groups", &group("Empty", &[])).await;
    ids.extend([inner, outer, empty]);
    ids
}

fn hashing() -> Rules {
    let mut rules = Rules::default();
    rules.switches.passwords = Passwords::Hash;
    rules.switches.unique_group_display_name = true;
    rules
}

/// The lines of an export without what the import itself decides: the versions, the time at which members came, and
/// when and where the export was made.
fn comparable(lines: &[String]) -> Vec<Value> {
    let line = |line: &String| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(head) = line.get_mut("head").and_then(Value::as_object_mut) {
            head.retain(|name, _| !["exported", "position"].contains(&name.as_str()));
        }
        let is_group = line["resource"]["type"] == "Group";
        if let Some(resource) = line.get_mut("resource").and_then(Value::as_object_mut) {
            resource.retain(|name, _| name != "version" && (name != "lastModified" || !is_group));
        }
        line
    };
    lines.iter().map(line).collect()
}

/// The members of the lines of one kind.
fn of_kind<'l>(lines: &'l [Value], kind: &str) -> Vec<&'l Map<String, Value>> {
    lines
        .iter()
        .filter_map(|line| line.get(kind)?.as_object())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_arrives_as_it_was() {
    let (source, target) = (
        Deployment::with_rules(&hashing()).await,
        Deployment::start().await,
    );
    let ids = fill(&source).await;
    let request = json!({"op": "data.export", "tenant": "acme", "withSecrets": true});
    let lines = source.export_with(request.clone()).await;
    let with_secrets = json!({
        "op": "data.import", "tenant": "acme", "step": "write", "withSecrets": true,
    });
    let imported = target.round_with(with_secrets.clone(), &lines, 4).await;
    assert_eq!(imported.errors, [], "{imported:?}");
    // Two switches are not at their defaults.
    let expected = [("created", 6), ("membersAdded", 4), ("settings", 2)];
    assert_eq!(imported.counted(), expected);
    let again = target.export_with(request).await;
    assert_eq!(comparable(&again), comparable(&lines));
    // Links of providers stay valid, and so do filters, uniqueness and groups of users.
    for (id, name) in ids.iter().zip(["ada", "bert", "carla"]) {
        let found = target
            .server
            .send("GET", &format!("/scim/v2/Users/{id}"), None)
            .await;
        let before = source
            .server
            .send("GET", &format!("/scim/v2/Users/{id}"), None)
            .await;
        assert_eq!(
            found.json["meta"]["created"],
            before.json["meta"]["created"]
        );
        assert_eq!(
            found.json["meta"]["lastModified"],
            before.json["meta"]["lastModified"]
        );
        assert_eq!(found.json["groups"], before.json["groups"], "{name}");
        let filter = format!("/scim/v2/Users?filter=userName%20eq%20%22{name}@example.com%22");
        let found = target.server.send("GET", &filter, None).await;
        assert_eq!(found.json["Resources"][0]["id"], json!(id));
        let taken = target
            .server
            .send("POST", "/scim/v2/Users", Some(&user(name)))
            .await;
        taken.check_error(409, Some("uniqueness"));
    }
    let taken = target
        .server
        .send("POST", "/scim/v2/Groups", Some(&group("Inner", &[])))
        .await;
    taken.check_error(409, Some("uniqueness"));
    let imported = target.round_with(with_secrets, &lines, 100).await;
    assert_eq!(imported.counted(), [("membersSame", 4), ("same", 6)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_no_hash_unless_it_is_asked_for() {
    let source = Deployment::with_rules(&hashing()).await;
    fill(&source).await;
    let lines = source.export().await.join("\n");
    assert!(!lines.contains("argon2"), "{lines}");
    let request = json!({"op": "data.export", "tenant": "acme", "withSecrets": true});
    let with_secrets = source.export_with(request).await;
    let hashes = with_secrets
        .iter()
        .filter(|line| line.contains(r#""passwordHash":"$argon2id$"#));
    assert_eq!(hashes.count(), 3);
    // Hashes in a file are left out unless they are asked for, too.
    let target = Deployment::with_rules(&hashing()).await;
    target.import("fail", &with_secrets).await;
    let items = target.server.items().await;
    assert!(items.iter().all(|item| !item.contains_key("pw")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_import_changes_no_item() {
    let (source, target) = (Deployment::start().await, Deployment::start().await);
    fill(&source).await;
    let lines = source.export().await;
    target.import("fail", &lines).await;
    let before = target.server.items().await;
    for if_exists in ["fail", "skip", "replace"] {
        let imported = target.import(if_exists, &lines).await;
        assert_eq!(
            imported.counted(),
            [("membersSame", 4), ("same", 6)],
            "{if_exists}"
        );
    }
    let removed = target.round("remove", "replace", &lines).await;
    assert_eq!(removed.counted(), []);
    assert_eq!(target.server.items().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_types_and_members_that_no_schema_has_come_along() {
    let (source, target) = (Deployment::start().await, Deployment::start().await);
    let read = |path: &str| -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conformance")
            .join(path);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let acme = scim_lambda::identity::TenantId::parse("acme").unwrap();
    let provider = source.server.stack.provider();
    for schema in read("test-resource-schemas.json").as_array().unwrap() {
        provider.add_schema(&acme, schema).await.unwrap();
    }
    let types = read("test-resource-types.json");
    let resource_type = types.as_array().map_or(&types, |types| &types[0]);
    provider
        .add_resource_type(&acme, resource_type)
        .await
        .unwrap();
    let test = "urn:ietf:params:scim:schemas:test:2.0:TestResource";
    let extension = "urn:ietf:params:scim:schemas:extension:test:2.0:TestResource";
    let body = json!({
        "schemas": [test, extension], "identifier": "one", "writeOnlyAttr": "kept",
        "requestOnlyAttr": "kept too", "immutableAttr": "fixed", "uniqueString": "u",
        extension: {"extRequired": "required", "extString": "s"},
    });
    let endpoint = resource_type["endpoint"].as_str().unwrap();
    source
        .server
        .create(&format!("/scim/v2{endpoint}"), &body)
        .await;
    let mut lines = source.export().await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    // As in a directory whose type has lost an extension.
    let body = r#""body":{"schemas":["#;
    let lost = r#""body":{"urn:example:lost":{"of":"it","a":[1,{"b":null}]},"schemas":["#;
    lines[1] = lines[1].replacen(body, lost, 1);
    let checked = target.round("check", "fail", &lines).await;
    assert_eq!(checked.errors, []);
    target.import("fail", &lines).await;
    let again = target.export().await;
    let (before, after) = (comparable(&lines), comparable(&again));
    assert_eq!(
        after[0]["head"]["resourceTypes"],
        before[0]["head"]["resourceTypes"]
    );
    assert_eq!(of_kind(&after, "resource"), of_kind(&before, "resource"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_nothing_of_another_tenant() {
    let source = Deployment::start().await;
    source.server.add_tenant("globex", &Rules::default()).await;
    fill(&source).await;
    let lines = source
        .export_with(json!({"op": "data.export", "tenant": "globex"}))
        .await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    let acme = source.export().await;
    let request = json!({"op": "data.import", "tenant": "globex", "step": "write"});
    let before = comparable(&acme);
    let imported = source.round_with(request, &acme, 100).await;
    assert_eq!(imported.errors, []);
    // The same ids and names in both: neither knows of the other.
    assert_eq!(comparable(&source.export().await), before);
    let globex = source
        .export_with(json!({"op": "data.export", "tenant": "globex"}))
        .await;
    assert_eq!(comparable(&globex)[1..], before[1..]);
    let request =
        json!({"op": "data.import", "tenant": "globex", "step": "remove", "ifExists": "replace"});
    let removed = source.round_with(request, &lines, 100).await;
    assert_eq!(removed.counted(), [("removed", 6)]);
    assert_eq!(comparable(&source.export().await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_does_not_exist_is_unknown() {
    let source = Deployment::start().await;
    for request in [
        json!({"op": "data.export", "tenant": "nobody"}),
        json!({"op": "data.import", "tenant": "nobody", "step": "write", "text": ""}),
        json!({"op": "data.check", "tenant": "nobody"}),
    ] {
        let answer = source.ask(request).await;
        assert_eq!(answer["error"]["code"], "unknown", "{answer}");
    }
    for (name, value) in [("cursor", "x"), ("cursor", "e30")] {
        let mut request = json!({"op": "data.export", "tenant": "acme"});
        request[name] = json!(value);
        assert_eq!(source.ask(request).await["error"]["code"], "invalid");
    }
    let request =
        json!({"op": "data.import", "tenant": "acme", "step": "write", "text": "", "state": "x"});
    assert_eq!(source.ask(request).await["error"]["code"], "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_users_move() {
    let (source, target) = (Deployment::start().await, Deployment::start().await);
    // The users are made by an import, which is faster than by as many requests.
    let head = source.export().await.remove(0);
    let mut lines = vec![head];
    let id = |number: usize| format!("019f0000-0000-7000-8000-{number:012}");
    let group = json!({"resource": {
        "type": "Group", "id": id(9_999), "version": "1", "created": "2026-01-01T00:00:00Z",
        "lastModified": "2026-01-01T00:00:00Z", "members": 2_000,
        "body": {"schemas": [GROUP], "displayName": "All"},
    }});
    lines.push(group.to_string());
    for number in 0..2_000 {
        let body = user(&format!("user-{number}"));
        let line = json!({"resource": {
            "type": "User", "id": id(number), "version": "1", "created": "2026-01-01T00:00:00Z",
            "lastModified": "2026-01-02T00:00:00Z", "body": body,
        }});
        lines.push(line.to_string());
    }
    for part in (0..2_000).collect::<Vec<_>>().chunks(500) {
        let of: Vec<_> = part
            .iter()
            .map(|number| json!({"id": id(*number), "type": "User"}))
            .collect();
        lines.push(json!({"members": {"type": "Group", "group": id(9_999), "of": of}}).to_string());
    }
    lines.push(json!({"end": {"resources": 2_001, "memberships": 2_000}}).to_string());
    let request = json!({"op": "data.import", "tenant": "acme", "step": "write"});
    let imported = source.round_with(request.clone(), &lines, 500).await;
    assert_eq!(imported.errors, []);
    assert_eq!(
        imported.counted(),
        [("created", 2_001), ("membersAdded", 2_000)]
    );
    let exported = source.export().await;
    assert_eq!(exported.len(), lines.len());
    let imported = target.round_with(request, &exported, 500).await;
    assert_eq!(
        imported.counted(),
        [("created", 2_001), ("membersAdded", 2_000)]
    );
    assert_eq!(comparable(&target.export().await), comparable(&exported));
    let compared = target
        .ask(json!({"op": "data.check", "tenant": "acme"}))
        .await;
    assert_eq!(compared["ok"]["well"], true, "{compared}");
    let path = format!("/scim/v2/Groups/{}", id(9_999));
    let all = target.server.send("GET", &path, None).await;
    assert_eq!(all.json["members"].as_array().unwrap().len(), 2_000);
}
