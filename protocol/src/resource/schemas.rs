//! `schemas`: the URNs that a request may list, and those that a resource has (RFC 7643 §3, §3.3).

use serde_json::{Map, Value};

use super::place::Place;
use super::value::{ValueReader, is_unassigned};
use crate::error::{Error, Result, excerpt};
use crate::json::{self, kind_of};
use crate::profile::Tolerance;
use crate::schema::{Extension, ResourceType};

/// Takes `schemas` out of a request body and checks it; returns the extensions that it lists.
pub(crate) fn take<'a>(
    values: &mut ValueReader<'a, '_>,
    body: &mut Map<String, Value>,
) -> Result<Vec<&'a Extension>> {
    let value = json::take(body, "schemas").unwrap_or_default();
    let (has_base, extensions) = listed(values, value)?;
    if !has_base && !values.reading.tolerates(Tolerance::MissingSchemas) {
        return Err(Error::invalid_value(format!(
            "`schemas` must list {}",
            values.resource_type.schema.id
        )));
    }
    Ok(extensions)
}

/// Whether a list of URNs has the base schema, and the extensions in it, each once.
pub(crate) fn listed<'a>(
    values: &mut ValueReader<'a, '_>,
    value: Value,
) -> Result<(bool, Vec<&'a Extension>)> {
    let listed = match value {
        value if is_unassigned(&value) => Vec::new(),
        Value::Array(listed) => listed,
        single => vec![values.single_for_many(single, Place::named("schemas"))?],
    };
    let mut has_base = false;
    let mut extensions = Vec::<&Extension>::new();
    for value in listed {
        let Value::String(urn) = value else {
            return Err(Error::invalid_value(format!(
                "`schemas` holds {}; only URNs are allowed",
                kind_of(&value)
            )));
        };
        match values.resource_type.extension(&urn) {
            Some(extension) if !lists(&extensions, extension) => extensions.push(extension),
            Some(_) => {}
            None if values.resource_type.has_schema(&urn) => has_base = true,
            None => unknown_schema(values, &urn)?,
        }
    }
    Ok((has_base, extensions))
}

fn unknown_schema(values: &mut ValueReader<'_, '_>, urn: &str) -> Result<()> {
    if values.reading.tolerates(Tolerance::UnknownAttributes) {
        return Ok(());
    }
    Err(Error::invalid_syntax(format!(
        "`schemas` lists `{}`, which is not a schema of {}; allowed are {}",
        excerpt(urn),
        values.resource_type.name,
        allowed(values.resource_type).join(", ")
    )))
}

/// Whether the extension is one of these.
pub(crate) fn lists(extensions: &[&Extension], extension: &Extension) -> bool {
    extensions
        .iter()
        .any(|listed| std::ptr::eq(*listed, extension))
}

/// The URNs that a resource with this body lists: its base, and the extensions that have data or are
/// required.
pub(crate) fn of_body(body: &Map<String, Value>, resource_type: &ResourceType) -> Value {
    let extended = resource_type
        .extensions
        .iter()
        .filter(|extension| extension.required || body.contains_key(&extension.schema.id))
        .map(|extension| &extension.schema.id);
    std::iter::once(&resource_type.schema.id)
        .chain(extended)
        .map(|urn| Value::from(urn.as_str()))
        .collect()
}

fn allowed(resource_type: &ResourceType) -> Vec<&str> {
    let extended = resource_type
        .extensions
        .iter()
        .map(|extension| extension.schema.id.as_str());
    std::iter::once(resource_type.schema.id.as_str())
        .chain(extended)
        .collect()
}
