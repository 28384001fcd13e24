//! Which version of the index entries a resource has.
//!
//! The key function and the set of indexed attributes decide which index entries a body has. In
//! another version of the service they may decide otherwise. So each resource has the version of its
//! entries (`ix`), and each tenant's configuration has the version that all of its resources have:
//!
//! - A resource with a higher version than [`INDEX_VERSION`] is left as it is. This version of the
//!   service does not know all of its entries, so it could neither move nor remove them.
//! - A resource with a lower version gets all entries of this version when it is next written. Until
//!   all resources of a tenant have them, queries of the tenant use no index.

use serde::{Deserialize, Serialize};

use crate::protocol::key::Key;

/// The version of the set of index entries. It must be raised when a resource gets other entries
/// than before although the key function is the same.
const ENTRY_SET: u64 = 0;

/// The version of the index entries that this version of the service writes. It grows when the set
/// of entries or the key function changes.
pub(super) const INDEX_VERSION: u64 = ENTRY_SET + Key::VERSION as u64;

/// The version of tenants and resources that name none.
pub(super) const FIRST_INDEX_VERSION: u64 = 1;

/// Which version of the index entries a tenant's resources have, as its configuration holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexVersion {
    /// The version of the entries. A process whose own version is lower writes nothing in this
    /// tenant.
    version: u64,
    /// When `scim doctor --repair` began to write the entries of this version for all resources, in
    /// milliseconds since the Unix epoch. Absent once every resource has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
}

/// The state of a tenant's index entries, as this version of the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexEntries {
    /// Every resource has the entries of this version.
    Complete,
    /// Resources may have entries of an earlier version.
    Earlier,
    /// Entries of this version have been written since this time, in milliseconds since the Unix
    /// epoch. Resources that were not written since then may still have entries of an earlier
    /// version.
    Rebuilding(u64),
    /// A newer version writes the entries. This version writes nothing, and its queries use no
    /// index.
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
    /// Says that every resource has the entries of this version, as in a tenant without resources.
    #[must_use]
    pub fn complete() -> Self {
        Self {
            version: INDEX_VERSION,
            since: None,
        }
    }

    /// Says that entries of this version are written for all resources from this time on, in
    /// milliseconds since the Unix epoch.
    #[must_use]
    pub fn rebuilding(since: u64) -> Self {
        Self {
            version: INDEX_VERSION,
            since: Some(since),
        }
    }

    /// The state of the entries for this version of the service.
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
