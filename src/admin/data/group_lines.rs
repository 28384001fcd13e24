//! The lines of one group, and what becomes of its members.

use tokio::time::Instant;
use uuid::Uuid;

use super::chunk::Numbered;
use super::line::MembersLine;
use super::order::MembersBetween;
use super::state::Position;
use crate::protocol::error::Result;
use crate::provider::{Importer, MembersArrived};

/// How long before the export began a resource may seem to have been made that was made later, in milliseconds: by that
/// much the clocks of two processes may differ.
const MAX_SKEW_MILLIS: u64 = 600_000;

/// The lines of one group that follow each other.
pub(super) struct GroupLines {
    /// Each line with its number, and the place before it.
    lines: Vec<(u64, Option<Position>, MembersLine)>,
}

/// What became of the lines of a group.
#[derive(Default)]
pub(super) struct GroupDone {
    /// What became of each line.
    pub(super) arrived: Vec<Numbered<Result<MembersArrived>>>,
    /// The number of members that were removed.
    pub(super) removed: u64,
    /// Whether time has run out before the end.
    pub(super) is_cut: bool,
}

impl GroupLines {
    /// The first line of a group.
    pub(super) fn new(number: u64, before: Option<Position>, line: MembersLine) -> Self {
        Self {
            lines: vec![(number, before, line)],
        }
    }

    /// Whether a line is of the same group.
    pub(super) fn is_of(&self, line: &MembersLine) -> bool {
        let (_, _, own) = &self.lines[0];
        own.type_name == line.type_name && own.group == line.group
    }

    /// Adds a line.
    pub(super) fn push(&mut self, number: u64, before: Option<Position>, line: MembersLine) {
        self.lines.push((number, before, line));
    }

    /// Adds the members, and removes the others before the end of the lines if the members are to be exact.
    pub(super) async fn arrive(
        &self,
        importer: &Importer<'_>,
        is_exact: bool,
        ends: Instant,
    ) -> Result<GroupDone> {
        let mut done = GroupDone::default();
        for (number, before, line) in &self.lines {
            let arriving = match line.arriving() {
                Ok(arriving) => arriving,
                Err(error) => {
                    done.arrived.push((*number, Err(error)));
                    continue;
                }
            };
            if is_exact {
                let until = (
                    line.type_name.as_str(),
                    line.group.as_str(),
                    &arriving.members,
                );
                let between = MembersBetween::new(before.as_ref(), Some(until));
                let swept = between.sweep(importer, ends).await?;
                done.removed += swept.removed;
                if swept.is_cut {
                    done.is_cut = true;
                    return Ok(done);
                }
            }
            let arrived = importer.members(&arriving).await?;
            done.arrived.push((*number, arrived));
        }
        Ok(done)
    }
}

/// Whether an id is one that this service has made between two times, in milliseconds since the Unix epoch, as far as
/// clocks agree.
pub(super) fn is_made_between(id: &str, exported: u64, now: u64) -> bool {
    let made = || {
        let id = Uuid::try_parse(id).ok()?;
        let id = (id.get_version_num() == 7).then_some(id)?;
        let (seconds, nanos) = id.get_timestamp()?.to_unix();
        Some(seconds * 1_000 + u64::from(nanos) / 1_000_000)
    };
    made().is_some_and(|made| {
        made + MAX_SKEW_MILLIS >= exported && made <= now.saturating_add(MAX_SKEW_MILLIS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_that_was_made_meanwhile_is_late() {
        let exported = 0x0199_c3a7_15be;
        let now = exported + 3_600_000;
        for (id, expected) in [
            ("0199c3a7-15be-7aaa-8bbb-0123456789ab", true),
            ("0199c3a7-0000-7aaa-8bbb-0123456789ab", true),
            ("0199c300-0000-7aaa-8bbb-0123456789ab", false),
            ("0199ffff-0000-7aaa-8bbb-0123456789ab", false),
            ("ffffffff-ffff-7fff-bfff-ffffffffffff", false),
            ("0199c3a7-15be-1aaa-8bbb-0123456789ab", false),
            ("00000000-0000-1000-8000-000000000000", false),
            ("ada", false),
        ] {
            assert_eq!(is_made_between(id, exported, now), expected, "{id}");
        }
    }
}
