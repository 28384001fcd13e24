//! What clients may read of a resource's images, by the tenant's schemas.

use serde_json::{Map, Value};

use crate::feed::event::{Changed, Changes};
use crate::protocol::schema::{Attribute, Mutability, Registry, ResourceType, Returned};
use crate::store::{ResourceChange, ResourceImage};

/// Whether the tenant's schemas have the type of a resource and every attribute and sub-attribute of its
/// images.
pub(in crate::feed) fn is_known(change: &ResourceChange, types: &Registry) -> bool {
    let Some(resource_type) = types.resource_type(&change.type_name) else {
        return false;
    };
    let images = change.before.iter().chain(&change.after);
    let mut members = images.flat_map(|image| image.body.body());
    members.all(|(name, value)| match resource_type.extension(name) {
        Some(extension) => {
            let Value::Object(parts) = value else {
                return false;
            };
            let mut parts = parts.iter();
            parts.all(|(part, value)| has_schema(value, extension.schema.attribute(part)))
        }
        None => has_schema(value, resource_type.attribute(name)),
    })
}

/// Whether the schemas have the attribute of a value and all its sub-attributes.
fn has_schema(value: &Value, attribute: Option<&Attribute>) -> bool {
    let Some(attribute) = attribute else {
        return false;
    };
    match value {
        _ if !attribute.is_complex() => true,
        Value::Array(elements) => elements
            .iter()
            .all(|element| has_schema(element, Some(attribute))),
        Value::Object(parts) => parts
            .iter()
            .all(|(name, value)| has_schema(value, attribute.sub_attribute(name))),
        _ => true,
    }
}

/// The attributes that differ, as far as clients may read them; `None` if there are none.
pub(super) fn changes(
    before: Option<&ResourceImage>,
    after: Option<&ResourceImage>,
    resource_type: &ResourceType,
) -> Option<Changes> {
    let before = before.map(|image| readable(image, resource_type));
    let mut after = after
        .map(|image| readable(image, resource_type))
        .unwrap_or_default();
    let mut changes = Changes::new();
    for (name, value) in before.unwrap_or_default() {
        let next = after.remove(&name);
        if next.as_ref() != Some(&value) {
            let changed = Changed {
                before: Some(value),
                after: next,
            };
            changes.insert(name, changed);
        }
    }
    for (name, value) in after {
        let changed = Changed {
            before: None,
            after: Some(value),
        };
        changes.insert(name, changed);
    }
    (!changes.is_empty()).then_some(changes)
}

/// The attributes of a body that clients may read, by their full names. The `id` is in the event anyway.
fn readable(image: &ResourceImage, resource_type: &ResourceType) -> Map<String, Value> {
    let mut found = Map::new();
    let mut put = |name: String, value: &Value, attribute: Option<&Attribute>| {
        if let Some(value) = attribute.and_then(|attribute| readable_value(value, attribute)) {
            found.insert(name, value);
        }
    };
    for (name, value) in image.body.body() {
        match (resource_type.extension(name), value) {
            (Some(extension), Value::Object(parts)) => {
                let urn = &extension.schema.id;
                for (part, value) in parts {
                    let attribute = extension.schema.attribute(part);
                    put(format!("{urn}:{part}"), value, attribute);
                }
            }
            _ if name == "id" => {}
            _ => put(name.clone(), value, resource_type.attribute(name)),
        }
    }
    found
}

/// What clients may read of a value; `None` if it is nothing.
fn readable_value(value: &Value, attribute: &Attribute) -> Option<Value> {
    if attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly {
        return None;
    }
    if !attribute.is_complex() {
        return Some(value.clone());
    }
    match value {
        Value::Array(elements) => {
            let elements = elements.iter();
            let readable = elements.filter_map(|element| readable_value(element, attribute));
            Some(Value::Array(readable.collect()))
        }
        Value::Object(parts) => {
            let readable = parts.iter().filter_map(|(name, value)| {
                let value = readable_value(value, attribute.sub_attribute(name)?)?;
                Some((name.clone(), value))
            });
            Some(Value::Object(readable.collect()))
        }
        // A complex attribute has no other values.
        _ => None,
    }
}
