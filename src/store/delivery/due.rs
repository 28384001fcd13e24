//! The list of what is due: when which tenant has to get a job that delivers its events.
//!
//! An entry only says that it is worth a look. The delivery itself says whether something is to be done, so
//! an entry that is left over does no harm.

use crate::identity::TenantId;
use crate::store::error::StoreError;
use crate::store::items::{self, DueItem};
use crate::store::key_range::KeyRange;
use crate::store::keys::{SEPARATOR, StackKeys};
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored;
use crate::store::table::query::{Query, Window};
use crate::store::table::write::Put;
use crate::store::table::{Table, batch};

/// The `kind` of an entry.
const DUE_KIND: &str = "HD";
/// Stands for every tenant in a key. No tenant has such a name.
const EVERY_TENANT: &str = "*";

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// When it is due, in whole seconds since the Unix epoch.
    pub at: u64,
    /// Who has to get a job; `None` for every tenant.
    pub tenant: Option<TenantId>,
}

/// The list of what is due in the stack.
#[derive(Clone, Copy)]
pub struct DueList<'t> {
    table: &'t Table<StackKeys>,
}

impl Due {
    /// An entry for a tenant at a time in milliseconds since the Unix epoch, rounded up to a second.
    #[must_use]
    pub fn at_millis(millis: u64, tenant: Option<TenantId>) -> Self {
        Self {
            at: millis.div_ceil(1000),
            tenant,
        }
    }

    fn sort_key(&self) -> String {
        let tenant = self.tenant.as_ref().map_or(EVERY_TENANT, TenantId::as_str);
        format!("{}{SEPARATOR}{tenant}", sort_time(self.at))
    }

    fn read(sort_key: &str) -> Option<Self> {
        let (at, tenant) = sort_key.split_once(SEPARATOR)?;
        Some(Self {
            at: at.parse().ok()?,
            tenant: match tenant {
                EVERY_TENANT => None,
                name => Some(TenantId::parse(name).ok()?),
            },
        })
    }
}

impl<'t> DueList<'t> {
    pub(in crate::store) fn new(table: &'t Table<StackKeys>) -> Self {
        Self { table }
    }

    /// Puts an entry on the list; it may be there already. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put(self, due: &Due) -> Result<(), StoreError> {
        let item = DueItem {
            sk: due.sort_key(),
            kind: DUE_KIND.to_owned(),
        };
        let item = items::to_item(self.table.keys().due().as_str(), item);
        Put::new(item).send(self.table).await?;
        Ok(())
    }

    /// What is due at `now`, in milliseconds since the Unix epoch: at most `limit` entries, those first that
    /// have been due for longest. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn until(self, now: u64, limit: usize) -> Result<Vec<Due>, StoreError> {
        let partition = self.table.keys().due();
        let range = KeyRange::less(&sort_time(now / 1000 + 1));
        let window = Window {
            limit: Some(limit),
            ..Window::default()
        };
        let query = Query::new(&partition, &range, ProjectedAttributes::All).within(window);
        let page = query.page(self.table).await?;
        let entries = page.items.into_iter().map(|item| {
            let item: DueItem = items::from_item(item)?;
            Due::read(&item.sk).ok_or_else(|| stored::malformed("sk"))
        });
        entries.collect()
    }

    /// Takes entries off the list. Each must have had its job before: nothing else leads to it.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; then some of them may still be there.
    pub async fn remove(self, entries: &[Due]) -> Result<(), StoreError> {
        let partition = self.table.keys().due();
        let keys = entries.iter().map(|due| partition.key(due.sort_key()));
        batch::write(self.table, keys.map(batch::PlainWrite::Delete).collect()).await
    }
}

/// Seconds since the Unix epoch with a fixed width, so that keys are in the order of the times.
fn sort_time(seconds: u64) -> String {
    format!("{seconds:012}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_never_due_before_its_time() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(Due::at_millis(millis, None).at, seconds);
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_in_the_order_of_time() {
        let acme = TenantId::parse("acme").unwrap();
        let entries = [
            Due::at_millis(999_999_999_000, Some(acme.clone())),
            Due::at_millis(1_700_000_000_000, None),
            Due::at_millis(1_700_000_000_000, Some(acme)),
        ];
        let keys: Vec<String> = entries.iter().map(Due::sort_key).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        let read: Vec<_> = keys.iter().filter_map(|key| Due::read(key)).collect();
        assert_eq!(read, entries);
    }
}
