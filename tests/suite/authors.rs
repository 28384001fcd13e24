//! Every write says which request has asked for it, with which credential and in which way: through every
//! API, and also where another process finishes it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use scim_lambda::identity::{Cause, CauseKind, CredentialId, RequestId, TenantId};
use scim_lambda::protocol::profile::{Passwords, Rules, Switches};
use scim_lambda::provider::Repair;
use scim_lambda::store::{member_cause, resource_cause};
use serde_json::{Value, json};

use crate::simulation::{Fault, Process, World, add, remove, replace, sorted};
use crate::support::{Answer, Server};

type Item = HashMap<String, AttributeValue>;

const RECORDED: &str = include_str!("../data/recorded-table.json");
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

fn text<'i>(item: &'i Item, name: &str) -> &'i str {
    item.get(name).map_or("", |value| value.as_s().unwrap())
}

/// Which credential a token is of.
fn credential(token: &str) -> CredentialId {
    CredentialId::parse(token.split('_').nth(2).unwrap()).unwrap()
}

/// Why an item was last written, or a member was added.
fn cause(item: &Item) -> Option<Cause> {
    match text(item, "kind") {
        "R" => resource_cause(text(item, "rid"), text(item, "by")),
        _ => member_cause(text(item, "by")),
    }
}

/// The resources and members that a request has written, by their ids: those that differ from before.
async fn written(server: &Server, before: &[Item]) -> Vec<Item> {
    let mut after = server.items().await;
    after.retain(|item| ["R", "M"].contains(&text(item, "kind")) && !before.contains(item));
    after
}

/// Sends a request under this name.
async fn send(server: &Server, name: &str, method: &str, path: &str, body: &Value) -> Answer {
    let request = server
        .request(method, path)
        .header("Content-Type", "application/json")
        .header("X-Request-Id", name);
    let body = Some(body).filter(|body| !body.is_null());
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    let answer = server.answer(request.body(body).unwrap()).await;
    assert!(answer.status < 300, "{method} {path}: {}", answer.text);
    assert_eq!(answer.header("x-request-id"), name);
    answer
}

/// Sends a request, and checks that it writes `items` resources and members, all with its request id, its
/// credential and its kind.
async fn check(
    server: &Server,
    (kind, items): (CauseKind, usize),
    method: &str,
    path: &str,
    body: Value,
) -> Answer {
    let name = format!("{method}:{items}/{}", path.len());
    let before = server.items().await;
    let answer = send(server, &name, method, path, &body).await;
    let expected = Cause {
        request: RequestId::parse(&name).unwrap(),
        credential: Some(credential(&server.token)),
        kind,
    };
    let written = written(server, &before).await;
    assert_eq!(written.len(), items, "{method} {path}: {written:?}");
    for item in written {
        assert_eq!(
            cause(&item),
            Some(expected.clone()),
            "{method} {path}: {item:?}"
        );
    }
    answer
}

fn patch(operations: &Value) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

