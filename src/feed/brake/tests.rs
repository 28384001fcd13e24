//! Tests of the tally and of the rules that it is held to.

use proptest::prelude::*;
use serde_json::json;

use super::rules::{HOUR, MINUTE};
use super::tally::LEAST_LEAVERS;
use super::*;
use crate::feed::event::{AccessChange, EventBody, EventType, NewEvent};
use crate::protocol::profile::Brake;

const NOW: u64 = 1_700_000_000_000;

fn rules(brake: Brake, now: u64) -> BrakeRules {
    let switches = Switches {
        brake,
        ..Switches::default()
    };
    BrakeRules::new(&switches, now)
}

fn event(access: Option<AccessChange>, time: u64) -> NewEvent {
    NewEvent {
        id: "1".to_owned(),
        body: EventBody::new(EventType::named("user.deactivated"), time),
        access,
    }
}

fn leavers(number: u64, time: u64) -> Vec<NewEvent> {
    let one = |_| event(Some(AccessChange::Lost), time);
    (0..number).map(one).collect()
}

fn starting_with(active: u64) -> Tally {
    Tally {
        active,
        ..Tally::default()
    }
}

/// Whether one page with this number of leavers trips the brake.
fn trips(active: u64, number: u64) -> bool {
    let page = leavers(number, NOW);
    let tally = starting_with(active);
    let (after, report) = tally.with_page(7, &page, &rules(Brake::Warn, NOW), None);
    assert_eq!(after.active, active.saturating_sub(number));
    assert_eq!(
        after.held(&rules(Brake::Hold, NOW), None),
        None,
        "it only warns"
    );
    report.is_some()
}

#[test]
fn the_brake_trips_at_more_than_a_tenth_and_never_at_few() {
    for (active, number, expected) in [
        (20, 20, false),
        (30, 20, false),
        (30, 21, true),
        (200, 20, false),
        (200, 21, true),
        (1_000, 100, false),
        (1_000, 101, true),
        (1_009, 100, false),
    ] {
        assert_eq!(trips(active, number), expected, "{number} of {active}");
    }
}

#[test]
fn leavers_of_more_than_an_hour_do_not_count_together() {
    let rules = rules(Brake::Warn, NOW);
    let (tally, _) = starting_with(100).with_page(1, &leavers(20, NOW), &rules, None);
    for (minutes, expected) in [(0, true), (59, true), (60, false)] {
        let page = leavers(1, NOW + minutes * MINUTE);
        let (_, report) = tally.with_page(21, &page, &rules, None);
        assert_eq!(report.is_some(), expected, "{minutes}");
    }
}

#[test]
fn a_wave_is_reported_once_and_the_next_one_again() {
    let rules = rules(Brake::Warn, NOW);
    let reports = |tally: &Tally, number: u64, minutes: u64| {
        let page = leavers(number, NOW + minutes * MINUTE);
        let (after, report) = tally.with_page(1, &page, &rules, None);
        (after, report.is_some())
    };
    let (tally, first) = reports(&starting_with(100), 25, 0);
    let (tally, same) = reports(&tally, 30, 10);
    let (tally, still) = reports(&tally, 11, 65);
    let (tally, quiet) = reports(&tally, 1, 200);
    let (_, next) = reports(&tally, 25, 201);
    assert_eq!(
        [first, same, still, quiet, next],
        [true, false, false, false, true]
    );
}

