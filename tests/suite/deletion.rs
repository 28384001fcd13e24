//! Tenants that are created, suspended, deleted, restored and purged by operators: alone, at the same time, and by
//! processes that die at every call.

use std::collections::BTreeSet;
use std::time::Duration;

use scim_lambda::admin::Admin;
use scim_lambda::delivery::make_due;
use scim_lambda::identity::{CredentialId, TenantId};
use scim_lambda::store::{Meter, TenantStore};
use scim_lambda::tenant::{Credentials, SecretStore};
use scim_lambda::worker::Worker;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::admin::{Death, Fixture, ask, error, stack_store};
use crate::simulation::{Fault, Process, replace, tenant};
use crate::support::cause;
use crate::worker::Kept;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const BADGE: &str = "urn:example:schemas:Badge";
const EXTRA: &str = "urn:example:schemas:Extra";

fn op(op: &str) -> Value {
    json!({"op": op, "tenant": "acme"})
}

fn delete_now() -> Value {
    json!({"op": "tenant.delete", "tenant": "acme", "now": true})
}

fn store(process: &Process) -> TenantStore {
    let wait = Duration::from_secs(10);
    let store = process.provider.store();
    store.for_tenant(&tenant(), cause(), Meter::default(), wait)
}

async fn purge(admin: &Admin) -> usize {
    let until = Instant::now() + Duration::from_secs(45);
    admin.purge(until).await.unwrap_or(0)
}

/// Lets time pass, and purges every minute as often as a purge takes.
async fn purge_to_the_end(fixture: &Fixture, admin: &Admin) {
    for wait in [3, 1, 1, 17, 1] {
        fixture.world.jump(wait * MINUTE);
        purge(admin).await;
    }
}

/// The items of `acme`, and what the stack has of it.
fn left(fixture: &Fixture) -> Vec<Value> {
    let items = fixture.world.items().into_iter();
    let is_about = |item: &Value| {
        let key = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
        let partition = key("pk");
        let is_own = partition == "T#acme" || partition.starts_with("T#acme#");
        let is_subscription = item["tenant"]["S"] == "acme";
        is_own
            || is_subscription
            || (["S#T", "S#X"].contains(&&*partition) && key("sk").ends_with("acme"))
    };
    items.filter(is_about).collect()
}

/// The names of the secrets of tenants and webhooks.
async fn secrets(fixture: &Fixture) -> Vec<String> {
    let mut names = fixture.secrets.names("").await.unwrap();
    names.retain(|name| name != "test/stack");
    names
}

/// Checks that only the head of the feed is left of `acme`, and everything of `globex`.
async fn check_gone(fixture: &Fixture, what: &str) {
    let left = left(fixture);
    assert_eq!(left.len(), 1, "{what}: {left:#?}");
    assert_eq!(
        (&left[0]["pk"]["S"], &left[0]["sk"]["S"]),
        (&json!("T#acme#E"), &json!("head"))
    );
    assert_eq!(left[0]["state"]["S"], "deleted", "{what}");
    assert!(left[0]["purged"]["N"].is_string(), "{what}");
    assert_eq!(secrets(fixture).await, ["test/tenants/globex"], "{what}");
    let globex = fixture.world.items().into_iter();
    let globex = globex.filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("T#globex"));
    assert!(globex.count() > 0, "{what}");
}

fn schema(id: &str, attribute: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id, "name": "Badge", "description": "A badge",
        "attributes": [{
            "name": attribute, "type": "string", "multiValued": false, "description": attribute,
            "required": false, "caseExact": false, "mutability": "readWrite",
            "returned": "default", "uniqueness": "server",
        }],
    })
}

fn badge_type(extensions: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "name": "Badge", "endpoint": "/Badges", "description": "A badge",
        "schema": BADGE, "schemaExtensions": extensions,
    })
}

