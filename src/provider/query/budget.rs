//! Limits on what a request may read to find a page.

use crate::store::{CountLimit, Stored};

/// The bytes of a resource's item that are not its body: other attributes, and what DynamoDB adds to
/// each item.
const ITEM_OVERHEAD: usize = 250;
/// The average size of an index entry or a member item, in bytes.
const KEY_BYTES: usize = 130;

/// Limits on what one request may read to fill a page; reading stops at whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBudget {
    /// The number of resources.
    pub resources: usize,
    /// The number of bytes.
    pub bytes: usize,
    /// The number of read units that `totalResults` may take in addition to the page itself.
    pub total_units: u64,
}

impl Default for ReadBudget {
    fn default() -> Self {
        Self {
            resources: 10_000,
            bytes: 20_000_000,
            total_units: 1_000,
        }
    }
}

impl ReadBudget {
    /// The number of index entries and member items that may be read.
    pub(super) fn keys(&self) -> u64 {
        (self.bytes / KEY_BYTES) as u64
    }

    /// The limit on counting keys for the total.
    pub(super) fn total(&self) -> CountLimit {
        CountLimit {
            items: u64::MAX,
            read_units: self.total_units,
        }
    }

    /// The limit on counting keys to find out whether reading their resources is within the budget.
    pub(super) fn size(&self) -> CountLimit {
        CountLimit {
            items: self.resources as u64,
            read_units: self.total_units,
        }
    }

    pub(super) fn spend_items(&mut self, items: usize) {
        self.bytes = self.bytes.saturating_sub(items * KEY_BYTES);
    }

    pub(super) fn spend(&mut self, resources: &[(String, Stored)]) {
        let bytes = resources
            .iter()
            .map(|(_, stored)| stored.body.len() + ITEM_OVERHEAD);
        self.bytes = self.bytes.saturating_sub(bytes.sum());
        self.resources = self.resources.saturating_sub(resources.len());
    }

    pub(super) fn is_spent(&self) -> bool {
        self.resources == 0 || self.bytes == 0
    }
}
