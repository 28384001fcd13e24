//! Imports that die at any call, and exports of directories that change meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use scim_lambda::feed::Announcer;
use scim_lambda::feed::append::Appender;
use scim_lambda::feed::read::{self, After, Limits};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream;
use scim_lambda::store::Meter;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::{comparable, of_kind};
use crate::admin::{Death, Fixture, ask};
use crate::simulation::{self, Process, World, add, remove, tenant};
use crate::support::cause;

/// All lines of an export.
async fn export(fixture: &Fixture) -> Vec<String> {
    let mut request = json!({"op": "data.export", "tenant": "acme"});
    let mut lines = Vec::new();
    loop {
        let part = Fixture::ok(fixture.ask(request.clone()).await);
        lines.extend(part["text"].as_str().unwrap().lines().map(str::to_owned));
        match part.get("cursor") {
            Some(cursor) => request["cursor"] = cursor.clone(),
            None => return lines,
        }
    }
}

fn import(step: &str, if_exists: &str, lines: &[String]) -> Value {
    json!({
        "op": "data.import", "tenant": "acme", "step": step, "ifExists": if_exists,
        "text": lines.join("\n"),
    })
}

/// The number of items but counters: how many of these there are is a matter of the ids.
fn items_of(fixture: &Fixture) -> usize {
    let items = fixture.world.items().into_iter();
    let is_counter = |item: &Value| item["pk"]["S"].as_str().unwrap().contains("#C#");
    items.filter(|item| !is_counter(item)).count()
}

/// This number of users, a group in a group, and a group of all users.
async fn fill(fixture: &Fixture, users: usize) {
    let process = fixture.world.process();
    let users = process.users("user", users).await;
    let inner = process.group("Inner", &users[..2]).await;
    let mut outer = simulation::group("Outer", &users[2..3]);
    let nested = json!({"value": inner, "type": "Group"});
    outer["members"].as_array_mut().unwrap().push(nested);
    process.post("Group", outer).await.unwrap();
    process.group("All", &users).await;
    fixture.world.finish().await;
}

/// The lines without the times, which an import that replaces resources decides.
fn without_times(lines: &[String]) -> Vec<Value> {
    let mut lines = comparable(lines);
    for line in &mut lines[1..] {
        if let Some(resource) = line.get_mut("resource").and_then(Value::as_object_mut) {
            resource
                .retain(|name, _| name != "lastModified" && name != "created" && name != "members");
        }
    }
    lines
}

