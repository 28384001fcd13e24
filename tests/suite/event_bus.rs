//! The subscription of the stack's event bus, which follows a parameter of the stack.

use std::time::Duration;

use scim_lambda::delivery::{Receiver, SUBSCRIPTIONS_MILLIS, Start, Subscription, keep_event_bus};
use scim_lambda::protocol::error::{ErrorKind, Result};
use scim_lambda::store::{MAX_SUBSCRIPTIONS, Meter, StackStore};

use crate::simulation::{Fault, Process, World, kind};
use crate::support::webhook;

fn stack(process: &Process) -> StackStore {
    let store = process.provider.store();
    store.for_stack(Meter::default(), Duration::from_secs(60))
}

async fn subscriptions(process: &Process) -> Vec<Subscription> {
    stack(process).subscriptions().list().await.unwrap()
}

async fn keep(world: &World, process: &Process, has_bus: bool) -> Result<()> {
    let now = world.clock().now_millis();
    keep_event_bus(process.provider.store(), has_bus, now).await
}

/// A subscription of the bus, which was made at this time.
fn of_bus(created: u64) -> Subscription {
    Subscription {
        receiver: Receiver::EventBus,
        from: Start::Created,
        created,
        ..webhook("https://hooks.example.com/scim")
    }
}

async fn add(process: &Process, added: &Subscription) {
    let subscriptions = stack(process);
    subscriptions.subscriptions().add(added).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_bus_is_subscribed_once_for_every_tenant_from_now_on() {
    let world = World::new().await;
    let process = world.process();
    let webhook = webhook("https://hooks.example.com/scim");
    add(&process, &webhook).await;
    world.jump(Duration::from_secs(60));
    let now = world.clock().now_millis();
    for _ in 0..3 {
        keep(&world, &process, true).await.unwrap();
        world.jump(Duration::from_secs(60));
    }
    let mut found = subscriptions(&process).await;
    found.retain(|found| *found != webhook);
    let [bus] = &found[..] else {
        panic!("{found:?}");
    };
    let expected = Subscription {
        id: bus.id.clone(),
        ..of_bus(bus.created)
    };
    assert_eq!(*bus, expected);
    assert!((now..now + 1_000).contains(&bus.created), "{bus:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_comes_back_is_another_subscription() {
    let world = World::new().await;
    let process = world.process();
    keep(&world, &process, true).await.unwrap();
    let first = subscriptions(&process).await;
    keep(&world, &process, false).await.unwrap();
    assert_eq!(subscriptions(&process).await, []);
    keep(&world, &process, false).await.unwrap();
    keep(&world, &process, true).await.unwrap();
    let second = subscriptions(&process).await;
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(first[0].id, second[0].id);
}

#[tokio::test(start_paused = true)]
async fn two_sweeps_at_the_same_time_subscribe_the_bus_once() {
    for _ in 0..20 {
        let world = World::new().await;
        let (one, other) = (world.process(), world.process());
        let (first, second) = tokio::join!(keep(&world, &one, true), keep(&world, &other, true));
        first.and(second).unwrap();
        assert_eq!(subscriptions(&one).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_tenant_gets_a_job_when_all_processes_know_the_bus() {
    let world = World::new().await;
    let process = world.process();
    let now = world.clock().now_millis();
    keep(&world, &process, true).await.unwrap();
    let stack = stack(&process);
    let due = stack.due().until(u64::MAX / 2, 10).await.unwrap();
    assert!(due.iter().all(|due| due.tenant.is_none()), "{due:?}");
    let last = due.last().unwrap().at * 1000;
    assert!(last > now + SUBSCRIPTIONS_MILLIS, "{due:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_dies_leaves_the_rest_to_the_next_one() {
    for has_bus in [true, false] {
        for fault in [Fault::Kill, Fault::KillAfter, Fault::LoseAnswer] {
            for number in 0.. {
                let world = World::new().await;
                let (first, next) = (world.process(), world.process());
                if !has_bus {
                    add(&first, &of_bus(1)).await;
                }
                first
                    .line
                    .plan(move |call| (call.number == number).then_some(fault));
                let _ = keep(&world, &first, has_bus).await;
                let calls = first.line.calls();
                keep(&world, &next, has_bus).await.unwrap();
                let found = subscriptions(&next).await;
                assert_eq!(found.len(), usize::from(has_bus), "{found:?}");
                if calls <= number {
                    break;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_finds_no_place_is_an_error_and_not_silence() {
    let world = World::new().await;
    let process = world.process();
    for _ in 0..MAX_SUBSCRIPTIONS {
        add(&process, &webhook("https://hooks.example.com/scim")).await;
    }
    let kept = keep(&world, &process, true).await;
    assert_eq!(kind(kept), ErrorKind::Unavailable);
    assert_eq!(subscriptions(&process).await.len(), MAX_SUBSCRIPTIONS);
}