/// A type that has lost an extension with an index.
async fn register_badges(process: &Process) {
    let provider = &process.provider;
    for (id, attribute) in [(BADGE, "serial"), (EXTRA, "shelf")] {
        let schema = schema(id, attribute);
        provider.add_schema(&tenant(), &schema).await.unwrap();
    }
    let with = badge_type(&json!([{"schema": EXTRA, "required": false}]));
    provider.add_resource_type(&tenant(), &with).await.unwrap();
    let badge = json!({"schemas": [BADGE, EXTRA], "serial": "s1", EXTRA: {"shelf": "b2"}});
    process.post("Badge", badge).await.unwrap();
    let removed = [EXTRA.to_owned()];
    let without = badge_type(&json!([]));
    let acme = tenant();
    let replaced = provider.replace_resource_type(&acme, &without, &removed);
    replaced.await.unwrap();
}

/// A stack in which `acme` has used everything that leaves items behind.
async fn busy() -> Fixture {
    let fixture = Fixture::new().await;
    let switches = json!({"uniqueGroupDisplayName": true, "lastModifiedIndex": true});
    let set = json!({"op": "tenant.set", "tenant": "acme", "switches": switches});
    Fixture::ok(fixture.ask(set).await);
    // A process that has not read the tenant before.
    let process = fixture.world.process();
    register_badges(&process).await;
    let users = process.users("ada", 20).await;
    let inner = process.group("Inner", &users[..5]).await;
    process.group("Guides", &users).await;
    process.group("Outer", std::slice::from_ref(&inner)).await;
    for user in &users[..6] {
        let title = json!([{"op": "add", "path": "title", "value": "Guide"}]);
        process.patch("User", user, title).await.unwrap();
    }
    process.delete("User", &users[19]).await.unwrap();
    process.list("User", "startIndex=1&count=5").await.unwrap();
    let store = store(&process);
    let credential = CredentialId::parse("1").unwrap();
    let used = store.signatures().use_up(&credential, "s", 1_900_000_000);
    assert!(used.await.unwrap());
    let status = json!({"pk": {"S": "T#acme#U"}, "sk": {"S": "status"}, "kind": {"S": "U"}});
    let put = json!({"TableName": "scim", "Item": status});
    fixture.world.tamper("PutItem", &put);
    let add = json!({"op": "webhook.add", "url": "https://example.com/hook", "tenant": "acme",
        "from": "beginning"});
    Fixture::ok(fixture.ask(add).await);
    let other = json!({"pk": {"S": "T#globex#R#User#0"}, "sk": {"S": "u"}, "kind": {"S": "R"}});
    fixture
        .world
        .tamper("PutItem", &json!({"TableName": "scim", "Item": other}));
    let (worker, kept) = (
        Worker::new(process.provider.tenants(), fixture.world.clock()),
        Kept::default(),
    );
    for batch in fixture.world.records().chunks(20) {
        assert_eq!(worker.stream(batch, &kept).await, None);
    }
    let sender = &fixture.recorder;
    let failed = worker.deliver(BTreeSet::from([tenant()]), sender, &kept);
    assert_eq!(failed.await, BTreeSet::new());
    let kinds: BTreeSet<String> = left(&fixture)
        .iter()
        .filter_map(|item| {
            item["pk"]["S"]
                .as_str()?
                .split('#')
                .nth(2)
                .map(str::to_owned)
        })
        .collect();
    let expected = ["B", "C", "D", "E", "I", "K", "M", "N", "P", "R", "S", "U"];
    assert_eq!(kinds, expected.map(str::to_owned).into());
    fixture
}

