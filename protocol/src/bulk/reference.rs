//! References to resources that another operation of the request makes: `bulkId:qwerty`
//! (RFC 7644 §3.7.2).
//!
//! A string that is a reference from end to end, or whose last path segment is one
//! (`../Users/bulkId:qwerty` in a `$ref`), stands for the id. So does one inside the filter of a
//! PATCH path, and the id in the path of an operation.

use serde_json::{Map, Value};

use super::{Method, Operation, Target};
use crate::error::excerpt;
use crate::error::{Error, Result};
use crate::message::member;

/// What a reference begins with.
pub(super) const PREFIX: &str = "bulkId:";

/// The text before a reference, and the name that it refers to.
fn split(text: &str) -> Option<(&str, &str)> {
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    let (before, last) = text.split_at(start);
    let name = last.strip_prefix(PREFIX)?;
    (!name.is_empty()).then_some((before, name))
}

impl Operation {
    /// The names that this operation refers to, each once, in order of appearance.
    #[must_use]
    pub fn references(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut note = |name: &str| {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        if let Target::BulkId(name) = &self.target {
            note(name);
        }
        for (key, value) in &self.data {
            visit(value, &mut note);
            for path in self.patch_paths(key, value) {
                for literal in literals(path) {
                    if let Some((_, name)) = split(&literal.text) {
                        note(name);
                    }
                }
            }
        }
        names
    }

    /// Puts ids in the place of all references.
    ///
    /// # Errors
    /// `InvalidValue` naming a reference that `id_of` has no id for: nothing in the request makes
    /// such a resource, or what should have made it failed.
    pub fn resolve(&mut self, id_of: &impl Fn(&str) -> Option<String>) -> Result<()> {
        let resolved = |text: &str| match split(text) {
            None => Ok(None),
            Some((before, name)) => match id_of(name) {
                Some(id) => Ok(Some(format!("{before}{id}"))),
                None => Err(Error::invalid_value(format!(
                    "`bulkId:{}` refers to no resource that this request has made",
                    excerpt(name)
                ))),
            },
        };
        if let Target::BulkId(name) = &self.target
            && let Some(id) = resolved(&format!("{PREFIX}{name}"))?
        {
            self.target = Target::Id(id);
        }
        let is_patch = self.method == Method::Patch;
        for (key, value) in &mut self.data {
            if is_patch && key.eq_ignore_ascii_case("Operations") {
                resolve_paths(value, &resolved)?;
            }
            replace(value, &resolved)?;
        }
        Ok(())
    }

    /// The paths of the operations of a PATCH, found under the member `key`.
    fn patch_paths<'v>(&self, key: &str, value: &'v Value) -> impl Iterator<Item = &'v str> {
        let is_list = self.method == Method::Patch && key.eq_ignore_ascii_case("Operations");
        let listed = value.as_array().filter(|_| is_list).into_iter().flatten();
        listed.filter_map(|operation| member(operation.as_object()?, "path")?.as_str())
    }
}

/// The names that a value refers to.
pub(super) fn names(value: &Value) -> Vec<String> {
    let mut names = Vec::new();
    visit(value, &mut |name| names.push(name.to_owned()));
    names
}

