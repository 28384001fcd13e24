//! The journal: changes that a writer has begun, and that a finisher can finish.
//!
//! A change that takes more than one transaction is written into the journal before it begins. Its
//! writer holds a lease. After the end of the lease every call of the writer is refused
//! ([`Table::leased`]), so a process that was frozen cannot go on with a change that a finisher has
//! finished meanwhile. The transaction that makes the change also advances the entry, so no two
//! processes make the same change.
//!
//! It must not know what the jobs do: that is behind [`Job`].

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

/// How long a writer's lease is, in milliseconds: longer than any request takes.
pub const LEASE_MILLIS: u64 = 25_000;

/// A change that takes more than one transaction, as an entry of the journal holds it.
pub(super) trait Job: Send + Sync {
    /// Whether it changes what a client sees, and does not only clean up.
    fn is_change(&self) -> bool;

    /// Whether the feed does it, and the finisher leaves it alone.
    fn is_for_feed(&self) -> bool;

    /// The resource that it changes: the name of its type, and its `id`. `None` if it only removes
    /// items that no resource uses any more.
    fn resource(&self) -> Option<(&str, &str)>;

    /// Does what is left of the job, and ends the entry.
    fn resume<'w>(
        &'w self,
        table: &'w Table,
        lease: &'w Lease,
        stage: Stage,
        types: &'w Registry,
    ) -> BoxFuture<'w, Result<(), StoreError>>;
}

/// An entry of the journal, and the writer or finisher that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// The entry's key.
    pub(super) entry: String,
    /// The random name of the writer or finisher.
    pub(super) owner: String,
}

/// How far the change of an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The change is not part of the directory yet.
    Begun,
    /// The change is part of the directory; no client sees the work that is left.
    Made,
    /// The change will never be part of the directory; the items that were prepared for it are to be
    /// removed.
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

/// The error of a writer whose entry a finisher has taken over.
pub(super) fn lost() -> StoreError {
    StoreError::Unavailable("the lease of a journal entry is lost".into())
}

/// The end of a lease that begins now, in milliseconds since the Unix epoch.
fn lease_end(table: &Table) -> u64 {
    table.now_millis() + LEASE_MILLIS
}
