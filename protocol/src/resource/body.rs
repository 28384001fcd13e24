//! Where a canonical body holds an attribute's value: at the top, or in the container of its extension
//! (RFC 7643 §3.3).

use serde_json::{Map, Value};

use super::password::is_password;
use crate::schema::{Attribute, Extension, ResourceType};

/// Whether the attribute's value is not part of the body.
pub(crate) fn is_outside(resource_type: &ResourceType, attribute: &Attribute) -> bool {
    resource_type.is_detached(attribute) || is_password(attribute)
}

/// The object that holds an extension's attributes, or the core ones.
pub(crate) fn scope<'b>(
    body: &'b Map<String, Value>,
    extension: Option<&Extension>,
) -> Option<&'b Map<String, Value>> {
    match extension {
        Some(extension) => body.get(&extension.schema.id)?.as_object(),
        None => Some(body),
    }
}

/// The same object, to be changed. The container of an extension is created if it is missing.
pub(crate) fn scope_mut<'b>(
    body: &'b mut Map<String, Value>,
    extension: Option<&Extension>,
) -> &'b mut Map<String, Value> {
    let Some(extension) = extension else {
        return body;
    };
    let container = body
        .entry(&extension.schema.id)
        .or_insert_with(|| Value::Object(Map::new()));
    if !container.is_object() {
        *container = Value::Object(Map::new());
    }
    match container {
        Value::Object(container) => container,
        _ => unreachable!("the container was just made an object"),
    }
}

/// The value of an attribute.
pub(crate) fn get<'b>(
    body: &'b Map<String, Value>,
    extension: Option<&Extension>,
    attribute: &Attribute,
) -> Option<&'b Value> {
    scope(body, extension)?.get(attribute.name())
}

/// The value of an attribute, to be changed in place.
pub(crate) fn get_mut<'b>(
    body: &'b mut Map<String, Value>,
    extension: Option<&Extension>,
    attribute: &Attribute,
) -> Option<&'b mut Value> {
    let scope = match extension {
        Some(extension) => body.get_mut(&extension.schema.id)?.as_object_mut()?,
        None => body,
    };
    scope.get_mut(attribute.name())
}

/// Takes the value of an attribute out of the body, to be put back later.
pub(crate) fn take(
    body: &mut Map<String, Value>,
    extension: Option<&Extension>,
    attribute: &Attribute,
) -> Option<Value> {
    let scope = match extension {
        Some(extension) => body.get_mut(&extension.schema.id)?.as_object_mut()?,
        None => body,
    };
    scope.swap_remove(attribute.name())
}

/// Sets or clears an attribute.
pub(crate) fn set(
    body: &mut Map<String, Value>,
    extension: Option<&Extension>,
    attribute: &Attribute,
    value: Option<Value>,
) {
    match value {
        Some(value) => {
            scope_mut(body, extension).insert(attribute.name().to_owned(), value);
        }
        None if scope(body, extension).is_some() => {
            scope_mut(body, extension).swap_remove(attribute.name());
        }
        None => {}
    }
}
