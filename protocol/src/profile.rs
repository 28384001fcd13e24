//! How strictly a tenant's clients are read: profiles, switches and tolerances.
//!
//! RFC 7644 alone refuses a good part of what identity providers send. Each leniency is one
//! [`Tolerance`] with a name. Code that reads a request asks [`Reading::tolerates`], which answers by
//! the tenant's profile and records that the tolerance was used, for the log line of the request.

mod tolerance;

pub use tolerance::{Tolerance, ToleranceDescription};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::work::{self, WorkBudget};

/// How a tenant's requests are read.
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

/// What a tenant may choose in addition to its profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Switches {
    /// Two groups may not share a `displayName` (409 `uniqueness`).
    pub unique_group_display_name: bool,
    /// How a PATCH of a group is answered.
    pub group_patch_answers: GroupPatchAnswers,
    /// How a filter on an attribute that does not exist is answered.
    pub unknown_filter_attributes: UnknownFilterAttributes,
    /// There is an index that finds resources other than groups by the hour of their last change.
    pub last_modified_index: bool,
    /// The number of members up to which a group shows them inline.
    pub inline_member_cap: u32,
    /// A PUT that does not list an extension's URN leaves that extension alone.
    pub put_keeps_unnamed_extensions: bool,
    /// What happens to a password that a client sends.
    pub passwords: Passwords,
    /// The page size of a list whose request names none.
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
    /// How many requests a second are answered, as a mean over ten seconds; 0 for any number.
    pub requests_per_second: u32,
    /// The largest number of users that are active; 0 for any number.
    pub max_active_users: u32,
    /// The domains that the addresses of users must be of; empty for any.
    pub email_domains: Vec<String>,
    /// The ids of the users that cannot be deactivated or deleted.
    pub protected_users: Vec<String>,
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
            requests_per_second: 50,
            max_active_users: 0,
            email_domains: Vec::new(),
            protected_users: Vec::new(),
        }
    }
}

/// How a PATCH of a group is answered (RFC 7644 §3.5.2 allows both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupPatchAnswers {
    /// 200 with the resource, for groups small enough to show.
    #[serde(rename = "200")]
    Resource,
    /// 204, unless the request names `attributes`.
    #[serde(rename = "204")]
    NoContent,
}

/// How a filter on an attribute that does not exist is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownFilterAttributes {
    /// 400 `invalidFilter`.
    Refuse,
    /// No result.
    Empty,
}

/// What happens to a password that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Passwords {
    /// It is checked and dropped.
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
    /// It is reported in the feed and in the log.
    Warn,
    /// It is reported, and readers get neither these nor later events until the brake is released.
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

/// The reading of one request: the tenant's rules, the tolerances used so far, and the work that the
/// request may still cause.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The tenant's rules.
    pub rules: &'a Rules,
    used: UsedTolerances,
    work: WorkBudget,
    /// The steps that this reading has taken since it began, or since it began again.
    taken: u64,
}

impl<'a> Reading<'a> {
    /// Begins to read a request under these rules.
    #[must_use]
    pub fn new(rules: &'a Rules) -> Self {
        Self::within(rules, WorkBudget::default())
    }

    /// Begins to read a part of a request, such as an operation of a bulk request. Its work is counted
    /// with that of the other parts.
    #[must_use]
    pub fn within(rules: &'a Rules, work: WorkBudget) -> Self {
        Self {
            rules,
            used: UsedTolerances::default(),
            work,
            taken: 0,
        }
    }

    /// The work that the request may still cause.
    #[must_use]
    pub fn work(&self) -> &WorkBudget {
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

    /// Begins to read the same request again, because the resource has changed in between. The steps
    /// that the attempt before has taken are given back.
    pub fn begin_again(&mut self) {
        self.work.give_back(std::mem::take(&mut self.taken));
    }

    /// Whether the profile allows this leniency. If it does, the tolerance is recorded as used, so
    /// code asks only when the request needs it.
    pub fn tolerates(&mut self, tolerance: Tolerance) -> bool {
        let allowed = self.rules.profile == Profile::Default;
        if allowed {
            self.used.0 |= 1_u64 << tolerance as u32;
        }
        allowed
    }

    /// The tolerances that were used.
    #[must_use]
    pub fn used_tolerances(&self) -> UsedTolerances {
        self.used
    }
}

/// A set of tolerances, of which there are at most 64. Displays their names, separated by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsedTolerances(u64);

impl UsedTolerances {
    /// The set as a number, for places that cannot hold a set.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The set whose [`bits`](Self::bits) are this number.
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

impl fmt::Display for UsedTolerances {
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
    fn tolerances_apply_in_the_default_profile_only() {
        let rules = Rules::default();
        let mut reading = Reading::new(&rules);
        assert!(reading.tolerates(Tolerance::StringBooleans));
        assert!(reading.tolerates(Tolerance::MissingMessageUrn));
        assert_eq!(
            reading.used_tolerances().to_string(),
            "stringBooleans,missingMessageUrn"
        );
        for profile in [Profile::Strict, Profile::Interop] {
            let rules = Rules {
                profile,
                ..Rules::default()
            };
            let mut reading = Reading::new(&rules);
            assert!(!reading.tolerates(Tolerance::StringBooleans));
            assert!(reading.used_tolerances().is_empty());
        }
    }

    #[test]
    fn every_tolerance_has_a_place_in_the_set() {
        let rules = Rules::default();
        for described in Tolerance::ALL {
            let mut reading = Reading::new(&rules);
            assert!(reading.tolerates(described.tolerance));
            let fired = UsedTolerances::from_bits(reading.used_tolerances().bits());
            assert_eq!(fired.to_string(), described.name);
        }
    }
}
