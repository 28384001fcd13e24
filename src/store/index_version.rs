//! Which version of the index entries a resource has.
//!
//! Index entries are what the key function and the set of indexed attributes make of a body. Another
//! version of the service may make others of it. So each resource says by which version its entries
//! were written (`ix`), and each tenant by which all of them are:
//!
//! - A resource with a higher version than [`INDEX_VERSION`] is left as it is: this version does not
//!   know all of its entries, so it could neither move nor remove them.
//! - A resource with a lower version gets all of its entries when it is next written. Until all
//!   resources of a tenant have them, queries use no index of it.

use serde::{Deserialize, Serialize};

use crate::protocol::key::Key;

/// To be raised when a resource gets other index entries than before by the same key function.
const ENTRY_SET: u64 = 0;

/// The version of the index entries that this version of the service writes: it grows with the set of
/// entries and with the key function.
pub(super) const INDEX_VERSION: u64 = ENTRY_SET + Key::VERSION as u64;

/// What tenants and resources have that do not say it.
pub(super) const FIRST_INDEX_VERSION: u64 = 1;

/// What a tenant's configuration says of the index entries of its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexVersion {
    /// The version of the service's that may write: by an earlier one nothing is written any more.
    version: u64,
    /// When the entries of this version began to be written for all resources, in milliseconds since
    /// the Unix epoch. Absent once every resource has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// What a tenant's index entries are for this version of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexEntries {
    /// Every resource has those of this version.
    Complete,
    /// Resources may have those of an earlier version.
    Earlier,
    /// Since then, in milliseconds since the Unix epoch, nothing is written by an earlier version.
    /// Resources that were not written since may still have earlier ones.
    Rebuilding(u64),
    /// They are written by a newer version: this one writes nothing, and reads by no index.
    Newer,
}

impl Default for IndexVersion {
    fn default() -> Self {
        Self {
            version: FIRST_INDEX_VERSION,
            since: None,
        }
    }
}

impl IndexVersion {
    /// Every resource has the entries of this version, as in a tenant without resources.
    #[must_use]
    pub fn complete() -> Self {
        Self {
            version: INDEX_VERSION,
            since: None,
        }
    }

    /// The entries of this version begin to be written for all resources at this time, in milliseconds
    /// since the Unix epoch.
    #[must_use]
    pub fn rebuilding(since: u64) -> Self {
        Self {
            version: INDEX_VERSION,
            since: Some(since),
        }
    }

    /// What this means for this version of the service.
    #[must_use]
    pub fn entries(self) -> IndexEntries {
        match (self.version.cmp(&INDEX_VERSION), self.since) {
            (std::cmp::Ordering::Less, _) => IndexEntries::Earlier,
            (std::cmp::Ordering::Equal, None) => IndexEntries::Complete,
            (std::cmp::Ordering::Equal, Some(since)) => IndexEntries::Rebuilding(since),
            (std::cmp::Ordering::Greater, _) => IndexEntries::Newer,
        }
    }
}
