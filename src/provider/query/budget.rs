//! How much a request may read to find a page.

use crate::store::Stored;

/// What DynamoDB adds to the attributes of an item, and our own beside the body, in bytes.
const ITEM_OVERHEAD: usize = 250;

/// The most that one request reads to find a page: both are ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBudget {
    /// Resources that are looked at.
    pub resources: usize,
    /// Bytes that are read.
    pub bytes: usize,
}

impl Default for ReadBudget {
    fn default() -> Self {
        Self {
            resources: 10_000,
            bytes: 20_000_000,
        }
    }
}

impl ReadBudget {
    /// The index entries and member items that may be counted: about 130 bytes each.
    pub(super) fn keys(&self) -> u64 {
        self.bytes as u64 / 130
    }

    pub(super) fn spend_items(&mut self, items: usize) {
        self.bytes = self.bytes.saturating_sub(items * 130);
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