fn visit(value: &Value, note: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => {
            if let Some((_, name)) = split(text) {
                note(name);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| visit(element, note)),
        Value::Object(members) => members.values().for_each(|value| visit(value, note)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn replace(value: &mut Value, resolved: &impl Fn(&str) -> Result<Option<String>>) -> Result<()> {
    match value {
        Value::String(text) => {
            if let Some(new) = resolved(text)? {
                *text = new;
            }
            Ok(())
        }
        Value::Array(elements) => elements
            .iter_mut()
            .try_for_each(|element| replace(element, resolved)),
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|value| replace(value, resolved)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Puts ids into the filters of a PATCH's paths.
fn resolve_paths(
    operations: &mut Value,
    resolved: &impl Fn(&str) -> Result<Option<String>>,
) -> Result<()> {
    let listed = operations.as_array_mut().into_iter().flatten();
    for operation in listed.filter_map(Value::as_object_mut) {
        if let Some(Value::String(path)) = path_of(operation) {
            let mut out = String::with_capacity(path.len());
            let mut copied = 0;
            for literal in literals(path) {
                if let Some(new) = resolved(&literal.text)? {
                    out.push_str(path.get(copied..literal.start).unwrap_or_default());
                    out.push_str(&Value::from(new).to_string());
                    copied = literal.end;
                }
            }
            out.push_str(path.get(copied..).unwrap_or_default());
            *path = out;
        }
    }
    Ok(())
}

fn path_of(operation: &mut Map<String, Value>) -> Option<&mut Value> {
    let mut members = operation.iter_mut();
    let found = members.find(|(key, _)| key.eq_ignore_ascii_case("path"));
    found.map(|(_, path)| path)
}

/// A JSON string inside a path.
pub(super) struct Literal {
    /// Where it begins, its quote included, in bytes.
    start: usize,
    /// Where it ends, its quote included, in bytes.
    end: usize,
    /// What it says.
    pub(super) text: String,
}

/// The JSON strings inside a path; what is no string has none.
pub(super) fn literals(path: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut start = None;
    let mut escaped = false;
    for (position, byte) in path.bytes().enumerate() {
        match (start, byte) {
            (None, b'"') => start = Some(position),
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(begin), b'"') => {
                let end = position + 1;
                let text = path.get(begin..end);
                if let Some(Ok(text)) = text.map(serde_json::from_str) {
                    let start = begin;
                    found.push(Literal { start, end, text });
                }
                start = None;
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(method: Method, target: Target, data: &Value) -> Operation {
        Operation {
            method,
            endpoint: "Groups".into(),
            target,
            version: None,
            data: data.as_object().unwrap().clone(),
        }
    }

    fn resolve(operation: &Operation) -> Result<Operation> {
        let mut resolved = operation.clone();
        let ids = |name: &str| (name != "lost").then(|| format!("id-of-{name}"));
        resolved.resolve(&ids)?;
        Ok(resolved)
    }

    #[test]
    fn references_are_found_and_replaced_wherever_they_stand() {
        let check = |method: Method, data: Value, names: &[&str], expected: Value| {
            let operation = operation(method, Target::Id("7".into()), &data);
            assert_eq!(operation.references(), names, "{data}");
            let resolved = resolve(&operation).unwrap();
            assert_eq!(Value::Object(resolved.data), expected);
        };
        check(
            Method::Put,
            json!({"members": [{"value": "bulkId:a", "$ref": "../Users/bulkId:a"}, {"value": "bulkId:b"}]}),
            &["a", "b"],
            json!({"members": [{"value": "id-of-a", "$ref": "../Users/id-of-a"}, {"value": "id-of-b"}]}),
        );
        check(
            Method::Post,
            json!({"urn:example:X": {"manager": {"value": "bulkId:a"}, "owner": "bulkId:b"}}),
            &["a", "b"],
            json!({"urn:example:X": {"manager": {"value": "id-of-a"}, "owner": "id-of-b"}}),
        );
        check(
            Method::Patch,
            json!({"Operations": [{"op": "add", "path": "members", "value": "bulkId:a"},
                                  {"op": "remove", "Path": "members[value eq \"bulkId:b\" or value eq \"x\\\"\"]"}]}),
            &["a", "b"],
            json!({"Operations": [{"op": "add", "path": "members", "value": "id-of-a"},
                                  {"op": "remove", "Path": "members[value eq \"id-of-b\" or value eq \"x\\\"\"]"}]}),
        );
        check(
            Method::Put,
            json!({"displayName": "about bulkId:a", "path": "x[y eq \"bulkId:a\"]", "x": "bulkId:"}),
            &[],
            json!({"displayName": "about bulkId:a", "path": "x[y eq \"bulkId:a\"]", "x": "bulkId:"}),
        );
    }

    #[test]
    fn a_target_may_be_a_reference() {
        let target = Target::BulkId("a".into());
        let operation = operation(Method::Delete, target, &json!({}));
        assert_eq!(operation.references(), ["a"]);
        let resolved = resolve(&operation).unwrap();
        assert_eq!(resolved.target, Target::Id("id-of-a".into()));
    }

    #[test]
    fn what_was_not_made_is_named() {
        for (target, data) in [
            (Target::BulkId("lost".into()), json!({})),
            (Target::Id("7".into()), json!({"members": ["bulkId:lost"]})),
            (
                Target::Id("7".into()),
                json!({"Operations": [{"path": "members[value eq \"bulkId:lost\"]"}]}),
            ),
        ] {
            let error = resolve(&operation(Method::Patch, target, &data)).unwrap_err();
            assert_eq!(error.kind().scim_type(), Some("invalidValue"));
            assert!(error.detail().contains("`bulkId:lost`"));
        }
    }
}
