//! Groups inside groups.
//!
//! Which groups were ever made members of which group is written down apart from the members, so that
//! readers find inner groups without reading all members of a large group. What is written down is
//! only where to look: whether an inner group is a member is told by the member items.

use std::collections::{BTreeSet, HashSet};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures_util::future::try_join_all;

use crate::protocol::schema::ResourceType;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, Item, Stored, s};
use crate::store::key_range::KeyRange;
use crate::store::keys::{self, SEPARATOR};
use crate::store::table::batch::PlainWrite;
use crate::store::table::call::Failure;
use crate::store::table::meter::Account;
use crate::store::table::range::Shown;

impl TenantStore {
    /// Remembers that these groups are going to be members of a group: readers look for indirect
    /// membership from now on, and find inner groups without reading all members. It is never
    /// forgotten: that costs readers a look, and forgetting too early would cost truth.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn mark_nested(
        &self,
        resource_type: &ResourceType,
        group: &str,
        inner: &[&str],
    ) -> Result<(), StoreError> {
        try_join_all(inner.iter().map(|id| self.mark_inner(resource_type, id))).await?;
        let (pk, mark) = self.keys.nested();
        let edges = inner.iter().map(|inner| keys::entry(group, inner));
        let item = |sk: String| {
            Item::from([
                ("pk".to_owned(), s(&pk)),
                ("sk".to_owned(), s(sk)),
                ("kind".to_owned(), s("N")),
            ])
        };
        let items = edges.chain([mark]).map(item);
        self.write_all(items.map(PlainWrite::Put).collect()).await
    }

    /// Says in a group's own item that it is in a group, so that who reads the item knows. Whether
    /// there is such a group is checked with the membership.
    async fn mark_inner(&self, resource_type: &ResourceType, id: &str) -> Result<(), StoreError> {
        let pk = self.keys.resources(resource_type);
        let attempt = || {
            self.client
                .update_item()
                .table_name(&*self.table)
                .key("pk", s(&pk))
                .key("sk", s(id))
                .condition_expression("attribute_exists(pk)")
                .update_expression("SET #inner = :inner")
                .expression_attribute_names("#inner", "inner")
                .expression_attribute_values(":inner", AttributeValue::Bool(true))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        match self.call(Account::Write, attempt).await {
            Ok(output) => {
                let consumed = output.consumed_capacity();
                self.meter.capacity(Account::Write, consumed);
                Ok(())
            }
            Err(Failure::Refused(UpdateItemError::ConditionalCheckFailedException(_))) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// The ids of the groups that are members of a group.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn inner_groups(&self, group: &Stored) -> Result<HashSet<String>, StoreError> {
        let range = KeyRange::prefix(&keys::entry(&group.id, ""));
        let (pk, _) = self.keys.nested();
        let edges = self
            .all_items(Account::Read, &pk, &range, Shown::All)
            .await?;
        let inner = |mut item: Item| {
            let edge = item::take_text(&mut item, "sk")?;
            Ok(edge.split_once(SEPARATOR).map(|(_, id)| id.to_owned()))
        };
        let inner = edges.into_iter().filter_map(|item| inner(item).transpose());
        let marked = inner.collect::<Result<Vec<_>, StoreError>>()?;
        self.members_among(std::slice::from_ref(group), &marked)
            .await
    }

    /// The group with this id, if it exists, and whether the tenant has groups in groups: one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn outer_group(
        &self,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<(Option<Stored>, bool), StoreError> {
        let resources = self.keys.resources(resource_type);
        let keys = BTreeSet::from([(resources, id.to_owned()), self.keys.nested()]);
        let is_mark = |item: &Item| {
            item.get("kind")
                .and_then(|kind| kind.as_s().ok())
                .is_some_and(|kind| kind == "N")
        };
        let items = self.get_keys(keys, Shown::All).await?;
        let has_nested = items.iter().any(is_mark);
        let group = items
            .into_iter()
            .find(|item| !is_mark(item) && !item::is_deleted(item));
        Ok((group.map(Stored::from_item).transpose()?, has_nested))
    }
}
