//! Translates the PATCH of 1.1 into a PatchOp message: first the attributes listed in
//! `meta.attributes` are removed, then the partial resource is merged (1.1 API §3.3.2). The PUT of the
//! Ionic API merges too.
//!
//! Elements are matched by `value` if they have one. A delete that also names a `type` deletes only
//! the element of that type, because several elements may have the same value. Elements without
//! `value` are matched by all given sub-attributes. The operations rely on tolerances of the `default`
//! profile: a write through a value filter that matches nothing creates the element, a `remove` that
//! matches nothing succeeds, and a `remove` with values removes only those.

use serde_json::{Map, Value, json};

use super::names::{self, Destination};
use super::request::{self, is_group_order, is_mail_order, is_value_list};
use super::{View, user_name};
use crate::error::{Error, Result, excerpt};
use crate::patch::MAX_OPERATIONS;
use crate::profile::{Reading, Tolerance};
use crate::schema::{Attribute, Extension, Mutability};
use crate::urn;

/// One attribute of a partial resource.
struct PartialAttribute<'a> {
    extension: Option<&'a Extension>,
    attribute: &'a Attribute,
    value: Value,
}

/// Translates the body of a PATCH.
///
/// **Shape**: `{"meta":{"attributes":["nickName"]},"emails":[{"value":"a@x","operation":"delete"}],
/// "displayName":"E"}`. Read-only attributes in it are left out.
///
/// # Errors
/// `InvalidSyntax` for a message of SCIM 2.0; `InvalidValue` when an element to delete has no
/// sub-attribute to find it by, or a group of the Ionic API gets a member that is not a user;
/// `InvalidPath` for an unknown attribute, where the profile does not tolerate it; `PayloadTooLarge`
/// for more than [`MAX_OPERATIONS`] listed attributes or changes.
pub fn patch(
    view: View<'_>,
    body: Map<String, Value>,
    reading: &mut Reading<'_>,
) -> Result<Map<String, Value>> {
    let listed = listed_attributes(&body);
    if listed.len() > MAX_OPERATIONS {
        return Err(Error::payload_too_large(format!(
            "`meta.attributes` lists {} attributes; at most {MAX_OPERATIONS} are allowed",
            listed.len()
        )));
    }
    let listed: Vec<_> = listed
        .iter()
        .map(|path| names::path_to_v2(view, path))
        .collect();
    let parts = partial_attributes(view, body, reading)?;
    let is_listed = |part: &PartialAttribute<'_>| {
        let mut listed = listed.iter();
        listed.any(|path| {
            path.eq_ignore_ascii_case(&part.path())
                || path.eq_ignore_ascii_case(part.attribute.name())
        })
    };
    let mut operations = Vec::new();
    for path in &listed {
        let replaced = parts.iter().any(|part| part.replaces(path));
        if !replaced {
            operations.push(json!({"op": "remove", "path": path}));
        }
    }
    for part in &parts {
        if is_listed(part) {
            part.replace(&mut operations);
        } else {
            part.merge(&mut operations)?;
        }
    }
    message(operations)
}

/// Translates the body of a PUT that merges: each given attribute replaces the stored one, null and
/// empty ones are cleared, and all others stay.
///
/// # Errors
/// As [`patch`].
pub fn merging_put(
    view: View<'_>,
    body: Map<String, Value>,
    reading: &mut Reading<'_>,
) -> Result<Map<String, Value>> {
    let mut operations = Vec::new();
    for part in partial_attributes(view, body, reading)? {
        part.replace(&mut operations);
    }
    message(operations)
}

/// The attributes of a partial resource that a client may write.
fn partial_attributes<'a>(
    view: View<'a>,
    body: Map<String, Value>,
    reading: &mut Reading<'_>,
) -> Result<Vec<PartialAttribute<'a>>> {
    request::check_no_message(view, &body)?;
    let mut parts = Vec::new();
    for (key, value) in body {
        match names::destination(view, &key) {
            Destination::Schemas | Destination::Meta => {}
            Destination::Attribute(extension, attribute) => {
                parts.push(partial_attribute(view, extension, attribute, value)?);
            }
            Destination::Extension(extension) => {
                for (key, value) in members(extension, value) {
                    match extension.schema.attribute(&key) {
                        Some(attribute) => {
                            parts.push(partial_attribute(view, Some(extension), attribute, value)?);
                        }
                        // It asks for an action when a user is created. In a change it has no meaning.
                        None if is_group_order(extension, &key) => {}
                        None if is_mail_order(extension, &key) => {}
                        None => check_unknown(&key, reading)?,
                    }
                }
            }
            Destination::Unknown if request::is_embedded(view, &key) => {}
            Destination::Unknown => check_unknown(&key, reading)?,
        }
    }
    parts.retain(|part| {
        part.attribute.mutability != Mutability::ReadOnly
            && !user_name::clears_name(view, part.attribute.name(), &part.value, reading)
    });
    Ok(parts)
}

