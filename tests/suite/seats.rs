//! `maxActiveUsers`: the count of active users is exact, whatever happens at the same time, and whichever
//! process dies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use scim_lambda::protocol::error::{ErrorKind, Result};
use scim_lambda::protocol::profile::Rules;
use scim_lambda::provider::Repair;
use scim_lambda::store::SeatState;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::simulation::{Call, Fault, Process, World, tenant, user};
use crate::support::Server;

const USERS: &str = "/scim/v2/Users";

fn rules(limit: u32) -> Rules {
    let mut rules = Rules::default();
    rules.switches.max_active_users = limit;
    rules
}

fn set_active(is_active: bool) -> Value {
    json!([{"op": "replace", "path": "active", "value": is_active}])
}

/// A world whose tenant has a limit from its beginning.
async fn limited(limit: u32) -> World {
    let world = World::new().await;
    let process = world.process();
    let rules = rules(limit);
    let set = process.provider.set_first_rules(&tenant(), &rules).await;
    set.unwrap();
    world
}

/// The number of active users, as their items say it.
fn active(world: &World) -> u64 {
    users(world).filter(is_active).count() as u64
}

fn users(world: &World) -> impl Iterator<Item = Value> {
    let items = world.items().into_iter();
    items.filter(|item| item["pk"]["S"] == "T#acme#R#User#0" && item["del"].is_null())
}

fn is_active(item: &Value) -> bool {
    let body: Value = serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap();
    body["active"] != false
}

/// Checks that the doctor finds nothing.
async fn check_clean(process: &Process) {
    let found = process.provider.examine(&tenant(), Repair::Look).await;
    let found = found.unwrap();
    assert!(found.is_clean(), "{found:?}");
}

/// Checks that each active user, and no other, has a seat, and that the seats are counted right. Returns the
/// number of active users.
async fn audit(world: &World) -> u64 {
    let seats = world.process().provider.seats(&tenant()).await.unwrap();
    let seats = seats.unwrap();
    let since = json!({"N": seats.since.to_string()});
    for item in users(world) {
        assert_eq!(item["seat"] == since, is_active(&item), "{item}");
    }
    let active = active(world);
    assert_eq!(seats.taken(), active, "{seats:?}");
    active
}

fn is_refused(result: &Result<impl Sized>) -> bool {
    match result {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
            assert!(error.detail().contains("seats are taken"), "{error}");
            true
        }
    }
}

#[tokio::test]
async fn every_way_to_become_active_takes_a_seat() {
    let server = Server::with_rules(&rules(3)).await;
    let mut paths = Vec::new();
    for name in ["ada", "bob", "cid"] {
        let id = server.create(USERS, &json!({"userName": name})).await;
        paths.push(format!("{USERS}/{id}"));
    }
    let dan = json!({"userName": "dan"});
    let refused = server.send("POST", USERS, Some(&dan)).await;
    refused.check_error(403, None);
    assert_eq!(
        refused.json["detail"],
        "All 3 seats are taken, so no further user can be active; deactivate or remove users, or ask the \
         application's administrators for more seats"
    );
    for base in ["/scim/v1/Users", "/v2/acme/scim/Users"] {
        server
            .send("POST", base, Some(&dan))
            .await
            .check_error_v1(403);
    }
    // A name that is taken is said first.
    let taken = server
        .send("POST", USERS, Some(&json!({"userName": "ada"})))
        .await;
    taken.check_error(409, Some("uniqueness"));
    // An inactive user needs no seat until it becomes active.
    let idle = json!({"userName": "dan", "active": false});
    let idle_path = format!("{USERS}/{}", server.create(USERS, &idle).await);
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": set_active(true),
    });
    let attempts = [("PATCH", &patch), ("PUT", &dan)];
    for (method, body) in attempts {
        server
            .send(method, &idle_path, Some(body))
            .await
            .check_error(403, None);
    }
    let v1 = idle_path.replace("v2", "v1");
    server
        .send("PATCH", &v1, Some(&json!({"active": true})))
        .await
        .check_error_v1(403);
    check_seats_are_given_back(&server, &paths).await;
    server
        .send("PATCH", &idle_path, Some(&patch))
        .await
        .check_error(403, None);
}

