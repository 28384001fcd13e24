//! How far back an append looks for its records, and what it remembers.

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream::{self, Handled};

use super::appending::event_ids;
use super::{Instance, newest};
use crate::simulation::World;

/// A record of a change that was made this many minutes after the world began.
fn made(record: &Record, id: &str, minute: u64) -> Record {
    Record {
        id: id.to_owned(),
        time: record.time + minute * 60_000,
        ..record.clone()
    }
}

/// A feed with a page in each of 30 minutes, whose events have the ids `0` to `29`; and a record.
async fn minutes() -> (Arc<World>, Record) {
    let world = Arc::new(World::new().await);
    world.process().user("ada").await;
    let record = newest(&world);
    let instance = Instance::new(&world);
    let appender = instance.appender();
    for minute in 0..30 {
        let record = made(&record, &minute.to_string(), minute);
        stream::handle(&appender, &[record], None).await;
        world.jump(Duration::from_secs(60));
    }
    (world, record)
}

#[tokio::test(start_paused = true)]
async fn the_tail_is_read_as_far_back_as_a_record_may_be() {
    let (world, record) = minutes().await;
    for (minute, calls) in [(29, 1), (28, 1), (20, 2), (0, 2)] {
        let instance = Instance::new(&world);
        let appender = instance.appender();
        let again = made(&record, &minute.to_string(), minute);
        let handled = stream::handle(&appender, std::slice::from_ref(&again), None).await;
        assert_eq!(handled, Handled::default(), "{minute}");
        assert_eq!(appender.cost().calls, calls, "{minute}");
        // The pages that were read are remembered, so only the newest one is read again.
        stream::handle(&appender, &[again], None).await;
        assert_eq!(appender.cost().calls, calls + 1, "{minute}");
    }
}

/// The clock of a function may be some time behind that of the stream.
#[tokio::test(start_paused = true)]
async fn a_page_that_seems_older_than_its_record_still_counts() {
    let (world, record) = minutes().await;
    for (ahead, is_known) in [(1, true), (2, true), (40, false)] {
        let again = made(&record, "28", 28 + ahead);
        let handled = Instance::new(&world).handle(&[again]).await;
        assert_eq!(handled.appended.is_empty(), is_known, "{ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_process_remembers_is_no_older_than_what_others_have_put() {
    let (world, record) = minutes().await;
    let (one, two) = (Instance::new(&world), Instance::new(&world));
    let (first, second) = (one.appender(), two.appender());
    for round in 0..6 {
        let at = |name: &str| made(&record, &format!("{name}-{round}"), 30);
        stream::handle(&first, &[at("a"), at("b")], None).await;
        let handled = stream::handle(&second, &[at("a"), at("c")], None).await;
        assert_eq!(handled.appended.len(), 1);
        let handled = stream::handle(&first, &[at("c")], None).await;
        assert_eq!(handled, Handled::default());
    }
    assert_eq!(event_ids(&world).await.len(), 30 + 3 * 6);
}