fn partial_attribute<'p>(
    view: View<'_>,
    extension: Option<&'p Extension>,
    attribute: &'p Attribute,
    value: Value,
) -> Result<PartialAttribute<'p>> {
    let value = request::value_to_v2(view, attribute, value)?;
    Ok(PartialAttribute {
        extension,
        attribute,
        value,
    })
}

impl PartialAttribute<'_> {
    /// The full path of the attribute.
    fn path(&self) -> String {
        let name = self.attribute.name();
        match self.extension {
            Some(extension) => format!("{}:{name}", extension.schema.id),
            None => name.to_owned(),
        }
    }

    /// Whether the body gives a new value for a part of a listed path that is removed.
    fn replaces(&self, listed: &str) -> bool {
        let path = self.path();
        if listed.eq_ignore_ascii_case(&path) || listed.eq_ignore_ascii_case(self.attribute.name())
        {
            return true;
        }
        let part = listed
            .get(..path.len())
            .filter(|head| head.eq_ignore_ascii_case(&path))
            .and_then(|_| listed.get(path.len()..)?.strip_prefix('.'));
        part.is_some_and(|part| {
            let parts = self.value.as_object();
            parts.is_some_and(|parts| parts.keys().any(|key| key.eq_ignore_ascii_case(part)))
        })
    }

    /// The operations that set the attribute to this value, with nothing left of the old one.
    fn replace(&self, operations: &mut Vec<Value>) {
        let path = self.path();
        let value = match &self.value {
            Value::Array(elements) => {
                let kept = elements.iter().filter(|element| !is_delete(element));
                kept.map(without_operation).collect()
            }
            other => other.clone(),
        };
        if is_empty(&value) {
            operations.push(json!({"op": "remove", "path": path}));
            return;
        }
        if value.is_object() {
            // A `replace` of a complex value merges (RFC 7644 §3.5.2.3), so the old value is removed
            // first.
            operations.push(json!({"op": "remove", "path": path}));
        }
        operations.push(json!({"op": "replace", "path": path, "value": value}));
    }

    /// The operations that merge the value into the stored one.
    fn merge(&self, operations: &mut Vec<Value>) -> Result<()> {
        let path = self.path();
        match &self.value {
            Value::Null => operations.push(json!({"op": "remove", "path": path})),
            Value::Array(elements) if self.attribute.multi_valued => {
                self.merge_elements(elements, operations)?;
            }
            Value::Object(_) if self.attribute.multi_valued => {
                self.merge_elements(std::slice::from_ref(&self.value), operations)?;
            }
            Value::Object(_) => {
                operations.push(json!({"op": "add", "path": path, "value": self.value}));
            }
            value => operations.push(json!({"op": "replace", "path": path, "value": value})),
        }
        Ok(())
    }

    /// Deletes come first, so that a request can delete an element and add it again with changes.
    fn merge_elements(&self, elements: &[Value], operations: &mut Vec<Value>) -> Result<()> {
        let path = self.path();
        let deleted = elements.iter().filter(|element| is_delete(element));
        if self.is_immutable() {
            self.remove_all(deleted, operations)?;
        } else {
            for element in deleted {
                let filter = self.finder(element)?;
                operations.push(json!({"op": "remove", "path": format!("{path}[{filter}]")}));
            }
        }
        let kept = elements.iter().filter(|element| !is_delete(element));
        let (matched, added): (Vec<_>, Vec<_>) = kept.partition(|element| self.is_matched(element));
        if !added.is_empty() {
            let added: Vec<_> = added.into_iter().map(without_operation).collect();
            operations.push(json!({"op": "add", "path": path, "value": added}));
        }
        for element in matched {
            self.merge_element(element, operations);
        }
        Ok(())
    }

    /// Whether the elements cannot be edited and are identified by `value`: members.
    fn is_immutable(&self) -> bool {
        let value = self.attribute.sub_attribute("value");
        value.is_some_and(|value| value.mutability == Mutability::Immutable)
    }

    /// One operation that removes all these elements, because there may be many.
    fn remove_all<'v>(
        &self,
        elements: impl Iterator<Item = &'v Value>,
        operations: &mut Vec<Value>,
    ) -> Result<()> {
        let values = elements.map(|element| match element.get("value") {
            Some(value) if value.is_string() => Ok(json!({ "value": value })),
            _ => Err(self.names_nothing()),
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        if !values.is_empty() {
            operations.push(json!({"op": "remove", "path": self.path(), "value": values}));
        }
        Ok(())
    }

    /// Whether an element is merged into the stored one with the same `value`. Otherwise it is added
    /// if it is new. An immutable element cannot be merged.
    fn is_matched(&self, element: &Value) -> bool {
        is_value_list(self.attribute)
            && !self.is_immutable()
            && element.get("value").is_some_and(Value::is_string)
    }

    /// One operation for each sub-attribute. The first one creates the element if it does not exist.
    fn merge_element(&self, element: &Value, operations: &mut Vec<Value>) {
        let path = self.path();
        let filter = format!("value eq {}", element["value"]);
        for (key, value) in element.as_object().into_iter().flatten() {
            let Some(sub) = self.attribute.sub_attribute(key) else {
                continue;
            };
            if sub.mutability == Mutability::ReadOnly || sub.name() == "$ref" {
                continue;
            }
            let path = format!("{path}[{filter}].{}", sub.name());
            operations.push(if is_empty(value) {
                json!({"op": "remove", "path": path})
            } else {
                json!({"op": "add", "path": path, "value": value})
            });
        }
    }

    /// A filter that finds the element to delete.
    fn finder(&self, element: &Value) -> Result<String> {
        let given = element.as_object().into_iter().flatten();
        let has_value = element.get("value").is_some();
        let terms = given.filter_map(|(key, value)| {
            let compared = match key.as_str() {
                "operation" => false,
                "value" | "type" => true,
                _ => !has_value,
            };
            let constant = value.is_string() || value.is_boolean() || value.is_number();
            (compared && constant).then(|| format!("{key} eq {value}"))
        });
        let terms: Vec<_> = terms.collect();
        if terms.is_empty() {
            return Err(self.names_nothing());
        }
        Ok(terms.join(" and "))
    }

    fn names_nothing(&self) -> Error {
        Error::invalid_value(format!(
            "An element of `{}` with `operation` `delete` needs a value to find the element to delete",
            self.attribute.name()
        ))
    }
}

/// The members of a container. A container of null has null for each attribute.
fn members(extension: &Extension, value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null => {
            let attributes = extension.schema.attributes.iter();
            let nulls = attributes.map(|attribute| (attribute.name().to_owned(), Value::Null));
            nulls.collect()
        }
        _ => Map::new(),
    }
}

