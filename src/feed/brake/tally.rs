//! How many users have access, and how many have lost it lately: what each page of a feed carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
#[cfg(feature = "worker")]
use serde_json::json;

use super::rules::{BrakeRules, Hold, MINUTE};
use crate::feed::event::AccessChange;
#[cfg(feature = "worker")]
use crate::feed::event::{EventBody, EventType, NewEvent};
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Brake;
use crate::store::FeedPage;

/// How many minutes count together.
const WINDOW_MINUTES: u64 = 60;
/// Up to this many leavers never trip the brake.
pub(super) const LEAST_LEAVERS: u64 = 20;
/// Above [`LEAST_LEAVERS`], the brake trips at more than one in this many active users.
const SHARE: u64 = 10;
/// What the ids of reports begin with. Those of records are hexadecimal digits.
#[cfg(feature = "worker")]
const REPORT: &str = "brake-";

/// How many users have access after a page, and how many have lost it in the hour before.
///
/// The number of active users is exact in a feed that has every change of its tenant. In any other feed it
/// counts only what the feed has seen, and is replaced by the number of all users
/// ([`Tally::recounted`]) before it decides anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many users have access.
    #[serde(rename = "a")]
    pub(super) active: u64,
    /// How many have lost it in each minute since the Unix epoch, for the newest [`WINDOW_MINUTES`] and
    /// since the last hold was over.
    #[serde(rename = "m", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) minutes: BTreeMap<u64, u64>,
    /// The brake has tripped, and the wave that did it is not over. Never set while the brake is off.
    #[serde(rename = "w", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_in_wave: bool,
    /// The last hold. It may be over since this page.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Hold>,
}

/// Where a tenant's brake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrakeStatus {
    /// How many users have access. In a feed that is not complete, how many users there are.
    pub active: u64,
    /// How many users have lost it within the last hour, and since the last hold was over.
    pub leavers: u64,
    /// The brake trips at more leavers than this.
    pub limit: u64,
    /// What readers do not get yet, and when it is released by itself, in milliseconds since the Unix epoch.
    pub hold: Option<(Hold, u64)>,
}

impl Tally {
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
        let of_feed = events
            .iter()
            .take_while(|event| event.body.event_type.is_of_feed());
        let before = of_feed.count();
        let number = first + before as u64;
        let is_tripped =
            number_of(events, AccessChange::Lost) > 0 && tally.trip(number, rules, released);
        let report = is_tripped.then(|| (before, tally.report(number, rules)));
        (tally, report)
    }

    /// Whether these events may trip the brake or go on with a wave, whatever the number of active users is.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn is_near(&self, events: &[NewEvent]) -> bool {
        let new = number_of(events, AccessChange::Lost);
        // With fewer leavers than half of the least limit no wave begins, and one that was begun is over.
        new > 0 && self.leavers() + new > LEAST_LEAVERS / 2
    }

    /// The tally before these events, if this is the number of active users after them.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn recounted(self, users: u64, events: &[NewEvent]) -> Self {
        let before = users + number_of(events, AccessChange::Lost);
        Self {
            active: before.saturating_sub(number_of(events, AccessChange::Gained)),
            ..self
        }
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
    pub(super) fn of(newest: Option<&FeedPage>) -> Result<Self> {
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

    /// Where the brake is. `users` is the number of all users, if the feed is not complete.
    #[must_use]
    pub fn status(
        &self,
        rules: &BrakeRules,
        released: Option<u64>,
        users: Option<u64>,
    ) -> BrakeStatus {
        let mut now = self.clone();
        now.end_hold(rules, released);
        now.count(None, rules.now);
        now.active = users.unwrap_or(now.active);
        BrakeStatus {
            active: now.active,
            leavers: now.leavers(),
            limit: now.limit(),
            hold: self.held(rules, released),
        }
    }
}

/// How many of these events do this to a user's access.
#[cfg(feature = "worker")]
fn number_of(events: &[NewEvent], access: AccessChange) -> u64 {
    let of_kind = events.iter().filter(|event| event.access == Some(access));
    of_kind.count() as u64
}

/// Whether a page reports that the brake has tripped.
#[cfg(feature = "worker")]
pub(in crate::feed) fn is_reported_in(page: &FeedPage) -> bool {
    page.ids.iter().any(|id| id.starts_with(REPORT))
}