/// Users that are active can be changed, and give their seats back in every view. Bulk takes exactly those.
async fn check_seats_are_given_back(server: &Server, paths: &[String]) {
    let title = json!({"userName": "ada", "title": "Guide"});
    let changed = server.send("PUT", &paths[0], Some(&title)).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let idle_ada = json!({"userName": "ada", "active": false});
    for (method, path, body, give_back) in [
        ("PUT", paths[0].clone(), Some(&idle_ada), 200),
        ("DELETE", paths[1].clone(), None, 204),
        ("DELETE", paths[2].replace("v2", "v1"), None, 200),
    ] {
        let given = server.send(method, &path, body).await;
        assert_eq!(given.status, give_back, "{}", given.text);
    }
    let names = ["eva", "fay", "gus", "hal", "ina"];
    let operations = names.map(|name| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": {"userName": name}}));
    let urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
    let bulk = json!({"schemas": [urn], "Operations": operations});
    let answer = server.send("POST", "/scim/v2/Bulk", Some(&bulk)).await;
    let results = answer.json["Operations"].as_array().unwrap().iter();
    let mut results: Vec<_> = results.map(|result| result["status"].clone()).collect();
    results.sort_by_key(ToString::to_string);
    assert_eq!(results, ["201", "201", "201", "403", "403"]);
}

/// Lets calls of transactions fail that DynamoDB would cancel: those with an item of another transaction that
/// is under way. A transaction takes ten milliseconds. With `is_one_item` the shards conflict as if they were one
/// item.
fn with_conflicts(processes: &[Process], is_one_item: bool) -> Arc<Mutex<u64>> {
    let under_way = Arc::new(Mutex::new(HashMap::<String, Instant>::new()));
    let conflicts = Arc::new(Mutex::new(0));
    for process in processes {
        let (under_way, conflicts) = (Arc::clone(&under_way), Arc::clone(&conflicts));
        process.line.plan(move |call: &Call| {
            if call.operation != "TransactWriteItems" {
                return None;
            }
            let steps = call.body["TransactItems"].as_array().unwrap().iter();
            let key = |key: &Value| match is_one_item && key["pk"]["S"] == "T#acme#A" {
                true => "seats".to_owned(),
                false => format!("{} {}", key["pk"], key["sk"]),
            };
            let keys: Vec<String> = steps
                .flat_map(|step| step.as_object().unwrap().values())
                .map(|step| match &step["Key"] {
                    Value::Null => key(&step["Item"]),
                    named => key(named),
                })
                .collect();
            let (mut under_way, now) = (under_way.lock().unwrap(), Instant::now());
            under_way.retain(|_, until| *until > now);
            if keys.iter().any(|key| under_way.contains_key(key)) {
                *conflicts.lock().unwrap() += 1;
                return Some(Fault::Conflict);
            }
            let until = now + Duration::from_millis(10);
            under_way.extend(keys.into_iter().map(|key| (key, until)));
            None
        });
    }
    conflicts
}

#[tokio::test(start_paused = true)]
async fn parallel_creations_get_exactly_the_seats_that_are_left() {
    for left in [0, 1, 2, 7, 31, 32] {
        let world = limited(10).await;
        let first = world.process();
        first.users("first", 10 - left.min(10)).await;
        let limit = u32::try_from(first_limit(left)).unwrap();
        first
            .provider
            .set_rules(&tenant(), &rules(limit))
            .await
            .unwrap();
        let processes: Vec<Process> = (0..4).map(|_| world.process()).collect();
        with_conflicts(&processes, false);
        let creations = (0..32).map(|number| {
            let process = &processes[number % 4];
            async move { process.post("User", user(&format!("user-{number}"))).await }
        });
        let results = join_all(creations).await;
        let made = results.iter().filter(|result| !is_refused(result)).count();
        assert_eq!(made, left, "{left}");
        assert_eq!(audit(&world).await, u64::from(limit));
    }
}

/// The limit with which this number of seats is left when up to ten users are active.
fn first_limit(left: usize) -> usize {
    10 - left.min(10) + left
}

/// The conflicts of 600 creations, as many at a time as a bulk request makes.
async fn conflicts_of_creations(is_one_item: bool) -> u64 {
    let world = limited(100_000).await;
    let processes: Vec<Process> = (0..4).map(|_| world.process()).collect();
    for process in &processes {
        process.scope().await.unwrap();
    }
    let conflicts = with_conflicts(&processes, is_one_item);
    let creations = (0..600).map(|number| {
        let process = &processes[number % 4];
        async move { process.post("User", user(&format!("user-{number}"))).await }
    });
    let made: Vec<_> = stream::iter(creations).buffer_unordered(16).collect().await;
    assert!(made.iter().all(Result::is_ok));
    assert_eq!(audit(&world).await, 600);
    *conflicts.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn creations_at_the_same_time_conflict_less_than_in_one_item() {
    let (spread, in_one) = (
        conflicts_of_creations(false).await,
        conflicts_of_creations(true).await,
    );
    println!("600 creations, 16 at a time: {spread} conflicts; in one item: {in_one}");
    assert!(spread < 600 && spread * 2 < in_one, "{spread} {in_one}");
}

/// What a request does to a user while another process may die.
#[derive(Debug, Clone, Copy)]
enum Act {
    Create,
    Activate,
    Deactivate,
    Delete,
}

impl Act {
    async fn carry_out(self, process: &Process, id: &str) -> Result<()> {
        match self {
            Self::Create => process.post("User", user("new")).await.map(drop),
            Self::Activate => process.patch("User", id, set_active(true)).await.map(drop),
            Self::Deactivate => process.patch("User", id, set_active(false)).await.map(drop),
            Self::Delete => process.delete("User", id).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_count_is_exact_whichever_call_fails() {
    for act in [Act::Create, Act::Activate, Act::Deactivate, Act::Delete] {
        for fault in [
            Fault::Kill,
            Fault::KillAfter,
            Fault::LoseAnswer,
            Fault::LoseRequest,
        ] {
            for number in 0.. {
                let world = limited(5).await;
                let maker = world.process();
                maker.users("other", 2).await;
                let id = maker.user("ada").await;
                if matches!(act, Act::Activate) {
                    maker.patch("User", &id, set_active(false)).await.unwrap();
                }
                let process = world.process();
                process.scope().await.unwrap();
                process
                    .line
                    .plan(move |call: &Call| (call.number == number).then_some(fault));
                let result = act.carry_out(&process, &id).await;
                let is_over = process.line.calls() <= number;
                let is_loss = matches!(fault, Fault::LoseAnswer | Fault::LoseRequest);
                assert!(
                    !is_loss || result.is_ok(),
                    "{act:?} {fault:?} {number} {result:?}"
                );
                world.finish().await;
                audit(&world).await;
                if is_over {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_in_use_is_counted_before_the_limit_holds() {
    let world = World::new().await;
    let operator = world.process();
    let first = operator.users("first", 6).await;
    operator
        .patch("User", &first[5], set_active(false))
        .await
        .unwrap();
    // This process does not learn of the limit for a minute.
    let late = world.process();
    late.scope().await.unwrap();
    operator
        .provider
        .set_rules(&tenant(), &rules(7))
        .await
        .unwrap();
    let early = world.process();
    for process in [&late, &early] {
        let name = format!("more-{}", process.line.calls());
        let made = process.users(&name, 2).await;
        process.delete("User", &made[0]).await.unwrap();
        for active in [true, false] {
            let set = process.patch("User", &first[5], set_active(active));
            set.await.unwrap();
        }
    }
    let waiting = operator
        .provider
        .build_indexes(&tenant())
        .await
        .unwrap_err();
    assert_eq!(waiting.kind(), ErrorKind::Conflict);
    assert!(waiting.detail().contains("seconds"), "{waiting}");
    tokio::time::advance(Duration::from_secs(88)).await;
    // Takes a seat already, while others may not.
    let counted = early.user("counted").await;
    early.delete("User", &first[4]).await.unwrap();
    let seats = operator.provider.seats(&tenant()).await.unwrap().unwrap();
    assert_eq!((seats.state, seats.taken()), (SeatState::Counting, 1));
    tokio::time::advance(Duration::from_secs(5)).await;
    operator.provider.build_indexes(&tenant()).await.unwrap();
    assert_eq!(audit(&world).await, 7);
    // The limit holds at once, also for processes that have not read that the count is complete.
    for process in [&late, &early] {
        assert!(is_refused(&process.post("User", user("too-many")).await));
        assert!(is_refused(
            &process.patch("User", &first[5], set_active(true)).await
        ));
    }
    late.delete("User", &counted).await.unwrap();
    early
        .patch("User", &first[5], set_active(true))
        .await
        .unwrap();
    assert_eq!(audit(&world).await, 7);
    check_clean(&operator).await;
}

#[tokio::test(start_paused = true)]
async fn the_doctor_counts_while_users_come_and_go() {
    for seed in 0..4 {
        fastrand::seed(seed);
        let world = World::new().await;
        let operator = world.process();
        let first = operator.users("first", 120).await;
        operator
            .provider
            .set_rules(&tenant(), &rules(1_000))
            .await
            .unwrap();
        tokio::time::advance(Duration::from_secs(91)).await;
        let processes: Vec<Process> = (0..3).map(|_| world.process()).collect();
        let work = processes
            .iter()
            .zip(first.chunks(40))
            .map(async |(process, users)| {
                for (number, id) in users.iter().enumerate() {
                    let act = [Act::Activate, Act::Deactivate, Act::Delete][fastrand::usize(..3)];
                    let result = act.carry_out(process, id).await;
                    result.unwrap();
                    if fastrand::bool() {
                        process.user(&format!("new-{}-{number}", users[0])).await;
                    }
                }
            });
        let acme = tenant();
        let doctor = operator.provider.build_indexes(&acme);
        let (counted, _) = tokio::join!(doctor, join_all(work));
        counted.unwrap();
        audit(&world).await;
        let found = operator
            .provider
            .examine(&tenant(), Repair::Look)
            .await
            .unwrap();
        assert!(found.is_clean(), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_evicts_nobody() {
    let world = limited(10).await;
    let process = world.process();
    let users = process.users("user", 8).await;
    process
        .provider
        .set_rules(&tenant(), &rules(5))
        .await
        .unwrap();
    assert_eq!(audit(&world).await, 8);
    let title = json!([{"op": "replace", "path": "title", "value": "Guide"}]);
    for id in &users {
        process.patch("User", id, title.clone()).await.unwrap();
    }
    // Three have to go before there is a seat again.
    for id in &users[..3] {
        assert!(is_refused(&process.post("User", user("new")).await));
        process.delete("User", id).await.unwrap();
    }
    assert!(is_refused(&process.post("User", user("new")).await));
    process
        .patch("User", &users[3], set_active(false))
        .await
        .unwrap();
    process.user("new").await;
    assert!(is_refused(
        &process.patch("User", &users[3], set_active(true)).await
    ));
    process
        .provider
        .set_rules(&tenant(), &rules(6))
        .await
        .unwrap();
    process
        .patch("User", &users[3], set_active(true))
        .await
        .unwrap();
    assert_eq!(audit(&world).await, 6);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_changes_under_load_stays_exact() {
    let world = limited(20).await;
    let (operator, process) = (world.process(), world.process());
    let creations = (0..60).map(|number| {
        let process = &process;
        async move { process.post("User", user(&format!("user-{number}"))).await }
    });
    let creations = stream::iter(creations)
        .buffer_unordered(6)
        .collect::<Vec<_>>();
    let changes = async {
        for limit in [25, 15, 40, 30] {
            operator
                .provider
                .set_rules(&tenant(), &rules(limit))
                .await
                .unwrap();
        }
    };
    let (made, ()) = tokio::join!(creations, changes);
    let made = made.iter().filter(|result| !is_refused(result)).count();
    assert_eq!(audit(&world).await, made as u64);
    let seats = operator.provider.seats(&tenant()).await.unwrap().unwrap();
    assert_eq!((seats.limit, made >= 20), (30, true));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_switched_off_and_on_again_counts_anew() {
    let world = limited(3).await;
    let process = world.process();
    let users = process.users("user", 3).await;
    process
        .provider
        .set_rules(&tenant(), &rules(0))
        .await
        .unwrap();
    // A process that does not know it yet counts no more, and refuses no one.
    let late = world.process();
    process.users("more", 2).await;
    process.delete("User", &users[0]).await.unwrap();
    process
        .patch("User", &users[1], set_active(false))
        .await
        .unwrap();
    assert_eq!(process.provider.seats(&tenant()).await.unwrap(), None);
    tokio::time::advance(Duration::from_secs(91)).await;
    process
        .provider
        .set_rules(&tenant(), &rules(4))
        .await
        .unwrap();
    late.patch("User", &users[1], set_active(true))
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(91)).await;
    process.provider.build_indexes(&tenant()).await.unwrap();
    assert_eq!(audit(&world).await, 4);
    assert!(is_refused(&late.post("User", user("new")).await));
}

#[tokio::test(start_paused = true)]
async fn the_doctor_begins_a_count_that_is_missing() {
    let world = World::new().await;
    world
        .set_rules(|rules| rules.switches.max_active_users = 2)
        .await;
    let process = world.process();
    process.users("user", 2).await;
    let begun = process.provider.build_indexes(&tenant()).await.unwrap_err();
    assert_eq!(begun.kind(), ErrorKind::Conflict);
    tokio::time::advance(Duration::from_secs(91)).await;
    process.provider.build_indexes(&tenant()).await.unwrap();
    assert_eq!(audit(&world).await, 2);
    assert!(is_refused(&process.post("User", user("new")).await));
}

#[tokio::test(start_paused = true)]
async fn the_doctor_mends_what_no_request_can_have_done() {
    let world = limited(10).await;
    let process = world.process();
    let users = process.users("user", 4).await;
    let shard = json!({"pk": {"S": "T#acme#A"}, "sk": {"S": "00"}});
    world.tamper(
        "UpdateItem",
        &json!({"TableName": "scim", "Key": shard, "UpdateExpression": "ADD unused :by",
            "ExpressionAttributeValues": {":by": {"N": "3"}}}),
    );
    let key = json!({"pk": {"S": "T#acme#R#User#0"}, "sk": {"S": users[0]}});
    world.tamper(
        "UpdateItem",
        &json!({"TableName": "scim", "Key": key, "UpdateExpression": "REMOVE seat"}),
    );
    let found = process
        .provider
        .examine(&tenant(), Repair::Look)
        .await
        .unwrap();
    assert_eq!(found.uncounted, 1);
    for repair in [Repair::Mend, Repair::Mend] {
        process.provider.examine(&tenant(), repair).await.unwrap();
    }
    assert_eq!(audit(&world).await, 4);
    check_clean(&process).await;
}

/// Each part ends after a page, and is done by a process of its own.
#[tokio::test(start_paused = true)]
async fn active_users_are_counted_in_parts() {
    let world = World::new().await;
    let users = world.process().users("user", 230).await;
    let leave = world.process();
    for id in &users[100..110] {
        leave.patch("User", id, set_active(false)).await.unwrap();
    }
    let set = world.process();
    set.provider
        .set_rules(&tenant(), &rules(1_000))
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(120)).await;
    let in_parts = async |repair: Repair| {
        let (mut place, mut parts, mut uncounted, mut totals) = (None, 0, 0, Vec::new());
        loop {
            let process = world.process();
            let id = tenant();
            let check = process.provider.check(&id, repair, place, Instant::now());
            let checked = check.await.unwrap();
            assert_eq!(checked.waiting, None);
            parts += 1;
            uncounted += checked.found.uncounted;
            totals.extend(checked.found.totals);
            place = checked.next;
            if place.is_none() {
                return (parts > 5, uncounted, totals);
            }
        }
    };
    assert_eq!(in_parts(Repair::Mend).await, (true, 0, Vec::new()));
    assert_eq!(audit(&world).await, 220);
    let key = json!({"pk": {"S": "T#acme#R#User#0"}, "sk": {"S": users[220]}});
    world.tamper(
        "UpdateItem",
        &json!({"TableName": "scim", "Key": key, "UpdateExpression": "REMOVE seat"}),
    );
    let wrong = vec![("seats".to_owned(), 220, 219)];
    assert_eq!(in_parts(Repair::Look).await, (true, 1, wrong));
    // The first one gives the user its mark, and so changes the seats while it counts.
    for _ in 0..2 {
        assert!(in_parts(Repair::Mend).await.0);
    }
    assert_eq!(in_parts(Repair::Look).await, (true, 0, Vec::new()));
    assert_eq!(audit(&world).await, 220);
}

#[tokio::test(start_paused = true)]
async fn only_writes_that_take_or_give_a_seat_pay_for_it() {
    let price = async |limit: u32| {
        let world = limited(limit).await;
        let process = world.process();
        let id = process.user("ada").await;
        let title = json!([{"op": "replace", "path": "title", "value": "Guide"}]);
        let (_, title) = process.priced_patch("User", &id, title, "").await.unwrap();
        let inactive = process
            .priced_patch("User", &id, set_active(false), "")
            .await;
        let active = process
            .priced_patch("User", &id, set_active(true), "")
            .await;
        [title, inactive.unwrap().1, active.unwrap().1].map(|cost| (cost.calls, cost.write_units))
    };
    // Two reads and one conditional update each; with a seat the update is a transaction of two items.
    assert_eq!(price(0).await, [(3, 1.0), (3, 1.0), (3, 1.0)]);
    assert_eq!(price(10).await, [(3, 1.0), (3, 4.0), (3, 4.0)]);
}
