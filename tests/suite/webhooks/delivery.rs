//! From a change in the directory to a receiver on a real socket, and what becomes of it on bad days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use scim_lambda::delivery::{
    Rotation, Subscription, SubscriptionState, WebhookSecrets, WebhookSender,
};
use scim_lambda::identity::{RequestId, SubscriptionId};
use scim_lambda::outgoing::{Client, Reach, Settings};
use scim_lambda::store::{Delivery, Meter, StackStore};
use scim_lambda::tenant::SecretsFile;
use scim_lambda::worker::Worker;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::sync::Notify;

use super::receiver::{self, Behaviour, Received, TestReceiver};
use super::{PATH, answer};
use crate::secrecy::{keep_log, logged};
use crate::simulation::{Fault, Process, World, tenant};
use crate::support::webhook;
use crate::worker::Kept;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than any lease.
const LONG: Duration = Duration::from_secs(5 * 60);

/// A table whose events go to receivers.
struct Stack {
    world: World,
    secrets: WebhookSecrets,
    _directory: tempfile::TempDir,
}

impl Stack {
    async fn new() -> Self {
        Self::on(World::new().await)
    }

    fn on(world: World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = SecretsFile::new(directory.path().join("secrets.json"));
        file.create_if_missing().unwrap();
        Self {
            secrets: WebhookSecrets::new(Arc::new(file), "dev", world.clock()),
            world,
            _directory: directory,
        }
    }

    /// Subscribes a receiver to all events from the beginning, and returns its secret.
    async fn subscribe(&self, name: &str, receiver: &TestReceiver) -> String {
        let url = format!("http://127.0.0.1:{}/{PATH}", receiver.port);
        let subscription = Subscription {
            id: named(name),
            ..webhook(&url)
        };
        let process = self.world.process();
        let stack = stack_store(&process);
        stack.subscriptions().add(&subscription).await.unwrap();
        self.secret(name).await
    }

    /// Makes the secret of a webhook.
    async fn secret(&self, name: &str) -> String {
        let (id, request) = (named(name), RequestId::random());
        let made = self.secrets.create(&id, &request).await;
        made.unwrap().to_text()
    }

    fn sender(&self) -> WebhookSender {
        let client = Client::new(Settings::new(Reach::PublicAndLoopback));
        WebhookSender::new(client, self.secrets.clone(), self.world.clock())
    }

    /// Creates a user, whose event the feed has afterwards.
    async fn change(&self, name: &str) {
        let process = self.world.process();
        process.user(name).await;
        let worker = Worker::new(process.provider.tenants(), self.world.clock());
        let (records, outbox) = (self.world.records(), Kept::default());
        assert_eq!(worker.stream(&records, &outbox).await, None);
    }

    /// Does one job of the tenant by a process of its own.
    async fn deliver(&self) {
        self.deliver_by(&self.world.process()).await;
    }

    async fn deliver_by(&self, process: &Process) {
        let worker = Worker::new(process.provider.tenants(), self.world.clock());
        let (sender, outbox) = (self.sender(), Kept::default());
        let tenants = BTreeSet::from([tenant()]);
        worker.deliver(tenants, &sender, &outbox).await;
    }

    async fn delivery(&self, name: &str) -> Delivery {
        let process = self.world.process();
        let store = process.scope().await.unwrap().store;
        store.deliveries().get(&named(name)).await.unwrap().unwrap()
    }

    async fn state(&self, name: &str) -> SubscriptionState {
        let process = self.world.process();
        let stack = stack_store(&process);
        let found = stack.subscriptions().get(&named(name)).await.unwrap();
        found.unwrap().state
    }
}

fn named(name: &str) -> SubscriptionId {
    SubscriptionId::parse(name).unwrap()
}

fn stack_store(process: &Process) -> StackStore {
    let store = process.provider.store();
    store.for_stack(Meter::default(), Duration::from_secs(10))
}

/// Whether the secret has signed a message. The library's own check compares the time with the machine's
/// clock, which is not the clock of these tests.
fn is_signed(request: &Received, secret: &str) -> bool {
    let header = |name: &str| request.headers[name].to_str().unwrap();
    let time = header("webhook-timestamp").parse().unwrap();
    let webhook = Webhook::new(secret).unwrap();
    let expected = webhook
        .sign(header("webhook-id"), time, &request.body)
        .unwrap();
    header("webhook-signature")
        .split(' ')
        .any(|found| found == expected)
}

fn events(request: &Received) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["type"], "scim.events");
    assert_eq!(body["data"]["tenant"], "acme");
    let events = body["data"]["events"].as_array().unwrap().clone();
    assert_eq!(body["timestamp"], events.last().unwrap()["time"]);
    events
}