#[tokio::test(start_paused = true)]
async fn a_purge_leaves_the_head_of_the_feed_and_nothing_else() {
    let fixture = busy().await;
    let admin = fixture.admin();
    let deleted = Fixture::ok(ask(&admin, delete_now()).await);
    assert_eq!(
        (&deleted["state"], &deleted["changed"]),
        (&json!("deleting"), &json!(true))
    );
    let before = left(&fixture);
    // Not sooner than two minutes after the deletion, whatever is asked for.
    fixture.world.jump(2 * MINUTE);
    assert_eq!(purge(&admin).await, 0);
    assert_eq!(left(&fixture), before);
    purge_to_the_end(&fixture, &admin).await;
    check_gone(&fixture, "purged").await;
    let show = fixture.ask(op("tenant.restore")).await;
    assert_eq!(error(&show).0, "unknown");
    let made = fixture.ask(op("tenant.create")).await;
    assert_eq!(error(&made).0, "name-retired", "{made}");
    fixture.world.jump(DAY);
    let made = Fixture::ok(fixture.ask(op("tenant.create")).await);
    assert_eq!(made["existed"], false);
    let process = fixture.world.process();
    process.users("new", 1).await;
    assert_eq!(process.list("User", "").await.unwrap()["totalResults"], 1);
    let head = left(&fixture)
        .into_iter()
        .find(|item| item["sk"]["S"] == "head");
    let head = head.unwrap();
    assert_eq!(
        (&head["generation"]["N"], &head["purged"]),
        (&json!("2"), &Value::Null)
    );
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_dies_before_any_call_is_ended_by_the_next_process() {
    die_at_every_call(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_dies_after_any_call_is_ended_by_the_next_process() {
    die_at_every_call(true).await;
}

async fn die_at_every_call(is_after: bool) {
    let busy = busy().await;
    let mut deaths = 0;
    for at in 0.. {
        let fixture = busy.copy();
        let death = Death::at(at, is_after);
        let mortal = fixture.mortal_admin(&death);
        ask(&mortal, delete_now()).await;
        if !death.is_dead() {
            purge_to_the_end(&fixture, &mortal).await;
        }
        let alive = fixture.admin();
        let repeated = ask(&alive, delete_now()).await;
        let is_over = repeated["error"]["code"] == "unknown";
        assert!(is_over || repeated["error"].is_null(), "{repeated}");
        if !is_over {
            purge_to_the_end(&fixture, &alive).await;
        }
        check_gone(&fixture, &format!("died at {at}, after it: {is_after}")).await;
        if !death.is_dead() {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 100, "{deaths}");
}

#[tokio::test(start_paused = true)]
async fn operations_on_what_is_left_of_a_tenant_say_that_it_is_deleted() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    Fixture::ok(ask(&admin, delete_now()).await);
    let add = json!({"op": "webhook.add", "tenant": "acme", "url": "https://example.com/x"});
    assert_eq!(error(&ask(&admin, add.clone()).await).0, "deleting");
    Fixture::ok(ask(&admin, op("data.export")).await);
    for wait in [3, 1, 1] {
        fixture.world.jump(wait * MINUTE);
        purge(&admin).await;
        // From its first call on a purge may have removed a part, and a file with the rest would look complete.
        for operation in [
            "data.export",
            "data.check",
            "tenant.create",
            "tenant.suspend",
        ] {
            let answer = ask(&admin, op(operation)).await;
            assert_eq!(error(&answer).0, "deleting", "{answer}");
            assert!(error(&answer).1.contains("being purged"), "{answer}");
        }
    }
    assert_eq!(
        fixture.secrets.names("test/tenants/").await.unwrap(),
        ["test/tenants/globex"]
    );
    let import = json!({"op": "data.import", "tenant": "acme", "step": "check", "text": ""});
    for request in [add, op("data.export"), op("data.check"), import] {
        let answer = ask(&admin, request).await;
        assert_eq!(error(&answer).0, "deleting", "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_new_tenant_does_not_begin_as_an_option_does() {
    let fixture = Fixture::new().await;
    let create = json!({"op": "tenant.create", "tenant": "-x"});
    assert_eq!(error(&fixture.ask(create.clone()).await).0, "invalid");
    // An early version has created it.
    let stack = stack_store(&fixture.world.process());
    let old = TenantId::parse("-x").unwrap();
    stack.list_tenant(&old).await.unwrap();
    let credentials = Credentials::new(fixture.secrets.clone(), "test");
    credentials.create(&old).await.unwrap();
    assert_eq!(Fixture::ok(fixture.ask(create).await)["existed"], true);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_be_read_goes_with_its_tenant() {
    let fixture = busy().await;
    let admin = fixture.admin();
    Fixture::ok(ask(&admin, delete_now()).await);
    let put = |sort: &Value, body: &str| {
        let item =
            json!({"pk": {"S": "T#acme"}, "sk": sort, "kind": {"S": "T"}, "body": {"S": body}});
        let put = json!({"TableName": "scim", "Item": item});
        fixture.world.tamper("PutItem", &put);
    };
    let items = fixture.world.items();
    let is_configuration = |item: &&Value| item["pk"]["S"] == "T#acme";
    let malformed: Vec<&Value> = items.iter().filter(is_configuration).collect();
    assert!(malformed.len() >= 4, "rules, schemas, a type and the state");
    for item in malformed {
        put(&item["sk"], "{");
    }
    for name in ["indexes", "seats"] {
        put(&json!({"S": name}), "[7");
    }
    let without_body = json!({"pk": {"S": "T#acme"}, "sk": {"S": "building"}});
    let without_body = json!({"TableName": "scim", "Item": without_body});
    fixture.world.tamper("PutItem", &without_body);
    purge_to_the_end(&fixture, &admin).await;
    check_gone(&fixture, "malformed").await;
}

#[tokio::test(start_paused = true)]
async fn purges_that_fail_keep_no_other_waiting() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    let failing = ["a", "b", "c", "d"];
    let set_version = |tenant: &str, version: u64| {
        let body = json!({"version": version}).to_string();
        let partition = format!("T#{tenant}");
        let item = json!({"pk": {"S": partition}, "sk": {"S": "indexes"}, "kind": {"S": "T"}, "body": {"S": body}});
        let put = json!({"TableName": "scim", "Item": item});
        fixture.world.tamper("PutItem", &put);
    };
    for name in failing {
        for op in ["tenant.create", "tenant.delete"] {
            let mut request = json!({"op": op, "tenant": name});
            if op == "tenant.delete" {
                request["now"] = json!(true);
            }
            Fixture::ok(ask(&admin, request).await);
        }
        // Only a newer version can purge it.
        set_version(name, 1_000_000);
    }
    fixture.world.jump(MINUTE);
    Fixture::ok(ask(&admin, delete_now()).await);
    let minutes = async |number: usize| {
        for _ in 0..number {
            fixture.world.jump(MINUTE);
            purge(&admin).await;
        }
        let items = fixture.world.items().into_iter();
        let listed = items.filter(|item| item["pk"]["S"] == "S#T");
        listed
            .map(|item| item["sk"]["S"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(minutes(25).await, ["a", "b", "c", "d", "globex"]);
    for name in failing {
        set_version(name, 1);
    }
    assert_eq!(minutes(25).await, ["globex"]);
}

/// Deletes five tenants and damages their items on the list, and puts other damaged items beside them.
async fn damage_list(fixture: &Fixture, admin: &Admin) {
    let put = |item: Value| {
        let put = json!({"TableName": "scim", "Item": item});
        fixture.world.tamper("PutItem", &put);
    };
    for name in ["a", "b", "c", "d", "e"] {
        let create = json!({"op": "tenant.create", "tenant": name});
        Fixture::ok(ask(admin, create).await);
        let delete = json!({"op": "tenant.delete", "tenant": name, "now": true});
        Fixture::ok(ask(admin, delete).await);
        put(
            json!({"pk": {"S": "S#T"}, "sk": {"S": name}, "kind": {"S": "HT"}, "purge": {"S": "half"}}),
        );
    }
    // A name that no tenant has, on the list and in the purge, and an entry of the purge that leads to nothing.
    put(json!({"pk": {"S": "S#T"}, "sk": {"S": "A b"}, "kind": {"S": "HT"}}));
    for key in ["000000000000001#A b", "000000000000002#nobody", "7"] {
        put(json!({"pk": {"S": "S#X"}, "sk": {"S": key}, "kind": {"S": "HX"}}));
    }
}

/// Checks that all other tenants of the stack can be deleted, and that these can once their items are removed.
async fn check_way_out(fixture: &Fixture, admin: &Admin, damaged: &Value) {
    // All other tenants are deleted, and the operator learns which are left.
    let delete = json!({"op": "stack.deleteTenants", "stack": "test"});
    let deleted = Fixture::ok(ask(admin, delete.clone()).await);
    assert_eq!(
        (&deleted["deleted"], &deleted["done"]),
        (&json!(1), &json!(false))
    );
    purge_to_the_end(fixture, admin).await;
    let left = Fixture::ok(ask(admin, delete.clone()).await);
    assert_eq!(
        (&left["deleted"], &left["done"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(left["unreadable"], *damaged);
    // The way out: without its item a tenant is one of an early version, which can be deleted again.
    for name in ["A b", "a", "b", "c", "d", "e"] {
        let key = json!({"pk": {"S": "S#T"}, "sk": {"S": name}});
        let remove = json!({"TableName": "scim", "Key": key});
        fixture.world.tamper("DeleteItem", &remove);
        let delete = json!({"op": "tenant.delete", "tenant": name, "now": true});
        if name != "A b" {
            Fixture::ok(ask(admin, delete).await);
        }
    }
    purge_to_the_end(fixture, admin).await;
    purge_to_the_end(fixture, admin).await;
    let done = Fixture::ok(ask(admin, delete).await);
    assert_eq!(done, json!({"deleted": 0, "done": true}));
}

/// More damaged items than one round of the purge works on, before the tenant in the order of the list and of the
/// purge.
#[tokio::test(start_paused = true)]
async fn damaged_items_of_the_list_of_tenants_keep_no_other_waiting() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    damage_list(&fixture, &admin).await;
    fixture.world.jump(MINUTE);
    Fixture::ok(ask(&admin, delete_now()).await);
    purge_to_the_end(&fixture, &admin).await;
    let names = fixture.secrets.names("test/tenants/").await.unwrap();
    assert!(
        !names.contains(&"test/tenants/acme".to_owned()),
        "{names:?}"
    );
    assert_eq!(left(&fixture).len(), 1, "the head of the feed");

    // The list names them, page by page too, and the sweep passes over the one without a usable name.
    let list =
        |after: Value, limit: u64| json!({"op": "tenant.list", "after": after, "limit": limit});
    let whole = Fixture::ok(ask(&admin, list(Value::Null, 100)).await);
    assert_eq!(whole["unreadable"], json!(["A b", "a", "b", "c", "d", "e"]));
    assert_eq!(whole["tenants"][0]["tenant"], "globex");
    let first = Fixture::ok(ask(&admin, list(Value::Null, 1)).await);
    assert_eq!(
        (&first["unreadable"], &first["next"]),
        (&json!(["A b", "a"]), &json!("a"))
    );
    let status = Fixture::ok(ask(&admin, json!({"op": "stack.status"})).await);
    assert_eq!(status["next"], Value::Null);
    let (world, process) = (&fixture.world, fixture.world.process());
    let worker = Worker::new(process.provider.tenants(), world.clock());
    worker.sweep(&Kept::default()).await.unwrap();
    let progress = stack_store(&process).sweep_progress().await.unwrap();
    assert_eq!(
        progress.journals.after, None,
        "the round has come to its end"
    );

    check_way_out(&fixture, &admin, &whole["unreadable"]).await;
}

#[tokio::test(start_paused = true)]
async fn half_made_changes_of_dead_writers_go_with_the_tenant() {
    for transactions in 0..4 {
        let fixture = Fixture::new().await;
        let process = fixture.world.process();
        let users = process.users("member", 150).await;
        let group = process.group("Guides", &users[..2]).await;
        let writer = fixture.world.process();
        let mut rest = transactions;
        writer.line.plan(move |call| {
            let is_write = ["TransactWriteItems", "BatchWriteItem"].contains(&&*call.operation);
            let dies = is_write && rest == 0;
            rest -= usize::from(is_write && rest > 0);
            dies.then_some(Fault::KillAfter)
        });
        let replaced = writer.patch("Group", &group, replace(&users)).await;
        assert!(replaced.is_err(), "the writer dies after {transactions}");
        let other = json!({"pk": {"S": "T#globex"}, "sk": {"S": "config"}, "kind": {"S": "T"}, "body": {"S": "{}"}});
        fixture
            .world
            .tamper("PutItem", &json!({"TableName": "scim", "Item": other}));
        let admin = fixture.admin();
        Fixture::ok(ask(&admin, delete_now()).await);
        purge_to_the_end(&fixture, &admin).await;
        check_gone(&fixture, &format!("died after {transactions}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_restored_in_time_is_complete() {
    let fixture = busy().await;
    let admin = fixture.admin();
    let data = || {
        let own = left(&fixture).into_iter();
        own.filter(|item| item["pk"]["S"] != "S#T")
            .collect::<Vec<_>>()
    };
    let before = data();
    let suspend = json!({"op": "tenant.suspend", "tenant": "acme", "reason": "unpaid"});
    Fixture::ok(ask(&admin, suspend).await);
    let deleted = Fixture::ok(ask(&admin, op("tenant.delete")).await);
    assert_eq!(deleted["reason"], "unpaid");
    for (what, request) in [
        ("deleting", op("tenant.suspend")),
        ("deleting", op("tenant.resume")),
        ("deleting", op("tenant.create")),
        (
            "deleting",
            json!({"op": "tenant.set", "tenant": "acme", "profile": "strict"}),
        ),
    ] {
        assert_eq!(error(&ask(&admin, request).await).0, what);
    }
    // A little before the seven days are over.
    fixture.world.jump(7 * DAY - MINUTE);
    assert_eq!(purge(&admin).await, 0);
    let restored = Fixture::ok(ask(&admin, op("tenant.restore")).await);
    assert_eq!(
        restored["state"], "suspended",
        "it is as it was before the deletion"
    );
    let resumed = Fixture::ok(ask(&admin, op("tenant.resume")).await);
    assert_eq!(
        (&resumed["state"], &resumed["changed"]),
        (&json!("active"), &json!(true))
    );
    fixture.world.jump(2 * DAY);
    assert_eq!(purge(&admin).await, 0);
    assert_eq!(data(), before);
    let process = fixture.world.process();
    assert_eq!(process.list("User", "").await.unwrap()["totalResults"], 19);
    let credentials = Credentials::new(fixture.secrets.clone(), "test");
    assert!(credentials.read(&tenant()).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_comes_too_late_is_refused() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    Fixture::ok(ask(&admin, delete_now()).await);
    fixture.world.jump(3 * MINUTE);
    // At the last second both come at once: one of them is first, and the other one sees it.
    let (restored, purged) = tokio::join!(
        fixture.ask(op("tenant.restore")),
        admin.purge(Instant::now() + MINUTE)
    );
    purged.unwrap();
    let listed = Fixture::ok(fixture.ask(json!({"op": "tenant.list"})).await);
    let state = &listed["tenants"][0]["state"];
    match restored["error"]["code"].as_str() {
        None => assert_eq!(state, "active"),
        Some(code) => assert_eq!((code, state.as_str()), ("deleting", Some("purging"))),
    }
    check_consistent(&fixture);
    Fixture::ok(ask(&admin, delete_now()).await);
    fixture.world.jump(3 * MINUTE);
    purge(&admin).await;
    let late = ask(&admin, op("tenant.restore")).await;
    assert_eq!(error(&late).0, "deleting");
    assert!(error(&late).1.contains("cannot be restored"), "{late}");
}

/// Checks that the list, the tenant's own state and the list of purges say the same.
#[track_caller]
fn check_consistent(fixture: &Fixture) {
    let items = fixture.world.items();
    let find = |partition: &str, sort: &str| {
        let mut items = items.iter();
        items.find(|item| item["pk"]["S"] == partition && item["sk"]["S"] == sort)
    };
    let listed = find("S#T", "acme").unwrap();
    let body = find("T#acme", "state").map_or(Value::Null, |state| {
        serde_json::from_str(state["body"]["S"].as_str().unwrap()).unwrap()
    });
    let expected = match (&listed["deleted"], &listed["suspended"]) {
        (Value::Null, Value::Null) => Value::Null,
        (Value::Null, _) => json!("suspended"),
        _ => json!("deleting"),
    };
    assert_eq!(body["state"], expected);
    let purges = items.iter().filter(|item| item["pk"]["S"] == "S#X");
    assert_eq!(purges.count(), usize::from(expected == "deleting"));
}

#[tokio::test(start_paused = true)]
async fn two_operators_at_once_leave_one_state() {
    let strict = json!({"op": "tenant.create", "tenant": "new", "profile": "strict"});
    let usual = json!({"op": "tenant.create", "tenant": "new"});
    for others in [strict.clone(), usual.clone()] {
        let fixture = Fixture::new().await;
        let (one, other) = (fixture.admin(), fixture.admin());
        let (one, other) = tokio::join!(ask(&one, usual.clone()), ask(&other, others.clone()));
        let made = [&one, &other].map(|answer| answer["ok"]["existed"].as_bool());
        match others == usual {
            true => assert!(
                made.contains(&Some(false)) && made.contains(&Some(true)),
                "{one} {other}"
            ),
            false => {
                let codes = [&one, &other].map(|answer| answer["error"]["code"].as_str());
                assert!(
                    made.contains(&Some(false)) && codes.contains(&Some("taken")),
                    "{one} {other}"
                );
            }
        }
    }
    for (first, second) in [
        (op("tenant.suspend"), delete_now()),
        (delete_now(), op("tenant.restore")),
        (op("tenant.suspend"), op("tenant.resume")),
        (delete_now(), op("tenant.delete")),
    ] {
        let fixture = Fixture::new().await;
        let (one, other) = (fixture.admin(), fixture.admin());
        let (one, other) = tokio::join!(ask(&one, first), ask(&other, second));
        for answer in [one, other] {
            let code = &answer["error"]["code"];
            assert!(code.is_null() || code == "deleting", "{answer}");
        }
        check_consistent(&fixture);
    }
}

#[tokio::test(start_paused = true)]
async fn operations_of_a_tenant_can_be_repeated_wherever_they_die() {
    for request in [
        json!({"op": "tenant.create", "tenant": "new", "switches": {"maxCount": 50}}),
        json!({"op": "tenant.suspend", "tenant": "acme", "reason": "unpaid"}),
        delete_now(),
    ] {
        for is_after in [false, true] {
            for at in 0.. {
                let fixture = Fixture::new().await;
                let death = Death::at(at, is_after);
                ask(&fixture.mortal_admin(&death), request.clone()).await;
                let repeated = Fixture::ok(fixture.ask(request.clone()).await);
                let again = Fixture::ok(fixture.ask(request.clone()).await);
                match request["op"].as_str() {
                    Some("tenant.create") => {
                        assert_eq!(again["existed"], true);
                        let new = TenantId::parse("new").unwrap();
                        let credentials = Credentials::new(fixture.secrets.clone(), "test");
                        assert!(credentials.read(&new).await.unwrap().is_some());
                        let items = fixture.world.items();
                        let head = items.iter().find(|item| item["pk"]["S"] == "T#new#E");
                        assert_eq!(head.unwrap()["state"]["S"], "live");
                    }
                    _ => {
                        assert_eq!(again["changed"], false);
                        assert_eq!(repeated["state"], again["state"]);
                        check_consistent(&fixture);
                    }
                }
                if !death.is_dead() {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_created_again_gets_nothing_of_the_one_before() {
    let fixture = Fixture::new().await;
    let process = fixture.world.process();
    let users = process.users("old", 150).await;
    let group = process.group("Old", &users[..2]).await;
    process
        .patch("Group", &group, replace(&users))
        .await
        .unwrap();
    let admin = fixture.admin();
    let webhook =
        json!({"op": "webhook.add", "url": "https://example.com/all", "from": "beginning"});
    Fixture::ok(ask(&admin, webhook).await);
    Fixture::ok(ask(&admin, delete_now()).await);
    purge_to_the_end(&fixture, &admin).await;
    let gone = left(&fixture);
    assert_eq!(gone.len(), 1, "{gone:#?}");
    // The stream lags: its records come after the purge, and once more after the tenant was created again.
    let late = fixture.world.records();
    let kept = Kept::default();
    let process = fixture.world.process();
    let worker = Worker::new(process.provider.tenants(), fixture.world.clock());
    for batch in late.chunks(100) {
        assert_eq!(worker.stream(batch, &kept).await, None);
    }
    // A late job of each kind, and a sweep.
    let all = BTreeSet::from([tenant()]);
    assert_eq!(worker.finish(all.clone(), &kept).await, BTreeSet::new());
    let sender = &fixture.recorder;
    assert_eq!(
        worker.deliver(all.clone(), sender, &kept).await,
        BTreeSet::new()
    );
    let stack = stack_store(&process);
    make_due(&stack, Some(&tenant()), 0).await.unwrap();
    worker.sweep(&kept).await.unwrap();
    assert_eq!(left(&fixture), gone);
    assert!(fixture.recorder.sent.lock().unwrap().is_empty());

    fixture.world.jump(DAY);
    let made = Fixture::ok(fixture.ask(op("tenant.create")).await);
    assert_eq!(made["existed"], false);
    let process = fixture.world.process();
    let worker = Worker::new(process.provider.tenants(), fixture.world.clock());
    for batch in late.chunks(100) {
        assert_eq!(worker.stream(batch, &kept).await, None);
    }
    assert_eq!(worker.deliver(all, sender, &kept).await, BTreeSet::new());
    let sent = fixture.recorder.sent.lock().unwrap().clone();
    let text = json!(sent).to_string();
    assert!(
        !text.contains("user.") && !text.contains("group."),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn tenants_are_listed_with_their_states_page_by_page() {
    let fixture = Fixture::new().await;
    let suspend = json!({"op": "tenant.suspend", "tenant": "globex", "reason": "unpaid"});
    Fixture::ok(fixture.ask(suspend).await);
    let page = json!({"op": "tenant.list", "limit": 1});
    let first = Fixture::ok(fixture.ask(page).await);
    assert_eq!(
        first["tenants"],
        json!([{"tenant": "acme", "state": "active"}])
    );
    let next = json!({"op": "tenant.list", "limit": 1, "after": first["next"]});
    let second = Fixture::ok(fixture.ask(next).await);
    assert_eq!(second["tenants"][0]["state"], "suspended");
    assert_eq!(second["tenants"][0]["reason"], "unpaid");
    for limit in [0, 1_001] {
        let refused = fixture
            .ask(json!({"op": "tenant.list", "limit": limit}))
            .await;
        assert_eq!(error(&refused).0, "invalid");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_requests_are_named_and_change_nothing() {
    let fixture = Fixture::new().await;
    let before = fixture.world.items();
    let long = "x".repeat(501);
    for (request, expected) in [
        (
            json!({"op": "tenant.delete", "tenant": "acme", "deleteAfterDays": 366}),
            "0 to 365",
        ),
        (
            json!({"op": "tenant.delete", "tenant": "acme", "deleteAfterDays": 1, "now": true}),
            "exclude",
        ),
        (
            json!({"op": "tenant.suspend", "tenant": "acme", "reason": long}),
            "500 characters",
        ),
        (
            json!({"op": "tenant.suspend", "tenant": "acme", "reason": "a\nb"}),
            "control character",
        ),
        (
            json!({"op": "tenant.set", "tenant": "acme"}),
            "nothing to set",
        ),
        (
            json!({"op": "tenant.set", "tenant": "acme", "switches": {"maxCount": 0}}),
            "1 to 10,000",
        ),
        (
            json!({"op": "tenant.create", "tenant": "new", "switches": {"colour": 1}}),
            "colour",
        ),
        (
            json!({"op": "stack.deleteTenants", "stack": "other"}),
            "This stack has another name than",
        ),
    ] {
        let answer = fixture.ask(request).await;
        let (code, detail) = error(&answer);
        assert_eq!(code, "invalid", "{detail}");
        assert!(detail.contains(expected), "{detail}");
    }
    for name in [
        "tenant.suspend",
        "tenant.resume",
        "tenant.delete",
        "tenant.restore",
    ] {
        let answer = fixture.ask(json!({"op": name, "tenant": "nobody"})).await;
        assert_eq!(error(&answer).0, "unknown", "{answer}");
    }
    assert_eq!(fixture.world.items(), before);
}

#[tokio::test(start_paused = true)]
async fn all_tenants_of_a_stack_are_deleted_with_their_secrets() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    let delete = json!({"op": "stack.deleteTenants", "stack": "test"});
    let first = Fixture::ok(ask(&admin, delete.clone()).await);
    assert_eq!(first, json!({"deleted": 2, "done": false}));
    purge_to_the_end(&fixture, &admin).await;
    purge_to_the_end(&fixture, &admin).await;
    let last = Fixture::ok(ask(&admin, delete).await);
    assert_eq!(last, json!({"deleted": 0, "done": true}));
    assert_eq!(secrets(&fixture).await, Vec::<String>::new());
    let kinds: BTreeSet<String> = fixture
        .world
        .items()
        .iter()
        .map(|item| item["sk"]["S"].to_string())
        .collect();
    assert_eq!(kinds, BTreeSet::from(["\"head\"".to_owned()]));
}
