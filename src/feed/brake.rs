//! The brake: it notices that unusually many users have lost their access within an hour, which may be a
//! mistake.
//!
//! A wrong click in an identity provider can deactivate a whole company, and an application that follows
//! the feed would lock all of them out. Each page of the feed carries a [`Tally`]: how many users have access
//! after it, and how many have lost it lately. A page is only ever put behind the newest one, which is read
//! before, so the count needs neither a read nor a write of its own.
//!
//! Whether readers are held is decided when they read, by the newest page's tally, the tenant's switches and
//! the clock. So a switch counts as soon as the process knows it, and a hold that is over needs no write to end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
#[cfg(feature = "worker")]
use serde_json::json;

use super::event::AccessChange;
#[cfg(feature = "worker")]
use super::event::{EventBody, EventType, NewEvent};
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::{Brake, Switches};
use crate::store::{FeedPage, TenantStore};

/// The name of the type whose resources the brake counts.
#[cfg(feature = "worker")]
pub(super) const USER: &str = "User";
/// How many minutes count together.
const WINDOW_MINUTES: u64 = 60;
/// Up to this many leavers never trip the brake.
const LEAST_LEAVERS: u64 = 20;
/// Above [`LEAST_LEAVERS`], the brake trips at more than one in this many active users.
const SHARE: u64 = 10;
/// What the ids of reports begin with. Those of records are hexadecimal digits.
#[cfg(feature = "worker")]
const REPORT: &str = "brake-";
/// Milliseconds in a minute.
const MINUTE: u64 = 60_000;
/// Milliseconds in an hour.
const HOUR: u64 = 60 * MINUTE;
/// A hold lasts at most this many hours for each day that events are kept: half of it. So what is held
/// never expires before it is released.
const HOURS_PER_EVENT_DAY: u64 = 12;

/// How many users have access after a page, and how many have lost it in the hour before.
///
/// The number of active users is exact in a feed that has every change of its tenant. In a feed that began
/// later, it began with the number of all users, so users who were not active then count as active until
/// they are deleted, and the brake trips later.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many users have access.
    #[serde(rename = "a")]
    active: u64,
    /// How many have lost it in each minute since the Unix epoch, for the newest [`WINDOW_MINUTES`] and
    /// since the last hold was over.
    #[serde(rename = "m", default, skip_serializing_if = "BTreeMap::is_empty")]
    minutes: BTreeMap<u64, u64>,
    /// The brake has tripped, and the wave that did it is not over. Never set while the brake is off.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    is_in_wave: bool,
    /// The last hold. It may be over since this page.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
}

/// What readers do not get yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The number of the first event that is held: that behind the report.
    #[serde(rename = "s")]
    pub from: u64,
    /// When the brake has tripped last, in milliseconds since the Unix epoch. A release names this time, so
    /// it does not release a wave that comes after it.
    #[serde(rename = "t")]
    pub tripped: u64,
}

/// A tenant's rules for the brake at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeRules {
    /// What happens when it trips.
    pub brake: Brake,
    /// How long a hold lasts, in milliseconds.
    pub hold_millis: u64,
    /// The time, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// Where a tenant's brake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeStatus {
    /// How many users have access.
    pub active: u64,
    /// How many users have lost it within the last hour, and since the last hold was over.
    pub leavers: u64,
    /// The brake trips at more leavers than this.
    pub limit: u64,
    /// What readers do not get yet, and when it is released by itself, in milliseconds since the Unix epoch.
    pub hold: Option<(Hold, u64)>,
}

impl BrakeRules {
    /// The rules of a tenant with these switches.
    #[must_use]
    pub fn new(switches: &Switches, now: u64) -> Self {
        let longest = u64::from(switches.event_days) * HOURS_PER_EVENT_DAY;
        Self {
            brake: switches.brake,
            hold_millis: u64::from(switches.brake_hours).min(longest) * HOUR,
            now,
        }
    }
}

impl Hold {
    /// When it is released by itself, in milliseconds since the Unix epoch.
    fn until(&self, rules: &BrakeRules) -> u64 {
        self.tripped + rules.hold_millis
    }

    /// Whether it is released, by a command or by itself.
    fn is_over(&self, rules: &BrakeRules, released: Option<u64>) -> bool {
        released.is_some_and(|time| time >= self.tripped) || rules.now >= self.until(rules)
    }
}

impl Tally {
    /// The tally before the first page of a feed.
    #[must_use]
    pub fn starting_with(active: u64) -> Self {
        Self {
            active,
            ..Self::default()
        }
    }

