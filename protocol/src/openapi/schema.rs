//! SCIM schemas as JSON Schema 2020-12, the dialect of OpenAPI 3.1.
//!
//! | SCIM (RFC 7643 §7) | JSON Schema |
//! |---|---|
//! | `type` | `type`, and `format` or `contentEncoding` |
//! | `multiValued` | an array |
//! | `required` | `required`, of requests only |
//! | `canonicalValues` | `examples`, because other values are accepted too |
//! | `mutability` | `readOnly`, `writeOnly`, or `x-mutability` for `immutable` |
//! | `caseExact`, `returned`, `uniqueness`, `referenceTypes` | the same with `x-`, unless it is the default |
//! | a keyword of a vendor | the same with `x-` |

use serde_json::{Map, Value, json};

use super::example;
use super::names::Names;
use crate::schema::{Attribute, DataType, Mutability, ResourceType, Returned, Schema};
use crate::urn;

/// Keywords of an attribute that this module reads, so that they are no vendor's (RFC 7643 §7).
const ATTRIBUTE_KEYWORDS: [&str; 12] = [
    "name",
    "type",
    "multiValued",
    "description",
    "required",
    "canonicalValues",
    "caseExact",
    "mutability",
    "returned",
    "uniqueness",
    "referenceTypes",
    "subAttributes",
];
/// Keywords of schemas and resource types that are no vendor's (RFC 7643 §6, §7).
const RESOURCE_KEYWORDS: [&str; 9] = [
    "schemas",
    "id",
    "name",
    "description",
    "attributes",
    "endpoint",
    "schema",
    "schemaExtensions",
    "meta",
];
/// Characteristics that JSON Schema has no word for, and the values that are left out: the defaults of RFC
/// 7643 §2.2, and values that another keyword expresses.
const CHARACTERISTICS: [(&str, &[&str]); 4] = [
    ("caseExact", &["false"]),
    ("mutability", &["readWrite", "readOnly", "writeOnly"]),
    ("returned", &["default"]),
    ("uniqueness", &["none"]),
];

/// Which message a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The body of a POST or PUT.
    Request,
    /// An answer.
    Answer,
}

impl Side {
    /// Whether messages of this side can have the attribute.
    fn has(self, attribute: &Attribute) -> bool {
        match self {
            Self::Request => attribute.mutability != Mutability::ReadOnly,
            Self::Answer => {
                attribute.mutability != Mutability::WriteOnly
                    && attribute.returned != Returned::Never
            }
        }
    }

    /// Whether every message of this side has the attribute.
    fn requires(self, attribute: &Attribute) -> bool {
        self == Self::Request && attribute.required
    }

    fn component(self, name: &str) -> String {
        match self {
            Self::Request => format!("{name}Request"),
            Self::Answer => name.to_owned(),
        }
    }
}

/// The components of a resource type: its answers, its requests, its list, and the same of its extensions.
pub(super) fn components(resource_type: &ResourceType, names: &Names<'_>) -> Vec<(String, Value)> {
    let name = names.of_type(resource_type);
    let list = list_of(&reference(name));
    let mut components = vec![(format!("{name}ListResponse"), list)];
    for side in [Side::Answer, Side::Request] {
        let resource = resource(resource_type, side, names);
        components.push((side.component(name), resource));
        for extension in &resource_type.extensions {
            let name = names.of_extension(&extension.schema.id);
            components.push((side.component(name), container(&extension.schema, side)));
        }
    }
    components
}

/// A resource that only the service writes, such as a schema.
pub(super) fn described(resource_type: &ResourceType) -> Value {
    let schema = &resource_type.schema;
    let mut object = object(&schema.attributes, &schema.published, Side::Answer);
    describe(&mut object, &schema.published, &RESOURCE_KEYWORDS);
    let properties = super::section(&mut object, "properties");
    properties.insert("schemas".to_owned(), schemas_of([schema.id.as_str()]));
    properties.insert("id".to_owned(), json!({"type": "string"}));
    properties.insert("meta".to_owned(), reference("Meta"));
    object.insert("required".to_owned(), json!(["schemas"]));
    Value::Object(object)
}

/// A list of resources (RFC 7644 §3.4.2).
pub(super) fn list_of(resource: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["schemas", "itemsPerPage", "Resources"],
        "properties": {
            "schemas": schemas_of([urn::LIST_RESPONSE]),
            "totalResults": {"type": "integer", "minimum": 0},
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": {"type": "integer", "minimum": 0},
            "nextCursor": {"type": "string"},
            "previousCursor": {"type": "string"},
            "Resources": {"type": "array", "items": resource},
        },
    })
}

