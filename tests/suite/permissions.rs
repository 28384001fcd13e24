//! What each function of the worker calls at the table, compared with what its role in `template.yaml`
//! allows: those calls, and no others.
//!
//! Every function works on a directory in which much has happened. What it calls at other services is
//! compared by `tests/lambda/play_worker.py`, which plays the built functions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scim_lambda::delivery::{Failure, Message, Outcome, Sender, keep_event_bus};
use scim_lambda::identity::SubscriptionId;
use scim_lambda::store::Meter;
use scim_lambda::tenant::{Credentials, SecretStore as _, SecretsFile};
use scim_lambda::worker::Worker;
use serde_json::{Value, json};

use crate::admin::admin;
use crate::admin_operations::{Subjects, every_operation};
use crate::simulation::{Call, Fault, Process, World, add, replace, tenant};
use crate::support::webhook;
use crate::worker::Kept;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// What Lambda itself does with a function's role to read the stream.
const OF_LAMBDA: [&str; 4] = [
    "DescribeStream",
    "GetRecords",
    "GetShardIterator",
    "ListStreams",
];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// More members than one transaction takes.
const MANY: usize = 120;

/// Names of actions of DynamoDB, such as `PutItem`.
type Actions = BTreeSet<String>;

/// The actions on the table that a role allows.
fn allowed(role: &str) -> Actions {
    let start = format!("  {role}:");
    let lines = TEMPLATE.lines().skip_while(|line| **line != start).skip(1);
    let is_inside = |line: &&str| line.is_empty() || line.starts_with("   ");
    let actions = lines
        .take_while(is_inside)
        .filter_map(|line| line.trim().strip_prefix("- dynamodb:"));
    let mut actions: Actions = actions.map(str::to_owned).collect();
    for action in OF_LAMBDA {
        actions.remove(action);
    }
    assert!(!actions.is_empty(), "{role}");
    actions
}

/// The actions that a call needs: those of its parts, if it is a transaction.
fn needed(call: &Call) -> Vec<String> {
    let parts = call.body["TransactItems"].as_array();
    let name_of = |part: &Value| match part.as_object().unwrap().keys().next().unwrap().as_str() {
        "ConditionCheck" => "ConditionCheckItem".to_owned(),
        verb => format!("{verb}Item"),
    };
    match parts {
        Some(parts) => parts.iter().map(name_of).collect(),
        None => vec![call.operation.clone()],
    }
}

/// A process whose calls are written down, after the call that opens its connection.
async fn recorded(world: &World) -> (Process, Arc<Mutex<Actions>>) {
    let process = world.process();
    let actions = Arc::new(Mutex::new(Actions::new()));
    let sink = Arc::clone(&actions);
    process.line.plan(move |call| {
        sink.lock().unwrap().extend(needed(call));
        None
    });
    process.provider.store().warm_up().await.unwrap();
    (process, actions)
}

fn worker<'p>(world: &World, process: &'p Process) -> Worker<'p> {
    Worker::new(process.provider.tenants(), world.clock())
}

/// A directory of users in groups, some of which were changed and deleted.
async fn busy() -> World {
    let world = World::new().await;
    let process = world.process();
    let stack = process.provider.store();
    let stack = stack.for_stack(Meter::default(), Duration::from_secs(10));
    stack.list_tenant(&tenant()).await.unwrap();
    stack.beat().await.unwrap();
    let users = process.users("member", MANY).await;
    let inner = process.group("Inner", &users[..2]).await;
    let outer = process.group("Outer", std::slice::from_ref(&inner)).await;
    process
        .patch("Group", &outer, replace(&users))
        .await
        .unwrap();
    process.delete("User", &users[1]).await.unwrap();
    process.delete("Group", &inner).await.unwrap();
    world
}

/// The calls of the reader while it handles every record that there is.
async fn of_stream(world: &World) -> Actions {
    let (process, actions) = recorded(world).await;
    let (reader, kept) = (worker(world, &process), Kept::default());
    // The second time everything is late: the reader writes down that records may be missing.
    for _ in 0..2 {
        for batch in world.records().chunks(100) {
            assert_eq!(reader.stream(batch, &kept).await, None);
        }
        world.jump(DAY);
    }
    actions.lock().unwrap().clone()
}

/// The calls of the finisher until nothing is left to do.
async fn of_finish(world: &World) -> Actions {
    let (process, actions) = recorded(world).await;
    let finisher = worker(world, &process);
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(30)).await;
        let failed = finisher
            .finish(BTreeSet::from([tenant()]), &Kept::default())
            .await;
        assert_eq!(failed, BTreeSet::new());
    }
    assert_eq!(process.journal_len().await, 0);
    actions.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn the_reader_of_the_stream_may_do_what_it_does() {
    let world = busy().await;
    assert_eq!(of_stream(&world).await, allowed("StreamReaderRole"));
}

/// A process that dies with the transaction that comes after this number of them.
fn dying(world: &World, transactions: usize) -> Process {
    let process = world.process();
    let mut rest = transactions;
    process.line.plan(move |call| {
        let is_transaction = call.operation == "TransactWriteItems";
        let dies = is_transaction && rest == 0;
        rest -= usize::from(is_transaction && rest > 0);
        dies.then_some(Fault::KillAfter)
    });
    process
}

