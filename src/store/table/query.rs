//! Every Query: items of one partition in the order of their sort keys, page by page.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use futures_util::future::try_join_all;

use super::Table;
use super::allowance::{Allowance, CountLimit};
use super::call::is_transient;
use super::meter::{self, Account};
use crate::store::error::StoreError;
use crate::store::key_range::{EVERY_KEY, KeyRange};
use crate::store::keys::Partition;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{Item, s};

/// A page of more items than this is long: it may keep the embedded table busy for longer than many
/// other calls together.
const LONG_PAGE: usize = 200;

/// Which way an index is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Smallest key first.
    #[default]
    Ascending,
    /// Largest key first.
    Descending,
}

/// Where in a range to read, and how much.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window<'w> {
    /// The sort key after which to go on; `None` begins at the start of the range.
    pub after: Option<&'w str>,
    /// The largest number of items to read; `None` reads as many as one call returns.
    pub limit: Option<usize>,
    /// Which way to read.
    pub order: Order,
}

/// A read of a range of one partition. Strongly consistent.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Query<'q> {
    partition: &'q Partition,
    range: &'q KeyRange,
    window: Window<'q>,
    shown: ProjectedAttributes,
    /// The `type` of the items to return. Items of other types are left out, but cost the same.
    of_type: Option<&'q str>,
    account: Account,
}

/// What one call of Query returned.
#[derive(Debug, Default)]
pub(in crate::store) struct Page {
    /// The items, in order; empty if they were only counted.
    pub(in crate::store) items: Vec<Item>,
    /// The sort key to go on after, if the call did not reach the end.
    pub(in crate::store) next: Option<String>,
    /// The number of items that matched.
    pub(in crate::store) count: u64,
    /// The number of items that were read.
    scanned: u64,
    /// What the call has consumed, in thousandths of a read unit, if the table reports it.
    milliunits: Option<u64>,
}

impl<'q> Query<'q> {
    /// A read of a range of a partition from its first key on.
    pub(in crate::store) fn new(
        partition: &'q Partition,
        range: &'q KeyRange,
        shown: ProjectedAttributes,
    ) -> Self {
        Self {
            partition,
            range,
            window: Window::default(),
            shown,
            of_type: None,
            account: Account::Read,
        }
    }

    /// The same within a window: after a key, in the other order, or with a limit.
    pub(in crate::store) fn within(self, window: Window<'q>) -> Self {
        Self { window, ..self }
    }

    /// The same for items of this `type`.
    pub(in crate::store) fn of_type(self, name: &'q str) -> Self {
        Self {
            of_type: Some(name),
            ..self
        }
    }

    /// The same, counted as a read of configuration.
    pub(in crate::store) fn as_configuration(self) -> Self {
        Self {
            account: Account::Config,
            ..self
        }
    }

