//! Ordered reads: pages of an index, pages of a type, and many resources by id.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity, Select};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::call::Backoff;
use super::meter::Account;
use crate::protocol::schema::{Index, ResourceType};
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, Item, Stored, s};
use crate::store::key_range::KeyRange;
use crate::store::keys;
use crate::store::resources::broken;

/// The most keys that DynamoDB takes in one BatchGetItem.
const MAX_BATCH: usize = 100;
/// Batches under way at once.
const PARALLEL: usize = 32;
/// A page of more items may keep the embedded table busy longer than many other calls together.
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
    /// The sort key after which to go on; `None` begins.
    pub after: Option<&'w str>,
    /// The most items to read; `None` reads as much as one call gives.
    pub limit: Option<usize>,
    /// Which way to read.
    pub order: Order,
}

/// What is shown of items that are read. It costs the same capacity; what is not shown need not be
/// sent and decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Shown {
    /// Everything.
    All,
    /// The sort key, and whether it is a tombstone.
    Keys,
    /// What readers need of a resource: not its password, nor what only the table knows it by.
    Resource,
    /// The sort key and the resource of an index entry.
    Entry,
    /// The number of a counter.
    Number,
    /// Nothing: the items are only counted.
    Count,
}

/// The names of attributes that DynamoDB reserves.
const RESERVED: [(&str, &str); 3] = [("#set", "set"), ("#inner", "inner"), ("#open", "open")];

impl Shown {
    fn expression(self) -> Option<String> {
        let names = match self {
            Self::All | Self::Count => return None,
            Self::Keys => "sk, del",
            Self::Resource => {
                "sk, body, v, created, modified, del, mv, ms, n, about, #set, #inner, #open"
            }
            Self::Entry => "sk, id",
            Self::Number => "n",
        };
        Some(names.to_owned())
    }

    fn names(self) -> Option<HashMap<String, String>> {
        let names = RESERVED.map(|(name, of)| (name.to_owned(), of.to_owned()));
        (self == Self::Resource).then(|| HashMap::from(names))
    }

    fn select(self) -> Option<Select> {
        (self == Self::Count).then_some(Select::Count)
    }
}

/// A page of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexPage {
    /// The sort key and the resource's id of each entry, in order.
    pub entries: Vec<(String, String)>,
    /// The sort key to go on after, when there may be more.
    pub next: Option<String>,
}

/// A page of a type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePage {
    /// The resources in order of creation.
    pub resources: Vec<Stored>,
    /// The id to go on after, when there may be more.
    pub next: Option<String>,
}

