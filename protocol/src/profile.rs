//! How strictly a tenant's clients are read: profiles, switches, and the tolerances that fire.
//!
//! RFC 7644 alone refuses a good part of what identity providers send. Each leniency is one
//! [`Tolerance`] with a name; code at the edge asks [`Reading::tolerates`], which answers by the
//! tenant's profile and remembers that it was needed, so that a log line can tell.

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

/// A tenant's profile and switches together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// The profile.
    pub profile: Profile,
    /// The switches on top of it.
    pub switches: Switches,
}

/// One leniency towards what real clients send. Each is there in the `default` profile only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tolerance {
    /// `"True"` and `"false"` strings stand for booleans.
    StringBooleans,
    /// `[{"value": x}]` or `[x]` stands for a single value.
    WrappedSingleValue,
    /// A single object or string stands for an array of one.
    UnwrappedMultiValue,
    /// A bare string stands for a complex value's `value`: members, emails, manager.
    BareComplexValue,
    /// Attributes and schema URNs that nobody defined are left out.
    UnknownAttributes,
    /// The base URN, or all of `schemas`, is missing from a body.
    MissingSchemas,
    /// An extension's attribute is named without its URN.
    BareExtensionNames,
    /// Keys of a body or a PATCH value are paths: `name.givenName`, `urn:…:User:department`.
    PathKeys,
    /// Words in filters stand without quotes.
    UnquotedFilterValues,
    /// A PATCH through a value filter that matches nothing makes the element.
    CreatedElements,
    /// A `remove` whose filter matches nothing succeeds.
    RemovedNothing,
    /// A `remove` of a multi-valued attribute carries the values to remove. Every profile honours them,
    /// since to remove everything instead would destroy data; it is noted in the default profile.
    RemovedValues,
    /// Read-only attributes inside a path-less PATCH value are ignored.
    ReadOnlyInPatchValue,
    /// A `displayName` stands for the `display` of a multi-valued attribute's element.
    DisplayNameForDisplay,
    /// A JSON document in a string stands for the complex value it spells.
    JsonInString,
    /// A read-only name beside a reference, `manager.displayName`, is kept as the client gave it.
    ReferenceDisplay,
    /// PATCH operations are written `Add`, `Replace`, `Remove`.
    OperationCase,
    /// A PATCH, search or bulk body lacks its message URN.
    MissingMessageUrn,
    /// An address names its country by more than a code of two letters.
    CountryNames,
    /// Several elements are marked `primary`; the first one stays it.
    SeveralPrimaries,
    /// Blank text stands for no value: references, `manager`, e-mail addresses, passwords.
    BlankText,
    /// The text of a reference is no URI.
    ReferenceText,
    /// A number or a boolean stands for the text that spells it.
    NumberForText,
    /// `managerId`, the name of SCIM 1.1, stands for the manager's `value`.
    ManagerId,
    /// `type` of a member is blank or `direct`.
    MemberType,
    /// The `path` of a PATCH operation is blank, which is to say that there is none.
    BlankPath,
    /// A PATCH path names a part of a complex attribute without it: `givenName`.
    BareSubAttributes,
    /// A PATCH path has a filter behind a single-valued attribute: `manager[value eq "x"]`.
    FilteredSingleValue,
    /// A `replace` of elements that a filter finds leaves what its value does not name.
    MergedElements,
}

impl Tolerance {
    /// Every tolerance with its name in logs.
    pub const ALL: [(Self, &'static str); 29] = [
        (Self::StringBooleans, "stringBooleans"),
        (Self::WrappedSingleValue, "wrappedSingleValue"),
        (Self::UnwrappedMultiValue, "unwrappedMultiValue"),
        (Self::BareComplexValue, "bareComplexValue"),
        (Self::UnknownAttributes, "unknownAttributes"),
        (Self::MissingSchemas, "missingSchemas"),
        (Self::BareExtensionNames, "bareExtensionNames"),
        (Self::PathKeys, "pathKeys"),
        (Self::UnquotedFilterValues, "unquotedFilterValues"),
        (Self::CreatedElements, "createdElements"),
        (Self::RemovedNothing, "removedNothing"),
        (Self::RemovedValues, "removedValues"),
        (Self::ReadOnlyInPatchValue, "readOnlyInPatchValue"),
        (Self::DisplayNameForDisplay, "displayNameForDisplay"),
        (Self::JsonInString, "jsonInString"),
        (Self::ReferenceDisplay, "referenceDisplay"),
        (Self::OperationCase, "operationCase"),
        (Self::MissingMessageUrn, "missingMessageUrn"),
        (Self::CountryNames, "countryNames"),
        (Self::SeveralPrimaries, "severalPrimaries"),
        (Self::BlankText, "blankText"),
        (Self::ReferenceText, "referenceText"),
        (Self::NumberForText, "numberForText"),
        (Self::ManagerId, "managerId"),
        (Self::MemberType, "memberType"),
        (Self::BlankPath, "blankPath"),
        (Self::BareSubAttributes, "bareSubAttributes"),
        (Self::FilteredSingleValue, "filteredSingleValue"),
        (Self::MergedElements, "mergedElements"),
    ];
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
            self.fired.0 |= 1 << tolerance as u32;
        }
        allowed
    }

    /// The tolerances that were used.
    #[must_use]
    pub fn fired(&self) -> Fired {
        self.fired
    }
}

/// A set of tolerances; displays as their names, comma separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired(u32);

impl Fired {
    /// The set as a number, to be kept where a set cannot be.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The set that a number stands for.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
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
        self.0 & (1 << tolerance as u32) != 0
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = Tolerance::ALL
            .iter()
            .filter(|(tolerance, _)| self.contains(*tolerance));
        let names: Vec<_> = used.map(|(_, name)| *name).collect();
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
    fn every_tolerance_is_listed_once_and_in_order() {
        for (position, (tolerance, _)) in Tolerance::ALL.iter().enumerate() {
            assert_eq!(*tolerance as usize, position);
        }
    }
}
