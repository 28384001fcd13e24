//! Reads items by their keys.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::Table;
use super::call::{Backoff, is_transient};
use super::meter::Account;
use crate::store::error::StoreError;
use crate::store::keys::ItemKey;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::Item;

/// The largest number of keys in one BatchGetItem.
const MAX_BATCH: usize = 100;
/// The number of batches that are read at the same time.
const PARALLEL: usize = 32;

/// The item with this key, if there is one. Strongly consistent; one call.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(in crate::store) async fn one<K: Clone>(
    table: &Table<K>,
    key: &ItemKey,
) -> Result<Option<Item>, StoreError> {
    let attempt = || {
        table
            .client
            .get_item()
            .table_name(&*table.name)
            .set_key(Some(key.to_item()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
    };
    let output = table.call(Account::Read, attempt, is_transient).await?;
    table
        .meter
        .capacity(Account::Read, output.consumed_capacity());
    Ok(output.item)
}

/// The items with these keys that exist, in no order; batches run in parallel. Strongly consistent.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(in crate::store) async fn many(
    table: &Table,
    keys: BTreeSet<ItemKey>,
    shown: ProjectedAttributes,
) -> Result<Vec<Item>, StoreError> {
    let mut keys = keys.into_iter();
    let chunks = std::iter::from_fn(|| {
        let chunk: Vec<ItemKey> = keys.by_ref().take(MAX_BATCH).collect();
        (!chunk.is_empty()).then_some(chunk)
    });
    let batches = chunks.map(|chunk| batch(table, chunk, shown));
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

/// Reads up to [`MAX_BATCH`] items. Keys that a call leaves out are asked for again.
async fn batch(
    table: &Table,
    mut wanted: Vec<ItemKey>,
    shown: ProjectedAttributes,
) -> Result<Vec<Item>, StoreError> {
    let mut found = Vec::with_capacity(wanted.len());
    let mut backoff = Backoff::default();
    loop {
        // The request is built for each attempt. A copy of it for a possible second attempt would
        // cost every first attempt as much again.
        let attempt = || {
            let keys = KeysAndAttributes::builder()
                .set_keys(Some(wanted.iter().map(ItemKey::to_item).collect()))
                .consistent_read(true)
                .set_projection_expression(shown.expression())
                .set_expression_attribute_names(shown.names())
                .build()
                .expect("the keys are set");
            table
                .client
                .batch_get_item()
                .request_items(&*table.name, keys)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = table.call(Account::Read, attempt, is_transient).await?;
        table
            .meter
            .capacity(Account::Read, output.consumed_capacity());
        found.extend(
            output
                .responses
                .and_then(|mut tables| tables.remove(&*table.name))
                .unwrap_or_default(),
        );
        let left = output
            .unprocessed_keys
            .and_then(|mut tables| tables.remove(&*table.name));
        let left = left.map(|left| left.keys).unwrap_or_default().into_iter();
        wanted = left
            .map(|mut key| ItemKey::of(&mut key))
            .collect::<Result<_, _>>()?;
        if wanted.is_empty() {
            return Ok(found);
        }
        table.pause(&mut backoff).await?;
    }
}
