//! A tenant's rules for the brake, and what they say of a hold.

use serde::{Deserialize, Serialize};

use crate::protocol::profile::{Brake, Switches};

/// Milliseconds in a minute.
pub(super) const MINUTE: u64 = 60_000;
/// Milliseconds in an hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// A hold lasts at most this many hours for each day that events are kept: half of it. So what is held
/// never expires before it is released.
const HOURS_PER_EVENT_DAY: u64 = 12;

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
    pub(super) fn until(&self, rules: &BrakeRules) -> u64 {
        self.tripped + rules.hold_millis
    }

    /// Whether it is released, by a command or by itself.
    pub(super) fn is_over(&self, rules: &BrakeRules, released: Option<u64>) -> bool {
        released.is_some_and(|time| time >= self.tripped) || rules.now >= self.until(rules)
    }
}