/// Imports in a process that dies at each of its calls in turn, and then as often as it takes in another process.
/// `prepare` makes the directory that the import meets.
async fn killed_everywhere(lines: &[String], steps: &[Value], prepare: impl AsyncFn(&Fixture)) {
    let whole = Fixture::new().await;
    prepare(&whole).await;
    for step in steps {
        Fixture::ok(whole.ask(step.clone()).await);
    }
    whole.world.finish().await;
    let wanted = without_times(&export(&whole).await);
    assert_eq!(wanted[1..], without_times(lines)[1..]);
    let items = items_of(&whole);
    let mut deaths = 0;
    for is_after in [false, true] {
        for at in 0.. {
            let fixture = Fixture::new().await;
            prepare(&fixture).await;
            let death = Death::at(at, is_after);
            let mortal = fixture.mortal_admin(&death);
            for step in steps {
                ask(&mortal, step.clone()).await;
            }
            for step in steps {
                let part = Fixture::ok(fixture.ask(step.clone()).await);
                assert_eq!(part["errors"], json!([]), "death at {at}, {is_after}");
                assert_eq!(part["done"], true);
            }
            fixture.world.finish().await;
            assert_eq!(
                without_times(&export(&fixture).await),
                wanted,
                "death at {at}, {is_after}"
            );
            assert_eq!(items_of(&fixture), items, "death at {at}, {is_after}");
            let compare = json!({"op": "data.check", "tenant": "acme"});
            let compared = Fixture::ok(fixture.ask(compare).await);
            assert_eq!(
                compared["well"], true,
                "death at {at}, {is_after}: {compared}"
            );
            if !death.is_dead() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 40, "{deaths}");
}

#[tokio::test(start_paused = true)]
async fn an_import_that_was_killed_is_completed_by_the_same_one() {
    let source = Fixture::new().await;
    fill(&source, 4).await;
    let lines = export(&source).await;
    let steps = [import("write", "fail", &lines)];
    killed_everywhere(&lines, &steps, async |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_group_whose_import_was_killed_is_completed_by_the_same_one() {
    let source = Fixture::new().await;
    // More members than one transaction takes.
    fill(&source, 34).await;
    let lines = export(&source).await;
    let steps = [import("write", "fail", &lines)];
    let is_resource =
        |line: &&String| !line.starts_with(r#"{"members""#) && !line.starts_with(r#"{"end""#);
    let resources: Vec<String> = lines.iter().filter(is_resource).cloned().collect();
    let prepare = async |fixture: &Fixture| {
        Fixture::ok(fixture.ask(import("write", "fail", &resources)).await);
    };
    killed_everywhere(&lines, &steps, prepare).await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_was_killed_is_completed_by_the_same_one() {
    let source = Fixture::new().await;
    let process = source.world.process();
    let users = process.users("user", 3).await;
    let group = process.group("Some", &users[..2]).await;
    let lines = export(&source).await;
    let (remove_step, write_step) = (
        import("remove", "replace", &lines),
        import("write", "replace", &lines),
    );
    let first = import("write", "fail", &lines);
    let prepare = async |fixture: &Fixture| {
        Fixture::ok(fixture.ask(first.clone()).await);
        let process = fixture.world.process();
        let other = process.user("other").await;
        process
            .group("Late", &[other.clone(), users[0].clone()])
            .await;
        process
            .patch("Group", &group, add(&[other, users[2].clone()]))
            .await
            .unwrap();
        process
            .patch("Group", &group, remove(&users[..1]))
            .await
            .unwrap();
        let rename = json!([{"op": "replace", "path": "userName", "value": "renamed"}]);
        process.patch("User", &users[1], rename).await.unwrap();
        process.delete("User", &users[2]).await.unwrap();
        fixture.world.finish().await;
    };
    killed_everywhere(&lines, &[remove_step, write_step], prepare).await;
}

/// A directory as someone has it who has read an export, and then follows the feed from its position.
#[derive(Debug, Default, PartialEq)]
struct Copy {
    /// The version and the attributes of each resource.
    resources: BTreeMap<String, (u64, BTreeMap<String, Value>)>,
    /// Group and member.
    pairs: BTreeSet<(String, String)>,
}

impl Copy {
    fn of(lines: &[String]) -> Self {
        let lines: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut copy = Self::default();
        for resource in of_kind(&lines, "resource") {
            let version = resource["version"]
                .as_str()
                .unwrap()
                .trim_matches(['W', '/', '"']);
            let version = version.split('.').next().unwrap().parse().unwrap();
            let mut attributes = BTreeMap::new();
            for (name, value) in resource["body"].as_object().unwrap() {
                if !["schemas", "id"].contains(&name.as_str()) {
                    attributes.insert(name.clone(), value.clone());
                }
            }
            copy.resources
                .insert(text(&resource["id"]), (version, attributes));
        }
        for members in of_kind(&lines, "members") {
            for member in members["of"].as_array().unwrap() {
                copy.pairs
                    .insert((text(&members["group"]), text(&member["id"])));
            }
        }
        copy
    }

    fn apply(&mut self, event: &Value) {
        let id = text(&event["resource"]["id"]);
        let verb = event["type"].as_str().unwrap().split_once('.').unwrap().1;
        match verb {
            "member.added" => {
                self.pairs.insert((id, text(&event["member"]["id"])));
            }
            "member.removed" => {
                self.pairs.remove(&(id, text(&event["member"]["id"])));
            }
            "deleted" => {
                self.resources.remove(&id);
                self.pairs
                    .retain(|(group, member)| *group != id && *member != id);
            }
            _ => {
                let version = event["resource"]["version"].as_u64().unwrap();
                // What the export has already is not made again. A resource that the copy lacks and that is not new
                // was deleted before it was read.
                let known = self.resources.get(&id).map(|(known, _)| *known);
                if known.is_some_and(|known| known >= version)
                    || (known.is_none() && verb != "created")
                {
                    return;
                }
                let (known, attributes) = self.resources.entry(id).or_default();
                *known = version;
                let changes = event["changes"].as_object().into_iter().flatten();
                for (name, change) in changes.filter(|(name, _)| *name != "schemas") {
                    match change.get("after") {
                        Some(value) => attributes.insert(name.clone(), value.clone()),
                        None => attributes.remove(name),
                    };
                }
            }
        }
        // Whoever follows a feed drops memberships of what is gone.
        let resources = &self.resources;
        self.pairs
            .retain(|(group, _)| resources.contains_key(group));
    }

    /// The memberships of resources that there are.
    fn settle(mut self) -> Self {
        let resources = &self.resources;
        self.pairs.retain(|(group, member)| {
            resources.contains_key(group) && resources.contains_key(member)
        });
        self
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Makes a number of random changes, one after the other.
async fn change(
    process: &Process,
    users: &mut Vec<String>,
    groups: &mut Vec<String>,
    changes: usize,
) {
    for number in 0..changes {
        let user = users[fastrand::usize(..users.len())].clone();
        let group = groups[fastrand::usize(..groups.len())].clone();
        let name = format!("name-{}-{number}", fastrand::u32(..));
        match fastrand::u8(..10) {
            0 | 1 => users.push(process.user(&name).await),
            2 | 3 => {
                let rename = json!([{"op": "replace", "path": "userName", "value": name}]);
                process.patch("User", &user, rename).await.unwrap();
            }
            4 => {
                users.retain(|id| *id != user);
                process.delete("User", &user).await.unwrap();
            }
            5 if groups.len() > 3 => {
                groups.retain(|id| *id != group);
                process.delete("Group", &group).await.unwrap();
            }
            5 => groups.push(process.group(&name, &[user]).await),
            6 => {
                let all: Vec<String> = users.iter().filter(|_| fastrand::bool()).cloned().collect();
                process
                    .patch("Group", &group, simulation::replace(&all))
                    .await
                    .unwrap();
            }
            7 => {
                process
                    .patch("Group", &group, remove(&[user]))
                    .await
                    .unwrap();
            }
            _ => {
                process.patch("Group", &group, add(&[user])).await.unwrap();
            }
        }
    }
}

/// Appends the records of the stream from one on to the feed, and returns the number of all.
async fn follow(world: &World, from: usize, all: bool) -> usize {
    let records: Vec<Record> = world.records().iter().map(Record::read).collect();
    let to = match all {
        true => records.len(),
        false => fastrand::usize(from..=records.len()),
    };
    let process = world.process();
    let provider = &process.provider;
    let appender = Appender::new(provider.store(), provider.tenants(), world.clock());
    let handled = stream::handle(&appender, &records[from..to], None).await;
    assert_eq!(handled.failed_from, None);
    to
}

/// Appends all records from one on, and finishes and announces what the journal has, until it has nothing.
async fn settle(world: &World, from: usize) {
    let (process, mut handled) = (world.process(), from);
    let provider = &process.provider;
    let appender = Appender::new(provider.store(), provider.tenants(), world.clock());
    for _ in 0..6 {
        handled = follow(world, handled, true).await;
        tokio::time::advance(Duration::from_secs(30)).await;
        provider.finish(&tenant()).await.unwrap();
        Announcer::new(&appender).announce(&tenant()).await.unwrap();
    }
    assert_eq!(process.journal_len().await, 0);
}

/// The directory of someone who has an export and follows the feed from its position to its end.
async fn followed(process: &Process, lines: &[String]) -> Copy {
    let head: Value = serde_json::from_str(&lines[0]).unwrap();
    let position = After::parse(head["head"]["position"].as_str().unwrap()).unwrap();
    let all = Limits {
        events: 100_000,
        bytes: 1_000_000_000,
    };
    let store = process.provider.store();
    let store = store.for_tenant(
        &tenant(),
        cause(),
        Meter::default(),
        Duration::from_secs(20),
    );
    let mut copy = Copy::of(lines);
    let mut after = position;
    loop {
        let part = read::read(&tenant(), &store, &after, all, |_| true, None)
            .await
            .unwrap();
        for event in &part.events {
            if !event.body.event_type.is_of_feed() {
                copy.apply(&event.to_json());
            }
        }
        after = part.next;
        if part.behind == 0 {
            break;
        }
    }
    copy.settle()
}

#[tokio::test(start_paused = true)]
async fn an_export_and_the_feed_from_its_position_are_the_directory() {
    let seed = std::env::var("MOVING_SEED")
        .map_or_else(|_| fastrand::u64(..1 << 32), |text| text.parse().unwrap());
    for seed in seed..seed + 12 {
        eprintln!("MOVING_SEED={seed}");
        fastrand::seed(seed);
        let fixture = Fixture::new().await;
        let world = &fixture.world;
        let process = world.process();
        let mut users = process.users("user", 230).await;
        let mut groups = Vec::new();
        for number in 0..20 {
            let members: Vec<String> = users
                .iter()
                .filter(|_| fastrand::u8(..10) == 0)
                .cloned()
                .collect();
            groups.push(process.group(&format!("group-{number}"), &members).await);
        }
        // The feed is late: some of what was changed before the export comes behind its position.
        let handled = follow(world, 0, false).await;
        let (lines, ()) = tokio::join!(
            export(&fixture),
            change(&process, &mut users, &mut groups, 25)
        );
        change(&process, &mut users, &mut groups, 5).await;
        settle(world, handled).await;
        let copy = followed(&process, &lines).await;
        let now = Copy::of(&export(&fixture).await);
        assert_eq!(copy.pairs, now.pairs);
        let differ = |id: &&String| copy.resources.get(*id) != now.resources.get(*id);
        let ids = copy.resources.keys().chain(now.resources.keys());
        let other: Vec<_> = ids
            .filter(differ)
            .map(|id| (id, copy.resources.get(id), now.resources.get(id)))
            .collect();
        assert_eq!(other, [], "what the copy has and what there is");
    }
}