    /// Reads one page: as many items as the window allows, at most 1 MB. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn page<K: Clone>(
        &self,
        table: &Table<K>,
    ) -> Result<Page, StoreError> {
        let pk = || s(self.partition.as_str());
        let window = self.window;
        let bound = self.values();
        let start = window
            .after
            .map(|sk| HashMap::from([("pk".to_owned(), pk()), ("sk".to_owned(), s(sk))]));
        let limit = window
            .limit
            .map(|limit| i32::try_from(limit).unwrap_or(i32::MAX).max(1));
        let attempt = || {
            let query = table
                .client
                .query()
                .table_name(&*table.name)
                .key_condition_expression(self.key_condition())
                .set_expression_attribute_values(Some(bound.clone()))
                .set_exclusive_start_key(start.clone())
                .set_limit(limit)
                .set_select(self.shown.is_count().then_some(Select::Count))
                .set_projection_expression(self.shown.expression())
                .set_expression_attribute_names(self.shown.names())
                .scan_index_forward(window.order == Order::Ascending)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            match self.of_type {
                None => query.send(),
                Some(_) => query
                    .filter_expression("#type = :type")
                    .expression_attribute_names("#type", "type")
                    .send(),
            }
        };
        let is_long = window.limit.is_some_and(|limit| limit > LONG_PAGE);
        let output = match is_long {
            true => {
                table
                    .alone()
                    .call(self.account, attempt, is_transient)
                    .await?
            }
            false => table.call(self.account, attempt, is_transient).await?,
        };
        table
            .meter
            .capacity(self.account, output.consumed_capacity());
        let number = |count: i32| u64::try_from(count).unwrap_or(0);
        Ok(Page {
            next: last_key(output.last_evaluated_key()),
            count: number(output.count()),
            scanned: number(output.scanned_count()),
            milliunits: output
                .consumed_capacity()
                .map(|consumed| meter::milliunits([consumed])),
            items: output.items.unwrap_or_default(),
        })
    }

    /// Every item of the range, in order, in as many calls as DynamoDB needs: a call reads at most 1 MB.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn all(&self, table: &Table) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let window = Window {
                after: after.as_deref(),
                ..self.window
            };
            let page = self.within(window).page(table).await?;
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// The number of items after the window's key. `None` if the items are more, or cost more to
    /// read, than the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn count(
        &self,
        table: &Table,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        let mut total = 0;
        let end = self.read(table, limit, |page| {
            total += page.count;
            Ok(())
        });
        Ok(end.await?.then_some(total))
    }

    /// Reads page after page after the window's key, and calls `each` with every page. False if the
    /// items are more, or cost more to read, than the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`, and the errors of `each`.
    pub(in crate::store) async fn read(
        &self,
        table: &Table,
        limit: CountLimit,
        mut each: impl FnMut(Page) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let mut after = self.window.after.map(str::to_owned);
        let mut allowance = Allowance::new(limit);
        while let Some(share) = allowance.share(1) {
            let window = Window {
                after: after.as_deref(),
                limit: Some(share),
                order: self.window.order,
            };
            let mut page = self.within(window).page(table).await?;
            allowance.spend(page.scanned, page.milliunits);
            after = page.next.take();
            each(page)?;
            if after.is_none() {
                return Ok(!allowance.is_exceeded());
            }
        }
        Ok(false)
    }

    fn key_condition(&self) -> &'static str {
        match (&self.range.from, &self.range.to) {
            (None, None) => "pk = :pk",
            (Some(_), None) => "pk = :pk AND sk >= :from",
            (None, Some(_)) => "pk = :pk AND sk < :to",
            // BETWEEN includes both ends. That is right here too, because no sort key equals `to`.
            (Some(_), Some(_)) => "pk = :pk AND sk BETWEEN :from AND :to",
        }
    }

    /// The values of the placeholders in the expressions.
    fn values(&self) -> HashMap<String, AttributeValue> {
        let values = [
            (":pk", Some(self.partition.as_str())),
            (":from", self.range.from.as_deref()),
            (":to", self.range.to.as_deref()),
            (":type", self.of_type),
        ];
        let bound = values.into_iter();
        bound
            .filter_map(|(name, value)| Some((name.to_owned(), s(value?))))
            .collect()
    }
}

/// The sort key at which a Query stopped before the end.
fn last_key(key: Option<&Item>) -> Option<String> {
    key?.get("sk")?.as_s().ok().cloned()
}

/// The number of items of this `type` in several partitions. `None` if all items together are more,
/// or cost more to read, than the limit.
///
/// The partitions are read in parallel, in rounds. Each call of a round reads an equal share of what
/// the limit still allows.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(in crate::store) async fn count_of_type(
    table: &Table,
    partitions: &[Partition],
    name: &str,
    limit: CountLimit,
) -> Result<Option<u64>, StoreError> {
    let mut allowance = Allowance::new(limit);
    let mut total = 0;
    let mut open: Vec<(&Partition, Option<String>)> = partitions
        .iter()
        .map(|partition| (partition, None))
        .collect();
    while !open.is_empty() {
        let Some(share) = allowance.share(open.len()) else {
            return Ok(None);
        };
        let reads = open.iter().map(async |(partition, after)| {
            let window = Window {
                after: after.as_deref(),
                limit: Some(share),
                ..Window::default()
            };
            let query = Query::new(partition, &EVERY_KEY, ProjectedAttributes::Count).of_type(name);
            query.within(window).page(table).await
        });
        let pages = try_join_all(reads).await?;
        let mut unfinished = Vec::new();
        for ((partition, _), page) in open.into_iter().zip(pages) {
            allowance.spend(page.scanned, page.milliunits);
            total += page.count;
            if page.next.is_some() {
                unfinished.push((partition, page.next));
            }
        }
        open = unfinished;
    }
    Ok((!allowance.is_exceeded()).then_some(total))
}