/// A reference to a component.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A resource of a tenant's type.
fn resource(resource_type: &ResourceType, side: Side, names: &Names<'_>) -> Value {
    let schema = &resource_type.schema;
    let is_common = |attribute: &&Attribute| {
        resource_type
            .common
            .iter()
            .any(|common| common.name == attribute.name)
    };
    let own = schema
        .attributes
        .iter()
        .filter(|attribute| !is_common(attribute));
    let mut object = object(own, &schema.published, side);
    describe(&mut object, &schema.published, &RESOURCE_KEYWORDS);
    describe(&mut object, &resource_type.published, &RESOURCE_KEYWORDS);
    let extensions = resource_type.extensions.iter();
    let urns = extensions
        .clone()
        .map(|extension| extension.schema.id.as_str());
    let urns = std::iter::once(schema.id.as_str()).chain(urns);
    let properties = super::section(&mut object, "properties");
    properties.insert("schemas".to_owned(), schemas_of(urns));
    properties.insert(
        "externalId".to_owned(),
        json!({"type": "string", "x-caseExact": true}),
    );
    if side == Side::Answer {
        let id = json!({"type": "string", "readOnly": true});
        properties.insert("id".to_owned(), id);
        properties.insert("meta".to_owned(), reference("Meta"));
    }
    for extension in extensions.clone() {
        let urn = &extension.schema.id;
        let name = side.component(names.of_extension(urn));
        properties.insert(urn.clone(), reference(&name));
    }
    let mut required = vec![json!("schemas")];
    match side {
        Side::Answer => required.push(json!("id")),
        Side::Request => {
            required.extend(
                object
                    .shift_remove("required")
                    .as_ref()
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            required.extend(
                extensions
                    .filter(|extension| extension.required)
                    .map(|extension| json!(extension.schema.id)),
            );
            object.insert("examples".to_owned(), json!([example::body(resource_type)]));
        }
    }
    object.insert("required".to_owned(), Value::Array(required));
    Value::Object(object)
}

/// The part of a resource that has the attributes of an extension (RFC 7643 §3.3).
fn container(schema: &Schema, side: Side) -> Value {
    let mut object = object(&schema.attributes, &schema.published, side);
    describe(&mut object, &schema.published, &RESOURCE_KEYWORDS);
    Value::Object(object)
}

/// The member `schemas`: the URNs that a resource of the type may list. The first is that of the type.
fn schemas_of<'u>(urns: impl IntoIterator<Item = &'u str>) -> Value {
    let urns: Vec<_> = urns.into_iter().collect();
    json!({"type": "array", "minItems": 1, "items": {"type": "string", "enum": urns}})
}

/// An object with these attributes. `published` has their definitions with the keywords of vendors.
fn object<'a>(
    attributes: impl IntoIterator<Item = &'a Attribute>,
    published: &Map<String, Value>,
    side: Side,
) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for attribute in attributes
        .into_iter()
        .filter(|attribute| side.has(attribute))
    {
        let definition = definition(published, attribute);
        let name = attribute.name().to_owned();
        if side.requires(attribute) {
            required.push(json!(name));
        }
        properties.insert(name, property(attribute, definition, side));
    }
    let mut object = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(properties)),
    ]);
    if !required.is_empty() {
        object.insert("required".to_owned(), Value::Array(required));
    }
    object
}

/// One attribute or sub-attribute.
fn property(attribute: &Attribute, definition: &Map<String, Value>, side: Side) -> Value {
    let mut single = match attribute.kind {
        DataType::Complex => object(&attribute.sub_attributes, definition, side),
        kind => simple(kind),
    };
    if !attribute.canonical_values.is_empty() {
        single.insert("examples".to_owned(), json!(attribute.canonical_values));
    }
    let mut property = match attribute.multi_valued {
        true => Map::from_iter([
            ("type".to_owned(), json!("array")),
            ("items".to_owned(), Value::Object(single)),
        ]),
        false => single,
    };
    describe(&mut property, definition, &ATTRIBUTE_KEYWORDS);
    let access = match attribute.mutability {
        Mutability::ReadOnly => Some("readOnly"),
        Mutability::WriteOnly => Some("writeOnly"),
        Mutability::ReadWrite | Mutability::Immutable => None,
    };
    property.extend(access.map(|keyword| (keyword.to_owned(), json!(true))));
    for (name, plain) in CHARACTERISTICS {
        // Binary values and references are always case exact (RFC 7643 §2.3.6, §2.3.7).
        let is_implied = name == "caseExact" && attribute.kind != DataType::String;
        let value = definition.get(name).filter(|_| !is_implied);
        let value = value.filter(|value| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            !plain.contains(&text.as_str())
        });
        property.extend(value.map(|value| (format!("x-{name}"), value.clone())));
    }
    if !attribute.reference_types.is_empty() {
        property.insert(
            "x-referenceTypes".to_owned(),
            json!(attribute.reference_types),
        );
    }
    Value::Object(property)
}

fn simple(kind: DataType) -> Map<String, Value> {
    let (name, keyword) = match kind {
        DataType::String => ("string", None),
        DataType::Boolean => ("boolean", None),
        DataType::Decimal => ("number", None),
        DataType::Integer => ("integer", None),
        DataType::DateTime => ("string", Some(("format", "date-time"))),
        DataType::Binary => ("string", Some(("contentEncoding", "base64"))),
        DataType::Reference => ("string", Some(("format", "uri-reference"))),
        DataType::Complex => ("object", None),
    };
    let keyword = keyword.map(|(name, value)| (name.to_owned(), json!(value)));
    std::iter::once(("type".to_owned(), json!(name)))
        .chain(keyword)
        .collect()
}

/// The published definition of an attribute, below a schema or below a complex attribute.
fn definition<'p>(
    published: &'p Map<String, Value>,
    attribute: &Attribute,
) -> &'p Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    let listed = ["attributes", "subAttributes"]
        .into_iter()
        .find_map(|name| published.get(name)?.as_array());
    let mut definitions = listed.into_iter().flatten().filter_map(Value::as_object);
    let named = |one: &&Map<String, Value>| {
        let name = one.get("name").and_then(Value::as_str);
        name.is_some_and(|name| attribute.name == name)
    };
    definitions.find(named).unwrap_or(&NONE)
}

/// Adds the description of a published definition, and its vendor's keywords.
fn describe(object: &mut Map<String, Value>, published: &Map<String, Value>, known: &[&str]) {
    let description = published.get("description").filter(|text| text.is_string());
    object.extend(description.map(|text| ("description".to_owned(), text.clone())));
    for (name, value) in published
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()))
    {
        let name = match name.starts_with("x-") {
            true => name.clone(),
            false => format!("x-{name}"),
        };
        object.insert(name, value.clone());
    }
}
