//! Reads a Schema resource and checks it against RFC 7643 §2.2, §2.3 and §7.

use serde_json::{Map, Value, json};

use super::Schema;
use super::attribute::{Attribute, DataType, Mutability, Returned, Uniqueness, keyword};
use crate::error::{Error, Result};
use crate::name::AttributeName;
use crate::urn;

/// The largest number of attributes of a schema. Without a bound, a schema could be made to exhaust
/// the service.
const MAX_ATTRIBUTES: usize = 500;

/// See [`Schema::from_json`].
pub(super) fn schema(value: &Value) -> Result<Schema> {
    let source = value
        .as_object()
        .ok_or_else(|| Error::invalid_value("A schema must be a JSON object"))?;
    let id = text(source, "id", "The schema")?;
    check_urn(&id)?;
    let name = text(source, "name", &format!("Schema {id}"))?;
    let mut published = source.clone();
    published
        .entry("schemas")
        .or_insert_with(|| json!([urn::SCHEMA]));
    // RFC 9944 has an extension without attributes, which only marks a resource.
    let listed = published.entry("attributes").or_insert_with(|| json!([]));
    let listed = listed
        .as_array_mut()
        .ok_or_else(|| Error::invalid_value(format!("Schema {id} has no array `attributes`")))?;
    // Only the schema of schemas nests twice (RFC 7643 §2.3.8).
    let levels = if id.eq_ignore_ascii_case(urn::SCHEMA) {
        2
    } else {
        1
    };
    let attributes = attributes(listed, &id, levels)?;
    Ok(Schema {
        id,
        name,
        attributes,
        published,
    })
}

/// Reads a list of attributes; complex ones may nest `levels` deep.
fn attributes(listed: &mut [Value], within: &str, levels: u8) -> Result<Vec<Attribute>> {
    if listed.len() > MAX_ATTRIBUTES {
        return Err(Error::invalid_value(format!(
            "{within} lists {} attributes; at most {MAX_ATTRIBUTES} are allowed",
            listed.len()
        )));
    }
    let mut attributes = Vec::<Attribute>::with_capacity(listed.len());
    for value in listed {
        let attribute = attribute(value, within, levels)?;
        if attributes.iter().any(|other| other.name == attribute.name) {
            return Err(Error::invalid_value(format!(
                "{within} defines `{}` twice",
                attribute.name
            )));
        }
        attributes.push(attribute);
    }
    Ok(attributes)
}

/// Reads one attribute, and adds to its definition each characteristic that was left out (RFC 7643
/// §2.2).
fn attribute(value: &mut Value, within: &str, levels: u8) -> Result<Attribute> {
    let source = value.as_object_mut().ok_or_else(|| {
        Error::invalid_value(format!("An attribute of {within} is not a JSON object"))
    })?;
    let name = text(source, "name", &format!("An attribute of {within}"))?;
    let name = AttributeName::parse(&name).ok_or_else(|| {
        Error::invalid_value(format!(
            "`{name}` in {within} is not an attribute name (RFC 7643 section 2.1)"
        ))
    })?;
    let within = format!("`{name}` in {within}");
    let kind = choice(source, "type", "string", &DataType::ALL, &within)?;
    if kind == DataType::Complex && levels == 0 {
        return Err(Error::invalid_value(format!(
            "{within} is complex inside a complex attribute (RFC 7643 section 2.3.8)"
        )));
    }
    let multi_valued = flag(source, "multiValued", false, &within)?;
    let required = flag(source, "required", false, &within)?;
    let exact_by_kind = matches!(kind, DataType::Binary | DataType::Reference);
    let case_exact = match kind {
        DataType::Complex => false,
        _ => flag(source, "caseExact", exact_by_kind, &within)?,
    };
    let mutability = choice(source, "mutability", "readWrite", &Mutability::ALL, &within)?;
    let returned = choice(source, "returned", "default", &Returned::ALL, &within)?;
    let uniqueness = match kind {
        DataType::Complex => Uniqueness::None,
        _ => choice(source, "uniqueness", "none", &Uniqueness::ALL, &within)?,
    };
    wrap_single(source, "referenceTypes");
    let reference_types = strings(source, "referenceTypes", &within)?;
    let canonical_values = strings(source, "canonicalValues", &within)?;
    let is_marked = |keyword: &str| source.get(keyword).and_then(Value::as_bool) == Some(true);
    let (indexed, sensitive) = (is_marked("indexed"), is_marked("sensitive"));
    let sub_attributes = sub_attributes(source, kind, levels, &within)?;
    Ok(Attribute {
        name,
        kind,
        multi_valued,
        required,
        canonical_values,
        // Binary values and references are case exact, whatever a schema says (RFC 7643 §2.3.6,
        // §2.3.7).
        case_exact: case_exact || exact_by_kind,
        mutability,
        returned,
        uniqueness,
        reference_types,
        sub_attributes,
        indexed,
        sensitive,
    })
}