/// The numbers of the events of all messages.
fn numbers(received: &[Received]) -> Vec<u64> {
    let events = received.iter().flat_map(events);
    events.map(|event| event["seq"].as_u64().unwrap()).collect()
}

fn types(received: &[Received]) -> Vec<String> {
    let events = received.iter().flat_map(events);
    events
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

fn accepts() -> Behaviour {
    answer("200 OK")
}

fn fails() -> Behaviour {
    answer("500 Internal Server Error")
}

#[tokio::test]
async fn changes_arrive_once_in_order_and_signed() {
    let stack = Stack::new().await;
    let receiver = TestReceiver::start([accepts()]).await;
    let secret = stack.subscribe("a", &receiver).await;
    for name in ["ada", "bob", "eve"] {
        stack.change(name).await;
        stack.deliver().await;
        stack.deliver().await;
    }
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert_eq!(numbers(&received), [1, 2, 3, 4]);
    let created = "user.created";
    assert_eq!(
        types(&received),
        ["feed.started", created, created, created]
    );
    assert!(received.iter().all(|request| is_signed(request, &secret)));
    assert!(!is_signed(&received[0], &"a".repeat(44)));
}

#[tokio::test]
async fn a_sender_that_dies_at_any_call_loses_nothing_and_repeats_only_whole_messages() {
    let prepared = Stack::new().await;
    let receiver = TestReceiver::start([accepts()]).await;
    prepared.subscribe("a", &receiver).await;
    for name in ["ada", "bob", "eve"] {
        prepared.change(name).await;
    }
    let (mut seen, mut repeated) = (0, 0);
    for turn in 0.. {
        let stack = Stack::on(prepared.world.copy());
        stack.secret("a").await;
        let process = stack.world.process();
        let died = Arc::new(Notify::new());
        let (dies, number) = (Arc::clone(&died), turn / 2);
        process.line.plan(move |call| match call.number == number {
            // Before the call, or after it has taken effect.
            true if turn % 2 == 0 => {
                dies.notify_one();
                Some(Fault::Kill)
            }
            true => Some(Fault::Freeze),
            false => None,
        });
        let has_died = tokio::select! {
            () = stack.deliver_by(&process) => false,
            () = died.notified() => true,
            () = process.line.frozen() => true,
        };
        stack.world.jump(LONG);
        stack.deliver().await;
        let received = receiver.received().split_off(seen);
        seen += received.len();
        let mut messages = BTreeMap::new();
        for request in &received {
            let id = request.headers["webhook-id"].as_bytes();
            let first = messages.entry(id).or_insert(&request.body);
            assert_eq!(*first, &request.body);
        }
        let distinct = BTreeSet::from_iter(numbers(&received));
        assert_eq!(distinct, (1..=4).collect(), "killed at call {number}");
        if !has_died {
            assert_eq!(received.len(), 1);
            assert!(number > 3, "a delivery has more than {number} calls");
            break;
        }
        repeated += received.len() - messages.len();
    }
    // The one death between the answer of the receiver and the write that records it.
    assert!(repeated > 0);
}

#[tokio::test]
async fn two_processes_send_each_message_once() {
    let stack = Stack::new().await;
    let receiver = TestReceiver::start([accepts()]).await;
    stack.subscribe("a", &receiver).await;
    for name in ["ada", "bob"] {
        stack.change(name).await;
        let (one, two) = (stack.world.process(), stack.world.process());
        tokio::join!(stack.deliver_by(&one), stack.deliver_by(&two));
    }
    assert_eq!(numbers(&receiver.received()), [1, 2, 3]);
}

#[tokio::test]
async fn a_receiver_that_hangs_delays_no_other() {
    let stack = Stack::new().await;
    let hangs = TestReceiver::start([Behaviour::Hangs(String::new())]).await;
    let other = TestReceiver::start([accepts()]).await;
    stack.subscribe("a", &hangs).await;
    stack.subscribe("b", &other).await;
    stack.change("ada").await;
    tokio::select! {
        () = stack.deliver() => panic!("nothing waits for the receiver that hangs"),
        () = async { tokio::join!(hangs.wait_for(1), other.wait_for(1)); } => {}
    }
    assert_eq!(numbers(&other.received()), [1, 2]);
    // The process was given up with the attempt. The next one sends the same message after the lease.
    stack.world.jump(LONG);
    hangs.turn(accepts());
    stack.deliver().await;
    let received = hangs.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, received[1].body);
}

