//! What a ResourceType resource must say to be registered (RFC 7643 §6).

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::name::is_attribute_name;
use crate::urn;

/// Endpoints that belong to the protocol (RFC 7644 §3.2, Table 2).
const RESERVED_ENDPOINTS: [&str; 8] = [
    "ServiceProviderConfig",
    "ServiceProviderConfigs",
    "Schemas",
    "ResourceTypes",
    "Bulk",
    "Me",
    "Scopes",
    ".search",
];

/// The name of the type, which is checked.
///
/// # Errors
/// `InvalidValue`.
pub(super) fn type_name(source: &Map<String, Value>) -> Result<String> {
    let name = source
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // The name is part of table keys, where `#` separates.
    if !is_attribute_name(name) || name.len() > 64 {
        return Err(Error::invalid_value(format!(
            "`name` of a resource type is `{name}`; letters, digits, `-` and `_`, at most 64, are allowed"
        )));
    }
    Ok(name.to_owned())
}

/// The endpoint of the type without its slash, which is checked.
///
/// # Errors
/// `InvalidValue`, also for an endpoint of the protocol itself.
pub(super) fn endpoint(source: &Map<String, Value>, owner: &str) -> Result<String> {
    let endpoint = source
        .get("endpoint")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let endpoint = endpoint.trim_start_matches('/');
    if !is_attribute_name(endpoint)
        || RESERVED_ENDPOINTS
            .iter()
            .any(|taken| taken.eq_ignore_ascii_case(endpoint))
    {
        return Err(Error::invalid_value(format!(
            "`endpoint` of {owner} is `{endpoint}`; one path segment of letters, digits, `-` and `_` that the protocol does not use itself is allowed"
        )));
    }
    Ok(endpoint.to_owned())
}

/// The published form, with everything that RFC 7643 §6 requires of a ResourceType resource.
pub(super) fn complete(
    source: &Map<String, Value>,
    name: &str,
    endpoint: &str,
) -> Map<String, Value> {
    let mut published = Map::new();
    published.insert("schemas".into(), json!([urn::RESOURCE_TYPE]));
    published.insert("id".into(), json!(name));
    for (key, value) in source {
        if !matches!(key.as_str(), "schemas" | "id" | "meta") {
            published.insert(key.clone(), value.clone());
        }
    }
    published.insert("endpoint".into(), json!(format!("/{endpoint}")));
    published
}
