//! Where a page ends, in a form that a later request goes on from.

use serde::{Deserialize, Serialize};

use crate::protocol::sort::Border;

/// A place in the scan of one search. Its length as text is bounded, so that it fits a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// After a key of one of the things that are read, or before all of its keys.
    #[serde(rename = "k")]
    Key(usize, Option<String>),
    /// After a resource among those whose order the keys of one of the things that are read do not
    /// tell, because their values are too long for a key.
    #[serde(rename = "t")]
    Tied(usize, Border),
    /// After a resource of a list that is sorted in memory.
    #[serde(rename = "s")]
    Sorted(Border),
}

impl Position {
    /// Before everything.
    pub(super) const START: Self = Self::Key(0, None);
}