impl TenantStore {
    /// The resource that holds this unique value, if one does: the claim, then the resource.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn claimed(
        &self,
        resource_type: &ResourceType,
        index: &Index,
        key: &str,
    ) -> Result<Option<String>, StoreError> {
        let claim = self
            .get_item(
                self.keys.index(resource_type, index.path()),
                &keys::claim(key),
            )
            .await?;
        claim
            .map(|mut claim| item::take_text(&mut claim, "id"))
            .transpose()
    }

    /// The same for many values, by text, in as many calls as they take batches.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn all_claimed(
        &self,
        resource_type: &ResourceType,
        index: &Index,
        texts: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let pk = self.keys.index(resource_type, index.path());
        let keys = texts.iter().map(|text| (pk.clone(), keys::claim(text)));
        let items = self.get_keys(keys.collect(), Shown::Entry).await?;
        let claims = items.into_iter().map(|mut item| {
            let key = item::take_text(&mut item, "sk")?;
            let text = key.strip_suffix(keys::SEPARATOR).unwrap_or(&key);
            Ok((text.to_owned(), item::take_text(&mut item, "id")?))
        });
        claims.collect()
    }

    /// One call's worth of an index.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn index_page(
        &self,
        resource_type: &ResourceType,
        index: &Index,
        range: &KeyRange,
        window: Window<'_>,
    ) -> Result<IndexPage, StoreError> {
        if range.is_empty() {
            return Ok(IndexPage::default());
        }
        let output = self
            .query(
                self.keys.index(resource_type, index.path()),
                range,
                window,
                Shown::Entry,
            )
            .await?;
        let next = last_key(&output);
        let entries = output
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|mut item| {
                Ok((
                    item::take_text(&mut item, "sk")?,
                    item::take_text(&mut item, "id")?,
                ))
            });
        Ok(IndexPage {
            entries: entries.collect::<Result<_, StoreError>>()?,
            next,
        })
    }

    /// One call's worth of a type's resources in order of creation; those being deleted are left out.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn resource_page(
        &self,
        resource_type: &ResourceType,
        window: Window<'_>,
    ) -> Result<ResourcePage, StoreError> {
        let output = self
            .query(
                self.keys.resources(resource_type),
                &KeyRange::all(),
                window,
                Shown::Resource,
            )
            .await?;
        let next = last_key(&output);
        let items = output
            .items
            .unwrap_or_default()
            .into_iter()
            .filter(|item| !item::is_deleted(item));
        Ok(ResourcePage {
            resources: items.map(Stored::from_item).collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The resources with these ids that exist, in the order of `ids`; batches run in parallel.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get_many(
        &self,
        resource_type: &ResourceType,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        let pk = self.keys.resources(resource_type);
        let items = self
            .get_keys(
                ids.iter().map(|id| (pk.clone(), id.clone())).collect(),
                Shown::Resource,
            )
            .await?;
        let mut found = HashMap::new();
        for item in items.into_iter().filter(|item| !item::is_deleted(item)) {
            let stored = Stored::from_item(item)?;
            found.insert(stored.id.clone(), stored);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// The items with these keys that exist, in no order; batches run in parallel.
    pub(in crate::store) async fn get_keys(
        &self,
        keys: BTreeSet<(String, String)>,
        shown: Shown,
    ) -> Result<Vec<Item>, StoreError> {
        let key = |(pk, sk): (String, String)| {
            HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
        };
        let keys: Vec<_> = keys.into_iter().map(key).collect();
        let batches = keys
            .chunks(MAX_BATCH)
            .map(|chunk| self.get_batch(chunk.to_vec(), shown));
        // Collected first: a stream that still held the closure would not be `Send`.
        let batches: Vec<_> = batches.collect();
        let found = stream::iter(batches).buffer_unordered(PARALLEL);
        Ok(found
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Reads up to 100 items, asking again for what a call leaves out.
    async fn get_batch(
        &self,
        mut wanted: Vec<HashMap<String, AttributeValue>>,
        shown: Shown,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        let mut backoff = Backoff::default();
        loop {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .set_projection_expression(shown.expression())
                .set_expression_attribute_names(shown.names())
                .build();
            let keys = keys.map_err(broken)?;
            let attempt = || {
                self.client
                    .batch_get_item()
                    .request_items(&*self.table, keys.clone())
                    .return_consumed_capacity(ReturnConsumedCapacity::Total)
                    .send()
            };
            let output = self.call(Account::Read, attempt).await?;
            self.meter
                .capacity(Account::Read, output.consumed_capacity());
            found.extend(
                output
                    .responses
                    .and_then(|mut tables| tables.remove(&*self.table))
                    .unwrap_or_default(),
            );
            let left = output
                .unprocessed_keys
                .and_then(|mut tables| tables.remove(&*self.table));
            wanted = left.map(|left| left.keys).unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
            self.pause(&mut backoff).await?;
        }
    }

    /// One Query call, counted as a read.
    pub(in crate::store) async fn query(
        &self,
        pk: String,
        range: &KeyRange,
        window: Window<'_>,
        shown: Shown,
    ) -> Result<QueryOutput, StoreError> {
        self.query_for(Account::Read, pk, range, window, shown)
            .await
    }

    /// One Query call, counted under `account`.
    async fn query_for(
        &self,
        account: Account,
        pk: String,
        range: &KeyRange,
        window: Window<'_>,
        shown: Shown,
    ) -> Result<QueryOutput, StoreError> {
        let condition = match (&range.from, &range.to) {
            (None, None) => "pk = :pk",
            (Some(_), None) => "pk = :pk AND sk >= :from",
            (None, Some(_)) => "pk = :pk AND sk < :to",
            // Both ends are included here, and no sort key equals `to`.
            (Some(_), Some(_)) => "pk = :pk AND sk BETWEEN :from AND :to",
        };
        let values = [("from", &range.from), ("to", &range.to)];
        let mut bound: HashMap<String, AttributeValue> = values
            .into_iter()
            .filter_map(|(name, end)| Some((format!(":{name}"), s(end.clone()?))))
            .collect();
        bound.insert(":pk".to_owned(), s(&pk));
        let start = window
            .after
            .map(|sk| HashMap::from([("pk".to_owned(), s(&pk)), ("sk".to_owned(), s(sk))]));
        let limit = window
            .limit
            .map(|limit| i32::try_from(limit).unwrap_or(i32::MAX).max(1));
        let attempt = || {
            self.client
                .query()
                .table_name(&*self.table)
                .key_condition_expression(condition)
                .set_expression_attribute_values(Some(bound.clone()))
                .set_exclusive_start_key(start.clone())
                .set_limit(limit)
                .set_select(shown.select())
                .set_projection_expression(shown.expression())
                .set_expression_attribute_names(shown.names())
                .scan_index_forward(window.order == Order::Ascending)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let is_long = window.limit.is_some_and(|limit| limit > LONG_PAGE);
        let output = match is_long {
            true => self.alone().call(account, attempt).await?,
            false => self.call(account, attempt).await?,
        };
        self.meter.capacity(account, output.consumed_capacity());
        Ok(output)
    }

    /// Every item of a range, in order, in as many calls as DynamoDB needs: a call reads at most 1 MB.
    pub(in crate::store) async fn all_items(
        &self,
        account: Account,
        pk: &str,
        range: &KeyRange,
        shown: Shown,
    ) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let window = Window {
                after: after.as_deref(),
                ..Window::default()
            };
            let output = self
                .query_for(account, pk.to_owned(), range, window, shown)
                .await?;
            after = last_key(&output);
            items.extend(output.items.unwrap_or_default());
            if after.is_none() {
                return Ok(items);
            }
        }
    }
}

/// Where a Query stopped, when it did not reach the end.
pub(in crate::store) fn last_key(output: &QueryOutput) -> Option<String> {
    output.last_evaluated_key()?.get("sk")?.as_s().ok().cloned()
}
