//! Which attributes of items a read returns.

use std::collections::HashMap;

/// Which attributes a read returns. It costs the same capacity in each case, but attributes that are
/// not returned need not be sent and decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProjectedAttributes {
    /// All attributes.
    All,
    /// The sort key, and whether it is a tombstone.
    Keys,
    /// What readers need of a resource: not its password hash, and no attributes that only the table
    /// needs.
    Resource,
    /// The sort key of a claim or an index entry, and the id of its resource.
    Entry,
    /// The number of a counter.
    Number,
    /// The key, whether it is a tombstone, and of a group its current set and who was removed from it.
    Membership,
    /// No attributes: the items are only counted.
    Count,
}

/// The names of attributes that DynamoDB reserves.
const RESERVED: [(&str, &str); 3] = [("#set", "set"), ("#inner", "inner"), ("#open", "open")];

impl ProjectedAttributes {
    /// The projection expression; `None` if the read needs none.
    pub(super) fn expression(self) -> Option<String> {
        let names = match self {
            Self::All | Self::Count => return None,
            Self::Keys => "sk, del",
            Self::Resource => {
                "sk, body, v, ix, created, modified, del, seat, mv, ms, n, about, gone, #set, #inner, #open"
            }
            Self::Entry => "sk, id",
            Self::Number => "n",
            Self::Membership => "pk, sk, del, n, gone, #set",
        };
        Some(names.to_owned())
    }

    /// The attributes that the placeholders in the expression stand for.
    pub(super) fn names(self) -> Option<HashMap<String, String>> {
        // DynamoDB refuses names that the expression does not use.
        let names = match self {
            Self::Resource => &RESERVED[..],
            Self::Membership => &RESERVED[..1],
            _ => return None,
        };
        let names = names.iter();
        let names = names.map(|(name, of)| ((*name).to_owned(), (*of).to_owned()));
        Some(names.collect())
    }

    /// Whether the items are only counted.
    pub(super) fn is_count(self) -> bool {
        self == Self::Count
    }
}
