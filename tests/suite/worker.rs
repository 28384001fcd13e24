//! The background work: the reader of the table's stream, the finisher and the sweep.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::dynamodb::{Event, EventRecord};
use scim_lambda::feed::stream::SetAside;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::error::{Error, ErrorKind, Result};
use scim_lambda::store::Meter;
use scim_lambda::worker::{DeliverJob, FinishJob, Outbox, Worker};
use serde_json::{Value, json};

use crate::simulation::{Fault, Process, World, kind, tenant};

/// More members than one transaction takes.
const MANY: usize = 120;

const MINUTE: Duration = Duration::from_secs(60);

/// An outbox that keeps what it is given.
#[derive(Default)]
pub(crate) struct Kept {
    jobs: Mutex<Vec<FinishJob>>,
    pub(crate) deliver_jobs: Mutex<Vec<DeliverJob>>,
    pub(crate) set_aside: Mutex<Vec<SetAside>>,
    pub(crate) is_out_of_reach: AtomicBool,
}

impl Kept {
    /// The jobs that were left since the last call.
    fn take_jobs(&self) -> Vec<FinishJob> {
        std::mem::take(&mut *self.jobs.lock().unwrap())
    }

    /// The tenants whose journals were left to finish since the last call.
    pub(crate) fn take_tenants(&self) -> Vec<String> {
        let jobs = self.take_jobs().into_iter();
        jobs.map(|job| job.tenant.as_str().to_owned()).collect()
    }

    fn reached(&self) -> Result<()> {
        match self.is_out_of_reach.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("The outbox is out of reach")),
            false => Ok(()),
        }
    }
}

impl Outbox for Kept {
    async fn finish_later(&self, jobs: &[FinishJob]) -> Result<()> {
        self.reached()?;
        self.jobs.lock().unwrap().extend_from_slice(jobs);
        Ok(())
    }

    async fn deliver_later(&self, jobs: &[DeliverJob]) -> Result<()> {
        self.reached()?;
        self.deliver_jobs.lock().unwrap().extend_from_slice(jobs);
        Ok(())
    }

    async fn set_aside(&self, records: &[SetAside]) -> Result<()> {
        self.reached()?;
        self.set_aside.lock().unwrap().extend_from_slice(records);
        Ok(())
    }
}

fn worker<'p>(world: &World, process: &'p Process) -> Worker<'p> {
    Worker::new(process.provider.tenants(), world.clock())
}

/// The stream records of putting these items.
fn records(items: &[Value]) -> Vec<EventRecord> {
    let record = |(number, item): (usize, &Value)| {
        json!({
            "eventID": number.to_string(),
            "eventName": "INSERT",
            "awsRegion": "eu-west-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_700_000_000,
                "Keys": {"pk": item["pk"], "sk": item["sk"]},
                "NewImage": item,
                "SequenceNumber": (100 + number).to_string(),
                "SizeBytes": item.to_string().len(),
            },
        })
    };
    let records: Vec<Value> = items.iter().enumerate().map(record).collect();
    let event: Event = serde_json::from_value(json!({"Records": records})).unwrap();
    event.records
}

fn journal_of(name: &str, lease_until: u64) -> Value {
    json!({
        "pk": {"S": format!("T#{name}#J")},
        "sk": {"S": "018e334d4b6c7e0082311cc7d99ca1dd"},
        "kind": {"S": "J"},
        "owner": {"S": "writer"},
        "leaseUntil": {"N": lease_until.to_string()},
    })
}

/// A table with a group whose deletion was begun by a writer that died halfway.
async fn half_deleted() -> World {
    let world = World::new().await;
    let process = world.process();
    let members = process.users("member", MANY).await;
    let group = process.group("Guides", &members).await;
    let writer = world.process();
    writer
        .line
        .plan(|call| (call.operation == "TransactWriteItems").then_some(Fault::KillAfter));
    let deleted = writer.delete("Group", &group).await;
    assert_eq!(kind(deleted), ErrorKind::Unavailable);
    assert_eq!(process.journal_len().await, 1);
    world
}

