//! How strictly a tenant's clients are read: profiles, switches, and the tolerances that fire.
//!
//! RFC 7644 alone refuses a good part of what identity providers send. Each leniency is one
//! [`Tolerance`] with a name; code at the edge asks [`Reading::tolerates`], which answers by the
//! tenant's profile and remembers that it was needed, so that a log line can tell.

mod tolerance;

pub use tolerance::{Description, Tolerance};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::work::{self, Work};

/// The reading of a tenant's requests as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Profile {
    /// RFC 7643 and 7644 plus every tolerance.
    #[default]
    Default,
    /// RFC 7643 and 7644 to the letter.
    Strict,
    /// draft-zollner-scim-interop-profile-01, which refuses more than the RFCs do.
    Interop,
}

/// What a tenant may decide on top of its profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Switches {
    /// Two groups may not share a `displayName` (409 `uniqueness`).
    pub unique_group_display_name: bool,
    /// What a PATCH of a group answers.
    pub group_patch_answers: GroupPatchAnswers,
    /// What a filter on an attribute that does not exist answers.
    pub unknown_filter_attributes: UnknownFilterAttributes,
    /// Resources other than groups are found by the hour of their last change.
    pub last_modified_index: bool,
    /// The number of members up to which a group shows them inline.
    pub inline_member_cap: u32,
    /// A PUT that does not list an extension's URN leaves that extension alone.
    pub put_keeps_unnamed_extensions: bool,
    /// What becomes of a password that a client sends.
    pub passwords: Passwords,
    /// The page size of a list that names none.
    pub default_count: u32,
    /// The largest page.
    pub max_count: u32,
    /// HTTP Basic credentials are accepted.
    pub basic: bool,
    /// MAC credentials are accepted.
    pub mac: bool,
    /// The largest number of operations of a bulk request.
    pub bulk_max_operations: u32,
    /// The largest body of a bulk request, in bytes.
    pub bulk_max_payload_size: u32,
    /// How many days an event stays in the feed.
    pub event_days: u32,
    /// Whether events have the values that changed, or only the names of their attributes.
    pub event_values: EventValues,
    /// What happens when many users lose their access within an hour.
    pub brake: Brake,
    /// How many hours the brake holds the feed, unless it is released before.
    pub brake_hours: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            unique_group_display_name: false,
            group_patch_answers: GroupPatchAnswers::Resource,
            unknown_filter_attributes: UnknownFilterAttributes::Refuse,
            last_modified_index: false,
            inline_member_cap: 10_000,
            put_keeps_unnamed_extensions: false,
            passwords: Passwords::Discard,
            default_count: 100,
            max_count: 1_000,
            basic: false,
            mac: false,
            bulk_max_operations: 1_000,
            bulk_max_payload_size: 1_048_576,
            event_days: 30,
            event_values: EventValues::All,
            brake: Brake::Warn,
            brake_hours: 24,
        }
    }
}

/// What a PATCH of a group answers (RFC 7644 §3.5.2 allows both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupPatchAnswers {
    /// 200 with the resource, for groups small enough to show.
    #[serde(rename = "200")]
    Resource,
    /// 204, unless `attributes` asks for something.
    #[serde(rename = "204")]
    NoContent,
}

/// What a filter on an attribute that does not exist answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownFilterAttributes {
    /// 400 `invalidFilter`.
    Refuse,
    /// No result.
    Empty,
}

/// What becomes of a password that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Passwords {
    /// It is checked and forgotten.
    Discard,
    /// Its argon2id hash is kept.
    Hash,
}

/// What the events of the feed say about the values of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventValues {
    /// The values before and after the change.
    All,
    /// The names of the attributes that changed.
    Names,
}

/// What happens when many users are deactivated or deleted within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Brake {
    /// Nothing.
    Off,
    /// The feed and the log say so.
    Warn,
    /// The same, and no reader gets the events from there on until the brake is released.
    Hold,
}

/// A tenant's profile and switches together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// The profile.
    pub profile: Profile,
    /// The switches on top of it.
    pub switches: Switches,
}

/// One request being read: the tenant's rules, the tolerances it needed so far, and the work it may
/// still cause.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The tenant's rules.
    pub rules: &'a Rules,
    fired: Fired,
    work: Work,
    /// The steps that this reading has taken since it began, or began again.
    taken: u64,
}

impl<'a> Reading<'a> {
    /// Begins to read a request under these rules.
    #[must_use]
    pub fn new(rules: &'a Rules) -> Self {
        Self::within(rules, Work::default())
    }

    /// The same as part of a request that does more than this, such as a bulk request.
    #[must_use]
    pub fn within(rules: &'a Rules, work: Work) -> Self {
        Self {
            rules,
            fired: Fired::default(),
            work,
            taken: 0,
        }
    }

    /// The work that the request may still cause.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Counts steps of work before it is done.
    ///
    /// # Errors
    /// `PayloadTooLarge` when the request has used up its steps.
    pub fn count(&mut self, steps: u64) -> Result<()> {
        self.taken = self.taken.saturating_add(steps);
        if self.work.takes(steps) {
            return Ok(());
        }
        Err(work::too_much())
    }

    /// Reads the same request again, because the resource has changed in between: what was counted for
    /// the attempt before counts no more.
    pub fn begin_again(&mut self) {
        self.work.give_back(std::mem::take(&mut self.taken));
    }

    /// Whether the profile allows this leniency; if so it is noted as used, so ask only when the
    /// request needs it.
    pub fn tolerates(&mut self, tolerance: Tolerance) -> bool {
        let allowed = self.rules.profile == Profile::Default;
        if allowed {
            self.fired.0 |= 1_u64 << tolerance as u32;
        }
        allowed
    }

    /// The tolerances that were used.
    #[must_use]
    pub fn fired(&self) -> Fired {
        self.fired
    }
}

/// A set of tolerances, of which there are at most 64; displays as their names, comma separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired(u64);

impl Fired {
    /// The set as a number, to be kept where a set cannot be.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The set that a number stands for.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether no tolerance was used.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one was used.
    #[must_use]
    pub fn contains(self, tolerance: Tolerance) -> bool {
        self.0 & (1_u64 << tolerance as u32) != 0
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Tolerance::ALL.iter();
        let used = all.filter(|described| self.contains(described.tolerance));
        let names: Vec<_> = used.map(|described| described.name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_fire_in_the_default_profile_only() {
        let rules = Rules::default();
        let mut reading = Reading::new(&rules);
        assert!(reading.tolerates(Tolerance::StringBooleans));
        assert!(reading.tolerates(Tolerance::MissingMessageUrn));
        assert_eq!(
            reading.fired().to_string(),
            "stringBooleans,missingMessageUrn"
        );
        for profile in [Profile::Strict, Profile::Interop] {
            let rules = Rules {
                profile,
                ..Rules::default()
            };
            let mut reading = Reading::new(&rules);
            assert!(!reading.tolerates(Tolerance::StringBooleans));
            assert!(reading.fired().is_empty());
        }
    }

    #[test]
    fn every_tolerance_has_a_place_in_the_set() {
        let rules = Rules::default();
        for described in Tolerance::ALL {
            let mut reading = Reading::new(&rules);
            assert!(reading.tolerates(described.tolerance));
            let fired = Fired::from_bits(reading.fired().bits());
            assert_eq!(fired.to_string(), described.name);
        }
    }
}
