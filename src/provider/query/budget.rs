//! How much a request may read to find a page.

use crate::store::{CountLimit, Stored};

/// What DynamoDB adds to the attributes of an item, and our own beside the body, in bytes.
const ITEM_OVERHEAD: usize = 250;
/// What an index entry or a member item has on average, in bytes.
const KEY_BYTES: usize = 130;

/// Limits on what one request may read to fill a page; reading stops at whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBudget {
    /// Resources that are looked at.
    pub resources: usize,
    /// Bytes that are read.
    pub bytes: usize,
    /// Read units that `totalResults` may take beyond the page itself.
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
    /// The index entries and member items that may be read.
    pub(super) fn keys(&self) -> u64 {
        (self.bytes / KEY_BYTES) as u64
    }

    /// How far keys are counted to tell the total.
    pub(super) fn total(&self) -> CountLimit {
        CountLimit {
            items: u64::MAX,
            read_units: self.total_units,
        }
    }

    /// How far keys are counted to see whether the resources that they lead to may be looked at.
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