#[test]
fn the_report_says_how_many_and_whether_readers_are_held() {
    let page = leavers(30, NOW);
    let (tally, report) = starting_with(100).with_page(7, &page, &rules(Brake::Hold, NOW), None);
    let (before, report) = report.unwrap();
    assert_eq!((before, report.id.as_str()), (0, "brake-7"));
    assert_eq!(report.body.event_type.as_str(), "tenant.brake");
    let detail = serde_json::Value::Object(report.body.detail);
    assert_eq!(detail, json!({"leavers": 30, "limit": 20, "held": true}));
    let status = tally.status(&rules(Brake::Hold, NOW + 1), None, None);
    let hold = Hold {
        from: 8,
        tripped: NOW,
    };
    let expected = BrakeStatus {
        active: 70,
        leavers: 30,
        limit: 20,
        hold: Some((hold, NOW + 24 * HOUR)),
    };
    assert_eq!(status, expected);
    let later = tally.status(&rules(Brake::Hold, NOW + 2 * HOUR), None, None);
    assert_eq!((later.leavers, later.limit), (0, LEAST_LEAVERS));
}

/// `feed.started` stays the first event, and readers get it.
#[test]
fn events_of_the_feed_come_before_the_report() {
    let mut page = leavers(30, NOW);
    page.insert(0, event(None, NOW));
    page[0].body.event_type = EventType::named(EventType::FEED_STARTED);
    let hold = rules(Brake::Hold, NOW);
    let (tally, report) = starting_with(100).with_page(1, &page, &hold, None);
    let (before, report) = report.unwrap();
    assert_eq!((before, report.id.as_str()), (1, "brake-2"));
    assert_eq!(tally.hold.unwrap().from, 3);
}

#[test]
fn a_hold_ends_by_release_by_time_and_by_the_switch() {
    let page = leavers(30, NOW);
    let (tally, _) = starting_with(100).with_page(7, &page, &rules(Brake::Hold, NOW), None);
    let is_held = |rules: BrakeRules| tally.held(&rules, None).is_some();
    let hold = rules(Brake::Hold, NOW);
    let at = |now| BrakeRules { now, ..hold };
    assert!(is_held(hold));
    assert!(is_held(at(NOW + 24 * HOUR - 1)));
    assert!(!is_held(at(NOW + 24 * HOUR)));
    assert!(!is_held(rules(Brake::Warn, NOW)));
    assert!(!is_held(rules(Brake::Off, NOW)));
    let earlier = tally.held(&hold, Some(NOW - 1));
    assert!(earlier.is_some(), "that released an earlier wave");
    assert_eq!(tally.held(&hold, Some(NOW)), None);
}

#[test]
fn a_wave_during_a_hold_prolongs_it_and_one_after_it_begins_another() {
    let hold = rules(Brake::Hold, NOW);
    let (held, _) = starting_with(1_000).with_page(7, &leavers(101, NOW), &hold, None);
    let (quiet, _) = held.with_page(200, &leavers(1, NOW + 2 * HOUR), &hold, None);
    let later = NOW + 3 * HOUR;
    let wave = leavers(101, later);
    let check = |rules: BrakeRules, released: Option<u64>, expected: u64| {
        let (after, report) = quiet.with_page(300, &wave, &rules, released);
        assert!(report.is_some());
        let expected = Hold {
            from: expected,
            tripped: rules.now,
        };
        assert_eq!(after.hold, Some(expected));
    };
    let at = |now| BrakeRules { now, ..hold };
    check(at(later), None, 8);
    check(at(NOW + 25 * HOUR), None, 301);
    check(at(later), Some(NOW), 301);
}

#[test]
fn a_wave_that_was_only_reported_is_held_from_the_switch_on() {
    for before in [Brake::Warn, Brake::Off] {
        let begun = leavers(25, NOW);
        let (tally, _) = starting_with(200).with_page(1, &begun, &rules(before, NOW), None);
        let hold = rules(Brake::Hold, NOW + 1);
        let (other, report) = tally.with_page(26, &[event(None, NOW + 1)], &hold, None);
        assert!(report.is_none(), "a page without a leaver");
        let (held, report) = other.with_page(27, &leavers(1, NOW + 1), &hold, None);
        assert!(report.is_some());
        assert_eq!(held.held(&hold, None).unwrap().0.from, 28);
        let (same, report) = held.with_page(29, &leavers(1, NOW + 1), &hold, None);
        assert!(report.is_none(), "it is held already");
        assert_eq!(same.hold, held.hold);
    }
}

