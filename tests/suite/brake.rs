//! The brake: from the requests that deactivate users to what readers of the feed get, in simulated time.

use std::sync::Arc;
use std::time::Duration;

use scim_lambda::feed::append::Appender;
use scim_lambda::feed::brake::{self, BrakeStatus};
use scim_lambda::feed::read::{self, After, Limits, Part};
use scim_lambda::feed::record::Record;
use scim_lambda::feed::stream;
use scim_lambda::protocol::profile::{Brake, EventValues, Switches};
use scim_lambda::protocol::schema::Registry;
use scim_lambda::store::{Epoch, FeedHead, FeedState, Meter, TenantStore};
use serde_json::json;

use crate::simulation::{self, Fault, Process, World};

const ALL: Limits = Limits {
    events: 10_000,
    bytes: 100_000_000,
};
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A tenant with these switches, whose feed is appended to in steps.
struct Company {
    world: Arc<World>,
    process: Process,
    switches: Switches,
    handled: usize,
}

impl Company {
    async fn new(change: impl Fn(&mut Switches)) -> Self {
        let world = Arc::new(World::new().await);
        world.set_rules(|rules| change(&mut rules.switches)).await;
        let mut switches = Switches::default();
        change(&mut switches);
        let company = Self {
            process: world.process(),
            world,
            switches,
            handled: 0,
        };
        let now = company.world.clock().now_millis();
        let head = FeedHead {
            state: FeedState::Live,
            generation: 1,
            since: now,
            epoch: Epoch::after(None, now),
            is_complete: true,
            stream: None,
            released: None,
            purged: None,
        };
        assert!(company.store().feed().put_head(None, &head).await.unwrap());
        company
    }

    async fn users(&self, prefix: &str, number: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for index in 0..number {
            ids.push(self.process.user(&format!("{prefix}{index}")).await);
        }
        ids
    }

    async fn deactivate(&self, ids: &[String]) {
        let change = json!([{"op": "replace", "path": "active", "value": false}]);
        for id in ids {
            let patched = self.process.patch("User", id, change.clone()).await;
            patched.unwrap();
        }
    }

    /// Appends what the stream has brought since the last time, in batches of 10 records.
    async fn append(&mut self) {
        let records: Vec<_> = self.world.records().iter().map(Record::read).collect();
        let provider = &self.process.provider;
        let appender = Appender::new(provider.store(), provider.tenants(), self.world.clock());
        let new = records[self.handled..].iter();
        let new: Vec<_> = new
            .filter(|record| record.tenant().is_some())
            .cloned()
            .collect();
        for batch in new.chunks(10) {
            let handled = stream::handle(&appender, batch, None).await;
            assert_eq!(handled.failed_from, None);
        }
        self.handled = records.len();
    }

    fn store(&self) -> TenantStore {
        Self::store_of(&self.process)
    }

    fn store_of(process: &Process) -> TenantStore {
        let store = process.provider.store();
        let (cause, meter) = (process.cause.clone(), Meter::default());
        store.for_tenant(&simulation::tenant(), cause, meter, HOUR)
    }

    /// Everything behind a position that a reader gets.
    async fn read(&self, after: &After) -> Part {
        let (tenant, store) = (simulation::tenant(), self.store());
        let switches = Some(&self.switches);
        let part = read::read(&tenant, &store, after, ALL, |_| true, switches);
        part.await.unwrap()
    }

    async fn status(&self) -> BrakeStatus {
        let (store, types) = (self.store(), Registry::builtin());
        let status = brake::status(&store, &self.switches, types);
        status.await.unwrap()
    }

    /// Whether there was something to release.
    async fn release(&self) -> bool {
        let released = brake::release(&self.store(), &self.switches).await;
        released.unwrap()
    }

    async fn head(&self) -> FeedHead {
        let (head, _) = self.store().feed().tail(0).await.unwrap();
        head.unwrap()
    }
}

fn types(part: &Part) -> Vec<&str> {
    let types = part.events.iter();
    types.map(|event| event.body.event_type.as_str()).collect()
}

fn count(part: &Part, event_type: &str) -> usize {
    let types = types(part).into_iter();
    types.filter(|found| *found == event_type).count()
}

