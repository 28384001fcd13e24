//! Page marks: where a page of a list ended, so that the next page can be read from there.
//!
//! All marks of a tenant are in one partition, because the purge of a deleted tenant could not find the names
//! of the walks.

use super::error::StoreError;
use super::items::{self, MarkItem};
use super::key_range::KeyRange;
use super::keys::SEPARATOR;
use super::projected_attributes::ProjectedAttributes;
use super::stored::{self, Item};
use super::table::Table;
use super::table::query::{Order, Query, Window};
use super::table::write::Put;

/// The number of marks that one read brings, because some of the nearest may have expired. They fit
/// one read unit.
const LOOKED_AT: usize = 8;

/// Where the page before `start_index` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMark {
    /// The 1-based position of the first resource after the mark.
    pub start_index: u64,
    /// Where reading goes on, as the provider has written it. The store does not look into it.
    pub after: String,
    /// The number of all matches, as the walk's last page gave it.
    pub total: u64,
    /// When the mark expires, in seconds since the Unix epoch.
    pub expires: u64,
}

impl PageMark {
    fn read(item: Item) -> Result<Self, StoreError> {
        let item: MarkItem = items::from_item(item)?;
        let (_, start_index) = item
            .sk
            .rsplit_once(SEPARATOR)
            .ok_or_else(|| stored::malformed("sk"))?;
        let start_index = start_index.parse();
        Ok(Self {
            start_index: start_index.map_err(|_| stored::malformed("sk"))?,
            total: item.total,
            expires: item.expires,
            after: item.after,
        })
    }
}

/// The page marks of one tenant.
#[derive(Clone, Copy)]
pub struct Marks<'t> {
    table: &'t Table,
}

impl<'t> Marks<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The mark of a walk that is nearest to a position and not after it. Expired marks, which
    /// DynamoDB may keep for some days, are ignored. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn nearest(
        self,
        walk: &str,
        start_index: u64,
    ) -> Result<Option<PageMark>, StoreError> {
        let window = Window {
            limit: Some(LOOKED_AT),
            order: Order::Descending,
            ..Window::default()
        };
        let of_walk = KeyRange::prefix(&format!("{walk}{SEPARATOR}"));
        let range = of_walk.and(KeyRange::at_most(&sort_key(walk, start_index)));
        let partition = self.table.keys().page_marks();
        let query = Query::new(&partition, &range, ProjectedAttributes::All).within(window);
        let marks = query.page(self.table).await?.items.into_iter();
        let marks = marks.map(PageMark::read).collect::<Result<Vec<_>, _>>()?;
        let now = self.table.now_seconds();
        Ok(marks.into_iter().find(|mark| mark.expires > now))
    }

    /// Writes a mark, or replaces an earlier one at the same position. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put(self, walk: &str, mark: &PageMark) -> Result<(), StoreError> {
        let partition = self.table.keys().page_marks();
        let item = MarkItem {
            sk: sort_key(walk, mark.start_index),
            kind: "P".to_owned(),
            after: mark.after.clone(),
            total: mark.total,
            expires: mark.expires,
        };
        let item = items::to_item(partition.as_str(), item);
        Put::new(item).send(self.table).await?;
        Ok(())
    }
}

/// The sort key of a position in a walk: as texts the keys of a walk have the order of the positions.
fn sort_key(walk: &str, start_index: u64) -> String {
    format!("{walk}{SEPARATOR}{start_index:020}")
}
