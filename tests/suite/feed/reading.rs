//! Reads from any position, in parts of any size; and positions that are refused.

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::feed::read::{After, Gone, Limits};
use scim_lambda::store::Cost;

use super::{ALL, Instance, everything, follow, gone, ids, read, records, store};
use crate::simulation::{self, Process, World};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A feed of this number of pages of two events each, after a first one of three.
async fn pages(number: usize) -> (Arc<World>, Process) {
    let world = Arc::new(World::new().await);
    let process = world.process();
    let instance = Instance::new(&world);
    let appender = instance.appender();
    for page in 0..number {
        process.users(&format!("page-{page}"), 2).await;
        scim_lambda::feed::stream::handle(&appender, &records(&world), None).await;
    }
    (world, process)
}

fn at_most(events: usize) -> Limits {
    Limits { events, ..ALL }
}

#[tokio::test(start_paused = true)]
async fn parts_of_any_size_make_up_the_whole_feed() {
    let (_world, process) = pages(4).await;
    let whole = everything(&process).await;
    assert_eq!(whole.len(), 9);
    for limits in [
        at_most(1),
        at_most(2),
        at_most(4),
        Limits { bytes: 1, ..ALL },
        Limits { bytes: 900, ..ALL },
    ] {
        let (mut after, mut seen) = (After::Beginning, Vec::new());
        loop {
            let part = read(&process, &after, limits).await.unwrap();
            assert!(part.events.len() <= limits.events);
            seen.extend(part.events);
            assert_eq!(part.behind, (whole.len() - seen.len()) as u64);
            // Readers get a position as text.
            after = After::parse(&part.next.to_string()).unwrap();
            if part.behind == 0 {
                break;
            }
        }
        assert_eq!(ids(&seen), ids(&whole), "{limits:?}");
        let rest = read(&process, &after, limits).await.unwrap();
        assert_eq!((rest.events.len(), rest.next), (0, after));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_may_begin_with_the_next_event() {
    let (world, process) = pages(2).await;
    let part = read(&process, &After::Now, ALL).await.unwrap();
    assert_eq!((part.events.len(), part.behind), (0, 0));
    process.user("ada").await;
    follow(&world).await;
    let part = read(&process, &part.next, ALL).await.unwrap();
    assert_eq!(part.events[0].seq, 6);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_few_types_passes_over_the_others() {
    let (world, process) = pages(3).await;
    process.group("Guides", &[]).await;
    follow(&world).await;
    let tenant = simulation::tenant();
    let only_groups =
        |found: &scim_lambda::feed::EventBody| found.event_type.as_str().starts_with("group.");
    let store = store(&process);
    let (mut after, mut seen) = (After::Beginning, Vec::new());
    for _ in 0..4 {
        let part = read::read(&tenant, &store, &after, at_most(1), only_groups, None).await;
        let part = part.unwrap();
        seen.extend(part.events);
        // A part without events has a new position too.
        assert_ne!(part.next, after);
        after = part.next;
        if part.behind == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_takes_one_call_at_the_newest_page_and_two_elsewhere() {
    let (_world, process) = pages(3).await;
    let cost = async |after: &After| -> Cost {
        let store = store(&process);
        let tenant = simulation::tenant();
        let part = read::read(&tenant, &store, after, ALL, |_| true, None).await;
        part.unwrap();
        store.meter().cost()
    };
    let first = read(&process, &After::Beginning, at_most(1))
        .await
        .unwrap()
        .next;
    let newest = read(&process, &After::Now, ALL).await.unwrap().next;
    assert_eq!(cost(&first).await.calls, 2);
    assert_eq!(cost(&After::Beginning).await.calls, 2);
    let idle = cost(&newest).await;
    assert_eq!(idle.calls, 1);
    assert!(idle.read_units <= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_has_not_begun_is_read_from_its_beginning() {
    let world = Arc::new(World::new().await);
    let process = world.process();
    for after in [After::Beginning, After::Now] {
        let part = read(&process, &after, ALL).await.unwrap();
        assert_eq!(
            (part.events, part.next, part.behind),
            (Vec::new(), After::Beginning, 0)
        );
    }
    let position = After::parse("018bcfe5680089abcdef.1.0.000000").unwrap();
    assert_eq!(gone(&process, &position).await, Gone::OtherEpoch);
}

#[tokio::test(start_paused = true)]
async fn positions_that_are_not_in_the_feed_are_refused() {
    let (_world, process) = pages(2).await;
    let newest = read(&process, &After::Now, ALL)
        .await
        .unwrap()
        .next
        .to_string();
    let parts: Vec<&str> = newest.split('.').collect();
    let [epoch, _, _, mark] = parts[..] else {
        panic!("{newest}")
    };
    for place in [
        format!("{epoch}.4.3.{mark}"),
        format!("{epoch}.4.0.000000"),
        format!("{epoch}.6.0.{mark}"),
        format!("{epoch}.{max}.{max}.{mark}", max = u64::MAX),
        format!("{epoch}.1.4.{mark}"),
    ] {
        let after = After::parse(&place).unwrap();
        assert_eq!(gone(&process, &after).await, Gone::NoSuchPlace, "{place}");
    }
    let inside = After::parse(&format!("{epoch}.2.0.{mark}")).unwrap();
    assert_eq!(gone(&process, &inside).await, Gone::Expired);
}

/// A table that was copied, as from a backup, continues apart from the first one: its feed has other pages
/// under the same keys.
#[tokio::test(start_paused = true)]
async fn a_position_of_another_copy_of_the_table_is_refused() {
    let (world, process) = pages(1).await;
    let copy = Arc::new(world.copy());
    let old = read(&process, &After::Now, ALL).await.unwrap().next;
    process.user("ada").await;
    follow(&world).await;
    let new = read(&process, &After::Now, ALL).await.unwrap().next;
    let restored = copy.process();
    assert_eq!(gone(&restored, &new).await, Gone::NoSuchPlace);
    restored.user("grace").await;
    follow(&copy).await;
    assert_eq!(gone(&restored, &new).await, Gone::NoSuchPlace);
    assert_eq!(read(&restored, &old, ALL).await.unwrap().events.len(), 1);
}

/// The copy has no page under the key of the position, but one that begins with the number behind it.
#[tokio::test(start_paused = true)]
async fn a_position_between_the_pages_of_another_copy_of_the_table_is_refused() {
    let (world, process) = pages(1).await;
    let copy = Arc::new(world.copy());
    let instance = Instance::new(&world);
    for name in ["ada", "grace", "alan"] {
        process.user(name).await;
        instance.handle(&records(&world)).await;
    }
    let begin = read(&process, &After::Beginning, at_most(5)).await.unwrap();
    let position = begin.next;
    assert!(position.to_string().contains(".5.1."), "{position}");
    let restored = copy.process();
    restored.users("bulk", 2).await;
    follow(&copy).await;
    restored.user("late").await;
    follow(&copy).await;
    let last = read(&restored, &After::Now, ALL).await.unwrap().next;
    assert!(last.to_string().contains(".6.1."), "{last}");
    assert_eq!(gone(&restored, &position).await, Gone::NoSuchPlace);
    assert_eq!(
        read(&process, &position, ALL).await.unwrap().events.len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_away_for_longer_than_events_are_kept_is_refused() {
    let (world, process) = pages(2).await;
    let first = read(&process, &After::Beginning, at_most(1))
        .await
        .unwrap()
        .next;
    let all = read(&process, &After::Now, ALL).await.unwrap().next;
    world.jump(31 * DAY);
    process.user("ada").await;
    // The pages are expired and still in the table.
    follow(&world).await;
    assert_eq!(gone(&process, &first).await, Gone::Expired);
    // This reader has missed nothing.
    assert_eq!(read(&process, &all, ALL).await.unwrap().events.len(), 1);
    let whole = read(&process, &After::Beginning, ALL).await.unwrap();
    assert_eq!(
        whole
            .events
            .iter()
            .map(|event| event.seq)
            .collect::<Vec<_>>(),
        [6]
    );
    // Now the table has removed them.
    for item in world.items() {
        if item["pk"]["S"] == "T#acme#E"
            && item["last"]["N"].as_str().is_some_and(|last| last < "6")
        {
            let key = serde_json::json!({"pk": item["pk"], "sk": item["sk"]});
            world.tamper(
                "DeleteItem",
                &serde_json::json!({"TableName": "scim", "Key": key}),
            );
        }
    }
    assert_eq!(gone(&process, &first).await, Gone::Expired);
    assert_eq!(read(&process, &all, ALL).await.unwrap().events.len(), 1);
    assert_eq!(
        read(&process, &After::Beginning, ALL)
            .await
            .unwrap()
            .events
            .len(),
        1
    );
}

/// Expired pages stay in the table for days, and there may be more of them than one call reads.
#[tokio::test(start_paused = true)]
async fn the_oldest_event_is_found_behind_many_expired_pages() {
    let (world, process) = pages(12).await;
    world.jump(31 * DAY);
    process.users("late", 2).await;
    follow(&world).await;
    let part = read(&process, &After::Beginning, at_most(1)).await.unwrap();
    assert_eq!((part.events[0].seq, part.behind), (26, 1));
}

#[tokio::test(start_paused = true)]
async fn fewer_days_never_make_a_page_expire_before_the_pages_before_it() {
    let (world, process) = pages(1).await;
    world.set_rules(|rules| rules.switches.event_days = 2).await;
    process.user("ada").await;
    follow(&world).await;
    world.jump(3 * DAY);
    assert_eq!(everything(&process).await.len(), 4);
    world.jump(28 * DAY);
    let part = read(&process, &After::Beginning, ALL).await.unwrap();
    assert_eq!((part.events.len(), part.behind), (0, 0));
}
