//! Writes of many items without conditions, in several calls at a time.

use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, ReturnConsumedCapacity, WriteRequest};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::call::{Backoff, is_transient};
use super::meter::Account;
use super::{Table, broken};
use crate::store::error::StoreError;
use crate::store::keys::ItemKey;
use crate::store::stored::Item;

/// The largest number of items in one BatchWriteItem.
const MAX_ITEMS: usize = 25;
/// The number of calls that run at the same time. They are enough for the 1,000 writes that one partition
/// takes in a second.
const PARALLEL: usize = 8;

/// A write without a condition.
#[derive(Debug, Clone)]
pub(in crate::store) enum PlainWrite {
    Put(Item),
    Delete(ItemKey),
}

/// Makes all writes, in no order, and returns when every one is made.
///
/// # Errors
/// `Unavailable`, `Backend`; then some of the writes may be made.
pub(in crate::store) async fn write<K: Clone>(
    table: &Table<K>,
    writes: Vec<PlainWrite>,
) -> Result<(), StoreError> {
    let requests = writes
        .into_iter()
        .map(request)
        .collect::<Result<Vec<_>, _>>()?;
    let chunks: Vec<Vec<WriteRequest>> = requests.chunks(MAX_ITEMS).map(<[_]>::to_vec).collect();
    stream::iter(chunks)
        .map(|chunk| write_chunk(table, chunk))
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

fn request(write: PlainWrite) -> Result<WriteRequest, StoreError> {
    let request = WriteRequest::builder();
    let request = match write {
        PlainWrite::Put(item) => {
            let put = PutRequest::builder().set_item(Some(item));
            request.put_request(put.build().map_err(broken)?)
        }
        PlainWrite::Delete(key) => {
            let delete = DeleteRequest::builder().set_key(Some(key.to_item()));
            request.delete_request(delete.build().map_err(broken)?)
        }
    };
    Ok(request.build())
}

/// Makes up to [`MAX_ITEMS`] writes. Those that a call leaves out are sent again.
async fn write_chunk<K: Clone>(
    table: &Table<K>,
    mut left: Vec<WriteRequest>,
) -> Result<(), StoreError> {
    let mut backoff = Backoff::default();
    loop {
        let attempt = || {
            table
                .client
                .batch_write_item()
                .request_items(&*table.name, left.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = table.call(Account::Write, attempt, is_transient).await?;
        table
            .meter
            .capacity(Account::Write, output.consumed_capacity());
        left = output
            .unprocessed_items
            .and_then(|mut tables| tables.remove(&*table.name))
            .unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
        table.pause(&mut backoff).await?;
    }
}
