//! Deliveries, from the feed to a receiver that keeps what it gets: on the embedded table, with processes that
//! die, and in simulated time.

mod bad_days;
mod everyday;
mod jobs;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scim_lambda::delivery::{Failure, Message, Outcome, Sender};
use scim_lambda::feed::append::{Appender, Source, Tail};
use scim_lambda::feed::stream::SetAside;
use scim_lambda::feed::{AccessChange, EventBody, EventType, NewEvent};
use scim_lambda::identity::{SubscriptionId, TenantId};
use scim_lambda::protocol::error::{Error, Result};
use scim_lambda::store::{Delivery, Due, Meter, StackStore, Subscription, TenantStore};
use scim_lambda::worker::{DeliverJob, FinishJob, Outbox, Worker};
use serde_json::Value;

use crate::simulation::{Process, World};
use crate::support::{cause, webhook};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One attempt, as a receiver has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    subscription: String,
    tenant: String,
    id: String,
    body: String,
    /// In milliseconds since the Unix epoch.
    at: u64,
    is_accepted: bool,
}

impl Attempt {
    fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["data"]["events"].as_array().unwrap().clone()
    }

    fn numbers(&self) -> Vec<u64> {
        let events = self.events();
        events
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect()
    }

    fn types(&self) -> Vec<String> {
        let events = self.events();
        let types = events
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned());
        types.collect()
    }
}

/// What a receiver does with a message.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Accept,
    /// Accepts it after this time.
    AcceptAfter(Duration),
    Fail,
    Gone,
    /// Never answers.
    Hang,
}

/// Decides what happens to a message.
type Plan = Box<dyn FnMut(&Attempt) -> Answer + Send>;

/// All receivers: they keep what they get.
struct Receivers {
    world: Arc<World>,
    attempts: Mutex<Vec<Attempt>>,
    answer: Mutex<Plan>,
    /// The subscriptions that are being sent to.
    busy: Mutex<BTreeSet<(String, String)>>,
}

impl Receivers {
    fn new(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
            attempts: Mutex::default(),
            answer: Mutex::new(Box::new(|_| Answer::Accept)),
            busy: Mutex::default(),
        }
    }

    /// Decides from now on what happens to each message.
    fn answer(&self, answer: impl FnMut(&Attempt) -> Answer + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    /// The attempts since the last call.
    fn take(&self) -> Vec<Attempt> {
        std::mem::take(&mut *self.attempts.lock().unwrap())
    }

    fn all(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().clone()
    }
}

impl Sender for Receivers {
    async fn send(&self, message: &Message<'_>) -> Outcome {
        let mut attempt = Attempt {
            subscription: message.subscription.id.as_str().to_owned(),
            tenant: message.tenant.as_str().to_owned(),
            id: message.id.to_owned(),
            body: String::from_utf8(message.body.to_vec()).unwrap(),
            at: self.world.clock().now_millis(),
            is_accepted: false,
        };
        let answer = (self.answer.lock().unwrap())(&attempt);
        attempt.is_accepted = matches!(answer, Answer::Accept | Answer::AcceptAfter(_));
        let whose = (attempt.subscription.clone(), attempt.tenant.clone());
        self.attempts.lock().unwrap().push(attempt);
        assert!(
            self.busy.lock().unwrap().insert(whose.clone()),
            "two senders at once"
        );
        match answer {
            Answer::AcceptAfter(time) => tokio::time::sleep(time).await,
            Answer::Hang => tokio::time::sleep(10 * SECOND).await,
            Answer::Accept | Answer::Fail | Answer::Gone => {}
        }
        self.busy.lock().unwrap().remove(&whose);
        match answer {
            Answer::Accept | Answer::AcceptAfter(_) => Outcome::Accepted,
            Answer::Gone => Outcome::Gone,
            Answer::Fail => Outcome::Failed(Failure {
                code: "status".to_owned(),
                text: "The receiver answered with status 500".to_owned(),
            }),
            Answer::Hang => Outcome::Failed(Failure::timeout(10 * SECOND)),
        }
    }
}

/// Jobs that were left, by the time at which they are to be done.
#[derive(Default)]
struct Jobs {
    left: Mutex<Vec<DeliverJob>>,
    is_out_of_reach: AtomicBool,
}

impl Jobs {
    fn take(&self) -> Vec<DeliverJob> {
        std::mem::take(&mut *self.left.lock().unwrap())
    }
}

impl Outbox for Jobs {
    async fn finish_later(&self, _: &[FinishJob]) -> Result<()> {
        Ok(())
    }

    async fn deliver_later(&self, jobs: &[DeliverJob]) -> Result<()> {
        if self.is_out_of_reach.load(Ordering::SeqCst) {
            return Err(Error::unavailable("The outbox is out of reach"));
        }
        self.left.lock().unwrap().extend_from_slice(jobs);
        Ok(())
    }

    async fn set_aside(&self, _: &[SetAside]) -> Result<()> {
        Ok(())
    }
}

/// A stack with receivers, and a process that appends to feeds and looks at the table.
struct Field {
    world: Arc<World>,
    process: Process,
    receivers: Receivers,
    jobs: Jobs,
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

impl Field {
    async fn new() -> Self {
        let world = Arc::new(World::new().await);
        Self {
            process: world.process(),
            receivers: Receivers::new(&world),
            jobs: Jobs::default(),
            world,
        }
    }

    fn now(&self) -> u64 {
        self.world.clock().now_millis()
    }

    fn stack(&self) -> StackStore {
        let store = self.process.provider.store();
        store.for_stack(Meter::default(), HOUR)
    }