    /// The tally of the page behind, whose first event has this number. If the page trips the brake, also the
    /// event that reports it, and how many events of the page come before that: those of the feed itself.
    /// `released` is when the brake had tripped whose hold is released, in milliseconds since the Unix epoch.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn with_page(
        &self,
        first: u64,
        events: &[NewEvent],
        rules: &BrakeRules,
        released: Option<u64>,
    ) -> (Self, Option<(usize, NewEvent)>) {
        let mut tally = self.clone();
        tally.end_hold(rules, released);
        for event in events {
            tally.count(event.access, event.body.time);
        }
        let has_leaver = events
            .iter()
            .any(|event| event.access == Some(AccessChange::Lost));
        let of_feed = events
            .iter()
            .take_while(|event| event.body.event_type.is_of_feed());
        let before = of_feed.count();
        let number = first + before as u64;
        let is_tripped = has_leaver && tally.trip(number, rules, released);
        let report = is_tripped.then(|| (before, tally.report(number, rules)));
        (tally, report)
    }

    /// Reads the tally of a page.
    ///
    /// # Errors
    /// `Internal` for a page that this code did not write.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }

    /// The tally as a page has it.
    ///
    /// # Errors
    /// `Internal` if it cannot be written. A page without a tally could not be read.
    #[cfg(feature = "worker")]
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// The tally of the newest page of a feed; that of a feed without pages counts nothing.
    fn of(newest: Option<&FeedPage>) -> Result<Self> {
        newest.map_or(Ok(Self::default()), |page| Self::parse(&page.tally))
    }

    /// Counts a change.
    fn count(&mut self, access: Option<AccessChange>, time: u64) {
        let minute = time / MINUTE;
        match access {
            Some(AccessChange::Gained) => self.active += 1,
            Some(AccessChange::Lost) => {
                self.active = self.active.saturating_sub(1);
                *self.minutes.entry(minute).or_default() += 1;
            }
            None => {}
        }
        // Records of two shards come in any order, so an old one must not push newer minutes out.
        let newest = self.minutes.keys().last().copied().unwrap_or(0).max(minute);
        let oldest = (newest + 1).saturating_sub(WINDOW_MINUTES);
        self.minutes = self.minutes.split_off(&oldest);
    }

    /// Begins the count anew if the last hold is over. Readers have got its leavers, with or without a
    /// release, so a new hold takes as many again.
    fn end_hold(&mut self, rules: &BrakeRules, released: Option<u64>) {
        if self.hold.is_some_and(|hold| hold.is_over(rules, released)) {
            self.hold = None;
            self.is_in_wave = false;
            self.minutes.clear();
        }
    }

    /// Whether a page with a leaver trips the brake. The report gets this number.
    #[cfg(feature = "worker")]
    fn trip(&mut self, number: u64, rules: &BrakeRules, released: Option<u64>) -> bool {
        let (leavers, limit) = (self.leavers(), self.limit());
        let was_in_wave = self.is_in_wave;
        // Half the limit, so that a number that goes up and down around the limit is one wave.
        let least = if was_in_wave { limit / 2 } else { limit };
        self.is_in_wave = leavers > least && rules.brake != Brake::Off;
        let held = self.held(rules, released).map(|(hold, _)| hold.from);
        // The switch was set to `hold` during a wave that had only been reported.
        let is_unheld = rules.brake == Brake::Hold && held.is_none() && leavers > limit;
        if !self.is_in_wave || (was_in_wave && !is_unheld) {
            return false;
        }
        if rules.brake == Brake::Hold {
            self.hold = Some(Hold {
                from: held.unwrap_or(number + 1),
                // After the hold that was released last, also if a clock is behind another one.
                tripped: rules.now.max(released.map_or(0, |time| time + 1)),
            });
        }
        true
    }

    #[cfg(feature = "worker")]
    fn report(&self, number: u64, rules: &BrakeRules) -> NewEvent {
        let event_type = EventType::named(EventType::TENANT_BRAKE);
        let body = EventBody::new(event_type, rules.now).with_detail([
            ("leavers", json!(self.leavers())),
            ("limit", json!(self.limit())),
            ("held", json!(rules.brake == Brake::Hold)),
        ]);
        NewEvent::of(format!("{REPORT}{number}"), body)
    }

    /// The brake trips at more leavers than this. Those who have left count among the users who were active,
    /// so a wave does not lower the limit that it is measured by.
    fn limit(&self) -> u64 {
        ((self.active + self.leavers()) / SHARE).max(LEAST_LEAVERS)
    }

    fn leavers(&self) -> u64 {
        self.minutes.values().sum()
    }

    /// What readers do not get yet, and when it is released by itself, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn held(&self, rules: &BrakeRules, released: Option<u64>) -> Option<(Hold, u64)> {
        let hold = self.hold.filter(|_| rules.brake == Brake::Hold)?;
        (!hold.is_over(rules, released)).then_some((hold, hold.until(rules)))
    }

    /// Where the brake is.
    #[must_use]
    pub fn status(&self, rules: &BrakeRules, released: Option<u64>) -> BrakeStatus {
        let mut now = self.clone();
        now.end_hold(rules, released);
        now.count(None, rules.now);
        BrakeStatus {
            active: now.active,
            leavers: now.leavers(),
            limit: now.limit(),
            hold: self.held(rules, released),
        }
    }
}

