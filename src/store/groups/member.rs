//! Members, and what a request makes of them.

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
    /// Its name for people, if the client gave one with it.
    #[serde(default)]
    pub display: Option<String>,
}

/// Members to add and to remove; no id is in both.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemberChange {
    /// To add, by id.
    pub add: BTreeMap<String, Member>,
    /// To remove.
    pub remove: HashSet<String>,
}

/// The steps of one addition: the check of the member, and the two items.
const STEPS_TO_ADD: usize = 3;
/// The steps of one removal: the two items.
const STEPS_TO_REMOVE: usize = 2;
/// Steps of a transaction that are about neither members nor index entries: the group, its count, the
/// journal.
const OTHER_STEPS: usize = 3;

impl MemberChange {
    /// Removes these ids, which are then not added.
    pub fn remove_all(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.add.remove(&id);
            self.remove.insert(id);
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// By how many members there are more afterwards, if those to add are new and those to remove
    /// are there.
    pub(super) fn balance(&self) -> i64 {
        count(self.add.len()) - count(self.remove.len())
    }

    /// Whether this fits one transaction with the group's own update and with `entry_steps` steps that
    /// change index entries.
    pub(super) fn fits_beside(&self, entry_steps: usize) -> bool {
        fit_beside(self.add.len(), self.remove.len(), entry_steps)
    }

    /// The same in parts that each fit a transaction.
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

/// Whether these numbers of additions and removals fit one transaction with the group's own update and
/// with `entry_steps` steps that change index entries.
pub(super) fn fit_beside(add: usize, remove: usize, entry_steps: usize) -> bool {
    add * STEPS_TO_ADD + remove * STEPS_TO_REMOVE + OTHER_STEPS + entry_steps <= MAX_STEPS
}

/// A number of members that may be added to and taken from.
pub(super) fn count(members: usize) -> i64 {
    i64::try_from(members).unwrap_or(i64::MAX)
}
