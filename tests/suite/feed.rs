//! The feed from the table's stream to its readers.

mod appending;
mod events;
mod keeping;
mod reading;
mod removals;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::feed::Event;
use scim_lambda::feed::append::Appender;
use scim_lambda::feed::read::{self, After, Gone, Limits, Part, ReadError};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream::{self, Handled};
use scim_lambda::store::{ItemChange, Meter, StreamGap, TenantStore};

use crate::simulation::{self, Process, World};

/// Limits that no feed of these tests reaches.
const ALL: Limits = Limits {
    events: 10_000,
    bytes: 100_000_000,
};

/// One instance of the stream function.
struct Instance {
    process: Process,
    world: Arc<World>,
}

impl Instance {
    fn new(world: &Arc<World>) -> Self {
        Self {
            process: world.process(),
            world: Arc::clone(world),
        }
    }

    fn appender(&self) -> Appender<'_> {
        let provider = &self.process.provider;
        Appender::new(provider.store(), provider.tenants(), self.world.clock())
    }

    async fn handle(&self, records: &[Record]) -> Handled {
        stream::handle(&self.appender(), records, None).await
    }
}

/// Appends everything that the stream has, by an instance of its own.
pub(crate) async fn follow(world: &Arc<World>) -> Handled {
    Instance::new(world).handle(&records(world)).await
}

fn records(world: &World) -> Vec<Record> {
    world.records().iter().map(Record::read).collect()
}

/// The newest record of a resource.
fn newest(world: &World) -> Record {
    let mut records = records(world).into_iter().rev();
    let is_resource = |record: &Record| matches!(record.change, ItemChange::Resource(_));
    records.find(is_resource).unwrap()
}

fn store(process: &Process) -> TenantStore {
    let (budget, cause) = (Duration::from_secs(10), process.cause.clone());
    let store = process.provider.store();
    store.for_tenant(&simulation::tenant(), cause, Meter::default(), budget)
}

async fn read(process: &Process, after: &After, limits: Limits) -> Result<Part, ReadError> {
    let tenant = simulation::tenant();
    read::read(&tenant, &store(process), after, limits, |_| true, None).await
}

async fn gone(process: &Process, after: &After) -> Gone {
    match read(process, after, ALL).await {
        Err(ReadError::Gone(gone)) => gone,
        other => panic!("{other:?}"),
    }
}

/// Every event of the feed, in one part.
pub(crate) async fn everything(process: &Process) -> Vec<Event> {
    let part = read(process, &After::Beginning, ALL).await.unwrap();
    assert_eq!(part.behind, 0);
    for (event, seq) in part.events.iter().zip(1..) {
        assert_eq!(event.seq, seq);
    }
    part.events
}

pub(crate) fn types(events: &[Event]) -> Vec<&str> {
    let types = events.iter().map(|event| event.body.event_type.as_str());
    types.collect()
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}
