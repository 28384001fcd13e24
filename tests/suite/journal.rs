//! Writers that die between any two calls. Readers see the state before or after the change, and after
//! it in the end.

use std::time::Duration;

use scim_lambda::protocol::error::{ErrorKind, Result};
use scim_lambda::provider::Repair;
use serde_json::{Value, json};

use crate::simulation::{
    self, Fault, Process, World, add, group, id, kind, listed, remove, replace, sorted, values,
};

/// More members than any change puts into one transaction.
const MANY: usize = 40;

/// A tenant with a group, and users, some of them members.
struct Directory {
    world: World,
    /// The members of the group.
    inside: Vec<String>,
    outside: Vec<String>,
    group: String,
}

impl Directory {
    async fn new(inside: usize, outside: usize) -> Self {
        let world = World::new().await;
        let process = world.process();
        let inside = process.users("in", inside).await;
        let outside = process.users("out", outside).await;
        let group = process.group("Guides", &inside).await;
        Self {
            world,
            inside,
            outside,
            group,
        }
    }

    fn copy(&self) -> Self {
        Self {
            world: self.world.copy(),
            inside: self.inside.clone(),
            outside: self.outside.clone(),
            group: self.group.clone(),
        }
    }

    fn both(&self) -> Vec<String> {
        [self.inside.as_slice(), &self.outside].concat()
    }

    async fn see(&self) -> Seen {
        let reader = self.world.process();
        let list = async |kind: &str| {
            let list = reader.list(kind, "count=1000").await.unwrap();
            assert_eq!(list["totalResults"], list["itemsPerPage"], "{kind}");
            list["Resources"].as_array().cloned().unwrap_or_default()
        };
        let seen = Seen {
            groups: list("Group").await,
            users: list("User").await,
            journal: reader.journal_len().await,
        };
        seen.check();
        seen
    }
}

/// The state that a reader sees.
#[derive(Debug)]
struct Seen {
    groups: Vec<Value>,
    users: Vec<Value>,
    journal: usize,
}

impl Seen {
    /// Checks that members have the groups that have them as members.
    fn check(&self) {
        for user in &self.users {
            let knows = values(&user["groups"]);
            let is_in = |group: &&Value| values(&group["members"]).contains(&id(user));
            let is_known: Vec<String> = self.groups.iter().filter(is_in).map(id).collect();
            assert_eq!(knows, sorted(&is_known), "{}", user["userName"]);
        }
    }

    fn has_user(&self, user: &str) -> bool {
        self.users.iter().any(|found| found["id"] == user)
    }

    /// Whether there is one group of this name, with these members.
    fn has(&self, name: &str, members: &[String]) -> bool {
        self.members(name)
            .is_some_and(|found| found == sorted(members))
    }

    fn members(&self, name: &str) -> Option<Vec<String>> {
        let mut named = self
            .groups
            .iter()
            .filter(|group| group["displayName"] == name);
        let members = named.next().map(|group| values(&group["members"]));
        members.filter(|_| named.next().is_none())
    }
}

/// When a writer dies at a call: before it is sent, or after it has taken effect.
const DEATHS: [Fault; 2] = [Fault::Kill, Fault::KillAfter];

/// A request, and the states that a reader may see.
struct Story<Request, Before, During, After> {
    /// The numbers of users who are members of the group at first, and who are not.
    users: (usize, usize),
    request: Request,
    before: Before,
    during: During,
    after: After,
}