#[tokio::test]
async fn a_rotation_in_the_middle_of_a_batch_changes_only_its_signature() {
    let stack = Stack::new().await;
    let receiver = TestReceiver::start([fails(), accepts()]).await;
    let old = stack.subscribe("a", &receiver).await;
    stack.change("ada").await;
    stack.deliver().await;
    let request = RequestId::random();
    let (id, secrets) = (named("a"), &stack.secrets);
    let rotated = secrets.rotate(&id, &request, Rotation::WithOverlap).await;
    let new = rotated.unwrap().secret.to_text();
    // What is appended meanwhile goes into the next message.
    stack.change("bob").await;
    stack.world.jump(Duration::from_secs(10));
    stack.deliver().await;
    let received = receiver.received();
    let [first, again, next] = &received[..] else {
        panic!("{received:?}")
    };
    assert_eq!(first.headers["webhook-id"], again.headers["webhook-id"]);
    assert_eq!(first.body, again.body);
    assert_eq!(numbers(&received), [1, 2, 1, 2, 3]);
    assert!(is_signed(first, &old) && !is_signed(first, &new));
    for request in [again, next] {
        assert!(is_signed(request, &old) && is_signed(request, &new));
    }
    stack.world.jump(DAY);
    stack.change("eve").await;
    stack.deliver().await;
    let last = receiver.received().pop().unwrap();
    assert!(!is_signed(&last, &old) && is_signed(&last, &new));
}

#[tokio::test]
async fn a_receiver_that_fails_for_three_days_is_given_up_until_it_is_resumed() {
    keep_log();
    let stack = Stack::new().await;
    let receiver = TestReceiver::start([fails()]).await;
    let other = TestReceiver::start([accepts()]).await;
    let secret = stack.subscribe("a", &receiver).await;
    stack.subscribe("b", &other).await;
    stack.change("ada").await;
    let begun = stack.world.clock().now_millis();
    let mut attempts = 0;
    let failed = loop {
        stack.deliver().await;
        attempts += 1;
        let delivery = stack.delivery("a").await;
        assert_eq!(receiver.received().len(), attempts);
        if let Some(failed) = delivery.failed {
            break failed;
        }
        // A job that comes too early does nothing.
        stack.deliver().await;
        let wait = delivery.due.unwrap() - stack.world.clock().now_millis();
        stack.world.jump(Duration::from_millis(wait + 1));
    };
    assert!(u128::from(failed - begun) >= 3 * DAY.as_millis());
    assert!((20..40).contains(&attempts), "{attempts}");
    let received = receiver.received();
    for request in &received {
        assert_eq!(
            request.headers["webhook-id"],
            received[0].headers["webhook-id"]
        );
        assert_eq!(request.body, received[0].body);
    }
    let log = logged();
    assert_eq!(log.matches(r#""alarm":"webhook""#).count(), 1, "{log}");
    for kept_back in [PATH, &secret, "ada", receiver::ANSWER] {
        assert!(!log.contains(kept_back), "{kept_back}: {log}");
    }
    // The other receiver is told, and nothing is sent to this one.
    stack.world.jump(DAY);
    stack.deliver().await;
    assert_eq!(receiver.received().len(), attempts);
    assert_eq!(types(&other.received()).pop().unwrap(), "webhook.failed");
    let process = stack.world.process();
    let subscriptions = stack_store(&process);
    assert!(
        subscriptions
            .subscriptions()
            .resume(&named("a"))
            .await
            .unwrap()
    );
    receiver.turn(accepts());
    stack.deliver().await;
    let received = receiver.received().split_off(attempts);
    assert_eq!(numbers(&received), [1, 2, 3]);
    assert_eq!(types(&received).pop().unwrap(), "webhook.failed");
}

#[tokio::test]
async fn a_receiver_that_answers_410_gets_nothing_any_more() {
    let stack = Stack::new().await;
    let receiver = TestReceiver::start([answer("410 Gone"), accepts()]).await;
    let other = TestReceiver::start([accepts()]).await;
    stack.subscribe("a", &receiver).await;
    stack.subscribe("b", &other).await;
    stack.change("ada").await;
    stack.deliver().await;
    assert!(matches!(
        stack.state("a").await,
        SubscriptionState::Disabled { .. }
    ));
    stack.change("bob").await;
    stack.deliver().await;
    assert_eq!(receiver.received().len(), 1);
    let events = other.received();
    let told = "webhook.failed".to_owned();
    assert_eq!(
        types(&events)
            .iter()
            .filter(|event| **event == told)
            .count(),
        1
    );
    assert_eq!(numbers(&events), [1, 2, 3, 4]);
}