#[tokio::test(start_paused = true)]
async fn the_finisher_may_do_what_it_does() {
    let world = busy().await;
    let process = world.process();
    let users = process.users("late", 2 * MANY).await;
    for transactions in 0..2 {
        let group = process.group("Late", &users[..MANY]).await;
        let writer = dying(&world, transactions);
        let added = writer.patch("Group", &group, add(&users[MANY..])).await;
        assert!(added.is_err());
        let group = process.group("Later", &users[..MANY]).await;
        let writer = dying(&world, transactions);
        let replaced = writer.patch("Group", &group, replace(&users[1..])).await;
        assert!(replaced.is_err() || !writer.line.is_dead());
        let writer = dying(&world, transactions);
        let deleted = writer.delete("Group", &group).await;
        assert!(deleted.is_err() || !writer.line.is_dead());
    }
    of_stream(&world).await;
    assert_eq!(of_finish(&world).await, allowed("FinisherRole"));
}

#[tokio::test(start_paused = true)]
async fn the_sweep_may_do_what_it_does() {
    let world = busy().await;
    of_stream(&world).await;
    let (process, actions) = recorded(&world).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    for day in 0..30 {
        // The event bus is subscribed on the first day, and taken away on the last ones.
        let (store, now) = (process.provider.store(), world.clock().now_millis());
        keep_event_bus(store, day < 20, now).await.unwrap();
        sweep.sweep(&kept).await.unwrap();
        // A feed keeps its place by a page before the newest one expires.
        world.jump(DAY);
    }
    assert_eq!(*actions.lock().unwrap(), allowed("SweepRole"));
}

/// Adds a webhook for every tenant, and returns its id.
async fn subscribe(process: &Process) -> SubscriptionId {
    let subscription = webhook("https://hooks.example.com/scim");
    let stack = process.provider.store();
    let stack = stack.for_stack(Meter::default(), Duration::from_secs(10));
    stack.subscriptions().add(&subscription).await.unwrap();
    subscription.id
}

/// A receiver that answers every attempt like this.
struct Answers(Outcome);

impl Sender for Answers {
    async fn send(&self, _: &Message<'_>) -> Outcome {
        self.0.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn the_deliverer_may_do_what_it_does() {
    let world = busy().await;
    of_stream(&world).await;
    let operator = world.process();
    let (process, actions) = recorded(&world).await;
    let (deliverer, kept) = (worker(&world, &process), Kept::default());
    let fails = Outcome::Failed(Failure {
        code: "status".to_owned(),
        text: "It answers with status 500".to_owned(),
    });
    for outcome in [Outcome::Accepted, fails, Outcome::Gone] {
        let subscription = subscribe(&operator).await;
        // The receiver that fails fails for good in the end.
        for _ in 0..40 {
            let jobs = BTreeSet::from([tenant()]);
            let receiver = Answers(outcome.clone());
            let failed = deliverer.deliver(jobs, &receiver, &kept).await;
            assert_eq!(failed, BTreeSet::new());
            world.jump(DAY / 4);
        }
        let stack = operator.provider.store();
        let stack = stack.for_stack(Meter::default(), Duration::from_secs(10));
        assert!(stack.subscriptions().remove(&subscription).await.unwrap());
    }
    assert_eq!(*actions.lock().unwrap(), allowed("DelivererRole"));
}

#[tokio::test(start_paused = true)]
async fn the_function_for_operators_may_do_what_it_does() {
    let world = busy().await;
    of_stream(&world).await;
    let directory = tempfile::tempdir().unwrap();
    let secrets = Arc::new(SecretsFile::new(directory.path().join("secrets.json")));
    secrets.create_if_missing().unwrap();
    let credentials = Credentials::new(secrets.clone(), "test");
    credentials.create(&tenant()).await.unwrap();
    secrets
        .put("test/stack", &"7".repeat(32), None)
        .await
        .unwrap();
    let subjects = Subjects::of(&world).await;
    let (process, actions) = recorded(&world).await;
    let sender = Arc::new(Answers(Outcome::Accepted));
    let admin = admin(&process, secrets, sender, world.clock());
    every_operation(&subjects, &async |mut request: Value| {
        request["actor"] = json!("billing-service");
        let mut answer = admin.answer(request.to_string().as_bytes()).await;
        assert!(answer["error"].is_null(), "{request}: {answer}");
        answer["ok"].take()
    })
    .await;
    for _ in 0..5 {
        world.jump(Duration::from_secs(20 * 60));
        let until = tokio::time::Instant::now() + Duration::from_secs(45);
        admin.purge(until).await.unwrap();
    }
    assert_eq!(*actions.lock().unwrap(), allowed("AdminRole"));
}

#[test]
fn a_transaction_needs_what_its_parts_need() {
    let parts = json!({"TransactItems": [{"Put": {}}, {"ConditionCheck": {}}, {"Update": {}}]});
    let call = |operation: &str, body: Value| Call {
        number: 0,
        operation: operation.to_owned(),
        body,
    };
    let transaction = call("TransactWriteItems", parts);
    assert_eq!(
        needed(&transaction),
        ["PutItem", "ConditionCheckItem", "UpdateItem"]
    );
    assert_eq!(needed(&call("Query", json!({}))), ["Query"]);
}
