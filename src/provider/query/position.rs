//! Where a page ends, in a form from which a later request can go on.

use serde::{Deserialize, Serialize};

use crate::protocol::sort::Border;

/// A position in the scan of one search. Its length as text is bounded, so that it fits into a
/// cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ScanPosition {
    /// After a key of the branch with this number, or before all of its keys.
    #[serde(rename = "k")]
    Key(usize, Option<String>),
    /// After a resource of the branch with this number, among resources that its keys do not put in
    /// order, because their values are too long for a key.
    #[serde(rename = "t")]
    Tied(usize, Border),
    /// After a resource of a list that is sorted in memory.
    #[serde(rename = "s")]
    Sorted(Border),
}

impl ScanPosition {
    /// The beginning of the scan.
    pub(super) const START: Self = Self::Key(0, None);
}
