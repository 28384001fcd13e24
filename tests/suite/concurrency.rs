//! Many clients that change the same groups at the same time, each with a process of its own. The
//! result is what their answers said.

use futures_util::future::{join, join_all};
use scim_lambda::protocol::error::{ErrorKind, Result};
use serde_json::{Value, json};

use crate::simulation::{
    self, Call, Fault, Process, World, add, group, id, kind, listed, remove, replace, sorted,
    values,
};

/// The number of clients: that of an identity provider with many workers.
const CLIENTS: usize = 32;

/// Runs something for every client at the same time.
async fn at_once<T>(world: &World, each: impl AsyncFn(usize, &Process) -> T) -> Vec<T> {
    let processes: Vec<Process> = (0..CLIENTS).map(|_| world.process()).collect();
    let clients = processes.iter().enumerate();
    join_all(clients.map(|(number, process)| each(number, process))).await
}

fn member(path: &str) -> Value {
    json!([{"op": "remove", "path": format!("members[value eq \"{path}\"]")}])
}

#[tokio::test(start_paused = true)]
async fn additions_to_one_group_all_survive() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 3 * CLIENTS).await;
    let group = process.group("Guides", &[]).await;
    at_once(&world, async |client, process| {
        for user in users[3 * client..][..3].chunks(1) {
            process.patch("Group", &group, add(user)).await.unwrap();
        }
    })
    .await;
    assert_eq!(process.members(&group).await, sorted(&users));
    for user in &users {
        assert_eq!(process.groups(user).await, [group.as_str()]);
    }
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn simultaneous_removals_and_additions_all_take_effect() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 2 * CLIENTS).await;
    let (inside, outside) = users.split_at(CLIENTS);
    let group = process.group("Guides", inside).await;
    at_once(&world, async |client, process| {
        // Half of the clients use one request, half two, and both ways to name the members.
        let (goes, comes) = (&inside[client], &outside[client..=client]);
        if client % 2 == 0 {
            let both = json!([
                {"op": "remove", "path": "members", "value": [{"value": goes}]},
                {"op": "add", "path": "members", "value": listed(comes)},
            ]);
            process.patch("Group", &group, both).await.unwrap();
        } else {
            process.patch("Group", &group, member(goes)).await.unwrap();
            process.patch("Group", &group, add(comes)).await.unwrap();
        }
    })
    .await;
    assert_eq!(process.members(&group).await, sorted(outside));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_member_added_by_all_is_there_once() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 2).await;
    let group = process.group("Guides", &users[..1]).await;
    let added = at_once(&world, async |_, process| {
        process.patch("Group", &group, add(&users)).await
    });
    for added in added.await {
        added.unwrap();
    }
    assert_eq!(process.members(&group).await, sorted(&users));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn simultaneous_large_changes_all_take_effect() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", 240).await;
    let group = process.group("Guides", &users[..60]).await;
    // Each change takes more than one transaction, and some members are in two of them.
    let changes = [
        add(&users[60..130]),
        add(&users[100..180]),
        remove(&users[..55]),
        add(&users[180..]),
    ];
    let writers: Vec<Process> = changes.iter().map(|_| world.process()).collect();
    let writers = writers.iter().zip(changes);
    let written = writers.map(|(writer, change)| writer.patch("Group", &group, change));
    for written in join_all(written).await {
        written.unwrap();
    }
    assert_eq!(process.members(&group).await, sorted(&users[55..]));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn of_simultaneous_new_lists_one_remains() {
    for size in [2, 45] {
        let world = World::new().await;
        let process = world.process();
        let users = process.users("user", 8 * size).await;
        let group_id = process.group("Guides", &users).await;
        let writers: Vec<Process> = (0..8).map(|_| world.process()).collect();
        let lists: Vec<&[String]> = users.chunks(size).collect();
        let puts = writers
            .iter()
            .zip(&lists)
            .map(|(writer, list)| writer.put("Group", &group_id, group("Guides", list)));
        let outcomes = join_all(puts).await;
        assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
        let members = process.members(&group_id).await;
        let is_it = |(list, outcome): (&&[String], &Result<Value>)| {
            outcome.is_ok() && sorted(list) == members
        };
        assert!(lists.iter().zip(&outcomes).any(is_it), "{members:?}");
        world.finish().await;
        world.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_added_while_the_list_is_replaced_are_there_or_were_replaced() {
    for size in [3, 50] {
        let world = World::new().await;
        let process = world.process();
        let old = process.users("old", size).await;
        let new = process.users("new", size).await;
        let joining = process.users("joining", CLIENTS).await;
        let group = process.group("Guides", &old).await;
        let replacer = world.process();
        let (replaced, added) = join(
            replacer.patch("Group", &group, replace(&new)),
            at_once(&world, async |client, process| {
                process
                    .patch("Group", &group, add(&joining[client..=client]))
                    .await
            }),
        )
        .await;
        replaced.unwrap();
        for added in added {
            added.unwrap();
        }
        let members = process.members(&group).await;
        let may_be = |id: &String| new.contains(id) || joining.contains(id);
        assert!(new.iter().all(|id| members.contains(id)));
        assert!(members.iter().all(may_be), "{members:?}");
        // A member that is missing was replaced, and knows no group.
        for user in &joining {
            let groups = process.groups(user).await;
            assert_eq!(groups.is_empty(), !members.contains(user));
        }
        world.finish().await;
        world.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_deleted_while_being_added_is_in_no_group() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", CLIENTS).await;
    let groups = [
        process.group("One", &[]).await,
        process.group("Two", &users[..4]).await,
    ];
    let done = at_once(&world, async |client, process| {
        let user = &users[client..=client];
        let other = world.process();
        let adding = async {
            for group in &groups {
                let added = process.patch("Group", group, add(user)).await;
                if added.is_err() {
                    assert_eq!(kind(added), ErrorKind::InvalidValue);
                }
            }
        };
        let (deleted, ()) = join(other.delete("User", &users[client]), adding).await;
        // From here on the user is in no group, whatever answer the other client got.
        for group in &groups {
            assert!(!other.members(group).await.contains(&users[client]));
        }
        deleted
    });
    for deleted in done.await {
        deleted.unwrap();
    }
    assert_eq!(process.total("User").await, 0);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_deleted_while_members_come_leaves_no_trace() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", CLIENTS).await;
    let group = process.group("Guides", &users[..5]).await;
    let deleter = world.process();
    let (deleted, added) = join(
        deleter.delete("Group", &group),
        at_once(&world, async |client, process| {
            let user = &users[client..=client];
            process.patch("Group", &group, add(user)).await
        }),
    )
    .await;
    deleted.unwrap();
    for added in added {
        if added.is_err() {
            assert_eq!(kind(added), ErrorKind::NotFound);
        }
    }
    for user in &users {
        assert_eq!(process.groups(user).await, [""; 0]);
    }
    world.finish().await;
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn of_changes_to_one_version_one_succeeds() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", CLIENTS).await;
    let group = process.group("Guides", &[]).await;
    let tag = process.get("Group", &group).await.unwrap()["meta"]["version"].clone();
    let tag = tag.as_str().unwrap();
    let changed = at_once(&world, async |client, process| {
        let user = &users[client..=client];
        process.patch_if("Group", &group, add(user), tag).await
    });
    let (done, refused): (Vec<_>, Vec<_>) = changed.await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for refused in refused {
        assert_eq!(kind(refused), ErrorKind::VersionMismatch);
    }
    assert_eq!(process.members(&group).await.len(), 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn groups_made_members_of_each_other_at_once_are_a_circle() {
    let world = World::new().await;
    let process = world.process();
    let user = process.user("user").await;
    let mut circle = Vec::new();
    for number in 0..4 {
        let members = if number == 0 {
            vec![user.clone()]
        } else {
            vec![]
        };
        circle.push(process.group(&format!("Group {number}"), &members).await);
    }
    let writers: Vec<Process> = circle.iter().map(|_| world.process()).collect();
    let joins = writers.iter().enumerate().map(|(number, writer)| {
        // Each is in the next one; no request says that they are groups.
        let next = &circle[(number + 1) % circle.len()];
        writer.patch("Group", next, add(&circle[number..=number]))
    });
    for joined in join_all(joins).await {
        joined.unwrap();
    }
    let shown = process.get("User", &user).await.unwrap();
    assert_eq!(values(&shown["groups"]), sorted(&circle));
    let kinds = shown["groups"].as_array().unwrap().iter();
    let direct: Vec<String> = kinds
        .filter(|group| group["type"] == "direct")
        .map(|group| group["value"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(direct, circle[..1]);
    let filter = format!("filter=groups+eq+%22{}%22", circle[3]);
    let found = process.list("User", &filter).await.unwrap();
    assert_eq!(found["totalResults"], 1);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn names_and_members_changed_at_once_are_both_changed() {
    let world = World::new().await;
    let process = world.process();
    let users = process.users("user", CLIENTS).await;
    let group = process.group("Guides", &[]).await;
    let changed = at_once(&world, async |client, process| {
        let operations = match client % 4 {
            0 => json!([{"op": "replace", "path": "displayName", "value": format!("{client}")}]),
            _ => add(&users[client..=client]),
        };
        process.patch("Group", &group, operations).await
    });
    for changed in changed.await {
        changed.unwrap();
    }
    let shown = process.get("Group", &group).await.unwrap();
    let added = (0..CLIENTS).filter(|client| client % 4 > 0);
    let added: Vec<String> = added.map(|client| users[client].clone()).collect();
    assert_eq!(values(&shown["members"]), sorted(&added));
    let name = shown["displayName"].as_str().unwrap();
    assert_eq!(name.parse::<usize>().unwrap() % 4, 0, "{name}");
    world.check().await;
}

/// The changes that a client makes to users that only this client names.
#[derive(Clone, Copy)]
enum UserChange {
    Join,
    Leave,
    Delete,
}

/// A network on which every fifth call fails in a way that a retry can correct.
fn trouble(call: &Call) -> Option<Fault> {
    let is_write = !matches!(
        call.operation.as_str(),
        "Query" | "GetItem" | "BatchGetItem"
    );
    let fault = match fastrand::u8(..30) {
        0 | 1 if is_write => Fault::Conflict,
        2 | 3 => Fault::Throttle,
        4 => Fault::LoseRequest,
        5 | 6 => Fault::LoseAnswer,
        7 if call.operation == "Query" => Fault::ShortPage(1),
        8 if call.operation.starts_with("Batch") => Fault::Unprocessed(1),
        _ => return None,
    };
    Some(fault)
}

/// The users of each client are in the group or not as its last request said, in spite of other
/// clients and of the network.
#[tokio::test(start_paused = true)]
async fn every_answer_is_true_while_clients_conflict_and_calls_fail() {
    for seed in 0..4 {
        fastrand::seed(seed);
        let world = World::new().await;
        let process = world.process();
        let users = process.users("user", 4 * CLIENTS).await;
        let groups = [
            process.group("One", &users[..10]).await,
            process.group("Two", &[]).await,
        ];
        let ends = at_once(&world, async |client, process| {
            process.line.plan(trouble);
            let mut ends = Vec::new();
            for user in users[4 * client..][..4].chunks(1) {
                let group = &groups[fastrand::usize(..2)];
                let mut is_in = None;
                for _ in 0..3 {
                    let next = match fastrand::u8(..7) {
                        0 => UserChange::Delete,
                        1..=4 => UserChange::Join,
                        _ => UserChange::Leave,
                    };
                    let done = match next {
                        UserChange::Join => {
                            process.patch("Group", group, add(user)).await.map(|_| ())
                        }
                        UserChange::Leave => process
                            .patch("Group", group, remove(user))
                            .await
                            .map(|_| ()),
                        UserChange::Delete => process.delete("User", &user[0]).await,
                    };
                    done.unwrap();
                    is_in = Some(matches!(next, UserChange::Join));
                    if matches!(next, UserChange::Delete) {
                        break;
                    }
                }
                ends.push((user[0].clone(), group.clone(), is_in));
            }
            ends
        });
        let ends: Vec<_> = ends.await.into_iter().flatten().collect();
        for group in &groups {
            let members = process.members(group).await;
            for (user, _, is_in) in ends.iter().filter(|(_, its, _)| its == group) {
                assert_eq!(Some(members.contains(user)), *is_in, "{user} in {group}");
            }
        }
        world.finish().await;
        // Where an answer was lost and others wrote in between, a group may have counted twice.
        assert_eq!(world.audit().await.garbage, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn users_created_at_once_are_all_there_and_a_name_is_taken_once() {
    let world = World::new().await;
    let process = world.process();
    let created = at_once(&world, async |client, process| {
        let own = process.post("User", simulation::user(&format!("own-{client}")));
        let wanted = process.post("User", simulation::user("wanted"));
        join(own, wanted).await
    });
    let (own, wanted): (Vec<_>, Vec<_>) = created.await.into_iter().unzip();
    let mut ids: Vec<String> = own.into_iter().map(|user| id(&user.unwrap())).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CLIENTS);
    let (done, refused): (Vec<_>, Vec<_>) = wanted.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for refused in refused {
        assert_eq!(kind(refused), ErrorKind::Uniqueness);
    }
    assert_eq!(process.total("User").await, CLIENTS as u64 + 1);
    world.check().await;
}
