//! Page marks: where a page of a list ended, so that the next one begins there and not at the
//! beginning.

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;

use super::TenantStore;
use super::error::StoreError;
use super::item::{self, Item, n, s};
use super::key_range::KeyRange;
use super::table::meter::Account;
use super::table::range::{Order, Shown, Window};

/// The marks that one read looks at; some of the nearest may have expired. They fit one read unit.
const LOOKED_AT: usize = 8;

/// Where the page before a position ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMark {
    /// The 1-based position of the first resource after the mark.
    pub start_index: u64,
    /// Where to go on; only who wrote it reads it.
    pub after: String,
    /// The number of all matches that the walk has told of so far.
    pub total: u64,
    /// When the mark stops counting, in seconds since the Unix epoch.
    pub expires: u64,
}

impl PageMark {
    fn read(mut item: Item) -> Result<Self, StoreError> {
        let start_index = item::take_text(&mut item, "sk")?;
        Ok(Self {
            start_index: start_index
                .parse()
                .map_err(|error: std::num::ParseIntError| StoreError::Backend(error.into()))?,
            total: item::number(&item, "total")?,
            expires: item::number(&item, "expires")?,
            after: item::take_text(&mut item, "after")?,
        })
    }
}

impl TenantStore {
    /// The mark of a walk that is nearest to a position and not behind it. Expired marks, which the
    /// table keeps for some days, do not count. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn nearest_mark(
        &self,
        walk: &str,
        start_index: u64,
    ) -> Result<Option<PageMark>, StoreError> {
        let window = Window {
            limit: Some(LOOKED_AT),
            order: Order::Descending,
            ..Window::default()
        };
        let range = KeyRange::at_most(&sort_key(start_index));
        let output = self
            .query(self.keys.page_marks(walk), &range, window, Shown::All)
            .await?;
        let now = self.clock.now_seconds();
        let marks = output.items.unwrap_or_default().into_iter();
        let marks = marks.map(PageMark::read).collect::<Result<Vec<_>, _>>()?;
        Ok(marks.into_iter().find(|mark| mark.expires > now))
    }

    /// Leaves a mark, in place of an earlier one at the same position. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put_mark(&self, walk: &str, mark: &PageMark) -> Result<(), StoreError> {
        let pk = self.keys.page_marks(walk);
        let attempt = || {
            self.client
                .put_item()
                .table_name(&*self.table)
                .item("pk", s(&pk))
                .item("sk", s(sort_key(mark.start_index)))
                .item("kind", s("P"))
                .item("after", s(&mark.after))
                .item("total", n(mark.total))
                .item("expires", n(mark.expires))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = self.call(Account::Write, attempt).await?;
        self.meter
            .capacity(Account::Write, output.consumed_capacity());
        Ok(())
    }
}

/// Positions as text that is ordered as they are.
fn sort_key(start_index: u64) -> String {
    format!("{start_index:020}")
}
