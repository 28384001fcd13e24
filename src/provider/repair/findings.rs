//! The result of an examination of a tenant's part of the table.

use super::super::pace::Found;
use crate::store::Unfinished;

/// The result of an examination of a tenant's part of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Resources that were looked at.
    pub resources: u64,
    /// Resources whose stored text had no `id`.
    pub without_id: u64,
    /// Resources that an earlier version of the service has given their index entries.
    pub earlier: u64,
    /// Resources that a newer version of the service has written. They are not looked at.
    pub newer: u64,
    /// Changes that a dead writer had begun, and that were finished.
    pub finished: usize,
    /// Entries of the journal that are not finished, the oldest first.
    pub unfinished: Vec<Unfinished>,
    /// Index entries that were missing.
    pub missing: u64,
    /// Index entries that no resource has.
    pub stray: u64,
    /// Counters with a wrong sum: the type, the sum, and the number of its resources.
    pub totals: Vec<(String, u64, u64)>,
    /// Users that were active without a seat, or had one although they were not, although the count was
    /// complete.
    pub uncounted: u64,
    /// Groups with a wrong number of members: the id, the number in the group's own item, and the
    /// number of members. That number is approximate by design, so this is no fault.
    pub members: Vec<(String, i64, u64)>,
    /// Values of unique attributes that more than one resource has, as `type attribute id`.
    pub conflicts: Vec<String>,
    /// Resources with more values of an indexed attribute than the index holds, as
    /// `type attribute id`.
    pub crowded: Vec<String>,
}

impl Findings {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let entries = self.missing + self.stray + self.without_id + self.earlier + self.uncounted;
        entries == 0 && self.totals.is_empty() && self.obstacles() == 0
    }

    /// Whether a repair mends all that is wrong.
    #[must_use]
    pub fn is_mendable(&self) -> bool {
        self.obstacles() == 0
    }

    /// What was found so far, in numbers.
    pub(super) fn found(&self) -> Found {
        let named = [
            self.totals.len(),
            self.members.len(),
            self.conflicts.len(),
            self.crowded.len(),
        ];
        Found {
            obstacles: self.obstacles(),
            named: named.iter().sum(),
        }
    }

    /// What no repair can mend: values that have to change, what only a newer version of the service can
    /// look at, and journal entries that nothing has finished in good time.
    fn obstacles(&self) -> usize {
        let overdue = self.unfinished.iter().filter(|entry| entry.is_overdue);
        let newer = usize::try_from(self.newer).unwrap_or(usize::MAX);
        self.conflicts.len() + self.crowded.len() + overdue.count() + newer
    }
}
