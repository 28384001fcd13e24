//! Large changes against partitions with the limits of DynamoDB: 1,000 write and 3,000 read units a
//! second. A change that fits the deadline ends within it; the journal finishes the others.

use std::time::Duration;

use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::provider::REQUEST_BUDGET;
use serde_json::json;
use tokio::time::Instant;

use crate::simulation::{Fault, World, add, group, id, kind, remove, replace, sorted};

/// The number of members that clients send in one request.
const MEMBERS: usize = 10_000;

/// The time that something takes, in the time of the network.
async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let outcome = what.await;
    (outcome, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn whole_lists_of_ten_thousand_members_arrive_within_the_deadline() {
    let (world, users) = World::loaded(2 * MEMBERS).await;
    let (old, new) = users.split_at(MEMBERS);
    let process = world.process();
    let (created, time) = timed(process.post("Group", group("Guides", old))).await;
    let group_id = id(&created.unwrap());
    assert!(time < REQUEST_BUDGET, "POST: {time:?}");
    assert!(world.throttled() > 0, "calls were throttled");

    let put = process.put("Group", &group_id, group("Guides", new));
    let (replaced, time) = timed(put).await;
    replaced.unwrap();
    assert!(time < REQUEST_BUDGET, "PUT: {time:?}");
    assert_eq!(process.members(&group_id).await, new);

    let patch = process.patch("Group", &group_id, replace(old));
    let (replaced, time) = timed(patch).await;
    replaced.unwrap();
    assert!(time < REQUEST_BUDGET, "PATCH: {time:?}");
    assert_eq!(process.members(&group_id).await, old);
    world.finish().await;
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn additions_and_removals_that_outlast_the_deadline_are_finished() {
    let (world, users) = World::loaded(MEMBERS).await;
    let process = world.process();
    // A group that began small has one partition, which takes 500 transactional writes a second.
    let group_id = process.group("Guides", &users[..1]).await;
    let patch = process.patch("Group", &group_id, add(&users));
    let (added, time) = timed(patch).await;
    assert_eq!(kind(added), ErrorKind::Unavailable);
    assert!(time <= REQUEST_BUDGET, "{time:?}");
    let part = process.members(&group_id).await.len();
    assert!(1 < part && part < MEMBERS, "{part}");
    world.finish().await;
    assert_eq!(process.members(&group_id).await, users);

    let patch = process.patch("Group", &group_id, remove(&users[1..]));
    let (removed, time) = timed(patch).await;
    assert_eq!(kind(removed), ErrorKind::Unavailable);
    assert!(time <= REQUEST_BUDGET, "{time:?}");
    world.finish().await;
    assert_eq!(process.members(&group_id).await, users[..1]);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_of_thousands_of_groups_leaves_them_all() {
    const GROUPS: usize = 3_000;
    let (world, users) = World::loaded(3).await;
    let process = world.process();
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        groups.push(process.group(&format!("Group {number}"), &users).await);
    }
    let (deleted, time) = timed(process.delete("User", &users[0])).await;
    deleted.unwrap();
    assert!(time < REQUEST_BUDGET, "{time:?}");
    for group in [&groups[0], &groups[GROUPS / 2], &groups[GROUPS - 1]] {
        assert_eq!(process.members(group).await, users[1..]);
    }
    let filter = format!("count=1&filter=members+eq+%22{}%22", users[0]);
    let found = process.list("Group", &filter).await.unwrap();
    assert_eq!(found["totalResults"], 0);
    // A user whose deletion dies in the middle leaves all groups in the end.
    let writer = world.process();
    let mut batches = 0;
    writer.line.plan(move |call| {
        batches += u64::from(call.operation == "BatchWriteItem");
        (batches == 100).then_some(Fault::Kill)
    });
    writer.delete("User", &users[1]).await.unwrap_err();
    assert_eq!(
        kind(process.get("User", &users[1]).await),
        ErrorKind::NotFound
    );
    world.finish().await;
    for group in [&groups[0], &groups[GROUPS / 2], &groups[GROUPS - 1]] {
        assert_eq!(process.members(group).await, users[2..]);
    }
    assert_eq!(process.groups(&users[2]).await, sorted(&groups));
    assert_eq!(world.audit().await.garbage, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_large_group_is_invisible_at_once_and_swept_afterwards() {
    let (world, users) = World::loaded(2 * MEMBERS).await;
    let process = world.process();
    let group_id = id(&process
        .post("Group", group("Guides", &users))
        .await
        .unwrap());
    let (deleted, time) = timed(process.delete("Group", &group_id)).await;
    deleted.unwrap();
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert_eq!(process.groups(&users[0]).await, [""; 0]);
    let list = process.list("Group", "count=0").await.unwrap();
    assert_eq!(list["totalResults"], json!(0));
    world.finish().await;
    world.check().await;
}
