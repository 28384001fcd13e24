//! What a plan reads: ranges, lookups of ids and values, memberships.

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

/// A set of keys, and the order in which they are read.
///
/// Its ids have the form of resource ids, because a filter that compares an id with any other text
/// is bound to a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// The resources with these ids. No id occurs twice.
    Ids(Vec<String>),
    /// The resources that hold these unique values. No text occurs twice.
    Claims {
        /// The index of the claims.
        index: Arc<Index>,
        /// The index texts.
        texts: Vec<String>,
    },
    /// A range of an index.
    Range(Range),
    /// The entries of an index for these values. The texts are in order and none occurs twice.
    Values {
        /// The index.
        index: Arc<Index>,
        /// The index texts.
        texts: Vec<String>,
    },
    /// The resources without an entry in an index, in order of creation.
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
    /// A group, if it has this member.
    GroupWith {
        /// The group's `id`.
        group: String,
        /// The member's `id`.
        member: String,
    },
    /// Every resource of the type, in order of creation.
    All,
}

/// A range of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The index.
    pub index: Arc<Index>,
    /// The keys to read.
    pub keys: KeyRange,
    /// The order in which to read them.
    pub order: Order,
    /// The operators of the filter that made the range, for the plan's text.
    pub(super) words: String,
    /// Whether a resource can have only one entry in it.
    pub distinct: bool,
    /// Whether the list must have the order of the values. The order of the keys may differ from it,
    /// because the keys of long values are cut.
    pub by_value: bool,
    /// The index text, if this is the range of a single value.
    pub(super) text: Option<String>,
}

impl Range {
    /// Whether it is the whole index.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a sort key is the first of a resource's keys in the range, in the order in which the
    /// range is read.
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

    /// The resource's sort key in the order of the values. `resource` must have all of its
    /// attributes.
    #[must_use]
    pub fn place(&self, resource: &Map<String, Value>) -> SortKey {
        let order = match self.order {
            Order::Ascending => SortOrder::Ascending,
            Order::Descending => SortOrder::Descending,
        };
        SortBy::of_path(self.index.values.clone(), order).key(resource)
    }

    /// The keys of the range that begin with this prefix.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> KeyRange {
        self.keys.clone().and(KeyRange::prefix(prefix))
    }

    fn holds(&self, text: &str) -> bool {
        self.keys.contains(&keys::claim(text))
    }

    /// The range of a single value.
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
    /// Narrows a range by another range of the same attribute. Returns false if that is not
    /// possible. Ranges of a multi-valued attribute are not narrowed, because each may match another
    /// value of it.
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

    /// Whether the access finds a resource with this id and body. It is false for accesses by
    /// memberships, which the body does not contain.
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

    /// Joins another lookup of the same kind, so that both are made together. Returns false if that
    /// is not possible.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        if let (Some((index, own)), Some((same, more))) = (self.values(), other.values())
            && index == same
        {
            let texts = BTreeSet::from_iter(own.iter().chain(more).cloned());
            *self = match texts.len() {
                // Both look up the same value.
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

    /// The index and the texts, if this is a lookup of single values of an index.
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
