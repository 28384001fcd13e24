//! Index entries: the keys by which a resource is found.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::key::{Key, text_in};
use crate::protocol::schema::Index;
use crate::store::keys;

/// The largest number of entries that one resource has in one index. All of them can be replaced in
/// one transaction, which takes 100 steps.
pub const MAX_ENTRIES: usize = 40;

/// The largest number of entries that one resource has in all indexes together. All of them are
/// written or removed in one transaction with the resource.
pub const MAX_ENTRIES_IN_ALL: usize = 90;

/// The prefix of the paths of claims on values of an index that is not unique by itself. These
/// claims are in a partition of their own.
const CLAIMS: &str = "!";

/// The path of the only index on whose values a switch puts claims.
pub const CLAIMED_BY_SWITCH: &str = "displayName";

/// The path of the claims on the values of an index that is not unique by itself.
pub(in crate::store) fn claims_on(path: &str) -> String {
    format!("{CLAIMS}{path}")
}

/// One key of a resource in one index: a claim or an index entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// The index's path, such as `emails.value`.
    pub path: String,
    /// The index text of the value.
    pub key: String,
    /// Whether the entry is a claim: no other resource may have the same key.
    pub unique: bool,
}

impl Entry {
    /// The path of the attribute whose value the key is.
    pub(in crate::store) fn attribute(&self) -> &str {
        self.path.strip_prefix(CLAIMS).unwrap_or(&self.path)
    }

    /// Whether this is an entry of the index or a claim on its values.
    #[must_use]
    pub fn is_of(&self, index: &Index) -> bool {
        self.attribute() == index.path()
    }

    /// The sort key. That of an index entry ends with the resource's id; that of a claim is the same
    /// for every resource.
    pub(in crate::store) fn sort_key(&self, id: &str) -> String {
        if self.unique {
            keys::claim(&self.key)
        } else {
            keys::entry(&self.key, id)
        }
    }
}

/// All entries of a resource, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Entries {
    entries: BTreeSet<Entry>,
    /// The number of values of the resource, for each index that does not hold all of them, by the
    /// index's path.
    #[serde(skip)]
    crowded: BTreeMap<String, usize>,
}

impl Entries {
    /// Adds the keys of one index; if there are more than [`MAX_ENTRIES`], only the first ones.
    pub fn add(&mut self, index: &Index, keys: Vec<String>) {
        if keys.len() > MAX_ENTRIES {
            let distinct: BTreeSet<&String> = keys.iter().collect();
            if distinct.len() > MAX_ENTRIES {
                self.crowded.insert(index.path().to_owned(), distinct.len());
            }
        }
        let entry = |key| Entry {
            path: index.path().to_owned(),
            key,
            unique: index.unique,
        };
        self.entries.extend(kept(keys).into_iter().map(entry));
    }

    /// The paths of the indexes that do not hold all values of the resource, each with the number of
    /// values.
    pub fn crowded(&self) -> impl Iterator<Item = (&str, usize)> {
        let crowded = self.crowded.iter();
        crowded.map(|(path, values)| (path.as_str(), *values))
    }

    /// The first index that does not hold all values of the resource, and has more values now than
    /// in `before`: its path and the number of values now.
    #[must_use]
    pub fn crowded_since(&self, before: &Self) -> Option<(&str, usize)> {
        let had = |path: &str| before.crowded.get(path).copied().unwrap_or(0);
        self.crowded().find(|(path, values)| *values > had(path))
    }

    /// Adds claims on the keys of an index that is not unique by itself.
    pub fn claim(&mut self, index: &Index, keys: impl IntoIterator<Item = String>) {
        let claim = |key| Entry {
            path: claims_on(index.path()),
            key,
            unique: true,
        };
        self.entries.extend(keys.into_iter().map(claim));
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whether the resource with this id has an entry with this sort key in this partition.
    #[must_use]
    pub fn has(&self, partition: &str, sort_key: &str, id: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.path == partition && entry.sort_key(id) == sort_key)
    }

    /// The entries that `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&Entry) -> bool) -> Self {
        Self {
            entries: self.iter().filter(|entry| keep(entry)).cloned().collect(),
            crowded: BTreeMap::new(),
        }
    }

    /// All entries but this one.
    pub(super) fn without(&self, entry: &Entry) -> Self {
        self.filtered(|other| other != entry)
    }

    /// The partitions of this index, by path: that of its entries, and that of the claims on its
    /// values.
    #[must_use]
    pub fn partitions(index: &Index) -> [String; 2] {
        [index.path().to_owned(), claims_on(index.path())]
    }

    /// The index texts that a resource with this body has in an index, in order.
    #[must_use]
    pub fn texts_in(index: &Index, body: &Map<String, Value>) -> BTreeSet<String> {
        let keys = Key::all_of(&index.values, body);
        kept(keys.iter().filter_map(|key| text_in(index, key)))
    }

    /// The entries that are in these and not in `other`.
    pub(in crate::store) fn minus<'e>(
        &'e self,
        other: &'e Self,
    ) -> impl Iterator<Item = &'e Entry> {
        self.entries.difference(&other.entries)
    }
}

/// The texts that an index holds of one resource: those of its first [`MAX_ENTRIES`] distinct
/// values.
fn kept(texts: impl IntoIterator<Item = String>) -> BTreeSet<String> {
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
    use crate::protocol::schema::Registry;

    fn emails(values: usize) -> Entries {
        let user = Registry::builtin().resource_type("User").unwrap();
        let index = user.index("emails.value").unwrap();
        let mut entries = Entries::default();
        let twice = (0..values).flat_map(|n| [n.to_string(), n.to_string()]);
        entries.add(index, twice.collect());
        entries
    }

    #[test]
    fn values_beyond_those_an_index_holds_are_counted() {
        let (full, more) = (emails(MAX_ENTRIES), emails(MAX_ENTRIES + 2));
        assert_eq!((full.iter().count(), full.crowded().next()), (40, None));
        assert_eq!(more.iter().count(), MAX_ENTRIES);
        assert_eq!(more.crowded().collect::<Vec<_>>(), [("emails.value", 42)]);
        assert_eq!(more.crowded_since(&full), Some(("emails.value", 42)));
        assert_eq!(emails(41).crowded_since(&more), None);
    }
}