fn sub_attributes(
    source: &mut Map<String, Value>,
    kind: DataType,
    levels: u8,
    owner: &str,
) -> Result<Vec<Attribute>> {
    match (
        kind,
        source
            .get_mut("subAttributes")
            .and_then(Value::as_array_mut),
    ) {
        (DataType::Complex, Some(listed)) => attributes(listed, owner, levels - 1),
        (DataType::Complex, None) => Err(Error::invalid_value(format!(
            "{owner} is complex and has no `subAttributes`"
        ))),
        (_, Some(listed)) if !listed.is_empty() => Err(Error::invalid_value(format!(
            "{owner} has `subAttributes` but is not complex"
        ))),
        _ => Ok(Vec::new()),
    }
}

fn check_urn(id: &str) -> Result<()> {
    let is_urn = id
        .get(..4)
        .is_some_and(|head| head.eq_ignore_ascii_case("urn:"));
    let is_plain = id
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'[' | b']' | b'(' | b')' | b','));
    if !is_urn || !is_plain || id.len() > 256 {
        return Err(Error::invalid_value(format!(
            "Schema id `{id}` is not a URN of at most 256 characters"
        )));
    }
    if id.to_ascii_lowercase().starts_with(urn::MESSAGE_PREFIX) {
        return Err(Error::invalid_value(format!(
            "`{id}` names a message, not a schema (RFC 7644 section 3.1)"
        )));
    }
    Ok(())
}

fn text(source: &Map<String, Value>, key: &str, owner: &str) -> Result<String> {
    match source.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Error::invalid_value(format!(
            "{owner} has no string `{key}`"
        ))),
    }
}

fn flag(source: &mut Map<String, Value>, key: &str, default: bool, owner: &str) -> Result<bool> {
    let value = source.entry(key).or_insert(Value::Bool(default));
    value
        .as_bool()
        .ok_or_else(|| Error::invalid_value(format!("`{key}` of {owner} is not true or false")))
}

/// Reads a keyword in any case, and replaces it by the spelling of the service.
fn choice<T: Copy + PartialEq>(
    source: &mut Map<String, Value>,
    key: &str,
    default: &str,
    table: &[(&'static str, T)],
    owner: &str,
) -> Result<T> {
    let value = source.entry(key).or_insert_with(|| Value::from(default));
    let text = value.as_str().unwrap_or_default();
    let mut entries = table.iter();
    let found = entries.find(|(name, _)| name.eq_ignore_ascii_case(text));
    let Some((_, choice)) = found else {
        let allowed: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        return Err(Error::invalid_value(format!(
            "`{key}` of {owner} is {value}; allowed are {}",
            allowed.join(", ")
        )));
    };
    *value = Value::from(keyword(table, *choice));
    Ok(*choice)
}

/// Puts a single string into an array, as RFC 9944's schemas write one.
fn wrap_single(source: &mut Map<String, Value>, key: &str) {
    if let Some(value) = source.get_mut(key).filter(|value| value.is_string()) {
        *value = json!([value.take()]);
    }
}

fn strings(source: &Map<String, Value>, key: &str, owner: &str) -> Result<Vec<String>> {
    let Some(value) = source.get(key) else {
        return Ok(Vec::new());
    };
    let strings = value.as_array().map(|values| {
        values
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect()
    });
    strings.flatten().ok_or_else(|| {
        Error::invalid_value(format!("`{key}` of {owner} is not an array of strings"))
    })
}
