//! Builds the expressions of one update from the parts that apply.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Update};

use super::transaction::WITH_OLD_ITEM;
use crate::store::error::StoreError;
use crate::store::item::s;
use crate::store::resources::broken;

/// The condition, the changes and the values of one update.
#[derive(Debug)]
pub(in crate::store) struct Expression {
    conditions: Vec<&'static str>,
    sets: Vec<&'static str>,
    adds: Vec<&'static str>,
    removes: Vec<&'static str>,
    values: HashMap<String, AttributeValue>,
    names: HashMap<String, String>,
}

impl Expression {
    /// An update under `condition` that does `set`, in which `:rid` stands for the write's token.
    pub(in crate::store) fn new(condition: &'static str, set: &'static str, token: &str) -> Self {
        Self {
            conditions: vec![condition],
            sets: vec![set],
            adds: Vec::new(),
            removes: Vec::new(),
            values: HashMap::from([(":rid".to_owned(), s(token))]),
            names: HashMap::new(),
        }
    }

    pub(in crate::store) fn require(&mut self, condition: &'static str) -> &mut Self {
        self.conditions.push(condition);
        self
    }

    pub(in crate::store) fn set(&mut self, change: &'static str) -> &mut Self {
        self.sets.push(change);
        self
    }

    pub(in crate::store) fn add(&mut self, change: &'static str) -> &mut Self {
        self.adds.push(change);
        self
    }

    pub(in crate::store) fn remove(&mut self, attribute: &'static str) -> &mut Self {
        self.removes.push(attribute);
        self
    }

    pub(in crate::store) fn value(&mut self, name: &str, value: AttributeValue) -> &mut Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    pub(in crate::store) fn name(&mut self, placeholder: &str, name: &str) -> &mut Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// The update of one item.
    pub(in crate::store) fn update(
        self,
        table: &str,
        pk: String,
        sk: &str,
    ) -> Result<Update, StoreError> {
        let clause = |word: &str, parts: &[&str]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let changes = clause("SET", &self.sets)
            + &clause("ADD", &self.adds)
            + &clause("REMOVE", &self.removes);
        Update::builder()
            .table_name(table)
            .key("pk", s(pk))
            .key("sk", s(sk))
            .condition_expression(self.conditions.join(" AND "))
            .update_expression(changes.trim_end())
            .set_expression_attribute_values(Some(self.values))
            .set_expression_attribute_names((!self.names.is_empty()).then_some(self.names))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .build()
            .map_err(broken)
    }
}
