//! Where an import is: what one part has to know about those before it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::line::{End, MembersLine};
use crate::protocol::error::{Error, Result};

/// The largest number that a state or a cursor may have: more than any file has lines, and far from the end of the
/// numbers, so that counting on cannot overflow.
pub(super) const MAX_NUMBER: u64 = 1 << 52;

/// By this many, and by a factor of two, the numbers of members may differ: an export writes what the groups count, and
/// that may be wrong after a process has died.
const UNCERTAIN_MEMBERS: u64 = 100_000;

/// Where an import is. The caller keeps it as a text from one part to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The number of lines that are done.
    #[serde(rename = "l")]
    pub(super) lines: u64,
    /// When the export began, in milliseconds since the Unix epoch; `None` before the head.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub(super) exported: Option<u64>,
    /// The last resource, or the last member.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Position>,
    /// The last resource, once members have begun.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(super) last_resource: Option<Position>,
    /// The number of lines that could not be read.
    #[serde(rename = "u", default)]
    pub(super) unread: u64,
    /// The resource types that a dry run would have registered.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) coming: Vec<String>,
    #[serde(rename = "r")]
    pub(super) resources: u64,
    #[serde(rename = "m")]
    pub(super) memberships: u64,
    /// The number of members that the lines of groups say they have.
    #[serde(rename = "n", default)]
    expected_members: u64,
    #[serde(rename = "c", default)]
    pub(super) credentials: u64,
    /// Whether the last line of the file is done.
    #[serde(rename = "e")]
    pub(super) is_over: bool,
}

/// A place in the order of an export: resources come before members, and each by type and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Position {
    /// A resource: its type and id.
    Resource(String, String),
    /// A member: the type and id of its group, and its own id. A group without members has an empty one.
    Member(String, String, String),
}

impl Position {
    /// The place of the last member of a line.
    pub(super) fn of_members(line: &MembersLine) -> Self {
        let last = line.last().unwrap_or_default().to_owned();
        Self::Member(line.type_name.clone(), line.group.clone(), last)
    }
}

impl State {
    /// Reads the text that a part has given.
    ///
    /// # Errors
    /// `InvalidValue` for any other text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let read = || {
            let json = URL_SAFE_NO_PAD.decode(text).ok()?;
            let state: Self = serde_json::from_slice(&json).ok()?;
            let numbers = [
                state.lines,
                state.unread,
                state.resources,
                state.memberships,
                state.credentials,
                state.expected_members,
                state.exported.unwrap_or_default(),
            ];
            // The caller may have made the text up.
            let is_small = numbers.iter().all(|number| *number <= MAX_NUMBER);
            is_small.then_some(state)
        };
        read().ok_or_else(|| Error::invalid_value("`state` is not that of a part of an import"))
    }

    /// The text that the caller keeps.
    pub(super) fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).expect("a state has texts and numbers only");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// The number of the next line, which counts from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// Counts the members that the lines of groups say they have.
    pub(super) fn expect_members(&mut self, members: u64) {
        self.expected_members = self
            .expected_members
            .saturating_add(members)
            .min(MAX_NUMBER);
    }

    /// Checks that the file has as many lines as its end says, and about as many members as its groups say. By that
    /// number the table gives a group room, so with a wrong one every request about the group would take longer.
    ///
    /// # Errors
    /// `InvalidValue` naming what is missing.
    pub(super) fn check_end(&self, end: End) -> Result<()> {
        let possible = self
            .memberships
            .saturating_mul(2)
            .saturating_add(UNCERTAIN_MEMBERS);
        if self.unread == 0 && self.expected_members > possible {
            return Err(Error::invalid_value(format!(
                "The groups of the file are said to have {} members, and the file has {}",
                self.expected_members, self.memberships
            )));
        }
        let has = (self.resources, self.memberships, self.credentials);
        let is_same = has == (end.resources, end.memberships, end.credentials);
        // What a line has that could not be read is not known, and it has an error of its own.
        if is_same || self.unread > 0 {
            return Ok(());
        }
        Err(Error::invalid_value(format!(
            "The file has {} resources, {} memberships and {} credentials, and its end says {}, {} and {}: lines are \
             missing or were added",
            self.resources,
            self.memberships,
            self.credentials,
            end.resources,
            end.memberships,
            end.credentials
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_with_a_made_up_number_is_refused() {
        let state = |member: &str, number: u64| {
            let mut state = serde_json::to_value(State::default()).unwrap();
            state[member] = number.into();
            URL_SAFE_NO_PAD.encode(state.to_string())
        };
        for member in ["l", "u", "r", "m", "c", "x", "n"] {
            assert!(State::parse(&state(member, MAX_NUMBER)).is_ok(), "{member}");
            for number in [MAX_NUMBER + 1, u64::MAX - 1, u64::MAX] {
                assert!(State::parse(&state(member, number)).is_err(), "{member}");
            }
        }
    }
}
