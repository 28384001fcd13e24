//! The last step of every write: canonical order, and the rules for a resource as a whole.

use serde_json::{Map, Value};

use super::body::{self, is_outside};
use super::place::Place;
use super::repeated::{collapse, is_primary};
use super::schemas;
use crate::error::{Error, Result};
use crate::profile::{Reading, Tolerance};
use crate::schema::{Attribute, DataType, Extension, Mutability, ResourceType};

/// Puts a body into canonical order, drops empty values, sets `schemas`, and checks the rules for the
/// resource as a whole.
///
/// Members that the type does not define stay, after all others. No request can have brought them:
/// they were stored while the type still had the schema or the attribute.
///
/// # Errors
/// `InvalidValue` for a required attribute without value, or for two primary elements where the
/// profile does not tolerate them.
pub(crate) fn finish(
    mut body: Map<String, Value>,
    resource_type: &ResourceType,
    reading: &mut Reading<'_>,
) -> Result<Map<String, Value>> {
    let mut ordered = Map::with_capacity(body.len() + 1);
    ordered.insert("schemas".to_owned(), Value::Null);
    let core = resource_type
        .common
        .iter()
        .filter(|attribute| attribute.name != "schemas")
        .chain(&resource_type.schema.attributes);
    move_in_order(core, &mut body, &mut ordered);
    for extension in &resource_type.extensions {
        let urn = &extension.schema.id;
        let Some(Value::Object(mut container)) = body.swap_remove(urn) else {
            continue;
        };
        let mut scope = Map::with_capacity(container.len());
        move_in_order(&extension.schema.attributes, &mut container, &mut scope);
        move_rest(container, &mut scope);
        if !scope.is_empty() {
            ordered.insert(urn.clone(), Value::Object(scope));
        }
    }
    ordered["schemas"] = schemas::of_body(&ordered, resource_type);
    settle_primaries(&mut ordered, resource_type, reading)?;
    body.swap_remove("schemas");
    move_rest(body, &mut ordered);
    check(&ordered, resource_type)?;
    Ok(ordered)
}

fn move_in_order<'a>(
    attributes: impl IntoIterator<Item = &'a Attribute>,
    from: &mut Map<String, Value>,
    to: &mut Map<String, Value>,
) {
    for attribute in attributes {
        let Some((name, value)) = from.swap_remove_entry(attribute.name()) else {
            continue;
        };
        if let Some(value) = tidy(attribute, value) {
            to.insert(name, value);
        }
    }
}

/// Moves the members that the type does not define, ordered by name, so that the text stays the same.
fn move_rest(mut rest: Map<String, Value>, to: &mut Map<String, Value>) {
    rest.sort_keys();
    to.append(&mut rest);
}

/// A value with each element once and its sub-attributes in order; `None` if nothing is left.
fn tidy(attribute: &Attribute, value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(elements) => {
            let elements: Vec<_> = elements
                .into_iter()
                .filter_map(|element| tidy(attribute, element))
                .collect();
            let elements = collapse(attribute, elements);
            (!elements.is_empty()).then_some(Value::Array(elements))
        }
        Value::Object(mut object) if attribute.is_complex() => {
            let mut ordered = Map::with_capacity(object.len());
            move_in_order(&attribute.sub_attributes, &mut object, &mut ordered);
            move_rest(object, &mut ordered);
            (!ordered.is_empty()).then_some(Value::Object(ordered))
        }
        value => Some(value),
    }
}

fn check(body: &Map<String, Value>, resource_type: &ResourceType) -> Result<()> {
    for (extension, attribute) in resource_type.attributes() {
        let applies = extension
            .is_none_or(|extension| extension.required || body.contains_key(&extension.schema.id));
        if applies && !is_outside(resource_type, attribute) {
            check_attribute(body, extension, attribute)?;
        }
    }
    Ok(())
}

fn check_attribute(
    body: &Map<String, Value>,
    extension: Option<&Extension>,
    attribute: &Attribute,
) -> Result<()> {
    let place = Place::new(extension.map(|e| e.schema.id.as_str()), attribute);
    let value = body::get(body, extension, attribute);
    check_required(attribute, value, place)?;
    match value {
        Some(Value::Array(elements)) if attribute.is_complex() => elements
            .iter()
            .try_for_each(|element| check_sub_attributes(attribute, element, place)),
        Some(element @ Value::Object(_)) => check_sub_attributes(attribute, element, place),
        _ => Ok(()),
    }
}

fn check_sub_attributes(attribute: &Attribute, element: &Value, place: Place<'_>) -> Result<()> {
    attribute
        .sub_attributes
        .iter()
        .try_for_each(|sub| check_required(sub, element.get(sub.name()), place.sub(sub.name())))
}

/// Checks that a required attribute has a value, and that a required string is not empty (RFC 7643
/// §2.2, §4.1.1).
fn check_required(attribute: &Attribute, value: Option<&Value>, place: Place<'_>) -> Result<()> {
    if !attribute.required || attribute.mutability == Mutability::ReadOnly {
        return Ok(());
    }
    match value {
        None => Err(Error::invalid_value(format!(
            "`{place}` is required and has no value"
        ))),
        Some(Value::String(text)) if text.is_empty() && attribute.kind == DataType::String => Err(
            Error::invalid_value(format!("`{place}` is required and must not be empty")),
        ),
        Some(_) => Ok(()),
    }
}

/// Leaves at most one element primary (RFC 7643 §2.4). Of several it is the first, if the profile
/// tolerates several ([`Tolerance::SeveralPrimaries`]).
fn settle_primaries(
    body: &mut Map<String, Value>,
    resource_type: &ResourceType,
    reading: &mut Reading<'_>,
) -> Result<()> {
    for (extension, attribute) in resource_type.attributes() {
        if !attribute.multi_valued || attribute.sub_attribute("primary").is_none() {
            continue;
        }
        let Some(Value::Array(elements)) = body::get_mut(body, extension, attribute) else {
            continue;
        };
        let mut others = elements
            .iter_mut()
            .filter(|element| is_primary(element))
            .skip(1)
            .peekable();
        if others.peek().is_none() {
            continue;
        }
        if !reading.tolerates(Tolerance::SeveralPrimaries) {
            let place = Place::new(extension.map(|e| e.schema.id.as_str()), attribute);
            return Err(several_primaries(place));
        }
        for element in others {
            element["primary"] = Value::Bool(false);
        }
    }
    Ok(())
}

/// The error of a request that marks more than one element as primary: `InvalidValue`.
pub(crate) fn several_primaries(place: Place<'_>) -> Error {
    Error::invalid_value(format!(
        "`{place}` has more than one element with `primary` true; one is allowed"
    ))
}