#[test]
fn after_a_release_as_many_leavers_again_begin_a_hold() {
    let hold = rules(Brake::Hold, NOW);
    let (held, _) = starting_with(200).with_page(1, &leavers(30, NOW), &hold, None);
    let status = held.status(&hold, Some(NOW), None);
    assert_eq!((status.leavers, status.hold), (0, None));
    let (rest, report) = held.with_page(32, &leavers(20, NOW), &hold, Some(NOW));
    assert!(report.is_none());
    assert_eq!(rest.status(&hold, Some(NOW), None).leavers, 20);
    let (again, report) = rest.with_page(52, &leavers(1, NOW), &hold, Some(NOW));
    assert!(report.is_some());
    let (hold, _) = again.held(&hold, Some(NOW)).unwrap();
    assert_eq!((hold.from, hold.tripped), (53, NOW + 1));
}

#[test]
fn a_hold_is_over_before_what_it_holds_expires() {
    let switches = Switches {
        brake_hours: 168,
        event_days: 2,
        ..Switches::default()
    };
    assert_eq!(BrakeRules::new(&switches, 0).hold_millis, 24 * HOUR);
}

#[test]
fn a_quiet_tally_is_short_and_reads_back() {
    let quiet = starting_with(12_000);
    assert_eq!(serde_json::to_string(&quiet).unwrap(), r#"{"a":12000}"#);
    let page = leavers(30, NOW);
    let (tally, _) = starting_with(100).with_page(7, &page, &rules(Brake::Hold, NOW), None);
    let text = serde_json::to_string(&tally).unwrap();
    assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
}

proptest! {
    /// Shards bring records in any order, and pages cut them anywhere: the count is the same.
    #[test]
    fn the_count_does_not_depend_on_the_order_within_the_window(
        times in prop::collection::vec(0..50_u64, 0..60),
        seed in any::<prop::sample::Index>(),
    ) {
        let events: Vec<_> = times.iter().map(|minute| {
            event(Some(AccessChange::Lost), NOW + minute * MINUTE)
        }).collect();
        let cut = if events.is_empty() { 0 } else { seed.index(events.len()) };
        let rules = rules(Brake::Off, NOW);
        let whole = starting_with(500).with_page(1, &events, &rules, None).0;
        let (first, second) = events.split_at(cut);
        let in_parts = starting_with(500)
            .with_page(1, second, &rules, None).0
            .with_page(2, first, &rules, None).0;
        prop_assert_eq!(whole.minutes, in_parts.minutes);
        prop_assert_eq!(whole.active, in_parts.active);
    }
}

/// A feed that lacks changes may have counted far fewer users than there are.
#[test]
fn a_feed_that_is_not_complete_is_measured_by_the_users_that_there_are() {
    let rules = rules(Brake::Warn, NOW);
    let few = Tally::default();
    assert!(
        !few.is_near(&leavers(10, NOW)),
        "such a page needs no count"
    );
    assert!(!few.is_near(&[event(Some(AccessChange::Gained), NOW)]));
    let (ten, _) = few.with_page(1, &leavers(10, NOW), &rules, None);
    assert!(!ten.is_near(&[event(None, NOW)]), "no user leaves");
    for (number, expected) in [(100, false), (101, true)] {
        let mut page = leavers(number, NOW);
        page.push(event(Some(AccessChange::Gained), NOW));
        assert!(few.is_near(&page));
        let users = 1_000 - number;
        let (after, report) = few
            .clone()
            .recounted(users, &page)
            .with_page(1, &page, &rules, None);
        assert_eq!(report.is_some(), expected, "{number}");
        assert_eq!(after.active, users);
    }
    let status = few.status(&rules, None, Some(1_000));
    assert_eq!((status.active, status.limit), (1_000, 100));
}