    fn store(&self, tenant: &TenantId) -> TenantStore {
        let store = self.process.provider.store();
        store.for_tenant(tenant, cause(), Meter::default(), HOUR)
    }

    /// A webhook that gets all events of `acme` from the beginning, unless it is changed.
    async fn subscribe(&self, id: &str, change: impl FnOnce(&mut Subscription)) -> SubscriptionId {
        let id = SubscriptionId::parse(id).unwrap();
        let mut subscription = Subscription {
            id: id.clone(),
            tenant: Some(acme()),
            created: self.now(),
            ..webhook(&format!("https://{id}.example.com/"))
        };
        change(&mut subscription);
        self.stack()
            .subscriptions()
            .add(&subscription)
            .await
            .unwrap();
        id
    }

    /// Appends events of this type to a tenant's feed, in one append.
    async fn append_to(&self, tenant: &TenantId, name: &str, count: usize) {
        self.append_changes(tenant, name, count, None).await;
    }

    async fn append(&self, count: usize) {
        self.append_to(&acme(), "user.updated", count).await;
    }

    async fn append_changes(
        &self,
        tenant: &TenantId,
        name: &str,
        count: usize,
        access: Option<AccessChange>,
    ) {
        let provider = &self.process.provider;
        let appender = Appender::new(provider.store(), provider.tenants(), self.world.clock());
        let time = self.now();
        let events = (0..count).map(|_| NewEvent {
            id: format!("{:032x}", fastrand::u128(..)),
            body: EventBody::new(EventType::named(name), time),
            access,
        });
        let source = Changes(events.collect());
        appender.append(tenant, &source).await.unwrap();
    }

    /// One job for a tenant, in a process. Whether it was done.
    async fn job_in(&self, process: &Process, tenant: &TenantId) -> bool {
        let worker = Worker::new(process.provider.tenants(), self.world.clock());
        let tenants = BTreeSet::from([tenant.clone()]);
        let failed = worker.deliver(tenants, &self.receivers, &self.jobs).await;
        failed.is_empty()
    }

    async fn job(&self) {
        assert!(self.job_in(&self.process, &acme()).await);
    }

    /// Does every job that was left, and everything that is due, until nothing is left for this moment.
    async fn settle(&self) {
        for _ in 0..1_000 {
            let mut tenants: BTreeSet<TenantId> = BTreeSet::new();
            for job in self.jobs.take() {
                match job.wait < SECOND {
                    true => {
                        tenants.insert(job.tenant);
                    }
                    false => self.jobs.left.lock().unwrap().push(DeliverJob {
                        wait: Duration::from_secs(1),
                        ..job
                    }),
                }
            }
            let due = self.stack().due().until(self.now(), 100).await.unwrap();
            tenants.extend(due.iter().filter_map(|due| due.tenant.clone()));
            if tenants.is_empty() {
                return;
            }
            for tenant in tenants {
                assert!(self.job_in(&self.process, &tenant).await);
            }
            self.stack().due().remove(&due).await.unwrap();
        }
        panic!("there is always something left");
    }

    /// Lets time pass, and then does what is due.
    async fn pass(&self, time: Duration) {
        self.world.jump(time);
        // Jobs with a wait come within a minute.
        for job in &mut *self.jobs.left.lock().unwrap() {
            job.wait = job.wait.saturating_sub(time);
        }
        self.settle().await;
    }

    /// Lets as much time pass as a delivery waits for, at least a minute, until nothing is due any more or the
    /// time is over.
    async fn pass_step_by_step(&self, time: Duration) {
        let end = self.now() + u64::try_from(time.as_millis()).unwrap();
        while self.now() < end {
            let next = self.next_due().await;
            let now = self.now();
            let next = next.map_or(end, |due| (due.at * 1000).clamp(now + 1_000, end));
            self.pass(Duration::from_millis(next - now)).await;
        }
    }

    async fn next_due(&self) -> Option<Due> {
        let all = self.stack().due().until(u64::MAX / 2, 100).await.unwrap();
        all.into_iter().next()
    }

    async fn delivery(&self, id: &SubscriptionId) -> Option<Delivery> {
        self.store(&acme()).deliveries().get(id).await.unwrap()
    }

    /// The numbers of the events that a subscription has accepted, each for the first time.
    fn accepted(&self, id: &SubscriptionId) -> Vec<u64> {
        let mut numbers = Vec::new();
        for attempt in self.receivers.all() {
            if attempt.is_accepted && attempt.subscription == id.as_str() {
                let known = numbers.clone();
                numbers.extend(
                    attempt
                        .numbers()
                        .into_iter()
                        .filter(|seq| !known.contains(seq)),
                );
            }
        }
        numbers
    }

    /// Asserts that the same id always had the same bytes, and other events another id.
    fn assert_same_bytes(&self) {
        let mut bodies = BTreeMap::<String, Attempt>::new();
        for attempt in self.receivers.all() {
            let known = bodies
                .entry(attempt.id.clone())
                .or_insert_with(|| attempt.clone());
            assert_eq!(known.body, attempt.body, "{}", attempt.id);
            assert_eq!(known.subscription, attempt.subscription);
        }
    }
}

/// The source of some events.
struct Changes(Vec<NewEvent>);

impl Source for Changes {
    fn ids(&self) -> Vec<&str> {
        self.0.iter().map(|event| event.id.as_str()).collect()
    }

    fn oldest(&self) -> Option<u64> {
        None
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        let new = self.0.iter().filter(|event| !tail.has(&event.id));
        Ok(new.cloned().collect())
    }
}

fn numbers(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}