async fn list_tenants(process: &Process, names: &[String]) {
    let store = process.provider.store();
    let stack = store.for_stack(Meter::default(), Duration::from_secs(60));
    for name in names {
        stack
            .list_tenant(&TenantId::parse(name).unwrap())
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_entry_goes_to_the_finisher_when_its_lease_is_over() {
    let world = World::new().await;
    let process = world.process();
    let kept = Kept::default();
    let now = world.clock().now_millis();
    let records = records(&[
        journal_of("acme", now + 10_000),
        journal_of("umbrella", now - 3_600_000),
        journal_of("acme", now + 25_000),
    ]);
    let failed = worker(&world, &process).stream(&records, &kept).await;
    assert_eq!(failed, None);
    let jobs = kept.take_jobs();
    let waits: Vec<_> = jobs
        .iter()
        .map(|job| (job.tenant.as_str(), job.wait.as_secs()))
        .collect();
    assert_eq!(waits, [("acme", 30), ("umbrella", 5)]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_a_finisher_takes_over_calls_no_second_finisher() {
    let world = half_deleted().await;
    let finisher = world.process();
    finisher
        .line
        .plan(|call| (call.operation == "UpdateItem").then_some(Fault::KillAfter));
    tokio::time::advance(Duration::from_secs(30)).await;
    let failed = worker(&world, &finisher)
        .finish(BTreeSet::from([tenant()]), &Kept::default())
        .await;
    assert_eq!(failed, BTreeSet::from([tenant()]));
    let taken_over = world.records().pop().unwrap();
    assert_eq!(taken_over.event_name, "MODIFY");
    let (process, kept) = (world.process(), Kept::default());
    let reader = worker(&world, &process);
    assert_eq!(reader.stream(&[taken_over], &kept).await, None);
    assert_eq!(kept.take_jobs(), []);
}

#[tokio::test(start_paused = true)]
async fn a_batch_comes_again_from_the_first_entry_that_the_queue_did_not_take() {
    let world = World::new().await;
    let process = world.process();
    let kept = Kept::default();
    kept.is_out_of_reach.store(true, Ordering::SeqCst);
    let other = json!({"pk": {"S": "T#acme#N"}, "sk": {"S": "nested"}, "kind": {"S": "N"}});
    let records = records(&[other, journal_of("acme", 1), journal_of("umbrella", 1)]);
    let reader = worker(&world, &process);
    let failed = reader.stream(&records, &kept).await;
    assert_eq!(failed.as_deref(), Some("101"));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_writer_began_is_finished() {
    let world = half_deleted().await;
    let process = world.process();
    let finisher = worker(&world, &process);
    tokio::time::advance(Duration::from_secs(30)).await;
    let failed = finisher
        .finish(BTreeSet::from([tenant()]), &Kept::default())
        .await;
    assert_eq!(failed, BTreeSet::new());
    assert_eq!(process.journal_len().await, 0);
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_be_finished_keeps_no_other_waiting() {
    let world = half_deleted().await;
    let process = world.process();
    process.line.plan(|call| {
        let is_of_other = call.body.to_string().contains("T#umbrella");
        is_of_other.then_some(Fault::LoseRequest)
    });
    let finisher = worker(&world, &process);
    tokio::time::advance(Duration::from_secs(30)).await;
    let umbrella = TenantId::parse("umbrella").unwrap();
    let both = BTreeSet::from([tenant(), umbrella.clone()]);
    let failed = finisher.finish(both, &Kept::default()).await;
    assert_eq!(failed, BTreeSet::from([umbrella]));
    assert_eq!(process.journal_len().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_sweep_calls_the_finisher_for_entries_whose_stream_record_was_lost() {
    let world = half_deleted().await;
    let process = world.process();
    list_tenants(&process, &["acme".to_owned(), "umbrella".to_owned()]).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    let mut called = Vec::new();
    for minute in 1..=45 {
        tokio::time::advance(MINUTE).await;
        sweep.sweep(&kept).await.unwrap();
        if kept.take_tenants() == ["acme"] {
            called.push(minute);
        }
    }
    assert_eq!(
        called.len(),
        4,
        "after 5, 10, 20 and 40 minutes: {called:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sweep_goes_on_where_the_one_before_it_ended() {
    let world = World::new().await;
    let process = world.process();
    let names: Vec<String> = (0..620).map(|number| format!("t-{number:03}")).collect();
    list_tenants(&process, &names).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    let looked_at = |process: &Process| {
        let seen = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
        let sink = std::sync::Arc::clone(&seen);
        process.line.plan(move |call| {
            let partition = call.body["ExpressionAttributeValues"][":pk"]["S"].as_str();
            let journal = partition.and_then(|pk| pk.strip_prefix("T#")?.strip_suffix("#J"));
            sink.lock().unwrap().extend(journal.map(str::to_owned));
            None
        });
        seen
    };
    let first = looked_at(&process);
    sweep.sweep(&kept).await.unwrap();
    let second = looked_at(&process);
    sweep.sweep(&kept).await.unwrap();
    let (first, second) = (first.lock().unwrap(), second.lock().unwrap());
    assert_eq!((first.len(), second.len()), (500, 120));
    assert!(first.is_disjoint(&second));
}

#[tokio::test(start_paused = true)]
async fn a_round_that_cannot_begin_is_begun_by_the_next_sweep_as_if_it_had_not_failed() {
    let world = half_deleted().await;
    let process = world.process();
    list_tenants(&process, &["acme".to_owned()]).await;
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    tokio::time::advance(4 * MINUTE).await;
    sweep.sweep(&kept).await.unwrap();
    assert_eq!(kept.take_tenants(), [""; 0]);
    // The entry becomes due before a round that cannot read the list of tenants.
    tokio::time::advance(MINUTE + MINUTE / 2).await;
    process.line.plan(|call| {
        let is_list = call.body["ExpressionAttributeValues"][":pk"]["S"] == "S#T";
        is_list.then_some(Fault::LoseRequest)
    });
    assert_eq!(kind(sweep.sweep(&kept).await), ErrorKind::Unavailable);
    process.line.plan(|_| None);
    tokio::time::advance(MINUTE).await;
    sweep.sweep(&kept).await.unwrap();
    assert_eq!(kept.take_tenants(), ["acme"]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_cannot_be_looked_at_keeps_no_other_from_the_finisher() {
    let world = half_deleted().await;
    let process = world.process();
    list_tenants(&process, &["aaa".to_owned(), "acme".to_owned()]).await;
    process.line.plan(|call| {
        let is_of_first = call.body.to_string().contains("T#aaa");
        is_of_first.then_some(Fault::LoseRequest)
    });
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    tokio::time::advance(5 * MINUTE).await;
    assert_eq!(kind(sweep.sweep(&kept).await), ErrorKind::Unavailable);
    assert_eq!(kept.take_tenants(), ["acme"]);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_dies_anywhere_loses_nothing() {
    for fault in [Fault::Kill, Fault::KillAfter] {
        for number in 0.. {
            let world = half_deleted().await;
            list_tenants(&world.process(), &["acme".to_owned()]).await;
            tokio::time::advance(5 * MINUTE).await;
            let (dying, kept) = (world.process(), Kept::default());
            dying
                .line
                .plan(move |call| (call.number == number).then_some(fault));
            let swept = worker(&world, &dying).sweep(&kept).await;
            tokio::time::advance(MINUTE).await;
            let next = world.process();
            worker(&world, &next).sweep(&kept).await.unwrap();
            assert!(kept.take_tenants().contains(&"acme".to_owned()), "{number}");
            let is_there = |kind: &str| {
                let items = world.items();
                items.iter().any(|item| item["kind"]["S"] == kind)
            };
            assert!(is_there("H") && is_there("HW"), "{number}");
            if swept.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_sweep_keeps_the_newest_page_of_a_feed_without_changes() {
    let world = World::new().await;
    let process = world.process();
    process.user("ada").await;
    let (worker, kept) = (worker(&world, &process), Kept::default());
    assert_eq!(worker.stream(&world.records(), &kept).await, None);
    let pages = || {
        let items = world.items().into_iter();
        items.filter(|item| item["kind"]["S"] == "E").count()
    };
    let mut found = vec![pages()];
    for _ in 0..4 * 30 {
        world.jump(Duration::from_secs(6 * 60 * 60));
        worker.sweep(&kept).await.unwrap();
        found.push(pages());
    }
    // Pages are kept for 30 days. A day before the newest one expires, the sweep puts another one behind it.
    assert_eq!((found[4 * 28], found[4 * 30]), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_is_written_every_quarter_of_an_hour() {
    let world = World::new().await;
    let process = world.process();
    let (sweep, kept) = (worker(&world, &process), Kept::default());
    let mut beats = BTreeSet::new();
    for _ in 0..60 {
        sweep.sweep(&kept).await.unwrap();
        tokio::time::advance(MINUTE).await;
        let items = world.items();
        let beat = items.iter().find(|item| item["kind"]["S"] == "H").unwrap();
        beats.insert(beat["at"]["N"].as_str().unwrap().to_owned());
    }
    assert_eq!(beats.len(), 4);
}

#[test]
fn the_sample_event_names_its_tenant_and_lease() {
    let sample = include_str!("../../events/stream-journal-entry.json");
    let event: Event = serde_json::from_str(sample).unwrap();
    let record = scim_lambda::store::JournalRecord::read(&event.records[0].change).unwrap();
    assert_eq!(record.tenant.as_str(), "acme");
    assert_eq!(record.lease_until, Some(1_710_270_263_000));
}