fn id(answer: &Answer) -> String {
    answer.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_write_of_2_0_names_its_request_and_its_credential() {
    let mut server = Server::start().await;
    let one = (CauseKind::Scim2, 1);
    let users = "/scim/v2/Users";
    let ada = id(&check(&server, one, "POST", users, json!({"userName": "ada"})).await);
    let path = format!("{users}/{ada}");
    let title = json!([{"op": "add", "path": "title", "value": "Guide"}]);
    check(&server, one, "PATCH", &path, patch(&title)).await;
    check(&server, one, "PUT", &path, json!({"userName": "ada"})).await;
    // The new name takes a transaction.
    check(&server, one, "PUT", &path, json!({"userName": "grace"})).await;
    for (endpoint, body) in [
        ("Devices", json!({"name": "laptop"})),
        ("Roles", json!({"name": "Reader", "scopes": ["users:read"]})),
    ] {
        let path = format!("/scim/v2/{endpoint}");
        check(&server, one, "POST", &path, body).await;
    }

    // The group and its member.
    let two = (CauseKind::Scim2, 2);
    let body = json!({"displayName": "Guides", "members": [{"value": ada}]});
    let guides = id(&check(&server, two, "POST", "/scim/v2/Groups", body).await);
    let path = format!("/scim/v2/Groups/{guides}");
    let member = json!([{"op": "remove", "path": format!("members[value eq \"{ada}\"]")}]);
    check(&server, one, "PATCH", &path, patch(&member)).await;
    let member = json!([{"op": "add", "path": "members", "value": [{"value": ada}]}]);
    check(&server, two, "PATCH", &path, patch(&member)).await;
    // A user that is deleted leaves its groups: that is a write of each.
    let path = format!("{users}/{ada}");
    check(&server, one, "DELETE", &path, Value::Null).await;

    let bob = server.create(users, &json!({"userName": "bob"})).await;
    server.token = server.issue("acme", |new| new.user = Some(bob)).await;
    let nick = json!([{"op": "add", "path": "nickName", "value": "B"}]);
    check(&server, one, "PATCH", "/scim/v2/Me", patch(&nick)).await;
}

#[tokio::test]
async fn a_write_of_1_1_names_its_request_and_its_credential() {
    let server = Server::start().await;
    let one = (CauseKind::Scim1, 1);
    let ada = json!({"userName": "ada"});
    let ada = id(&check(&server, one, "POST", "/scim/v1/Users", ada).await);
    let path = format!("/scim/v1/Users/{ada}");
    check(&server, one, "PATCH", &path, json!({"title": "Guide"})).await;
    let guides = json!({"displayName": "Guides"});
    let guides = id(&check(&server, one, "POST", "/scim/v1/Groups", guides).await);

    let users = "/v2/acme/scim/Users";
    let bob = json!({"schemas": ["urn:scim:schemas:core:1.0"], "userName": "bob"});
    check(&server, (CauseKind::Ionic, 1), "POST", users, bob).await;
    // The user, the membership and the group. The service carries this request out as a bulk request.
    let eve = json!({
        "schemas": ["urn:scim:schemas:core:1.0", "urn:scim:schemas:extension:ionic:1.0"],
        "userName": "eve",
        "urn:scim:schemas:extension:ionic:1.0": {"groups": [{"type": "group", "value": guides}]},
    });
    check(&server, (CauseKind::Ionic, 3), "POST", users, eve).await;
}

#[tokio::test]
async fn every_operation_of_a_bulk_request_has_its_name() {
    let server = Server::start().await;
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "ada"}},
            {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {
                "displayName": "Guides", "members": [{"value": "bulkId:a"}],
            }},
        ],
    });
    check(&server, (CauseKind::Bulk, 3), "POST", "/scim/v2/Bulk", bulk).await;
    let bulk = json!({
        "schemas": ["urn:scim:schemas:core:1.0"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"userName": "bob"}},
        ],
    });
    check(&server, (CauseKind::Bulk, 1), "POST", "/scim/v1/Bulk", bulk).await;
}

#[tokio::test]
async fn a_request_without_a_name_of_its_own_or_with_a_long_one_has_ours() {
    let server = Server::start().await;
    let users = "/scim/v2/Users";
    let ada = json!({"userName": "ada"});
    let answer = server.send("POST", users, Some(&ada)).await;
    let items = written(&server, &[]).await;
    let request = cause(&items[0]).unwrap().request;
    assert_eq!(answer.header("x-request-id"), request.as_str());

    let long = "r".repeat(RequestId::MAX_CHARACTERS + 1);
    send(&server, &long, "POST", users, &json!({"userName": "bob"})).await;
    let items = written(&server, &items).await;
    let request = cause(&items[0]).unwrap().request;
    assert!(
        !request.as_str().contains('r') && request.as_str().len() == 36,
        "{request}"
    );
}

#[tokio::test]
async fn what_commands_write_has_no_credential() {
    let server = Server::start().await;
    let provider = &server.stack.service().provider;
    let acme = TenantId::parse("acme").unwrap();
    let made = provider.add_own_roles(&acme).await.unwrap();
    let roles = written(&server, &[]).await;
    assert_eq!((roles.len(), made.is_empty()), (made.len(), false));
    let is_of = |item: &Item, kind: CauseKind| {
        let cause = cause(item).unwrap();
        (cause.credential, cause.kind) == (None, kind)
    };
    assert!(roles.iter().all(|role| is_of(role, CauseKind::Command)));
    let names: Vec<_> = roles
        .iter()
        .map(|role| cause(role).unwrap().request)
        .collect();
    assert!(
        names.iter().all(|name| *name == names[0]),
        "one command has one name"
    );

    let role = &roles[0];
    let body = text(role, "body").replacen(&format!("\"id\":\"{}\",", text(role, "sk")), "", 1);
    assert_ne!(body, text(role, "body"));
    let (pk, sk) = (text(role, "pk"), text(role, "sk"));
    server
        .tamper(pk, sk, "SET body = :v", AttributeValue::S(body))
        .await;
    let before = server.items().await;
    provider.examine(&acme, Repair::Mend).await.unwrap();
    let mended = written(&server, &before).await;
    assert_eq!(mended.len(), 1);
    assert!(is_of(&mended[0], CauseKind::Repair), "{mended:?}");
    // The text has its id again, and no client sees a difference.
    assert_eq!(mended[0]["v"], role["v"]);
}

