//! How many resources there are of a type: exact, and one read.

use aws_sdk_dynamodb::types::{AttributeValue, Update};

use super::broken;
use crate::protocol::schema::ResourceType;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{Item, s};
use crate::store::key_range::KeyRange;
use crate::store::keys;
use crate::store::table::meter::Account;
use crate::store::table::range::Shown;

impl TenantStore {
    /// The step of a transaction that counts a resource in (`1`) or out (`-1`).
    pub(in crate::store) fn count(
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
        let items = self
            .all_items(Account::Read, &pk, &KeyRange::all(), Shown::Number)
            .await?;
        let count = |item: &Item| item.get("n")?.as_n().ok()?.parse::<i64>().ok();
        let total: i64 = items.iter().filter_map(count).sum();
        Ok(u64::try_from(total).unwrap_or(0))
    }
}