impl<Request, Before, During, After> Story<Request, Before, During, After>
where
    Request: AsyncFn(&Directory, &Process) -> Result<()>,
    Before: Fn(&Directory, &Seen) -> bool,
    During: Fn(&Directory, &Seen) -> bool,
    After: Fn(&Directory, &Seen) -> bool,
{
    /// Lets the request die at every call in turn, until it reaches its end.
    async fn die_everywhere(self) {
        let template = Directory::new(self.users.0, self.users.1).await;
        for death in DEATHS {
            let (mut number, mut was_done) = (0, false);
            while !self.die_at(&template, number, death, &mut was_done).await {
                number += 1;
            }
            assert!(number > 1, "the request makes calls");
            assert!(was_done || death == Fault::Kill, "the last call does it");
        }
    }

    /// Lets the request die at one call; returns whether it reached its end.
    async fn die_at(
        &self,
        template: &Directory,
        number: u64,
        death: Fault,
        was_done: &mut bool,
    ) -> bool {
        let directory = template.copy();
        let writer = directory.world.process();
        writer
            .line
            .plan(move |call| (call.number == number).then_some(death));
        let outcome = (self.request)(&directory, &writer).await;
        let seen = directory.see().await;
        if !writer.line.is_dead() {
            outcome.unwrap();
            assert!(
                (self.after)(&directory, &seen),
                "the whole request: {seen:?}"
            );
            return true;
        }
        let is_before = (self.before)(&directory, &seen);
        let is_after = (self.after)(&directory, &seen);
        let is_during = (self.during)(&directory, &seen);
        let place = format!("{death:?} at {number}");
        assert!(is_before || is_during || is_after, "{place}: {seen:?}");
        directory.world.finish().await;
        let end = directory.see().await;
        let is_done = (self.after)(&directory, &end);
        assert!(
            is_done || (self.before)(&directory, &end),
            "{place}: {end:?}"
        );
        // A change that was seen or written down takes effect in the end, also if the finisher dies
        // later.
        assert!(is_done || is_before && seen.journal == 0, "{place}");
        assert!(is_done || !*was_done, "{place}");
        *was_done = is_done;
        assert_eq!(directory.world.audit().await.garbage, 0, "{place}");
        false
    }
}

/// No state between before and after is ever seen.
fn never(_: &Directory, _: &Seen) -> bool {
    false
}

fn as_before(directory: &Directory, seen: &Seen) -> bool {
    seen.has("Guides", &directory.inside)
}

