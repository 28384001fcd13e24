//! Reads items by their keys.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::call::{Backoff, passes};
use super::meter::Account;
use super::query::ProjectedAttributes;
use super::{Table, broken};
use crate::store::error::StoreError;
use crate::store::keys::Key;
use crate::store::stored::Item;

/// The most keys that DynamoDB takes in one BatchGetItem.
const MAX_BATCH: usize = 100;
/// Batches under way at once.
const PARALLEL: usize = 32;

/// The item with this key, if there is one. Strongly consistent; one call.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(in crate::store) async fn one(table: &Table, key: &Key) -> Result<Option<Item>, StoreError> {
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
    let output = table.call(Account::Read, attempt, passes).await?;
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
    keys: BTreeSet<Key>,
    shown: ProjectedAttributes,
) -> Result<Vec<Item>, StoreError> {
    let keys: Vec<Key> = keys.into_iter().collect();
    let batches = keys
        .chunks(MAX_BATCH)
        .map(|chunk| batch(table, chunk.iter().map(Key::to_item).collect(), shown));
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
async fn batch(
    table: &Table,
    mut wanted: Vec<Item>,
    shown: ProjectedAttributes,
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
            table
                .client
                .batch_get_item()
                .request_items(&*table.name, keys.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = table.call(Account::Read, attempt, passes).await?;
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
        wanted = left.map(|left| left.keys).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(found);
        }
        table.pause(&mut backoff).await?;
    }
}