/// Whether a page reports that the brake has tripped.
#[cfg(feature = "worker")]
pub(super) fn is_reported_in(page: &FeedPage) -> bool {
    page.ids.iter().any(|id| id.starts_with(REPORT))
}

/// Where a tenant's brake is.
///
/// # Errors
/// `Unavailable` when the table is out of reach.
pub async fn status(store: &TenantStore, switches: &Switches) -> Result<BrakeStatus> {
    let feed = store.feed();
    let (head, newest) = feed.newest().await?;
    let released = head.and_then(|head| head.released);
    let rules = BrakeRules::new(switches, feed.now());
    Ok(Tally::of(newest.as_ref())?.status(&rules, released))
}

/// Gives readers what is held back. False if nothing is.
///
/// # Errors
/// `Unavailable` when the table is out of reach.
pub async fn release(store: &TenantStore, switches: &Switches) -> Result<bool> {
    let feed = store.feed();
    let (head, newest) = feed.newest().await?;
    let released = head.and_then(|head| head.released);
    let rules = BrakeRules::new(switches, feed.now());
    match Tally::of(newest.as_ref())?.held(&rules, released) {
        Some((hold, _)) => Ok(feed.release(hold.tripped).await?),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    /// Whether one page with this number of leavers trips the brake.
    fn trips(active: u64, number: u64) -> bool {
        let page = leavers(number, NOW);
        let tally = Tally::starting_with(active);
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
        let (tally, _) = Tally::starting_with(100).with_page(1, &leavers(20, NOW), &rules, None);
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
        let (tally, first) = reports(&Tally::starting_with(100), 25, 0);
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
        let (tally, report) =
            Tally::starting_with(100).with_page(7, &page, &rules(Brake::Hold, NOW), None);
        let (before, report) = report.unwrap();
        assert_eq!((before, report.id.as_str()), (0, "brake-7"));
        assert_eq!(report.body.event_type.as_str(), "tenant.brake");
        let detail = serde_json::Value::Object(report.body.detail);
        assert_eq!(detail, json!({"leavers": 30, "limit": 20, "held": true}));
        let status = tally.status(&rules(Brake::Hold, NOW + 1), None);
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
        let later = tally.status(&rules(Brake::Hold, NOW + 2 * HOUR), None);
        assert_eq!((later.leavers, later.limit), (0, LEAST_LEAVERS));
    }

    /// `feed.started` stays the first event, and readers get it.
    #[test]
    fn events_of_the_feed_come_before_the_report() {
        let mut page = leavers(30, NOW);
        page.insert(0, event(None, NOW));
        page[0].body.event_type = EventType::named(EventType::FEED_STARTED);
        let hold = rules(Brake::Hold, NOW);
        let (tally, report) = Tally::starting_with(100).with_page(1, &page, &hold, None);
        let (before, report) = report.unwrap();
        assert_eq!((before, report.id.as_str()), (1, "brake-2"));
        assert_eq!(tally.hold.unwrap().from, 3);
    }

    #[test]
    fn a_hold_ends_by_release_by_time_and_by_the_switch() {
        let page = leavers(30, NOW);
        let (tally, _) =
            Tally::starting_with(100).with_page(7, &page, &rules(Brake::Hold, NOW), None);
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
        let (held, _) = Tally::starting_with(1_000).with_page(7, &leavers(101, NOW), &hold, None);
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
            let (tally, _) =
                Tally::starting_with(200).with_page(1, &begun, &rules(before, NOW), None);
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
        let (held, _) = Tally::starting_with(200).with_page(1, &leavers(30, NOW), &hold, None);
        let status = held.status(&hold, Some(NOW));
        assert_eq!((status.leavers, status.hold), (0, None));
        let (rest, report) = held.with_page(32, &leavers(20, NOW), &hold, Some(NOW));
        assert!(report.is_none());
        assert_eq!(rest.status(&hold, Some(NOW)).leavers, 20);
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
        let quiet = Tally::starting_with(12_000);
        assert_eq!(serde_json::to_string(&quiet).unwrap(), r#"{"a":12000}"#);
        let page = leavers(30, NOW);
        let (tally, _) =
            Tally::starting_with(100).with_page(7, &page, &rules(Brake::Hold, NOW), None);
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
            let whole = Tally::starting_with(500).with_page(1, &events, &rules, None).0;
            let (first, second) = events.split_at(cut);
            let in_parts = Tally::starting_with(500)
                .with_page(1, second, &rules, None).0
                .with_page(2, first, &rules, None).0;
            prop_assert_eq!(whole.minutes, in_parts.minutes);
            prop_assert_eq!(whole.active, in_parts.active);
        }
    }
}
