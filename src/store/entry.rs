//! Index entries: which keys a resource stands under.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::keys;
use crate::protocol::schema::Index;

/// The most entries that one resource has in one index.
const MAX_ENTRIES: usize = 20;

/// Claims on the values of an index that is not unique by itself stand in a partition of their own.
const CLAIMS: &str = "!";

/// One key in one index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// The index's path, such as `emails.value`.
    pub path: String,
    /// The index text of the value.
    pub key: String,
    /// Whether the key is a claim that no other resource may hold.
    pub unique: bool,
}

impl Entry {
    /// The attribute that the key is of.
    pub(super) fn attribute(&self) -> &str {
        self.path.strip_prefix(CLAIMS).unwrap_or(&self.path)
    }

    /// The sort key: with the id, unless it is a claim.
    pub(super) fn sort_key(&self, id: &str) -> String {
        if self.unique {
            keys::claim(&self.key)
        } else {
            keys::entry(&self.key, id)
        }
    }
}

/// All keys that a resource stands under, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entries(BTreeSet<Entry>);

impl Entries {
    /// Adds the keys of one index, the first 20 of them.
    pub fn add(&mut self, index: &Index, keys: impl IntoIterator<Item = String>) {
        let entry = |key| Entry {
            path: index.path.clone(),
            key,
            unique: index.unique,
        };
        self.0.extend(kept(keys).into_iter().map(entry));
    }

    /// Adds claims on the keys of an index that is not unique by itself.
    pub fn claim(&mut self, index: &Index, keys: impl IntoIterator<Item = String>) {
        let claim = |key| Entry {
            path: format!("{CLAIMS}{}", index.path),
            key,
            unique: true,
        };
        self.0.extend(keys.into_iter().map(claim));
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Whether the resource with this id has an entry with this sort key in this partition.
    #[must_use]
    pub fn has(&self, partition: &str, sort_key: &str, id: &str) -> bool {
        self.0
            .iter()
            .any(|entry| entry.path == partition && entry.sort_key(id) == sort_key)
    }

    /// Only those entries.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self(self.0.iter().filter(|entry| keep(entry)).cloned().collect())
    }

    /// The partitions in which this index keeps its entries and claims.
    #[must_use]
    pub fn partitions(index: &Index) -> [String; 2] {
        [index.path.clone(), format!("{CLAIMS}{}", index.path)]
    }

    /// The entries that are here and not there.
    pub(super) fn minus<'e>(&'e self, other: &'e Self) -> impl Iterator<Item = &'e Entry> {
        self.0.difference(&other.0)
    }
}

/// The texts that one resource has in one index: those of its first values.
pub(super) fn kept(texts: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for text in texts {
        if kept.len() == MAX_ENTRIES {
            break;
        }
        kept.insert(text);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_those_that_are_indexed() {
        let texts = (0..30)
            .rev()
            .flat_map(|n| [format!("{n:02}"), format!("{n:02}")]);
        let expected: BTreeSet<String> = (10..30).map(|n| format!("{n:02}")).collect();
        assert_eq!(kept(texts), expected);
    }
}
