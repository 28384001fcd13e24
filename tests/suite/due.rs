//! The deliveries that are due: the sweep gives their tenants jobs.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use scim_lambda::identity::TenantId;
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::protocol::key::SEPARATOR;
use scim_lambda::store::{Due, Meter, StackStore};
use scim_lambda::worker::Worker;
use serde_json::json;

use crate::simulation::{Fault, Process, World, kind};
use crate::support::webhook;
use crate::worker::Kept;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn worker<'p>(world: &World, process: &'p Process) -> Worker<'p> {
    Worker::new(process.provider.tenants(), world.clock())
}

fn stack(process: &Process) -> StackStore {
    let store = process.provider.store();
    store.for_stack(Meter::default(), MINUTE)
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Puts an entry on the list that is due so long from now.
async fn put(world: &World, process: &Process, wait: Duration, tenant: Option<TenantId>) {
    let wait = u64::try_from(wait.as_millis()).unwrap();
    let due = Due::at_millis(world.clock().now_millis() + wait, tenant);
    stack(process).due().put(&due).await.unwrap();
}

/// What is on the list, due or not.
async fn listed(process: &Process) -> Vec<Due> {
    let stack = stack(process);
    stack.due().until(u64::MAX / 2, 1_000).await.unwrap()
}

/// The tenants that were given jobs since the last call.
fn take(kept: &Kept) -> Vec<String> {
    let jobs = std::mem::take(&mut *kept.deliver_jobs.lock().unwrap());
    let tenants = jobs.iter().map(|job| job.tenant.as_str().to_owned());
    tenants.collect()
}

/// Tenants on the stack's list, whose events a webhook wants.
async fn subscribed(world: &World, process: &Process, count: usize) -> BTreeSet<String> {
    let names: BTreeSet<String> = (0..count).map(|number| format!("t-{number:05}")).collect();
    for name in &names {
        let item = json!({"pk": {"S": "S#T"}, "sk": {"S": name}, "kind": {"S": "HT"}});
        world.tamper("PutItem", &json!({"TableName": "scim", "Item": item}));
    }
    let subscription = webhook("https://hooks.example.com/scim");
    let subscriptions = stack(process);
    subscriptions
        .subscriptions()
        .add(&subscription)
        .await
        .unwrap();
    names
}

#[tokio::test(start_paused = true)]
async fn a_tenant_gets_a_job_when_it_is_due_and_not_before() {
    let world = World::new().await;
    let process = world.process();
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    for (seconds, name) in [
        (30, "acme"),
        (30, "umbrella"),
        (31, "acme"),
        (90, "initech"),
    ] {
        put(
            &world,
            &process,
            Duration::from_secs(seconds),
            Some(tenant(name)),
        )
        .await;
    }
    sweep.sweep(&kept).await.unwrap();
    assert_eq!(take(&kept), [""; 0]);
    world.jump(MINUTE);
    sweep.sweep(&kept).await.unwrap();
    assert_eq!(take(&kept), ["acme", "umbrella"]);
    assert_eq!(listed(&process).await.len(), 1);
    world.jump(MINUTE);
    sweep.sweep(&kept).await.unwrap();
    assert_eq!(take(&kept), ["initech"]);
    assert_eq!(listed(&process).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_stays_on_the_list_while_jobs_are_not_taken() {
    let world = World::new().await;
    let process = world.process();
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    put(&world, &process, Duration::ZERO, Some(tenant("acme"))).await;
    world.jump(MINUTE);
    kept.is_out_of_reach.store(true, Ordering::SeqCst);
    assert_eq!(kind(sweep.sweep(&kept).await), ErrorKind::Unavailable);
    assert_eq!(listed(&process).await.len(), 1);
    kept.is_out_of_reach.store(false, Ordering::SeqCst);
    sweep.sweep(&kept).await.unwrap();
    assert_eq!(take(&kept), ["acme"]);
}

#[tokio::test(start_paused = true)]
async fn one_sweep_takes_a_bounded_part_of_a_long_list() {
    let world = World::new().await;
    let process = world.process();
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    for number in 0..6_000 {
        let key = format!("001600000000{SEPARATOR}t-{number:05}");
        let item = json!({"pk": {"S": "S#D"}, "sk": {"S": key}, "kind": {"S": "HD"}});
        world.tamper("PutItem", &json!({"TableName": "scim", "Item": item}));
    }
    sweep.sweep(&kept).await.unwrap();
    let first = take(&kept);
    sweep.sweep(&kept).await.unwrap();
    let second = take(&kept);
    assert_eq!((first.len(), second.len()), (5_000, 1_000));
    assert_eq!(listed(&process).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_dies_anywhere_leaves_no_tenant_out() {
    for fault in [Fault::Kill, Fault::KillAfter] {
        for number in 0.. {
            let world = World::new().await;
            let names = subscribed(&world, &world.process(), 3).await;
            put(
                &world,
                &world.process(),
                Duration::ZERO,
                Some(tenant("acme")),
            )
            .await;
            put(&world, &world.process(), Duration::ZERO, None).await;
            world.jump(MINUTE);
            let (dying, kept) = (world.process(), Kept::default());
            dying
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            let swept = worker(&world, &dying).sweep(&kept).await;
            let next = world.process();
            worker(&world, &next).sweep(&kept).await.unwrap();
            let found: BTreeSet<String> = take(&kept).into_iter().collect();
            assert!(
                found.contains("acme") && found.is_superset(&names),
                "{number}: {found:?}"
            );
            assert_eq!(listed(&next).await, []);
            if swept.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_tenants_get_jobs_when_all_are_due_some_with_each_sweep() {
    let world = World::new().await;
    let process = world.process();
    let names = subscribed(&world, &process, 5_100).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    // The first round through the feeds, which also gives jobs.
    for _ in 0..names.len().div_ceil(100) {
        sweep.sweep(&kept).await.unwrap();
    }
    take(&kept);
    put(&world, &process, Duration::ZERO, None).await;
    world.jump(MINUTE);
    sweep.sweep(&kept).await.unwrap();
    let first = take(&kept);
    assert_eq!((first.len(), listed(&process).await), (5_000, Vec::new()));
    // All are due once more within the round. So there is another round after it.
    put(&world, &process, Duration::ZERO, None).await;
    world.jump(MINUTE);
    sweep.sweep(&kept).await.unwrap();
    assert_eq!((take(&kept).len(), listed(&process).await.len()), (100, 1));
    sweep.sweep(&kept).await.unwrap();
    sweep.sweep(&kept).await.unwrap();
    let found: BTreeSet<String> = take(&kept).into_iter().collect();
    assert_eq!((found, listed(&process).await), (names, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn every_tenant_gets_a_job_four_times_a_day() {
    let world = World::new().await;
    let process = world.process();
    let names = subscribed(&world, &process, 2).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    let mut hours = Vec::new();
    for hour in 0..24 {
        sweep.sweep(&kept).await.unwrap();
        let found: BTreeSet<String> = take(&kept).into_iter().collect();
        if found == names {
            hours.push(hour);
        }
        world.jump(HOUR);
    }
    assert_eq!(hours, [0, 6, 12, 18]);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_finds_no_queue_begins_again() {
    let world = World::new().await;
    let process = world.process();
    let names = subscribed(&world, &process, 2).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    sweep.sweep(&kept).await.unwrap();
    take(&kept);
    put(&world, &process, Duration::ZERO, None).await;
    world.jump(MINUTE);
    kept.is_out_of_reach.store(true, Ordering::SeqCst);
    assert_eq!(kind(sweep.sweep(&kept).await), ErrorKind::Unavailable);
    kept.is_out_of_reach.store(false, Ordering::SeqCst);
    sweep.sweep(&kept).await.unwrap();
    let found: BTreeSet<String> = take(&kept).into_iter().collect();
    assert_eq!((found, listed(&process).await), (names, Vec::new()));
}
