//! Feeds whose tenant changes nothing, and the values of a resource that are to be forgotten.

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::feed::forget::forget;
use scim_lambda::feed::keep::keep;
use scim_lambda::feed::read::After;
use serde_json::json;

use super::{ALL, Instance, everything, follow, ids, read, store, types};
use crate::simulation::{self, Fault, World, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn a_feed_without_changes_keeps_its_number() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let instance = Instance::new(&world);
    let appender = instance.appender();
    let tenant = simulation::tenant();
    assert_eq!(keep(&appender, &tenant, None).await.unwrap(), None);
    process.user("ada").await;
    follow(&world).await;
    let begin = 1_700_000_000;
    let due = keep(&appender, &tenant, None).await.unwrap().unwrap();
    assert!(
        (begin + 29 * 86_400..begin + 29 * 86_400 + 60).contains(&due),
        "{due}"
    );
    assert_eq!(everything(&process).await.len(), 2);
    let reader = read(&process, &After::Now, ALL).await.unwrap().next;
    world.jump(29 * DAY + Duration::from_secs(60));
    assert!(keep(&appender, &tenant, None).await.unwrap() > Some(due));
    // A second sweep finds the page that the first one has written.
    keep(&appender, &tenant, None).await.unwrap();
    assert_eq!(
        types(&everything(&process).await),
        ["feed.started", "user.created", "feed.idle"]
    );
    world.jump(2 * DAY);
    let part = read(&process, &reader, ALL).await.unwrap();
    assert_eq!(part.events[0].seq, 3);
    process.user("grace").await;
    follow(&world).await;
    let part = read(&process, &part.next, ALL).await.unwrap();
    assert_eq!(
        (part.events[0].seq, part.events[0].body.event_type.as_str()),
        (4, "user.created")
    );
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_resource_leaves_its_events_without_values() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let mut ada = user("ada");
    ada["externalId"] = json!("external-4711");
    let ada = simulation::id(&process.post("User", ada).await.unwrap());
    process.user("grace").await;
    follow(&world).await;
    process.delete("User", &ada).await.unwrap();
    follow(&world).await;
    let before = everything(&process).await;
    let reader = read(&process, &After::Now, ALL).await.unwrap().next;
    let step = async |process: &simulation::Process| {
        forget(&simulation::tenant(), &store(process), &ada, None).await
    };
    // The process dies after one of its calls, and the command is given again.
    for number in [0, 1, 1] {
        let dying = world.process();
        dying
            .line
            .plan(move |call| (call.number == number).then_some(Fault::KillAfter));
        step(&dying).await.unwrap_err();
    }
    let forgotten = step(&process).await.unwrap();
    assert_eq!(
        forgotten.events, 0,
        "the processes that died have written both pages"
    );
    let (tenant, store) = (simulation::tenant(), store(&process));
    let rest = forget(&tenant, &store, &ada, forgotten.next.as_ref())
        .await
        .unwrap();
    assert_eq!((forgotten.is_done, rest.is_done), (false, true));
    let after = everything(&process).await;
    assert_eq!((ids(&after), types(&after)), (ids(&before), types(&before)));
    for event in &after {
        let text = event.to_json().to_string();
        assert!(
            !text.contains("\"ada\"") && !text.contains("external-4711"),
            "{text}"
        );
    }
    assert_eq!(after[1].to_json()["changes"]["userName"], json!({}));
    assert_eq!(after[2].to_json(), before[2].to_json());
    assert_eq!(read(&process, &reader, ALL).await.unwrap().next, reader);
}

#[tokio::test(start_paused = true)]
async fn two_resources_can_be_forgotten_at_the_same_time() {
    for _ in 0..10 {
        let world = Arc::new(World::new().await);
        let process = world.process();
        let users = process.users("guide", 2).await;
        follow(&world).await;
        let all = async |id: &str| {
            let store = store(&world.process());
            let (tenant, mut next) = (simulation::tenant(), None);
            loop {
                let step = forget(&tenant, &store, id, next.as_ref()).await.unwrap();
                if step.is_done {
                    break;
                }
                next = step.next;
            }
        };
        tokio::join!(all(&users[0]), all(&users[1]));
        for event in &everything(&process).await[1..] {
            assert_eq!(event.to_json()["changes"]["userName"], json!({}));
        }
    }
}