#[tokio::test(start_paused = true)]
async fn a_warning_comes_before_what_trips_the_brake_and_nothing_is_held() {
    let mut company = Company::new(|_| {}).await;
    let ids = company.users("u", 40).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    let part = company.read(&After::Beginning).await;
    assert_eq!((part.held, part.behind), (None, 0));
    assert_eq!(count(&part, "user.deactivated"), 30);
    assert_eq!(count(&part, "tenant.brake"), 1);
    let names = types(&part);
    let place = names.iter().position(|name| *name == "tenant.brake");
    let place = place.unwrap();
    let before = names[..place].iter();
    let left = before.filter(|name| **name == "user.deactivated").count();
    assert_eq!(left, 20, "whole pages of ten");
    let event = &part.events[place];
    assert_eq!(event.to_json()["detail"]["held"], false);
}

#[tokio::test(start_paused = true)]
async fn deletions_count_like_deactivations_and_only_of_active_users() {
    let mut company = Company::new(|_| {}).await;
    let ids = company.users("u", 40).await;
    company.deactivate(&ids[..10]).await;
    for id in &ids[..20] {
        company.process.delete("User", id).await.unwrap();
    }
    company.append().await;
    let status = company.status().await;
    assert_eq!((status.active, status.leavers), (20, 20));
    assert_eq!(
        count(&company.read(&After::Beginning).await, "tenant.brake"),
        0
    );
    company.process.delete("User", &ids[20]).await.unwrap();
    company.append().await;
    assert_eq!(
        count(&company.read(&After::Beginning).await, "tenant.brake"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_hold_stops_every_reader_until_it_is_released() {
    let mut company = Company::new(|switches| switches.brake = Brake::Hold).await;
    let ids = company.users("u", 40).await;
    company.append().await;
    let before = company.read(&After::Beginning).await.next;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    let late = company.users("late", 1).await;
    company.append().await;

    let part = company.read(&before).await;
    assert_eq!(types(&part).last(), Some(&"tenant.brake"));
    assert_eq!(count(&part, "user.deactivated"), 20);
    assert_eq!((part.held.is_some(), part.behind), (true, 11));
    let again = company.read(&part.next).await;
    assert_eq!((again.events.len(), &again.next), (0, &part.next));
    assert!(again.held.is_some());
    let now = company.read(&After::Now).await;
    assert_eq!((now.events.len(), now.held.is_some()), (0, true));
    let behind = company.read(&now.next).await;
    assert_eq!(behind.events.len(), 0, "no reader gets behind it");

    assert!(company.release().await);
    let rest = company.read(&part.next).await;
    assert_eq!((rest.held, rest.behind), (None, 0));
    assert_eq!(count(&rest, "user.deactivated"), 10);
    let last = rest.events.last().unwrap().body.resource.as_ref().unwrap();
    assert_eq!(last.id, late[0]);
    let numbers = part.events.iter().chain(&rest.events);
    let numbers: Vec<_> = numbers.map(|event| event.seq).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next));
    assert!(!company.release().await, "once");
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_nothing_that_was_appended_and_held_while_it_read() {
    let mut company = Company::new(|switches| switches.brake = Brake::Hold).await;
    let ids = company.users("u", 40).await;
    company.append().await;
    let before = company.read(&After::Beginning).await.next;
    // The newest page is behind the reader's own, so that the read takes two calls.
    company.users("late", 1).await;
    company.append().await;
    company.deactivate(&ids[..30]).await;
    let reader = company.world.process();
    reader
        .line
        .plan(|call| (call.number == 0).then_some(Fault::Freeze));
    let switches = company.switches.clone();
    let (tenant, store) = (simulation::tenant(), Company::store_of(&reader));
    let read = read::read(&tenant, &store, &before, ALL, |_| true, Some(&switches));
    let append = async {
        reader.line.frozen().await;
        company.append().await;
        reader.line.thaw();
    };
    let (part, ()) = tokio::join!(read, append);
    let part = part.unwrap();
    assert_eq!(types(&part), ["user.created"]);
    let rest = company.read(&part.next).await;
    assert_eq!(count(&rest, "user.deactivated"), 20);
    assert_eq!(types(&rest).last(), Some(&"tenant.brake"));
    assert!(rest.held.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_by_itself_and_the_next_wave_is_held_again() {
    let mut company = Company::new(|switches| {
        switches.brake = Brake::Hold;
        switches.brake_hours = 2;
    })
    .await;
    let ids = company.users("u", 80).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    assert!(company.read(&After::Beginning).await.held.is_some());
    assert!(company.status().await.hold.is_some());
    company.world.jump(2 * HOUR - Duration::from_secs(1));
    assert!(company.read(&After::Beginning).await.held.is_some());
    company.world.jump(Duration::from_secs(1));
    let part = company.read(&After::Beginning).await;
    assert_eq!((part.held, part.behind), (None, 0));
    assert_eq!(count(&part, "user.deactivated"), 30);
    assert_eq!(company.status().await.hold, None);
}

#[tokio::test(start_paused = true)]
async fn a_switch_to_hold_during_a_wave_holds_what_comes_after_it() {
    let mut company = Company::new(|_| {}).await;
    let ids = company.users("u", 60).await;
    company.deactivate(&ids[..25]).await;
    company.append().await;
    let seen = company.read(&After::Beginning).await;
    company.switches.brake = Brake::Hold;
    let world = &company.world;
    world
        .set_rules(|rules| rules.switches.brake = Brake::Hold)
        .await;
    // Another process, which remembers no configuration.
    company.process = company.world.process();
    company.deactivate(&ids[25..45]).await;
    company.append().await;
    let part = company.read(&seen.next).await;
    assert_eq!(types(&part), ["tenant.brake"]);
    assert_eq!(part.events[0].to_json()["detail"]["held"], true);
    assert_eq!(part.behind, 20);
    assert!(company.status().await.hold.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_wave_that_goes_on_after_a_release_is_held_again() {
    let mut company = Company::new(|switches| switches.brake = Brake::Hold).await;
    let ids = company.users("u", 90).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    assert!(company.release().await);
    let status = company.status().await;
    assert_eq!((status.leavers, status.hold), (0, None));
    let seen = company.read(&After::Beginning).await;
    company.deactivate(&ids[30..70]).await;
    company.append().await;
    let part = company.read(&seen.next).await;
    assert_eq!(types(&part).last(), Some(&"tenant.brake"));
    assert_eq!(count(&part, "user.deactivated"), 20);
    assert!(part.held.is_some());
    assert!(company.release().await);
    let rest = company.read(&part.next).await;
    assert_eq!((rest.behind, rest.held), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_brake_that_is_off_does_nothing_and_keeps_counting() {
    let mut company = Company::new(|switches| switches.brake = Brake::Off).await;
    let ids = company.users("u", 40).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    let part = company.read(&After::Beginning).await;
    assert_eq!((count(&part, "tenant.brake"), part.held), (0, None));
    let status = company.status().await;
    assert_eq!((status.active, status.leavers), (10, 30));
    assert_eq!(status.hold, None);
}

impl Company {
    /// A company whose feed does not have every change.
    async fn incomplete() -> Self {
        let company = Self::new(|_| {}).await;
        let head = company.head().await;
        let late = FeedHead {
            is_complete: false,
            ..head.clone()
        };
        let put = company.store().feed().put_head(Some(&head), &late).await;
        assert!(put.unwrap());
        company
    }
}

/// A feed that begins when there are users takes all of them for active ones.
#[tokio::test(start_paused = true)]
async fn a_feed_that_begins_late_counts_the_users_that_there_are() {
    let mut company = Company::incomplete().await;
    let ids = company.users("u", 300).await;
    company.handled = company.world.records().len();
    company.deactivate(&ids[..30]).await;
    company.append().await;
    let status = company.status().await;
    assert_eq!((status.active, status.leavers), (300, 30));
    let part = company.read(&After::Beginning).await;
    assert_eq!(count(&part, "tenant.brake"), 0, "30 of 300");
    company.deactivate(&ids[30..40]).await;
    company.append().await;
    let part = company.read(&After::Beginning).await;
    assert_eq!(count(&part, "tenant.brake"), 1, "40 of 300");
}

/// The table has users whose records are still to come when the feed begins.
#[tokio::test(start_paused = true)]
async fn a_feed_that_begins_late_counts_no_user_twice() {
    let mut company = Company::incomplete().await;
    let ids = company.users("u", 230).await;
    company.append().await;
    assert_eq!(company.status().await.active, 230);
    company.deactivate(&ids[..31]).await;
    company.append().await;
    let part = company.read(&After::Beginning).await;
    assert_eq!(
        count(&part, "tenant.brake"),
        1,
        "of 460 it would be no wave"
    );
    let event = part
        .events
        .iter()
        .rfind(|event| event.body.event_type.as_str() == "tenant.brake");
    let detail = event.unwrap().to_json()["detail"].clone();
    assert_eq!(
        (&detail["leavers"], &detail["limit"]),
        (&json!(30), &json!(26))
    );
}

/// Two commands have read the head: one before a second wave, one after it.
#[tokio::test(start_paused = true)]
async fn a_release_of_an_earlier_hold_does_not_take_back_that_of_a_later_one() {
    let mut company = Company::new(|switches| switches.brake = Brake::Hold).await;
    let ids = company.users("u", 60).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    let (first, _) = company.status().await.hold.unwrap();
    assert!(company.release().await);
    company.deactivate(&ids[30..]).await;
    company.append().await;
    let (second, _) = company.status().await.hold.unwrap();
    assert!(company.release().await);
    let late = company.store().feed().release(first.tripped).await;
    assert!(!late.unwrap());
    let again = company.store().feed().release(second.tripped).await;
    assert!(again.unwrap(), "as after a lost answer");
    assert_eq!(company.head().await.released, Some(second.tripped));
    assert_eq!(company.status().await.hold, None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_twice_counts_once() {
    let mut company = Company::new(|_| {}).await;
    let ids = company.users("u", 30).await;
    company.deactivate(&ids[..15]).await;
    company.append().await;
    company.handled = 0;
    company.append().await;
    let status = company.status().await;
    assert_eq!((status.active, status.leavers), (15, 15));
}

/// With names only, the brake counts the same.
#[tokio::test(start_paused = true)]
async fn the_brake_counts_where_events_have_no_values() {
    let mut company = Company::new(|switches| switches.event_values = EventValues::Names).await;
    let ids = company.users("u", 40).await;
    company.deactivate(&ids[..21]).await;
    company.append().await;
    let part = company.read(&After::Beginning).await;
    assert_eq!(count(&part, "tenant.brake"), 1);
    let values = part
        .events
        .iter()
        .filter_map(|event| event.body.changes.as_ref());
    let mut values = values.flat_map(|changes| changes.values());
    assert!(values.all(|changed| changed.before.is_none() && changed.after.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_over_is_not_released() {
    let mut company = Company::new(|switches| switches.brake = Brake::Hold).await;
    let ids = company.users("u", 40).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    for brake in [Brake::Warn, Brake::Off] {
        company.switches.brake = brake;
        assert!(!company.release().await, "{brake:?}");
    }
    company.switches.brake = Brake::Hold;
    assert!(company.status().await.hold.is_some());
    company.world.jump(24 * HOUR);
    assert!(!company.release().await);
    assert_eq!(company.head().await.released, None);
}

/// As after the table was restored.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_epoch_has_counted_does_not_count_in_the_next_one() {
    let mut company = Company::new(|switches| switches.brake = Brake::Hold).await;
    let ids = company.users("u", 40).await;
    company.deactivate(&ids[..30]).await;
    company.append().await;
    assert!(company.status().await.hold.is_some());
    let head = company.head().await;
    let next = FeedHead {
        epoch: Epoch::after(Some(&head.epoch), company.world.clock().now_millis()),
        ..head.clone()
    };
    let put = company.store().feed().put_head(Some(&head), &next).await;
    assert!(put.unwrap());
    let status = company.status().await;
    assert_eq!((status.active, status.leavers, status.hold), (0, 0, None));
    assert!(!company.release().await);
}

#[tokio::test(start_paused = true)]
async fn a_head_is_written_as_it_is_given_and_only_over_the_one_that_was_read() {
    let company = Company::new(|_| {}).await;
    let (store, first) = (company.store(), company.head().await);
    let feed = store.feed();
    assert!(feed.release(7).await.unwrap());
    let second = FeedHead {
        stream: Some("2026-01-01".to_owned()),
        ..first.clone()
    };
    let put = feed.put_head(Some(&first), &second).await;
    assert!(!put.unwrap(), "it would undo the release");
    let second = FeedHead {
        released: Some(7),
        ..second
    };
    let released = company.head().await;
    assert!(feed.put_head(Some(&released), &second).await.unwrap());
    assert_eq!(company.head().await, second);
    let put = feed.put_head(Some(&released), &released).await;
    assert!(!put.unwrap(), "another stream has come since");
    assert!(feed.put_head(Some(&second), &first).await.unwrap());
    assert_eq!(company.head().await, first);
}
