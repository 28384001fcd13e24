//! A member of a group, and a change of members.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::store::table::transaction::MAX_STEPS;

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The member's `id`.
    pub id: String,
    /// The name of the member's resource type.
    #[serde(rename = "kind")]
    pub type_name: String,
    /// The name for people that the client gave with the member, if it gave one.
    #[serde(default)]
    pub display: Option<String>,
}

/// Members to add and to remove; no id is in both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberChange {
    /// The members to add, by id.
    pub add: BTreeMap<String, Member>,
    /// The ids of the members to remove.
    pub remove: HashSet<String>,
}

/// The steps of one addition in a transaction: the check that the member exists, and its two items.
const STEPS_TO_ADD: usize = 3;
/// The steps of one removal in a transaction: the two items.
const STEPS_TO_REMOVE: usize = 2;
/// The steps of a transaction that belong neither to members nor to index entries: the group's own
/// item, the counter of its type, and the journal entry.
const OTHER_STEPS: usize = 3;

impl MemberChange {
    /// Adds removals of these ids, and drops their additions.
    pub fn remove_all(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.add.remove(&id);
            self.remove.insert(id);
        }
    }

    /// Whether nothing is added or removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// The number of additions less the number of removals.
    pub(super) fn balance(&self) -> i64 {
        count(self.add.len()) - count(self.remove.len())
    }

    /// Whether the change fits one transaction together with the update of the group's own item and
    /// with `entry_steps` steps for index entries.
    pub(super) fn fits_beside(&self, entry_steps: usize) -> bool {
        fit_beside(self.add.len(), self.remove.len(), entry_steps)
    }

    /// The same change in parts, each of which fits one transaction.
    pub(super) fn in_transactions(&self) -> Vec<Self> {
        let (add, remove): (Vec<_>, Vec<_>) =
            (self.add.iter().collect(), self.remove.iter().collect());
        let additions = add.chunks(MAX_STEPS / STEPS_TO_ADD).map(|part| Self {
            add: part
                .iter()
                .map(|(id, member)| ((*id).clone(), (*member).clone()))
                .collect(),
            remove: HashSet::new(),
        });
        let removals = remove.chunks(MAX_STEPS / STEPS_TO_REMOVE).map(|part| Self {
            add: BTreeMap::new(),
            remove: part.iter().map(|id| (*id).clone()).collect(),
        });
        additions.chain(removals).collect()
    }
}

/// Whether these numbers of additions and removals fit one transaction together with the update of
/// the group's own item and with `entry_steps` steps for index entries.
pub(super) fn fit_beside(add: usize, remove: usize, entry_steps: usize) -> bool {
    add * STEPS_TO_ADD + remove * STEPS_TO_REMOVE + OTHER_STEPS + entry_steps <= MAX_STEPS
}

/// A number of members, as a signed number.
pub(super) fn count(members: usize) -> i64 {
    i64::try_from(members).unwrap_or(i64::MAX)
}
