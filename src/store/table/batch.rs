//! Plain writes of many items, several calls at a time.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, PutRequest, ReturnConsumedCapacity, WriteRequest,
};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::call::Backoff;
use super::meter::Account;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{Item, s};
use crate::store::resources::broken;

/// The most items that DynamoDB takes in one BatchWriteItem.
const MAX_ITEMS: usize = 25;
/// Calls under way at once; one partition takes about 1,000 writes a second.
const PARALLEL: usize = 8;

/// One plain write.
#[derive(Debug, Clone)]
pub(in crate::store) enum PlainWrite {
    Put(Item),
    Delete { pk: String, sk: String },
}

impl PlainWrite {
    fn request(self) -> Result<WriteRequest, StoreError> {
        let request = WriteRequest::builder();
        Ok(match self {
            Self::Put(item) => request
                .put_request(
                    PutRequest::builder()
                        .set_item(Some(item))
                        .build()
                        .map_err(broken)?,
                )
                .build(),
            Self::Delete { pk, sk } => {
                let key: HashMap<String, AttributeValue> =
                    HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))]);
                request
                    .delete_request(
                        DeleteRequest::builder()
                            .set_key(Some(key))
                            .build()
                            .map_err(broken)?,
                    )
                    .build()
            }
        })
    }
}

impl TenantStore {
    /// Writes all items, in no order, and returns when every one is written.
    pub(in crate::store) async fn write_all(
        &self,
        writes: Vec<PlainWrite>,
    ) -> Result<(), StoreError> {
        let requests = writes
            .into_iter()
            .map(PlainWrite::request)
            .collect::<Result<Vec<_>, _>>()?;
        let chunks: Vec<Vec<WriteRequest>> =
            requests.chunks(MAX_ITEMS).map(<[_]>::to_vec).collect();
        stream::iter(chunks)
            .map(|chunk| self.write_chunk(chunk))
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn write_chunk(&self, mut left: Vec<WriteRequest>) -> Result<(), StoreError> {
        let mut backoff = Backoff::default();
        loop {
            let attempt = || {
                self.client
                    .batch_write_item()
                    .request_items(&*self.table, left.clone())
                    .return_consumed_capacity(ReturnConsumedCapacity::Total)
                    .send()
            };
            let output = self.call(Account::Write, attempt).await?;
            self.meter
                .capacity(Account::Write, output.consumed_capacity());
            left = output
                .unprocessed_items
                .and_then(|mut tables| tables.remove(&*self.table))
                .unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            self.pause(&mut backoff).await?;
        }
    }
}
