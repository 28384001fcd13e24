//! Writes of one item as plain values: puts, updates and deletes, each with its condition.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};

use super::Table;
use super::call::{Failure, is_too_large, is_transient};
use super::meter::Account;
use crate::store::error::StoreError;
use crate::store::keys::ItemKey;
use crate::store::stored::{self, Item, s};

/// A write or a check of one item.
#[derive(Debug)]
pub(in crate::store) enum Request {
    /// Writes a whole item. It replaces an item with the same key.
    Put(Put),
    /// Changes attributes of an item, which need not exist.
    Update(Update),
    /// Removes an item, which need not exist.
    Delete(Delete),
    /// Checks a condition on an item, without a write.
    Check(Check),
}

/// A condition on an item. If it does not hold, the request changes nothing.
#[derive(Debug)]
pub(in crate::store) struct Condition {
    pub(super) text: &'static str,
    pub(super) values: HashMap<String, AttributeValue>,
    pub(super) names: HashMap<String, String>,
    pub(super) shows_item: bool,
}

/// A put of an item.
#[derive(Debug)]
pub(in crate::store) struct Put {
    pub(super) item: Item,
    pub(super) condition: Option<Condition>,
}

/// An update of an item, built from the parts of its expressions.
#[derive(Debug)]
pub(in crate::store) struct Update {
    pub(super) key: ItemKey,
    pub(super) conditions: Vec<&'static str>,
    pub(super) sets: Vec<Cow<'static, str>>,
    pub(super) adds: Vec<Cow<'static, str>>,
    pub(super) removes: Vec<Cow<'static, str>>,
    pub(super) values: HashMap<String, AttributeValue>,
    pub(super) names: HashMap<String, String>,
}

/// A removal of an item.
#[derive(Debug)]
pub(in crate::store) struct Delete {
    pub(super) key: ItemKey,
    pub(super) condition: Option<Condition>,
}

/// A check of an item.
#[derive(Debug)]
pub(in crate::store) struct Check {
    pub(super) key: ItemKey,
    pub(super) condition: Condition,
}

/// Asks DynamoDB to answer a refused request with the item that did not meet the condition.
pub(super) const WITH_OLD_ITEM: ReturnValuesOnConditionCheckFailure =
    ReturnValuesOnConditionCheckFailure::AllOld;

impl Condition {
    /// A condition, in DynamoDB's syntax.
    pub(in crate::store) fn new(text: &'static str) -> Self {
        Self {
            text,
            values: HashMap::new(),
            names: HashMap::new(),
            shows_item: false,
        }
    }

    /// The same with the value of a placeholder such as `:v`.
    pub(in crate::store) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// The same with the attribute of a placeholder such as `#owner`.
    pub(in crate::store) fn name(mut self, placeholder: &str, attribute: &str) -> Self {
        self.names
            .insert(placeholder.to_owned(), attribute.to_owned());
        self
    }

    /// The same, and a refusal returns the item that did not meet it.
    pub(in crate::store) fn showing_item(mut self) -> Self {
        self.shows_item = true;
        self
    }
}

/// A condition in the form that the SDK's builders take.
#[derive(Default)]
pub(super) struct ConditionParts {
    pub(super) text: Option<String>,
    pub(super) values: Option<HashMap<String, AttributeValue>>,
    pub(super) names: Option<HashMap<String, String>>,
    pub(super) on_failure: Option<ReturnValuesOnConditionCheckFailure>,
}

impl From<Option<Condition>> for ConditionParts {
    fn from(condition: Option<Condition>) -> Self {
        let Some(condition) = condition else {
            return Self::default();
        };
        Self {
            text: Some(condition.text.to_owned()),
            values: filled(condition.values),
            names: filled(condition.names),
            on_failure: condition.shows_item.then_some(WITH_OLD_ITEM),
        }
    }
}

/// DynamoDB refuses maps of placeholders that are empty.
pub(super) fn filled<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

impl Put {
    /// A put of an item without a condition.
    pub(in crate::store) fn new(item: Item) -> Self {
        Self {
            item,
            condition: None,
        }
    }

