//! The feed from the table's stream to its readers.

use scim_lambda::feed::Event;
use scim_lambda::feed::append::Appender;
use scim_lambda::feed::read::{self, After, Limits, Part, ReadError};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream;
use scim_lambda::store::{Meter, TenantStore};
use serde_json::{Value, json};

use crate::simulation::{self, Process, World, add};

const ALL: Limits = Limits {
    events: 10_000,
    bytes: 100_000_000,
};

/// The stream function: one process that appends what the records say.
struct Function {
    process: Process,
    world: std::sync::Arc<World>,
}

impl Function {
    fn new(world: &std::sync::Arc<World>) -> Self {
        Self {
            process: world.process(),
            world: std::sync::Arc::clone(world),
        }
    }

    fn appender(&self) -> Appender<'_> {
        let provider = &self.process.provider;
        Appender::new(provider.store(), provider.tenants(), self.world.clock())
    }
}

fn records(world: &World) -> Vec<Record> {
    world.records().iter().map(Record::read).collect()
}

fn store(process: &Process) -> TenantStore {
    let budget = std::time::Duration::from_secs(10);
    let store = process.provider.store();
    let cause = process.cause.clone();
    store.for_tenant(&simulation::tenant(), cause, Meter::default(), budget)
}

async fn read(process: &Process, after: &After, limits: Limits) -> Result<Part, ReadError> {
    let tenant = simulation::tenant();
    read::read(&tenant, &store(process), after, limits, |_| true, None).await
}

async fn everything(process: &Process) -> Vec<Event> {
    let part = read(process, &After::Beginning, ALL).await.unwrap();
    assert_eq!(part.behind, 0);
    part.events
}

fn types(events: &[Event]) -> Vec<&str> {
    let types = events.iter().map(|event| event.body.event_type.as_str());
    types.collect()
}

#[tokio::test(start_paused = true)]
async fn changes_become_events_in_order() {
    let world = std::sync::Arc::new(World::new().await);
    let process = world.process();
    let ada = process.user("ada").await;
    let set = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    process
        .patch("User", &ada, set("title", json!("Countess")))
        .await
        .unwrap();
    process
        .patch("User", &ada, set("active", json!(false)))
        .await
        .unwrap();
    process
        .patch("User", &ada, set("active", json!(true)))
        .await
        .unwrap();
    process
        .patch("User", &ada, set("userName", json!("lovelace")))
        .await
        .unwrap();
    let guides = process.group("Guides", &[]).await;
    process
        .patch("Group", &guides, add(&[ada.clone()]))
        .await
        .unwrap();
    process.delete("User", &ada).await.unwrap();
    let function = Function::new(&world);
    let handled = stream::handle(&function.appender(), &records(&world), None).await;
    assert_eq!(handled.appended, [simulation::tenant()]);
    assert_eq!((handled.failed_from, handled.set_aside), (None, Vec::new()));
    let events = everything(&process).await;
    let expected = [
        "feed.started",
        "user.created",
        "user.updated",
        "user.deactivated",
        "user.activated",
        "user.renamed",
        "group.created",
        "group.member.removed",
        "user.deleted",
        "group.member.removed",
    ];
    assert_eq!(types(&events), expected);
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    for event in &events {
        println!("{}", event.to_json());
    }
}
