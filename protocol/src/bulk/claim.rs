//! The resources and values that an operation touches, as far as its text shows. Two operations that
//! touch the same one keep their order.
//!
//! The result may name too much, which only makes operations wait for each other. It never names too
//! little for operations on types of the registry. Ids and members are compared as they are written.
//! Unique values are folded more coarsely than any index folds them. A DELETE, a PUT or a PATCH can
//! give up a value that the request does not show; such an operation keeps its order with all
//! operations that take a value of the same type.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use super::reference::{PREFIX, literals};
use super::{BulkOperation, Method, OperationTarget};
use crate::json;
use crate::profile::Switches;
use crate::schema::{MembershipAttribute, Registry, ResourceType};

/// The resources and values that one operation touches.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Ids, members and values. Of two operations with one of them in common, the earlier runs first.
    pub(super) keys: Vec<String>,
    /// Its effect on the unique values of its type.
    pub(super) effect: Option<UniqueEffect>,
}

/// The effect of an operation on the unique values of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UniqueEffect {
    /// It takes the values among its keys.
    Takes,
    /// It gives values up.
    Frees,
    /// It may take values and give values up.
    Both,
}

/// Finds the resources and values that an operation touches.
pub(super) fn claims(
    operation: &BulkOperation,
    registry: &Registry,
    switches: &Switches,
) -> Claims {
    let mut keys = vec![match &operation.target {
        OperationTarget::New(name) | OperationTarget::BulkId(name) => format!("{PREFIX}{name}"),
        OperationTarget::Id(id) => id.clone(),
    }];
    let Some(resource_type) = registry.at_endpoint(&operation.endpoint) else {
        return Claims { keys, effect: None };
    };
    if resource_type.membership == Some(MembershipAttribute::Members) {
        push_members(operation, &mut keys);
    }
    let unique = unique_attributes(resource_type, switches);
    if operation.method == Method::Post {
        push_values(&mut keys, &operation.data, resource_type, &unique);
    }
    let effect = match operation.method {
        _ if unique.is_empty() => None,
        Method::Post => Some(UniqueEffect::Takes),
        Method::Put => Some(UniqueEffect::Both),
        Method::Delete => Some(UniqueEffect::Frees),
        Method::Patch => unique
            .iter()
            .any(|name| changes(operation, name))
            .then_some(UniqueEffect::Both),
    };
    Claims { keys, effect }
}

/// The ids of the members that the operation names.
fn push_members(operation: &BulkOperation, keys: &mut Vec<String>) {
    let name = MembershipAttribute::Members.attribute();
    if operation.method != Method::Patch {
        if let Some(members) = json::present(&operation.data, name) {
            push_strings(keys, members);
        }
        return;
    }
    for listed in patch_operations(operation) {
        let path = json::present(listed, "path").and_then(Value::as_str);
        let value = json::present(listed, "value");
        match (path, value) {
            (Some(path), value) if mentions(path, name) => {
                let values = literals(path).into_iter().map(|literal| literal.text);
                keys.extend(values);
                if let Some(value) = value {
                    push_strings(keys, value);
                }
            }
            (None, Some(Value::Object(value))) => {
                let members = value.iter().filter(|(key, _)| mentions(key, name));
                members.for_each(|(_, members)| push_strings(keys, members));
            }
            _ => {}
        }
    }
}

/// Whether a PATCH may change the attribute.
fn changes(operation: &BulkOperation, name: &str) -> bool {
    patch_operations(operation).any(|listed| {
        let path = json::present(listed, "path").and_then(Value::as_str);
        let value = json::present(listed, "value").and_then(Value::as_object);
        path.is_some_and(|path| mentions(path, name))
            || value.is_some_and(|value| has_key(value, name))
    })
}

fn patch_operations(operation: &BulkOperation) -> impl Iterator<Item = &Map<String, Value>> {
    let listed = json::present(&operation.data, "Operations").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_object)
}

/// The names of the attributes whose values are unique.
fn unique_attributes(resource_type: &ResourceType, switches: &Switches) -> Vec<String> {
    let unique = resource_type.indexes.iter().filter(|index| index.unique);
    let names = unique.filter_map(|index| {
        let path = index.path().rsplit(':').next()?;
        path.split('.').next().map(str::to_owned)
    });
    let is_group = resource_type.membership == Some(MembershipAttribute::Members);
    let switched = (is_group && switches.unique_group_display_name).then(|| "displayName".into());
    names.chain(switched).collect()
}

/// Adds the values of unique attributes, including those of extensions.
fn push_values(
    keys: &mut Vec<String>,
    data: &Map<String, Value>,
    resource_type: &ResourceType,
    unique: &[String],
) {
    let containers = data.iter().filter(|(key, _)| resource_type.has_schema(key));
    let containers = containers.filter_map(|(_, value)| value.as_object());
    for object in containers.chain([data]) {
        for name in unique {
            let mut values = Vec::new();
            if let Some(value) = json::present(object, name) {
                push_strings(&mut values, value);
            }
            let type_name = &resource_type.name;
            let folded = values.iter().map(|value| fold(value));
            keys.extend(folded.map(|value| format!("{type_name}#{name}#{value}")));
        }
    }
}

/// Folds a text. Values that are equal in any index have equal results.
fn fold(text: &str) -> String {
    text.trim()
        .nfkc()
        .collect::<String>()
        .to_uppercase()
        .to_lowercase()
}

fn push_strings(strings: &mut Vec<String>, value: &Value) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(elements) => elements
            .iter()
            .for_each(|value| push_strings(strings, value)),
        Value::Object(members) => members
            .values()
            .for_each(|value| push_strings(strings, value)),
        Value::Number(number) => strings.push(number.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

fn mentions(text: &str, name: &str) -> bool {
    text.to_ascii_lowercase()
        .contains(&name.to_ascii_lowercase())
}

fn has_key(object: &Map<String, Value>, name: &str) -> bool {
    object.iter().any(|(key, value)| {
        mentions(key, name) || value.as_object().is_some_and(|inner| has_key(inner, name))
    })
}
