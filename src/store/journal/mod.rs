//! The journal: what a writer has begun and the finisher can finish.
//!
//! A change of more than one transaction is written down before it begins. Its writer holds a lease,
//! and past the lease every call of it is refused ([`Table::leased`]), so that a thawed process cannot
//! go on with what the finisher has finished meanwhile. The transaction that makes the change part of
//! the directory says so in the entry too, so that no two processes make the same change.
//!
//! It must not know what the work is: that is [`Work`].

mod entry;
mod finish;
#[cfg(feature = "worker")]
mod record;

use futures_util::future::BoxFuture;

use super::error::StoreError;
use super::stored::{self, Item};
use super::table::Table;
use crate::protocol::schema::Registry;

pub(super) use entry::{NewEntry, Note};
pub use finish::{Finished, Journal, Unfinished};
#[cfg(feature = "worker")]
pub use record::JournalRecord;

/// How long a writer may go on, in milliseconds: longer than any request.
pub const LEASE_MILLIS: u64 = 25_000;

/// A change that takes more than one transaction, as an entry of the journal holds it.
pub(super) trait Work: Send + Sync {
    /// Whether it changes what a client sees, and does not only clean up.
    fn is_change(&self) -> bool;

    /// The resource that it changes: the name of its type, and its `id`. Nothing if it only removes what
    /// no resource uses any more.
    fn resource(&self) -> Option<(&str, &str)>;

    /// Does what is left of it, and ends the entry.
    fn resume<'w>(
        &'w self,
        table: &'w Table,
        lease: &'w Lease,
        stage: Stage,
        types: &'w Registry,
    ) -> BoxFuture<'w, Result<(), StoreError>>;
}

/// An entry of the journal, and the writer that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// The entry's key.
    pub(super) entry: String,
    /// The writer's name.
    pub(super) owner: String,
}

/// How far the change of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is not part of the directory yet.
    Begun,
    /// It is part of the directory; what is left no client sees.
    Made,
    /// It never will be part of the directory; what was prepared is to be removed.
    Refused,
}

impl Stage {
    fn number(self) -> u64 {
        match self {
            Self::Begun => 0,
            Self::Made => 1,
            Self::Refused => 2,
        }
    }

    fn read(head: &Item) -> Result<Self, StoreError> {
        match stored::number(head, "step")? {
            0 => Ok(Self::Begun),
            1 => Ok(Self::Made),
            2 => Ok(Self::Refused),
            other => Err(StoreError::Backend(
                format!("a journal entry is at step {other}").into(),
            )),
        }
    }
}

/// The finisher finishes, or has finished, what this writer began.
pub(super) fn lost() -> StoreError {
    StoreError::Unavailable("the lease of a journal entry is lost".into())
}

/// When the lease of a writer ends that begins or takes over an entry now, in milliseconds since the
/// Unix epoch.
fn lease_end(table: &Table) -> u64 {
    table.now_millis() + LEASE_MILLIS
}
