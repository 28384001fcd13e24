//! `data.check`: what the doctor finds and repairs, part by part, each in a process of its own.

use scim_lambda::provider::{CheckPlace, Findings, Repair};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::admin::{Fixture, error};
use crate::simulation::{World, tenant};

/// Checks in parts, each of which ends after one page, and adds up what they find.
async fn in_parts(world: &World, repair: Repair) -> (usize, Findings) {
    let (mut place, mut parts, mut all) = (None, 0, Findings::default());
    loop {
        let process = world.process();
        let id = tenant();
        let check = process.provider.check(&id, repair, place, Instant::now());
        let checked = check.await.unwrap();
        assert_eq!((checked.waiting, checked.built.resources), (None, 0));
        let found = checked.found;
        assert!(found.resources <= 100, "{found:?}");
        parts += 1;
        all.resources += found.resources;
        all.missing += found.missing;
        all.stray += found.stray;
        all.totals.extend(found.totals);
        all.members.extend(found.members);
        // The place goes through the caller.
        let text = serde_json::to_string(&checked.next).unwrap();
        place = serde_json::from_str::<Option<CheckPlace>>(&text).unwrap();
        if place.is_none() {
            return (parts, all);
        }
    }
}

async fn whole(world: &World) -> Findings {
    let process = world.process();
    let examined = process.provider.examine(&tenant(), Repair::Look).await;
    examined.unwrap()
}

/// Removes and adds entries, and changes counters, in places far from each other.
fn damage(world: &World, groups: &[String]) {
    let items = world.items();
    let entries = items
        .iter()
        .filter(|item| item["pk"]["S"] == "T#acme#I#User#userName");
    for item in entries.step_by(60) {
        let key = json!({"pk": item["pk"], "sk": item["sk"]});
        world.tamper("DeleteItem", &json!({"TableName": "scim", "Key": key}));
    }
    for number in 0..150 {
        let item = json!({"pk": {"S": "T#acme#I#User#emails.value"},
            "sk": {"S": format!("nobody-{number}\u{1f}gone")}, "id": {"S": "gone"}});
        world.tamper("PutItem", &json!({"TableName": "scim", "Item": item}));
    }
    let set = |key: Value, expression: &str| {
        world.tamper(
            "UpdateItem",
            &json!({"TableName": "scim", "Key": key, "UpdateExpression": expression,
                "ExpressionAttributeValues": {":v": {"N": "7"}}}),
        );
    };
    for group in groups {
        set(
            json!({"pk": {"S": "T#acme#R#Group#0"}, "sk": {"S": group}}),
            "SET about = :v",
        );
    }
    for counter in ["T#acme#C#User", "T#acme#C#Group"] {
        let item = items
            .iter()
            .find(|item| item["pk"]["S"] == counter)
            .unwrap();
        set(json!({"pk": item["pk"], "sk": item["sk"]}), "ADD n :v");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_find_and_repair_what_one_examination_does() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 230).await;
    let mut groups = Vec::new();
    for name in ["One", "Two", "Three"] {
        groups.push(process.group(name, &users[..5]).await);
    }
    let (parts, found) = in_parts(&world, Repair::Look).await;
    assert!(parts > 10 && found.is_clean(), "{parts} {found:?}");
    damage(&world, &groups);
    let expected = whole(&world).await;
    assert_eq!((expected.missing, expected.stray), (4, 150));
    assert_eq!((expected.totals.len(), expected.members.len()), (2, 3));
    assert_eq!(in_parts(&world, Repair::Look).await.1, expected);
    assert_eq!(in_parts(&world, Repair::Mend).await.1, expected);
    let after = whole(&world).await;
    assert!(after.is_clean() && after.members.is_empty(), "{after:?}");
    assert_eq!(
        (process.total("User").await, process.total("Group").await),
        (230, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_asked_for_again_finds_the_same_and_repairs_it_once() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 230).await;
    damage(&world, &[process.group("One", &users[..5]).await]);
    let mut place = None;
    loop {
        let part = async || {
            let (process, id) = (world.process(), tenant());
            let check = process
                .provider
                .check(&id, Repair::Mend, place.clone(), Instant::now());
            check.await.unwrap()
        };
        part().await;
        place = part().await.next;
        if place.is_none() {
            break;
        }
    }
    let after = whole(&world).await;
    assert!(after.is_clean() && after.members.is_empty(), "{after:?}");
    assert_eq!(
        (process.total("User").await, process.total("Group").await),
        (230, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_cursor_of_this_tenant_as_it_is_leads_on() {
    let fixture = Fixture::new().await;
    let check = |cursor: Value| json!({"op": "data.check", "tenant": "acme", "cursor": cursor, "repair": true});
    // The last one is that of a step of a type that is not there: {"s":"check/entries/Badge","k":{}}.
    for cursor in [
        "",
        "x",
        "e30",
        &"A".repeat(20_000),
        "eyJzIjoiY2hlY2svZW50cmllcy9CYWRnZSIsImsiOnt9fQ",
    ] {
        let answer = fixture.ask(check(json!(cursor))).await;
        assert_eq!(error(&answer).0, "invalid", "{cursor}: {answer}");
    }
    let done = Fixture::ok(fixture.ask(check(Value::Null)).await);
    assert_eq!((&done["well"], done.get("cursor")), (&json!(true), None));
    let delete = json!({"op": "tenant.delete", "tenant": "acme"});
    Fixture::ok(fixture.ask(delete).await);
    let answer = fixture.ask(check(Value::Null)).await;
    assert_eq!(error(&answer).0, "deleting", "{answer}");
    let mut look = check(Value::Null);
    look["repair"] = json!(false);
    assert_eq!(Fixture::ok(fixture.ask(look.clone()).await)["well"], true);
    look["tenant"] = json!("nobody");
    assert_eq!(error(&fixture.ask(look).await).0, "unknown");
}
