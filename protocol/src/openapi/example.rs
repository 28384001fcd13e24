//! Bodies for people to begin with. Those of built-in types are data; others are made from the schema.

use serde_json::{Map, Value, json};

use super::data;
use crate::schema::{Attribute, DataType, Mutability, ResourceType};
use crate::urn;

pub(super) const EXAMPLES: &str = include_str!("examples.json");

/// A body that creates a resource of the type.
pub(super) fn body(resource_type: &ResourceType) -> Value {
    written(resource_type, "body").unwrap_or_else(|| {
        let required = resource_type
            .extensions
            .iter()
            .filter(|extension| extension.required);
        let urns = required.clone().map(|extension| &extension.schema.id);
        let urns: Vec<_> = std::iter::once(&resource_type.schema.id)
            .chain(urns)
            .collect();
        let mut body = Map::from_iter([("schemas".to_owned(), json!(urns))]);
        body.extend(values(&resource_type.schema.attributes));
        for extension in required {
            let values = values(&extension.schema.attributes);
            body.insert(extension.schema.id.clone(), Value::Object(values));
        }
        Value::Object(body)
    })
}

/// A PatchOp message for a resource of the type.
pub(super) fn patch(resource_type: &ResourceType) -> Value {
    let operations = written(resource_type, "operations")
        .unwrap_or_else(|| json!([{"op": "replace", "path": "externalId", "value": "00u1"}]));
    json!({"schemas": [urn::PATCH_OP], "Operations": operations})
}

/// A SearchRequest that every type can answer.
pub(super) fn search() -> Value {
    json!({"schemas": [urn::SEARCH_REQUEST], "filter": "externalId pr", "count": 10})
}

/// A bulk request that creates a user and a group with it.
pub(super) fn bulk() -> Value {
    json!({
        "schemas": [urn::BULK_REQUEST],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "grace",
             "data": {"schemas": [urn::USER], "userName": "grace@example.com"}},
            {"method": "POST", "path": "/Groups", "bulkId": "admirals",
             "data": {"schemas": [urn::GROUP], "displayName": "Admirals",
                      "members": [{"value": "bulkId:grace"}]}},
        ],
    })
}

/// An example from the embedded file, if it has one for the type.
fn written(resource_type: &ResourceType, part: &str) -> Option<Value> {
    let mut examples = data(EXAMPLES);
    let example = examples.get_mut(&resource_type.schema.id)?;
    example.get_mut(part).map(Value::take)
}

/// A value for each required attribute, and for the first that a client can write.
fn values(attributes: &[Attribute]) -> Map<String, Value> {
    let mut writable = attributes
        .iter()
        .filter(|attribute| attribute.mutability != Mutability::ReadOnly);
    let required = writable.clone().filter(|attribute| attribute.required);
    let mut values: Map<_, _> = required.map(named).collect();
    if values.is_empty() {
        values.extend(writable.next().map(named));
    }
    values
}

fn named(attribute: &Attribute) -> (String, Value) {
    let single = value(attribute);
    let value = match attribute.multi_valued {
        true => json!([single]),
        false => single,
    };
    (attribute.name().to_owned(), value)
}

fn value(attribute: &Attribute) -> Value {
    if let Some(canonical) = attribute.canonical_values.first() {
        return json!(canonical);
    }
    match attribute.kind {
        DataType::String => json!("example"),
        DataType::Boolean => json!(true),
        DataType::Decimal => json!(1.5),
        DataType::Integer => json!(1),
        DataType::DateTime => json!("2026-01-01T00:00:00Z"),
        DataType::Binary => json!("ZXhhbXBsZQ=="),
        DataType::Reference => json!("https://example.com/"),
        DataType::Complex => Value::Object(values(&attribute.sub_attributes)),
    }
}
