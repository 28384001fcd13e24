//! What a plan reads.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::protocol::filter::CompareOp;
use crate::protocol::schema::Index;
use crate::protocol::sort::{SortBy, SortKey, SortOrder};
use crate::store::key_range::KeyRange;
use crate::store::keys;
use crate::store::resources::entry::Entries;
use crate::store::table::query::Order;

/// A set of keys, and the order they are read in.
///
/// Ids in it can be ids of resources: a filter that compares ids with anything else is bound to a
/// constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// The resources with these ids; no id twice.
    Ids(Vec<String>),
    /// The holders of these unique values; no text twice.
    Claims {
        /// The index of the claims.
        index: Arc<Index>,
        /// The index texts.
        texts: Vec<String>,
    },
    /// A part of an index.
    Range(Range),
    /// The parts of an index with these values; no text twice, in order.
    Values {
        /// The index.
        index: Arc<Index>,
        /// The index texts.
        texts: Vec<String>,
    },
    /// The resources that an index does not hold, in order of creation.
    Without(Arc<Index>, Order),
    /// The groups that a resource is a member of.
    GroupsOf {
        /// The member's `id`.
        member: String,
    },
    /// The resources that are in a group, directly or through other groups.
    MembersOf {
        /// The group's `id`.
        group: String,
    },
    /// A group, if it has a certain member.
    GroupWith {
        /// The group's `id`.
        group: String,
        /// The member's `id`.
        member: String,
    },
    /// Every resource of the type, in order of creation.
    All,
}

/// A part of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The index.
    pub index: Arc<Index>,
    /// The keys to read.
    pub keys: KeyRange,
    /// Which way.
    pub order: Order,
    /// The operators that made the range, for people.
    pub(super) words: String,
    /// Whether a resource can stand in it only once.
    pub distinct: bool,
    /// Whether the list is to have the order of the values. The order of the keys is another one where
    /// keys are cut.
    pub by_value: bool,
    /// The index text, if it is the range of one value.
    pub(super) text: Option<String>,
}

impl Range {
    /// Whether it is all of the index.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a sort key is the first one, of all that the resource has in the range, that a read
    /// comes to.
    #[must_use]
    pub fn begins_with(&self, key: &str, body: &Map<String, Value>) -> bool {
        let texts = Entries::texts_in(&self.index, body);
        let mut inside = texts.iter().filter(|text| self.holds(text));
        let first = match self.order {
            Order::Ascending => inside.next(),
            Order::Descending => inside.next_back(),
        };
        first.is_some_and(|text| text == KeyRange::text_of(key))
    }

    /// Where a resource stands in the order of the values. It must be complete.
    #[must_use]
    pub fn place(&self, resource: &Map<String, Value>) -> SortKey {
        let order = match self.order {
            Order::Ascending => SortOrder::Ascending,
            Order::Descending => SortOrder::Descending,
        };
        SortBy::of_path(self.index.values.clone(), order).key(resource)
    }

    /// The part of the range with these beginnings.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> KeyRange {
        self.keys.clone().and(KeyRange::prefix(prefix))
    }

    fn holds(&self, text: &str) -> bool {
        self.keys.contains(&keys::claim(text))
    }

    /// The range of one value in the order of the index.
    pub(super) fn of_value(index: Arc<Index>, text: String) -> Self {
        Self {
            index,
            keys: KeyRange::equal(&text),
            order: Order::Ascending,
            words: CompareOp::Eq.as_str().to_owned(),
            distinct: true,
            by_value: false,
            text: Some(text),
        }
    }
}

impl Access {
    /// Takes another range of the same attribute into account; not of a multi-valued one, where each
    /// range may hold of another value.
    pub(super) fn narrow(&mut self, other: &Self) -> bool {
        let (Self::Range(range), Self::Range(other)) = (self, other) else {
            return false;
        };
        if other.index != range.index || range.index.multi_valued {
            return false;
        }
        range.keys = std::mem::take(&mut range.keys).and(other.keys.clone());
        range.words = format!("{} {}", range.words, other.words);
        range.text = None;
        true
    }

    /// Whether a resource is found here, as far as its body says: memberships are not in it.
    #[must_use]
    pub fn finds(&self, id: &str, body: &Map<String, Value>) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.iter().any(|wanted| wanted == id),
            Self::Claims { index, texts } | Self::Values { index, texts } => {
                let own = Entries::texts_in(index, body);
                texts.iter().any(|text| own.contains(text))
            }
            Self::Range(range) => Entries::texts_in(&range.index, body)
                .iter()
                .any(|text| range.holds(text)),
            Self::Without(index, _) => Entries::texts_in(index, body).is_empty(),
            Self::GroupsOf { .. } | Self::MembersOf { .. } | Self::GroupWith { .. } => false,
        }
    }

    /// Takes lookups of the same kind in, so that they are made together.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        if let (Some((index, own)), Some((same, more))) = (self.values(), other.values())
            && index == same
        {
            let texts = BTreeSet::from_iter(own.iter().chain(more).cloned());
            *self = match texts.len() {
                // The same value once more.
                1 => return true,
                _ => Self::Values {
                    index: index.clone(),
                    texts: texts.into_iter().collect(),
                },
            };
            return true;
        }
        let (own, more) = match (self, other) {
            (Self::Ids(ids), Self::Ids(more)) => (ids, more),
            (
                Self::Claims { index, texts },
                Self::Claims {
                    index: same,
                    texts: more,
                },
            ) if index == same => (texts, more),
            (one, other) => return one == other,
        };
        own.extend(more.iter().cloned());
        own.sort_unstable();
        own.dedup();
        true
    }

    /// The values of an index that are looked up, if that is what this is.
    fn values(&self) -> Option<(&Arc<Index>, &[String])> {
        match self {
            Self::Values { index, texts } => Some((index, texts.as_slice())),
            Self::Range(range) => Some((&range.index, range.text.as_slice())),
            _ => None,
        }
        .filter(|(_, texts)| !texts.is_empty())
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = |order: &Order| match order {
            Order::Ascending => "",
            Order::Descending => " descending",
        };
        match self {
            Self::Ids(ids) => write!(f, "get {}", ids.len()),
            Self::Claims { index, texts } => {
                write!(f, "claim {} {}", index.path(), texts.len())
            }
            Self::Range(range) => {
                let words = if range.words.is_empty() { "" } else { " " };
                let order = direction(&range.order);
                write!(
                    f,
                    "index {}{words}{}{order}",
                    range.index.path(),
                    range.words
                )
            }
            Self::Values { index, texts } => {
                write!(f, "index {} eq {}", index.path(), texts.len())
            }
            Self::Without(index, order) => {
                write!(f, "without {}{}", index.path(), direction(order))
            }
            Self::GroupsOf { .. } => f.write_str("groups of a member"),
            Self::MembersOf { .. } => f.write_str("members of a group"),
            Self::GroupWith { .. } => f.write_str("get 1 with a member"),
            Self::All => f.write_str("all"),
        }
    }
}
