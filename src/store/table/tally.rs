//! Counts keys, no further than a limit.

use std::collections::HashSet;

use super::allowance::{Allowance, CountLimit};
use super::range::{Order, Shown, Window, last_key};
use crate::protocol::schema::{Index, ResourceType};
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item;
use crate::store::key_range::KeyRange;

impl TenantStore {
    /// The number of entries in a range of an index, from a key on if there is one; nothing if they
    /// are more, or cost more, than the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn index_count(
        &self,
        resource_type: &ResourceType,
        index: &Index,
        range: &KeyRange,
        from: Window<'_>,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        if range.is_empty() {
            return Ok(Some(0));
        }
        let pk = self.keys.index(resource_type, index.path());
        self.count_items(pk, range, from, limit).await
    }

    /// The number of resources that have entries in a range of an index, however many each has;
    /// nothing if that costs more than the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn index_count_distinct(
        &self,
        resource_type: &ResourceType,
        index: &Index,
        range: &KeyRange,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        if range.is_empty() {
            return Ok(Some(0));
        }
        let pk = self.keys.index(resource_type, index.path());
        let (mut ids, mut after) = (HashSet::new(), None::<String>);
        let mut allowance = Allowance::new(limit);
        while let Some(share) = allowance.share(1) {
            let window = Window {
                after: after.as_deref(),
                limit: Some(share),
                order: Order::Ascending,
            };
            let output = self.query(pk.clone(), range, window, Shown::Entry).await?;
            allowance.spend(&output);
            after = last_key(&output);
            for mut entry in output.items.unwrap_or_default() {
                ids.insert(item::take_text(&mut entry, "id")?);
            }
            if after.is_none() {
                return Ok((!allowance.is_exceeded()).then_some(ids.len() as u64));
            }
        }
        Ok(None)
    }

    /// The number of items in a range, from a key on if there is one; nothing if they are more, or
    /// cost more, than the limit.
    pub(in crate::store) async fn count_items(
        &self,
        pk: String,
        range: &KeyRange,
        from: Window<'_>,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        let (mut total, mut after) = (0, from.after.map(str::to_owned));
        let mut allowance = Allowance::new(limit);
        while let Some(share) = allowance.share(1) {
            let window = Window {
                after: after.as_deref(),
                limit: Some(share),
                order: from.order,
            };
            let output = self.query(pk.clone(), range, window, Shown::Count).await?;
            allowance.spend(&output);
            total += u64::try_from(output.count()).unwrap_or(0);
            after = last_key(&output);
            if after.is_none() {
                return Ok((!allowance.is_exceeded()).then_some(total));
            }
        }
        Ok(None)
    }
}
