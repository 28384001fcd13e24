//! Index entries and counters against the resources that they come from.

use std::collections::{BTreeSet, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, ReturnConsumedCapacity};

use super::entry::{Entries, Entry};
use super::{broken, token};
use crate::protocol::schema::{Index, ResourceType};
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, Stored, n, s};
use crate::store::key_range::KeyRange;
use crate::store::keys;
use crate::store::table::allowance::CountLimit;
use crate::store::table::expression::Expression;
use crate::store::table::meter::Account;
use crate::store::table::range::{Shown, Window, last_key};
use crate::store::table::transaction::{MAX_STEPS, Refusal, Transaction, WITH_OLD_ITEM};

/// An index entry, as it is found in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayEntry {
    /// The sort key.
    pub key: String,
    /// The resource that the entry speaks of.
    pub id: String,
}

impl TenantStore {
    /// Those of a resource's entries that are not in the table.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn missing_entries(
        &self,
        resource_type: &ResourceType,
        resources: &[(&Stored, Entries)],
    ) -> Result<Vec<(usize, Entries)>, StoreError> {
        let key = |entry: &Entry, id: &str| {
            (
                self.keys.index(resource_type, &entry.path),
                entry.sort_key(id),
            )
        };
        let wanted: BTreeSet<_> = resources
            .iter()
            .flat_map(|(stored, entries)| entries.iter().map(|entry| key(entry, &stored.id)))
            .collect();
        let mut found = HashSet::new();
        for mut item in self.get_keys(wanted, Shown::All).await? {
            let id = item::take_text(&mut item, "id")?;
            found.insert((
                item::take_text(&mut item, "pk")?,
                item::take_text(&mut item, "sk")?,
                id,
            ));
        }
        let is_missing = |entry: &Entry, id: &str| {
            let (pk, sk) = key(entry, id);
            !found.contains(&(pk, sk, id.to_owned()))
        };
        let missing = resources
            .iter()
            .enumerate()
            .map(|(position, (stored, entries))| {
                (
                    position,
                    entries.filtered(|entry| is_missing(entry, &stored.id)),
                )
            });
        Ok(missing
            .filter(|(_, entries)| entries.iter().next().is_some())
            .collect())
    }

    /// Writes entries of a resource, on the condition that it is still as it was read.
    ///
    /// # Errors
    /// `Taken` when a claim belongs to another resource; `NotFound` or `VersionMismatch` when the
    /// resource has changed, in which case its writer has written the entries.
    pub async fn put_entries(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        entries: &Entries,
    ) -> Result<(), StoreError> {
        let entries: Vec<&Entry> = entries.iter().collect();
        for part in entries.chunks(MAX_STEPS - 1) {
            let token = token();
            let mut transaction = Transaction::default();
            let check = ConditionCheck::builder()
                .table_name(&*self.table)
                .key("pk", s(self.keys.resources(resource_type)))
                .key("sk", s(&stored.id))
                .condition_expression("v = :v AND attribute_not_exists(del)")
                .expression_attribute_values(":v", n(stored.revision))
                .return_values_on_condition_check_failure(WITH_OLD_ITEM);
            transaction.check(check.build().map_err(broken)?, Refusal::Resource);
            for entry in part {
                self.add_entry(&mut transaction, resource_type, &stored.id, entry, &token)?;
            }
            self.commit(transaction, &token)
                .await?
                .map_err(|refused| refused.into_error(Some(stored)))?;
        }
        Ok(())
    }

    /// A page of an index as it is in the table, claims of switches included.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn index_entries(
        &self,
        resource_type: &ResourceType,
        path: &str,
        after: Option<&str>,
    ) -> Result<(Vec<StrayEntry>, Option<String>), StoreError> {
        let window = Window {
            after,
            limit: Some(100),
            ..Window::default()
        };
        let output = self
            .query(
                self.keys.index(resource_type, path),
                &KeyRange::all(),
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
                Ok(StrayEntry {
                    key: item::take_text(&mut item, "sk")?,
                    id: item::take_text(&mut item, "id")?,
                })
            });
        Ok((entries.collect::<Result<_, StoreError>>()?, next))
    }

    /// Removes an entry that its resource does not have, on the condition that the resource is still
    /// as it was read, or still missing.
    ///
    /// # Errors
    /// `VersionMismatch` or `NotFound` when the resource has changed.
    pub async fn drop_entry(
        &self,
        resource_type: &ResourceType,
        path: &str,
        stray: &StrayEntry,
        seen: Option<&Stored>,
    ) -> Result<(), StoreError> {
        let mut transaction = Transaction::default();
        let check = ConditionCheck::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.resources(resource_type)))
            .key("sk", s(&stray.id))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM);
        let check = match seen {
            Some(stored) => check
                .condition_expression("v = :v")
                .expression_attribute_values(":v", n(stored.revision)),
            None => check.condition_expression("attribute_not_exists(pk) OR attribute_exists(del)"),
        };
        transaction.check(check.build().map_err(broken)?, Refusal::Resource);
        let delete = Delete::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.index(resource_type, path)))
            .key("sk", s(&stray.key))
            .condition_expression("id = :id")
            .expression_attribute_values(":id", s(&stray.id));
        transaction.delete(delete.build().map_err(broken)?, Refusal::Resource);
        self.commit(transaction, &token())
            .await?
            .map_err(|refused| refused.into_error(seen))
    }

    /// The number of a group's members, in as many calls as DynamoDB needs.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn count_members(&self, group: &Stored) -> Result<u64, StoreError> {
        let Some(state) = &group.group else {
            return Ok(0);
        };
        let mut total = 0;
        for shard in 0..u64::from(state.shards) {
            let pk = self.keys.members(&group.id, &state.set, shard);
            total += self
                .count_items(pk, &KeyRange::all(), Window::default(), CountLimit::NONE)
                .await?
                .unwrap_or(0);
        }
        Ok(total)
    }

    /// Writes the `id` into a body whose text does not have it, on the condition that the body is still
    /// as it was read. What clients see does not change, so neither do version and time.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `Unavailable`, `Backend`.
    pub async fn write_id(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
    ) -> Result<(), StoreError> {
        let token = token();
        let mut parts = Expression::new(
            "attribute_not_exists(del) AND v = :v",
            "rid = :rid, body = :body",
            &token,
        );
        parts
            .value(":v", n(stored.revision))
            .value(":body", s(&stored.body));
        let update = parts.update(&self.table, self.keys.resources(resource_type), &stored.id)?;
        self.update_item(update, &token).await?;
        Ok(())
    }

    /// Says in a group how many members it has, on the condition that no change of them was told in it
    /// since it was read.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `Unavailable`, `Backend`.
    pub async fn correct_member_count(
        &self,
        resource_type: &ResourceType,
        group: &Stored,
        counted: u64,
    ) -> Result<(), StoreError> {
        let read = group.group.clone().unwrap_or_default();
        let token = token();
        let mut parts = Expression::new(
            "attribute_not_exists(del) AND mv = :mv",
            "rid = :rid, about = :about",
            &token,
        );
        parts
            .value(":mv", n(read.member_revision))
            .value(":about", n(counted));
        let update = parts.update(&self.table, self.keys.resources(resource_type), &group.id)?;
        self.update_item(update, &token).await?;
        Ok(())
    }

    /// Corrects the count of a type by a difference.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn correct_total(
        &self,
        resource_type: &ResourceType,
        by: i64,
    ) -> Result<(), StoreError> {
        let attempt = || {
            self.client
                .update_item()
                .table_name(&*self.table)
                .key("pk", s(self.keys.counters(resource_type)))
                .key("sk", s(keys::counter_shard("")))
                .update_expression("ADD n :by")
                .expression_attribute_values(":by", AttributeValue::N(by.to_string()))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        self.call(Account::Write, attempt).await?;
        Ok(())
    }
}

impl Entry {
    /// Whether the entry is in this index, or is a claim on its values.
    #[must_use]
    pub fn is_of(&self, index: &Index) -> bool {
        self.attribute() == index.path()
    }
}
