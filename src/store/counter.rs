//! How many resources there are of a type: exact, and one read.

use aws_sdk_dynamodb::types::{AttributeValue, Update};

use super::TenantStore;
use super::error::StoreError;
use super::item::{Item, s};
use super::key_range::KeyRange;
use super::keys;
use super::range::{Shown, Window, last_key};
use super::resource::broken;
use crate::protocol::schema::ResourceType;

impl TenantStore {
    /// The step of a transaction that counts a resource in (`1`) or out (`-1`).
    pub(super) fn count(
        &self,
        resource_type: &ResourceType,
        id: &str,
        by: i8,
    ) -> Result<Update, StoreError> {
        Update::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.counters(resource_type)))
            .key("sk", s(keys::counter_shard(id)))
            .update_expression("ADD n :by")
            .expression_attribute_values(":by", AttributeValue::N(by.to_string()))
            .build()
            .map_err(broken)
    }

    /// The number of resources of a type. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn total(&self, resource_type: &ResourceType) -> Result<u64, StoreError> {
        let pk = self.keys.counters(resource_type);
        let (mut total, mut after) = (0, None::<String>);
        loop {
            let window = Window {
                after: after.as_deref(),
                ..Window::default()
            };
            let range = KeyRange::all();
            let output = self
                .query(pk.clone(), &range, window, Shown::Number)
                .await?;
            after = last_key(&output);
            let count = |item: &Item| item.get("n")?.as_n().ok()?.parse::<i64>().ok();
            total += output.items().iter().filter_map(count).sum::<i64>();
            if after.is_none() {
                return Ok(u64::try_from(total).unwrap_or(0));
            }
        }
    }
}