#[tokio::test(start_paused = true)]
async fn a_small_addition_is_made_whole_or_not_at_all() {
    let story = Story {
        users: (2, 2),
        request: async |directory: &Directory, writer: &Process| {
            let operations = add(&directory.outside);
            let patched = writer.patch("Group", &directory.group, operations).await;
            patched.map(|_| ())
        },
        before: as_before,
        during: never,
        after: |directory: &Directory, seen: &Seen| seen.has("Guides", &directory.both()),
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_small_removal_is_made_whole_or_not_at_all() {
    let story = Story {
        users: (3, 0),
        request: async |directory: &Directory, writer: &Process| {
            let operations = remove(&directory.inside[..2]);
            let patched = writer.patch("Group", &directory.group, operations).await;
            patched.map(|_| ())
        },
        before: as_before,
        during: never,
        after: |directory: &Directory, seen: &Seen| seen.has("Guides", &directory.inside[2..]),
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_new_list_is_seen_at_once() {
    for users in [(3, 3), (MANY, MANY)] {
        let story = Story {
            users,
            request: async |directory: &Directory, writer: &Process| {
                let operations = replace(&directory.outside);
                let patched = writer.patch("Group", &directory.group, operations).await;
                patched.map(|_| ())
            },
            before: as_before,
            during: never,
            after: |directory: &Directory, seen: &Seen| seen.has("Guides", &directory.outside),
        };
        story.die_everywhere().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_and_a_whole_new_list_are_seen_together() {
    for users in [(3, 3), (MANY, MANY)] {
        let story = Story {
            users,
            request: async |directory: &Directory, writer: &Process| {
                let body = group("Rangers", &directory.outside);
                let replaced = writer.put("Group", &directory.group, body).await;
                replaced.map(|_| ())
            },
            before: as_before,
            during: never,
            after: |directory: &Directory, seen: &Seen| seen.has("Rangers", &directory.outside),
        };
        story.die_everywhere().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_addition_is_seen_in_part_and_finished() {
    let story = Story {
        users: (2, MANY),
        request: async |directory: &Directory, writer: &Process| {
            let operations = add(&directory.outside);
            let patched = writer.patch("Group", &directory.group, operations).await;
            patched.map(|_| ())
        },
        before: as_before,
        during: |directory: &Directory, seen: &Seen| {
            let members = seen.members("Guides").unwrap();
            directory.inside.iter().all(|id| members.contains(id))
        },
        after: |directory: &Directory, seen: &Seen| seen.has("Guides", &directory.both()),
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_removal_is_seen_in_part_and_finished() {
    let story = Story {
        // One transaction removes up to 50.
        users: (MANY + 15, 0),
        request: async |directory: &Directory, writer: &Process| {
            let operations = remove(&directory.inside[1..]);
            let patched = writer.patch("Group", &directory.group, operations).await;
            patched.map(|_| ())
        },
        before: as_before,
        during: |directory: &Directory, seen: &Seen| {
            seen.members("Guides")
                .unwrap()
                .contains(&directory.inside[0])
        },
        after: |directory: &Directory, seen: &Seen| seen.has("Guides", &directory.inside[..1]),
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_change_of_members_begins_with_the_body() {
    let story = Story {
        users: (MANY, 3),
        request: async |directory: &Directory, writer: &Process| {
            let operations = json!([
                {"op": "replace", "path": "displayName", "value": "Rangers"},
                {"op": "remove", "path": "members", "value": listed(&directory.inside)},
                {"op": "add", "path": "members", "value": listed(&directory.outside)},
            ]);
            let patched = writer.patch("Group", &directory.group, operations).await;
            patched.map(|_| ())
        },
        before: as_before,
        during: |_: &Directory, seen: &Seen| seen.members("Rangers").is_some(),
        after: |directory: &Directory, seen: &Seen| seen.has("Rangers", &directory.outside),
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_is_created_with_all_its_members_or_not_at_all() {
    for users in [(1, 3), (1, MANY)] {
        let story = Story {
            users,
            request: async |directory: &Directory, writer: &Process| {
                let body = group("New", &directory.outside);
                writer.post("Group", body).await.map(|_| ())
            },
            before: |_: &Directory, seen: &Seen| seen.groups.len() == 1,
            during: never,
            after: |directory: &Directory, seen: &Seen| seen.has("New", &directory.outside),
        };
        story.die_everywhere().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_leaves_every_group() {
    let story = Story {
        users: (2, 0),
        request: async |directory: &Directory, writer: &Process| {
            let other = directory.world.process();
            for number in 0..6 {
                other
                    .group(&format!("Group {number}"), &directory.inside)
                    .await;
            }
            let deleted = writer.delete("User", &directory.inside[0]).await;
            if deleted.is_ok() {
                let again = other.delete("User", &directory.inside[0]).await;
                assert_eq!(kind(again), ErrorKind::NotFound);
            }
            deleted
        },
        before: |directory: &Directory, seen: &Seen| {
            seen.has_user(&directory.inside[0])
                && seen
                    .groups
                    .iter()
                    .all(|group| values(&group["members"]).len() == 2)
        },
        during: |directory: &Directory, seen: &Seen| !seen.has_user(&directory.inside[0]),
        after: |directory: &Directory, seen: &Seen| {
            let left = |group: &Value| values(&group["members"]) == directory.inside[1..];
            !seen.has_user(&directory.inside[0]) && seen.groups.iter().all(left)
        },
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_leaves_no_trace() {
    let story = Story {
        users: (MANY, 1),
        request: async |directory: &Directory, writer: &Process| {
            writer.delete("Group", &directory.group).await
        },
        before: as_before,
        during: never,
        after: |_: &Directory, seen: &Seen| seen.groups.is_empty(),
    };
    story.die_everywhere().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_delete_resumes_that_of_a_dead_writer() {
    for number in 2..6 {
        let directory = Directory::new(1, 0).await;
        let writer = directory.world.process();
        writer
            .line
            .plan(move |call| (call.number == number).then_some(Fault::KillAfter));
        writer
            .delete("User", &directory.inside[0])
            .await
            .unwrap_err();
        let process = directory.world.process();
        let deleted = process.delete("User", &directory.inside[0]).await;
        assert!(deleted.is_ok() || kind(deleted) == ErrorKind::NotFound);
        assert_eq!(process.members(&directory.group).await, [""; 0]);
        assert_eq!(directory.world.audit().await.garbage, 0);
    }
}

/// A writer that dies after it has written down a large change and made a part of it.
async fn half_done(directory: &Directory, operations: Value) -> Process {
    let writer = directory.world.process();
    let mut transactions = 0;
    writer.line.plan(move |call| {
        transactions += u64::from(call.operation == "TransactWriteItems");
        (transactions == 2).then_some(Fault::KillAfter)
    });
    let patched = writer.patch("Group", &directory.group, operations).await;
    assert_eq!(kind(patched), ErrorKind::Unavailable);
    writer
}

#[tokio::test(start_paused = true)]
async fn a_member_added_again_survives_a_removal_that_died() {
    let directory = Directory::new(2 * MANY, 0).await;
    half_done(&directory, remove(&directory.inside)).await;
    let process = directory.world.process();
    let left = process.members(&directory.group).await;
    let gone = directory
        .inside
        .iter()
        .find(|id| !left.contains(id))
        .unwrap();
    let again = sorted(&[left[0].clone(), left[1].clone(), gone.clone()]);
    let patched = process.patch("Group", &directory.group, add(&again)).await;
    patched.unwrap();
    directory.world.finish().await;
    assert_eq!(process.members(&directory.group).await, again);
    assert_eq!(process.groups(&left[0]).await, [directory.group.as_str()]);
    assert_eq!(directory.world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn many_members_added_again_survive_a_removal_that_died() {
    let directory = Directory::new(2 * MANY, 0).await;
    half_done(&directory, remove(&directory.inside)).await;
    let process = directory.world.process();
    let again = &directory.inside[5..];
    let patched = process.patch("Group", &directory.group, add(again)).await;
    patched.unwrap();
    directory.world.finish().await;
    assert_eq!(process.members(&directory.group).await, sorted(again));
    assert_eq!(directory.world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_put_while_a_removal_is_unfinished_stays() {
    for differs in [0, 1] {
        let directory = Directory::new(2 * MANY, 0).await;
        half_done(&directory, remove(&directory.inside)).await;
        let process = directory.world.process();
        let left = process.members(&directory.group).await;
        assert!(differs < left.len() && left.len() < directory.inside.len());
        // The current members, or all but one of them: not what the finisher would leave.
        let list = &left[differs..];
        let put = process.put("Group", &directory.group, group("Guides", list));
        put.await.unwrap();
        directory.world.finish().await;
        assert_eq!(process.members(&directory.group).await, list);
        assert_eq!(directory.world.audit().await.garbage, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_added_again_with_a_new_name_keeps_its_type() {
    let directory = Directory::new(2 * MANY, 0).await;
    let process = directory.world.process();
    let inner = process.group("Inner", &[]).await;
    let one = std::slice::from_ref(&inner);
    let patched = process.patch("Group", &directory.group, add(one)).await;
    patched.unwrap();
    let all = [&directory.inside[..], one].concat();
    half_done(&directory, remove(&all)).await;
    if !process.members(&directory.group).await.contains(&inner) {
        let patched = process.patch("Group", &directory.group, add(one)).await;
        patched.unwrap();
    }
    // No request says that it is a group.
    let operations = json!([
        {"op": "replace", "path": "displayName", "value": "Rangers"},
        {"op": "add", "path": "members", "value": listed(one)},
    ]);
    let patched = process.patch("Group", &directory.group, operations).await;
    patched.unwrap();
    directory.world.finish().await;
    let shown = process.get("Group", &directory.group).await.unwrap();
    assert_eq!(shown["displayName"], "Rangers");
    assert_eq!(values(&shown["members"]), one);
    assert_eq!(shown["members"][0]["type"], "Group");
    assert_eq!(directory.world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_added_after_a_whole_new_list_died_survives() {
    let directory = Directory::new(MANY, MANY + 1).await;
    let (last, list) = directory.outside.split_last().unwrap();
    for number in 2..12 {
        let writer = directory.world.process();
        writer
            .line
            .plan(move |call| (call.number == number).then_some(Fault::Kill));
        let put = writer
            .put("Group", &directory.group, group("Guides", list))
            .await;
        assert_eq!(kind(put), ErrorKind::Unavailable);
        let process = directory.world.process();
        let one = [last.clone()];
        process
            .patch("Group", &directory.group, add(&one))
            .await
            .unwrap();
        directory.world.finish().await;
        assert!(process.members(&directory.group).await.contains(last));
        process
            .patch("Group", &directory.group, remove(&one))
            .await
            .unwrap();
    }
    directory.world.check().await;
}

#[tokio::test(start_paused = true)]
async fn two_finishers_do_the_work_once() {
    let directory = Directory::new(3, MANY).await;
    half_done(&directory, add(&directory.outside)).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    let (one, two) = (directory.world.process(), directory.world.process());
    let tenant = simulation::tenant();
    let (first, second) = tokio::join!(one.provider.finish(&tenant), two.provider.finish(&tenant));
    assert_eq!(first.unwrap() + second.unwrap(), 1);
    assert_eq!(
        one.members(&directory.group).await,
        sorted(&directory.both())
    );
    assert_eq!(directory.world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn work_of_a_finisher_that_dies_is_finished_by_the_next() {
    let template = Directory::new(2, MANY).await;
    half_done(&template, add(&template.outside)).await;
    let mut is_whole = false;
    let mut number = 0;
    while !is_whole {
        for death in DEATHS {
            let directory = template.copy();
            tokio::time::advance(Duration::from_secs(30)).await;
            directory.world.jump(Duration::from_secs(60));
            let finisher = directory.world.process();
            finisher
                .line
                .plan(move |call| (call.number == number).then_some(death));
            let _ = finisher.provider.finish(&simulation::tenant()).await;
            is_whole = !finisher.line.is_dead();
            directory.see().await;
            directory.world.finish().await;
            let end = directory.see().await;
            assert!(
                end.has("Guides", &directory.both()),
                "{death:?} at {number}"
            );
            assert_eq!(directory.world.audit().await.garbage, 0);
        }
        number += 1;
    }
    assert!(number > 5, "a finisher makes calls");
}

#[tokio::test(start_paused = true)]
async fn an_inner_group_joins_and_leaves_as_a_whole() {
    // For users, each look checks what a group shows of itself; for groups it is checked here.
    let template = Directory::new(2, 0).await;
    let outer = template.world.process().group("Staff", &[]).await;
    let inner = std::slice::from_ref(&template.group);
    for joins in [true, false] {
        if !joins {
            let process = template.world.process();
            process.patch("Group", &outer, add(inner)).await.unwrap();
        }
        for death in DEATHS {
            let mut number = 0;
            loop {
                let directory = template.copy();
                let writer = directory.world.process();
                writer
                    .line
                    .plan(move |call| (call.number == number).then_some(death));
                let done = match joins {
                    true => writer.patch("Group", &outer, add(inner)).await.map(|_| ()),
                    false => writer.delete("Group", &template.group).await,
                };
                directory.world.finish().await;
                let reader = directory.world.process();
                let members = reader.members(&outer).await;
                let is_there = reader.get("Group", &template.group).await.is_ok();
                let groups = reader.groups(&template.inside[0]).await;
                let place = format!("{joins} {death:?} at {number}");
                assert!(members.is_empty() || is_there, "{place}");
                let expected = match (is_there, members.is_empty()) {
                    (true, true) => inner.to_vec(),
                    (true, false) => sorted(&[template.group.clone(), outer.clone()]),
                    (false, _) => Vec::new(),
                };
                assert_eq!(groups, expected, "{place}");
                assert_eq!(directory.world.audit().await.garbage, 0, "{place}");
                if !writer.line.is_dead() {
                    done.unwrap();
                    assert_eq!((is_there, members.is_empty()), (joins, !joins), "{place}");
                    break;
                }
                number += 1;
            }
            assert!(number > 3, "it makes calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_finisher_takes_over_before_the_lease_is_over() {
    let directory = Directory::new(3, MANY).await;
    half_done(&directory, add(&directory.outside)).await;
    let process = directory.world.process();
    let finished = process.provider.finish(&simulation::tenant()).await;
    assert_eq!((finished.unwrap(), process.journal_len().await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_wakes_up_after_its_lease_changes_nothing() {
    let directory = Directory::new(2 * MANY, 0).await;
    let sleeper = directory.world.process();
    let mut transactions = 0;
    // The answer to the first part arrives while the writer is frozen.
    sleeper.line.plan(move |call| {
        transactions += u64::from(call.operation == "TransactWriteItems");
        (transactions == 2).then_some(Fault::Freeze)
    });
    let group = directory.group.clone();
    let operations = remove(&directory.inside);
    let line = sleeper.line.clone();
    let asleep =
        tokio::spawn(async move { kind(sleeper.patch("Group", &group, operations).await) });
    line.frozen().await;
    directory.world.jump(Duration::from_secs(30));
    let process = directory.world.process();
    process
        .provider
        .finish(&simulation::tenant())
        .await
        .unwrap();
    let one = &directory.inside[..1];
    process
        .patch("Group", &directory.group, add(one))
        .await
        .unwrap();
    let calls = line.calls();
    line.thaw();
    assert_eq!(asleep.await.unwrap(), ErrorKind::Unavailable);
    assert_eq!(line.calls(), calls, "no call is made after the lease");
    assert_eq!(process.members(&directory.group).await, one);
    directory.world.finish().await;
    assert_eq!(directory.world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn items_of_a_refused_list_are_removed() {
    let world = World::new().await;
    world
        .set_rules(|rules| rules.switches.unique_group_display_name = true)
        .await;
    let process = world.process();
    let users = process.users("user", MANY).await;
    process.group("Taken", &[]).await;
    let other = process.group("Free", &users[..1]).await;
    let created = process.post("Group", group("Taken", &users)).await;
    assert_eq!(kind(created), ErrorKind::Uniqueness);
    let replaced = process.put("Group", &other, group("Taken", &users)).await;
    assert_eq!(kind(replaced), ErrorKind::Uniqueness);
    let missing = [&users[..], &["0190-nobody".to_owned()]].concat();
    for operations in [add(&missing), replace(&missing)] {
        let patched = process.patch("Group", &other, operations).await;
        assert_eq!(kind(patched), ErrorKind::InvalidValue);
    }
    assert_eq!(process.members(&other).await, &users[..1]);
    world.check().await;
}

/// The items of the journal.
fn journal(world: &World) -> Vec<Value> {
    let mut items = world.items();
    items.retain(|item| item["pk"]["S"] == "T#acme#J");
    items
}

fn put(world: &World, item: &Value) {
    world.tamper("PutItem", &json!({"TableName": "scim", "Item": item}));
}

/// A head of the journal whose lease is long over.
fn head(key: &str, work: &str) -> Value {
    json!({
        "pk": {"S": "T#acme#J"}, "sk": {"S": key}, "kind": {"S": "J"}, "work": {"S": work},
        "leaseUntil": {"N": "1600000000000"}, "step": {"N": "0"}, "owner": {"S": "x"},
    })
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_a_key_of_an_earlier_version_is_finished() {
    let directory = Directory::new(3, MANY).await;
    half_done(&directory, add(&directory.outside)).await;
    for mut item in journal(&directory.world) {
        let key = json!({"pk": item["pk"], "sk": item["sk"]});
        directory
            .world
            .tamper("DeleteItem", &json!({"TableName": "scim", "Key": key}));
        let earlier = item["sk"]["S"].as_str().unwrap();
        assert_eq!(earlier.len(), 32, "{earlier}");
        item["sk"] = json!({"S": "AZnDpxW-eqqLuwEjRWeJqw"});
        put(&directory.world, &item);
    }
    directory.world.finish().await;
    let process = directory.world.process();
    let members = process.members(&directory.group).await;
    assert_eq!(members, sorted(&directory.both()));
    assert_eq!(directory.world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn entries_that_this_version_does_not_know_are_named_and_block_nothing() {
    let directory = Directory::new(3, MANY).await;
    half_done(&directory, add(&directory.outside)).await;
    let world = &directory.world;
    let known = r#"{"Sweep":{"group":"g","set":{"member_revision":1,"member_stamp":1,"set":"s","shards":1}}}"#;
    // A kind of a later version, in two parts; a step of a later version; and one without any
    // attribute.
    put(world, &head("0199", r#"{"Merge":{"from":"a","#));
    let mut part = head("0199\u{1f}001", r#""into":"b"}}"#);
    part["kind"] = json!({"S": "JP"});
    part.as_object_mut().unwrap().remove("step");
    put(world, &part);
    let mut later = head("0200", known);
    later["step"] = json!({"N": "9"});
    put(world, &later);
    let bare = json!({"pk": {"S": "T#acme#J"}, "sk": {"S": "zzz"}, "kind": {"S": "JX"}});
    put(world, &bare);
    let unknown: Vec<Value> = journal(world)
        .into_iter()
        .filter(|item| item["sk"]["S"].as_str().unwrap().len() < 30)
        .collect();
    assert_eq!(unknown.len(), 4);

    tokio::time::advance(Duration::from_secs(30)).await;
    let process = world.process();
    for changes in [1, 0] {
        let finished = process.provider.finish(&simulation::tenant()).await;
        assert_eq!(finished.unwrap(), changes);
        // Not even a lease is taken, because the stream would deliver it again.
        assert_eq!(journal(world), unknown);
    }
    let members = process.members(&directory.group).await;
    assert_eq!(members, sorted(&directory.both()));

    for repair in [Repair::Look, Repair::Mend] {
        let tenant = simulation::tenant();
        let found = process.provider.examine(&tenant, repair).await.unwrap();
        let named: Vec<_> = found
            .unfinished
            .iter()
            .map(|entry| (entry.key.as_str(), entry.work.as_str(), entry.is_known))
            .collect();
        let expected = [
            ("0199", "Merge", false),
            ("0200", "Sweep", false),
            ("zzz", "", false),
        ];
        assert_eq!(named, expected);
        assert!(!found.is_clean() && !found.is_mendable());
    }
    assert_eq!(journal(world), unknown);
}

/// Sets the version of a resource's index entries.
fn set_index_version(world: &World, (type_name, id): (&str, &str), version: u64) {
    let key = json!({"pk": {"S": format!("T#acme#R#{type_name}#0")}, "sk": {"S": id}});
    world.tamper(
        "UpdateItem",
        &json!({"TableName": "scim", "Key": key, "UpdateExpression": "SET ix = :v",
               "ExpressionAttributeValues": {":v": {"N": version.to_string()}}}),
    );
}

#[tokio::test(start_paused = true)]
async fn unfinished_changes_of_a_newer_versions_resource_wait_for_that_version() {
    let directory = Directory::new(3, MANY).await;
    let world = &directory.world;
    half_done(&directory, add(&directory.outside)).await;
    let deleter = world.process();
    deleter
        .line
        .plan(|call| (call.operation == "TransactWriteItems").then_some(Fault::KillAfter));
    let gone = &directory.inside[0];
    let deleted = deleter.delete("User", gone).await;
    assert_eq!(kind(deleted), ErrorKind::Unavailable);
    let resources = [("Group", &*directory.group), ("User", gone)];
    for resource in resources {
        set_index_version(world, resource, 99);
    }
    let before = world.items();
    tokio::time::advance(Duration::from_secs(30)).await;
    let process = world.process();
    let finished = process.provider.finish(&simulation::tenant()).await;
    assert_eq!(finished.unwrap(), 0);
    // A client may repeat its DELETE.
    let deleted = process.delete("User", gone).await;
    assert_eq!(kind(deleted), ErrorKind::Unavailable);
    assert_eq!(world.items(), before);

    for resource in resources {
        set_index_version(world, resource, 1);
    }
    let finished = process.provider.finish(&simulation::tenant()).await;
    assert_eq!(finished.unwrap(), 2);
    let members = [&directory.inside[1..], &directory.outside].concat();
    assert_eq!(process.members(&directory.group).await, sorted(&members));
    assert_eq!(world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_with_keys_of_another_version_is_not_made() {
    for (version, entries_left) in [(0, 0), (99, 1)] {
        let directory = Directory::new(3, MANY).await;
        let world = &directory.world;
        let writer = world.process();
        writer
            .line
            .plan(|call| (call.operation == "TransactWriteItems").then_some(Fault::Kill));
        let renamed = group("Renamed", &directory.outside);
        let replaced = writer.put("Group", &directory.group, renamed).await;
        assert_eq!(kind(replaced), ErrorKind::Unavailable);
        for mut item in journal(world) {
            let work = item["work"]["S"].as_str().unwrap();
            assert!(
                !work.contains("index_version"),
                "the first one is not written"
            );
            let body = format!("\"body\":{{\"index_version\":{version},");
            item["work"]["S"] = work.replace("\"body\":{", &body).into();
            put(world, &item);
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        let process = world.process();
        process
            .provider
            .finish(&simulation::tenant())
            .await
            .unwrap();
        let members = process.members(&directory.group).await;
        assert_eq!(members, sorted(&directory.inside));
        assert_eq!(process.journal_len().await, entries_left);
        let seen = directory.see().await;
        assert!(seen.has("Guides", &directory.inside));
    }
}

#[tokio::test(start_paused = true)]
async fn the_doctor_lists_unfinished_changes_and_finishes_those_past_their_lease() {
    let directory = Directory::new(3, MANY).await;
    half_done(&directory, add(&directory.outside)).await;
    let process = directory.world.process();
    let examine = async |repair: Repair| {
        let tenant = simulation::tenant();
        process.provider.examine(&tenant, repair).await.unwrap()
    };
    // Within the lease, its writer may still be working on it.
    for repair in [Repair::Look, Repair::Mend] {
        let found = examine(repair).await;
        let [entry] = found.unfinished.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((entry.work.as_str(), entry.is_known), ("Delta", true));
        assert!(entry.is_held && !entry.is_overdue && found.is_clean());
        assert!(entry.begun.is_some());
    }
    // Soon after the lease the finisher comes, so nothing is wrong yet. Later it is overdue.
    for (seconds, is_overdue) in [(30, false), (400, true)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let found = examine(Repair::Look).await;
        assert_eq!((found.unfinished.len(), found.is_clean()), (1, !is_overdue));
        assert!(!found.unfinished[0].is_held);
        assert_eq!(found.unfinished[0].is_overdue, is_overdue);
    }
    let mended = examine(Repair::Mend).await;
    assert_eq!((mended.finished, mended.unfinished.len()), (1, 0));
    assert!(mended.is_clean());
    let members = process.members(&directory.group).await;
    assert_eq!(members, sorted(&directory.both()));
}