    /// The same on a condition.
    pub(in crate::store) fn when(self, condition: Condition) -> Self {
        Self {
            condition: Some(condition),
            ..self
        }
    }

    /// Makes the put; false if its condition does not hold. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn send<K: Clone>(
        self,
        table: &Table<K>,
    ) -> Result<bool, StoreError> {
        let item = self.item;
        let condition = ConditionParts::from(self.condition);
        let attempt = || {
            table
                .client
                .put_item()
                .table_name(&*table.name)
                .set_item(Some(item.clone()))
                .set_condition_expression(condition.text.clone())
                .set_expression_attribute_values(condition.values.clone())
                .set_expression_attribute_names(condition.names.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        match table.call(Account::Write, attempt, is_transient).await {
            Ok(output) => {
                table
                    .meter
                    .capacity(Account::Write, output.consumed_capacity());
                Ok(true)
            }
            Err(Failure::Refused(PutItemError::ConditionalCheckFailedException(_))) => Ok(false),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl Update {
    /// An update that stores `rid` in the item, by which it recognises itself when it is repeated.
    pub(in crate::store) fn new(key: ItemKey, rid: &str) -> Self {
        let mut update = Self::unnamed(key);
        update.set("rid = :rid").value(":rid", s(rid));
        update
    }

    /// An update without `rid`. It may take effect twice if it is repeated.
    pub(in crate::store) fn unnamed(key: ItemKey) -> Self {
        Self {
            key,
            conditions: Vec::new(),
            sets: Vec::new(),
            adds: Vec::new(),
            removes: Vec::new(),
            values: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// Adds a condition. All conditions of an update have to hold.
    pub(in crate::store) fn require(&mut self, condition: &'static str) -> &mut Self {
        self.conditions.push(condition);
        self
    }

    /// Adds actions such as `body = :body` to the SET clause.
    pub(in crate::store) fn set(&mut self, change: &'static str) -> &mut Self {
        self.sets.push(change.into());
        self
    }

    /// Adds actions such as `mv :one` to the ADD clause.
    pub(in crate::store) fn add(&mut self, change: &'static str) -> &mut Self {
        self.adds.push(change.into());
        self
    }

    /// Adds an attribute to the REMOVE clause.
    pub(in crate::store) fn remove(&mut self, attribute: &'static str) -> &mut Self {
        self.removes.push(attribute.into());
        self
    }

    /// Sets an attribute to this value, or removes it if there is none.
    pub(in crate::store) fn set_or_remove(
        &mut self,
        attribute: &str,
        value: Option<AttributeValue>,
    ) -> &mut Self {
        let (name, placeholder) = (format!("#{attribute}"), format!(":{attribute}"));
        self.name(&name, attribute);
        match value {
            Some(value) => {
                self.sets.push(format!("{name} = {placeholder}").into());
                self.value(&placeholder, value)
            }
            None => {
                self.removes.push(name.into());
                self
            }
        }
    }

    /// Sets an attribute to the value of a placeholder, unless the item has the attribute.
    pub(in crate::store) fn set_first(&mut self, attribute: &str, placeholder: &str) -> &mut Self {
        let set = format!("{attribute} = if_not_exists({attribute}, {placeholder})");
        self.sets.push(set.into());
        self
    }

    /// Removes an entry of a map.
    pub(in crate::store) fn remove_entry(&mut self, map: &str, entry: &str) -> &mut Self {
        let name = format!("#entry{}", self.removes.len());
        self.name(&name, entry);
        self.removes.push(format!("{map}.{name}").into());
        self
    }

    /// Sets the value of a placeholder such as `:v`.
    pub(in crate::store) fn value(
        &mut self,
        placeholder: &str,
        value: AttributeValue,
    ) -> &mut Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Sets the attribute of a placeholder such as `#set`.
    pub(in crate::store) fn name(&mut self, placeholder: &str, attribute: &str) -> &mut Self {
        self.names
            .insert(placeholder.to_owned(), attribute.to_owned());
        self
    }

    /// Makes the update and returns the updated item. One call.
    ///
    /// # Errors
    /// `NotFound` if the condition does not hold because there is no item, or only a tombstone;
    /// `VersionMismatch` if it does not hold for an item that exists; `TooLarge`.
    pub(in crate::store) async fn send(self, table: &Table, rid: &str) -> Result<Item, StoreError> {
        match self.call(table, ReturnValue::AllNew).await? {
            Ok(item) => Ok(item),
            // An earlier attempt took effect, and its answer was lost.
            Err(Some(item)) if stored::rid_of(Some(&item)) == Some(rid) => Ok(item),
            Err(item) => Err(stored::mismatch(item.as_ref())),
        }
    }

    /// Makes the update; false if its condition does not hold. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`, `TooLarge`.
    pub(in crate::store) async fn send_if<K: Clone>(
        self,
        table: &Table<K>,
    ) -> Result<bool, StoreError> {
        Ok(self.call(table, ReturnValue::None).await?.is_ok())
    }

    /// Makes the update and returns the updated item; `None` if its condition does not hold. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`, `TooLarge`.
    pub(in crate::store) async fn send_if_returning<K: Clone>(
        self,
        table: &Table<K>,
    ) -> Result<Option<Item>, StoreError> {
        Ok(self.call(table, ReturnValue::AllNew).await?.ok())
    }

    /// Makes the update. Returns the updated item, or the item that did not meet the condition.
    async fn call<K: Clone>(
        self,
        table: &Table<K>,
        returned: ReturnValue,
    ) -> Result<Result<Item, Option<Item>>, StoreError> {
        let (changes, condition) = (self.changes(), self.condition());
        let on_failure = (returned == ReturnValue::AllNew).then_some(WITH_OLD_ITEM);
        let key = self.key.to_item();
        let (values, names) = (filled(self.values), filled(self.names));
        let attempt = || {
            table
                .client
                .update_item()
                .table_name(&*table.name)
                .set_key(Some(key.clone()))
                .update_expression(&changes)
                .set_condition_expression(condition.clone())
                .set_expression_attribute_values(values.clone())
                .set_expression_attribute_names(names.clone())
                .return_values(returned.clone())
                .set_return_values_on_condition_check_failure(on_failure.clone())
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        match table.call(Account::Write, attempt, is_transient).await {
            Ok(output) => {
                table
                    .meter
                    .capacity(Account::Write, output.consumed_capacity());
                Ok(Ok(output.attributes.unwrap_or_default()))
            }
            Err(Failure::Refused(UpdateItemError::ConditionalCheckFailedException(refused))) => {
                Ok(Err(refused.item))
            }
            Err(Failure::Refused(error)) if is_too_large(&error) => Err(StoreError::TooLarge),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) fn changes(&self) -> String {
        let clause = |word: &str, parts: &[Cow<'static, str>]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let changes = clause("SET", &self.sets)
            + &clause("ADD", &self.adds)
            + &clause("REMOVE", &self.removes);
        changes.trim_end().to_owned()
    }

    pub(super) fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}

impl Delete {
    /// A removal of an item without a condition.
    pub(in crate::store) fn new(key: ItemKey) -> Self {
        Self {
            key,
            condition: None,
        }
    }

    /// The same on a condition.
    pub(in crate::store) fn when(self, condition: Condition) -> Self {
        Self {
            condition: Some(condition),
            ..self
        }
    }
}

impl Check {
    /// A check of this condition on the item with this key.
    pub(in crate::store) fn new(key: ItemKey, condition: Condition) -> Self {
        Self { key, condition }
    }
}

impl From<Put> for Request {
    fn from(put: Put) -> Self {
        Self::Put(put)
    }
}

impl From<Update> for Request {
    fn from(update: Update) -> Self {
        Self::Update(update)
    }
}

impl From<Delete> for Request {
    fn from(delete: Delete) -> Self {
        Self::Delete(delete)
    }
}

impl From<Check> for Request {
    fn from(check: Check) -> Self {
        Self::Check(check)
    }
}
