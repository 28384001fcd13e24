//! Where a page ends, in a form that a later request goes on from.

use serde::{Deserialize, Serialize};

use crate::protocol::key::Key;
use crate::protocol::message::SortOrder;
use crate::protocol::sort::SortKey;

/// A place in the walk of one search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// After a key of one of the things that are read, or before all of its keys.
    #[serde(rename = "k")]
    Key(usize, Option<String>),
    /// After a resource of a list that is sorted in memory: by the text of its key, and its id.
    #[serde(rename = "s")]
    Sorted(Option<String>, String),
}

impl Position {
    /// Before everything.
    pub(super) const START: Self = Self::Key(0, None);

    pub(super) fn of_sorted(key: &SortKey) -> Self {
        let text = key.key.as_ref().map(|key| key.as_str().to_owned());
        Self::Sorted(text, key.id.to_string())
    }

    /// The place in a list that is sorted in memory; nothing for its start.
    pub(super) fn sort_key(&self, order: SortOrder) -> Option<SortKey> {
        match self {
            Self::Key(..) => None,
            Self::Sorted(text, id) => Some(SortKey {
                key: text.clone().map(Key::from_text),
                id: id.as_str().into(),
                order,
            }),
        }
    }
}