/// The members that the table holds of a group, each with why it was added, and why the group was last
/// written.
fn group_and_members(world: &World, group: &str) -> (Option<Cause>, Vec<Option<Cause>>) {
    let items = world.items();
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
    let found = items
        .iter()
        .find(|item| item["sk"]["S"] == *group && item["kind"]["S"] == "R");
    let found = found.unwrap();
    let set = format!("T#acme#M#{group}#{}#", text(found, "set"));
    let members = items
        .iter()
        .filter(|item| text(item, "pk").starts_with(&set));
    let members = members.map(|item| member_cause(&text(item, "by")));
    let group = resource_cause(&text(found, "rid"), &text(found, "by"));
    (group, members.collect())
}

/// More members than one transaction takes.
const MANY: usize = 60;

/// Lets a writer die at every call in turn; what another process finishes has the writer's cause.
async fn check_finished(
    inside: usize,
    request: impl AsyncFn(&Process, &str, &[String], &[String]),
    check: impl Fn(&Cause, &Cause, (Option<Cause>, Vec<Option<Cause>>)),
) {
    let template = World::new().await;
    let maker = template.process();
    let members = maker.users("in", inside).await;
    let others = maker.users("out", MANY).await;
    let group = maker.group("Guides", &members).await;
    for number in 1.. {
        let world = template.copy();
        let before = world.process().get("Group", &group).await.unwrap();
        let writer = world.process();
        writer
            .line
            .plan(move |call| (call.number == number).then_some(Fault::KillAfter));
        request(&writer, &group, &members, &others).await;
        world.finish().await;
        let after = world.process().get("Group", &group).await.unwrap();
        if after["meta"]["version"] == before["meta"]["version"] {
            assert!(writer.line.is_dead());
            continue;
        }
        check(
            &writer.cause,
            &maker.cause,
            group_and_members(&world, &group),
        );
        if !writer.line.is_dead() {
            assert!(number > 3, "the request makes calls");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_addition_that_is_finished_has_its_author() {
    let request = async |writer: &Process, group: &str, _: &[String], others: &[String]| {
        let _ = writer.patch("Group", group, add(others)).await;
    };
    check_finished(1, request, |writer, maker, (group, mut members)| {
        assert_eq!(group.as_ref(), Some(writer));
        members.retain(|cause| cause.as_ref() != Some(maker));
        assert_eq!(members, vec![Some(writer.clone()); MANY]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_new_list_that_is_finished_has_its_author() {
    let request = async |writer: &Process, group: &str, _: &[String], others: &[String]| {
        let _ = writer.patch("Group", group, replace(others)).await;
    };
    check_finished(1, request, |writer, _, (group, members)| {
        assert_eq!(group.as_ref(), Some(writer));
        assert_eq!(members, vec![Some(writer.clone()); MANY]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_large_removal_that_is_finished_has_its_author() {
    let request = async |writer: &Process, group: &str, members: &[String], _: &[String]| {
        let _ = writer.patch("Group", group, remove(&members[1..])).await;
    };
    check_finished(MANY, request, |writer, maker, (group, members)| {
        assert_eq!(group.as_ref(), Some(writer));
        // The member that stays was added by an earlier request.
        assert_eq!(members, vec![Some(maker.clone())]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_groups_that_a_deleted_user_leaves_say_who_deleted_it() {
    let request = async |writer: &Process, _: &str, members: &[String], _: &[String]| {
        let _ = writer.delete("User", &members[0]).await;
    };
    check_finished(2, request, |writer, maker, (group, members)| {
        assert_eq!(group.as_ref(), Some(writer));
        assert_eq!(members, vec![Some(maker.clone())]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_with_a_deletion_is_not_its_author() {
    let world = World::new().await;
    let maker = world.process();
    let members = maker.users("in", 2).await;
    let group = maker.group("Guides", &members).await;
    let writer = world.process();
    writer
        .line
        .plan(|call| (call.operation == "TransactWriteItems").then_some(Fault::KillAfter));
    writer.delete("User", &members[0]).await.unwrap_err();
    world.process().delete("User", &members[0]).await.unwrap();
    let (of_group, _) = group_and_members(&world, &group);
    assert_eq!(of_group, Some(writer.cause));
    assert_eq!(world.process().members(&group).await, sorted(&members[1..]));
}

#[tokio::test]
async fn a_new_password_alone_is_a_new_version_of_the_same_body() {
    let rules = Rules {
        switches: Switches {
            passwords: Passwords::Hash,
            ..Switches::default()
        },
        ..Rules::default()
    };
    let server = Server::with_rules(&rules).await;
    let ada = json!({"userName": "ada", "password": "t1meMa$heen"});
    let ada = server.create("/scim/v2/Users", &ada).await;
    let path = format!("/scim/v2/Users/{ada}");
    let set = async |password: &str| {
        let before = written(&server, &[]).await.remove(0);
        let operations = json!([{"op": "replace", "path": "password", "value": password}]);
        send(&server, "set", "PATCH", &path, &patch(&operations)).await;
        (before, written(&server, &[]).await.remove(0))
    };
    let (before, after) = set("0ther-Ma$heen").await;
    let changed: Vec<_> = before
        .keys()
        .filter(|name| before[*name] != after[*name])
        .collect();
    let changed: std::collections::BTreeSet<_> = changed.into_iter().map(String::as_str).collect();
    let expected = ["by", "modified", "pw", "rid", "v"];
    assert!(changed.is_subset(&expected.into()), "{changed:?}");
    assert_eq!(after["v"], AttributeValue::N("2".to_owned()));
    assert_ne!(after["pw"], before["pw"]);
    // The same password again changes nothing.
    let (before, after) = set("0ther-Ma$heen").await;
    assert_eq!(after, before);
}

/// A table that a version of the service has written which did not say why it writes.
async fn earlier() -> Server {
    let mut server = Server::start().await;
    server.add_tenant("demo", &Rules::default()).await;
    server.put_items(RECORDED).await;
    server.token = server.issue("demo", |_| {}).await;
    server
}

#[tokio::test]
async fn what_an_earlier_version_wrote_is_read_and_changed_only_where_it_has_to_be() {
    let server = earlier().await;
    let before = server.items().await;
    assert!(before.iter().all(|item| !item.contains_key("by")));
    let list = server.send("GET", "/scim/v2/Users?count=1", None).await;
    let user = list.json["Resources"][0]["id"].as_str().unwrap().to_owned();
    let title = json!([{"op": "replace", "path": "title", "value": "Harbour pilot"}]);
    let path = format!("/scim/v2/Users/{user}");
    send(&server, "r-1", "PATCH", &path, &patch(&title)).await;
    let written = written(&server, &before).await;
    let [after] = written.as_slice() else {
        panic!("one item is written: {written:?}");
    };
    assert_eq!(cause(after).unwrap().request.as_str(), "r-1");
    let is_same = |item: &&Item| text(item, "sk") == user && text(item, "kind") == "R";
    let mut before = before.iter().find(is_same).unwrap().clone();
    let mut after = after.clone();
    for changed in ["body", "v", "modified", "rid", "by"] {
        assert_ne!(after.remove(changed), before.remove(changed), "{changed}");
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_a_journal_of_an_earlier_version_holds_is_done_by_the_service_itself() {
    let server = earlier().await;
    let before = server.items().await;
    let heads = before.iter().filter(|item| text(item, "kind") == "J");
    assert!(heads.count() > 0);
    let provider = &server.stack.service().provider;
    let demo = TenantId::parse("demo").unwrap();
    assert!(provider.finish(&demo).await.unwrap() > 0);
    let written = written(&server, &before).await;
    assert!(!written.is_empty());
    for item in written {
        let cause = cause(&item).unwrap();
        assert_eq!(
            (cause.credential, cause.kind),
            (None, CauseKind::Service),
            "{item:?}"
        );
    }
}