fn listed_attributes(body: &Map<String, Value>) -> Vec<String> {
    let mut members = body.iter();
    let meta = members.find(|(key, _)| key.eq_ignore_ascii_case("meta"));
    let listed = meta.and_then(|(_, meta)| meta.get("attributes")?.as_array());
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    listed.map(str::to_owned).collect()
}

fn check_unknown(key: &str, reading: &mut Reading<'_>) -> Result<()> {
    if reading.tolerates(Tolerance::UnknownAttributes) {
        return Ok(());
    }
    Err(Error::invalid_path(format!(
        "`{}` is not an attribute",
        excerpt(key)
    )))
}

fn is_delete(element: &Value) -> bool {
    let operation = element.get("operation").and_then(Value::as_str);
    operation.is_some_and(|operation| operation.eq_ignore_ascii_case("delete"))
}

fn without_operation(element: &Value) -> Value {
    let mut element = element.clone();
    if let Some(parts) = element.as_object_mut() {
        parts.shift_remove("operation");
    }
    element
}

/// Whether a value means "unassigned". The Ionic API clears a text by an empty one.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(parts) => parts.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A PatchOp message. It needs at least one operation, so without any it gets one that adds nothing.
///
/// # Errors
/// `PayloadTooLarge` for more than [`MAX_OPERATIONS`]. It is refused here because a client of 1.1 has
/// sent no operations: it would not understand the error of [`PatchRequest::parse`](crate::patch::PatchRequest::parse).
fn message(mut operations: Vec<Value>) -> Result<Map<String, Value>> {
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::payload_too_large(format!(
            "The request makes {} changes; at most {MAX_OPERATIONS} are allowed (an attribute, or a \
             sub-attribute of an element with a `value`, is one change)",
            operations.len()
        )));
    }
    if operations.is_empty() {
        operations.push(json!({"op": "add", "value": {}}));
    }
    Ok(Map::from_iter([
        ("schemas".to_owned(), json!([urn::PATCH_OP])),
        ("Operations".to_owned(), Value::Array(operations)),
    ]))
}

#[cfg(test)]
mod tests;
