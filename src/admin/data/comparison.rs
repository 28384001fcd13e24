//! The comparison after an import: whether index entries and counters fit the resources.

use serde::{Deserialize, Serialize};

use crate::provider::Findings;

/// The result of a comparison of index entries and counters with the resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The number of resources that were looked at.
    pub resources: u64,
    /// Whether nothing was wrong.
    pub is_clean: bool,
    /// Index entries that were missing.
    pub missing: u64,
    /// Index entries that no resource has.
    pub left_over: u64,
    /// Counters with a wrong sum.
    pub counters: u64,
    /// Unique values that several resources have, and resources with more values than an index holds.
    pub conflicts: u64,
    /// Changes that are not finished yet. Large changes of groups leave some for a short time.
    pub unfinished: u64,
}

impl From<&Findings> for Comparison {
    fn from(findings: &Findings) -> Self {
        Self {
            resources: findings.resources,
            is_clean: findings.is_clean(),
            missing: findings.missing,
            left_over: findings.stray,
            counters: findings.totals.len() as u64,
            conflicts: (findings.conflicts.len() + findings.crowded.len()) as u64,
            unfinished: findings.unfinished.len() as u64,
        }
    }
}
