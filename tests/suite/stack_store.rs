//! What the table holds for the stack: the list of tenants, and the gaps of the stream.

use std::time::Duration;

use scim_lambda::identity::TenantId;
use scim_lambda::store::{Meter, StackStore};

use crate::simulation::{Fault, Process, World};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn store(process: &Process) -> StackStore {
    let store = process.provider.store();
    store.for_stack(Meter::default(), Duration::from_secs(10))
}

fn names(tenants: &[TenantId]) -> Vec<&str> {
    tenants.iter().map(TenantId::as_str).collect()
}

/// The time of the world, in milliseconds since the Unix epoch, as the last heartbeat has it.
async fn beat(world: &World, store: &StackStore) -> u64 {
    store.beat().await.unwrap();
    let items = world.items();
    let beat = items.iter().find(|item| item["kind"]["S"] == "H").unwrap();
    beat["at"]["N"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn tenants_are_listed_page_by_page_in_the_order_of_their_names() {
    let world = World::new().await;
    let stack = store(&world.process());
    for name in ["umbrella", "acme", "globex", "acme"] {
        let tenant = TenantId::parse(name).unwrap();
        stack.list_tenant(&tenant).await.unwrap();
    }
    let first = stack.tenant_list().names(None, 2).await.unwrap();
    assert_eq!(names(&first.tenants), ["acme", "globex"]);
    let rest = stack
        .tenant_list()
        .names(first.next.as_ref(), 2)
        .await
        .unwrap();
    assert_eq!(names(&rest.tenants), ["umbrella"]);
    assert_eq!(rest.next, None);
}

#[tokio::test(start_paused = true)]
async fn a_silence_of_over_23_hours_is_a_gap_since_the_last_heartbeat() {
    let world = World::new().await;
    let stack = store(&world.process());
    let first = beat(&world, &stack).await;
    assert!(!stack.hear(first).await.unwrap());
    assert_eq!(stack.gap().await.unwrap(), None);
    world.jump(Duration::from_millis(23 * HOUR - MINUTE));
    let late = beat(&world, &stack).await;
    assert!(!stack.hear(late).await.unwrap());
    // A reader that was away for two days finds what the stream still has: heartbeats of yesterday.
    world.jump(Duration::from_millis(48 * HOUR));
    assert!(stack.hear(late + 25 * HOUR).await.unwrap());
    let gap = stack.gap().await.unwrap().unwrap();
    assert_eq!((gap.number, gap.since), (1, late));
    let ago = world.clock().now_millis() - gap.noticed;
    assert!(ago < MINUTE, "{ago}");
    // The ones after it are as old, and are no further gap.
    assert!(!stack.hear(late + 26 * HOUR).await.unwrap());
    assert_eq!(stack.gap().await.unwrap(), Some(gap));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_comes_twice_or_late_changes_nothing() {
    let world = World::new().await;
    let stack = store(&world.process());
    let at = beat(&world, &stack).await;
    stack.hear(at).await.unwrap();
    world.jump(Duration::from_millis(24 * HOUR));
    assert!(!stack.hear(at).await.unwrap());
    assert!(!stack.hear(at - MINUTE).await.unwrap());
    assert_eq!(stack.gap().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_written_down_once_whatever_dies_on_the_way() {
    for fault in [Fault::Kill, Fault::KillAfter] {
        for call in 0..3 {
            let world = World::new().await;
            let stack = store(&world.process());
            let first = beat(&world, &stack).await;
            stack.hear(first).await.unwrap();
            world.jump(Duration::from_millis(24 * HOUR));
            let at = beat(&world, &stack).await;
            let dying = world.process();
            dying
                .line
                .plan(move |made| (made.number == call).then_some(fault));
            store(&dying).hear(at).await.unwrap_err();
            store(&world.process()).hear(at).await.unwrap();
            // The dying process repeats its call until its budget is used up, and so is the budget of the first store.
            let gap = store(&world.process()).gap().await.unwrap().unwrap();
            assert_eq!((gap.number, gap.since), (1, first), "{fault:?} {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn gaps_are_counted_once_a_day() {
    let world = World::new().await;
    let stack = store(&world.process());
    let since = beat(&world, &stack).await;
    assert!(stack.miss_records(since).await.unwrap());
    assert!(!stack.miss_records(since + HOUR).await.unwrap());
    world.jump(Duration::from_millis(23 * HOUR + MINUTE));
    assert!(stack.miss_records(since + 2 * HOUR).await.unwrap());
    let gap = stack.gap().await.unwrap().unwrap();
    assert_eq!((gap.number, gap.since), (2, since + 2 * HOUR));
}
