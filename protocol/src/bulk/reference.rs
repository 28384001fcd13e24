//! References to resources that another operation of the request creates: `bulkId:qwerty` (RFC 7644
//! §3.7.2).
//!
//! Where the schema has a reference, a text that is `bulkId:` and a name means the id of that
//! resource. In a URI, the last path segment may be such a text (`../Users/bulkId:qwerty` in a
//! `$ref`). So may a constant in the filter of a PATCH path, and the id in the path of an operation.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::site::{ReferenceForm, ReferenceSites, patch_operations, visit_texts};
use super::{BulkOperation, Method, OperationTarget};
use crate::error::{Error, Result, excerpt};
use crate::profile::{Reading, Rules};
use crate::schema::{Registry, ResourceType};

/// The beginning of every reference.
pub(super) const PREFIX: &str = "bulkId:";

/// The text before a reference, and the name that it refers to.
fn split<'t>(text: &'t str, form: ReferenceForm, prefix: &str) -> Option<(&'t str, &'t str)> {
    let start = match form {
        ReferenceForm::Whole => 0,
        ReferenceForm::Segment => text.rfind('/').map_or(0, |slash| slash + 1),
    };
    let (before, last) = text.split_at(start);
    let name = last.strip_prefix(prefix)?;
    (!name.is_empty()).then_some((before, name))
}

/// The names that this operation refers to, each once, in order of appearance. The operation is not
/// changed. It is taken as `&mut` because one function visits references to read and to replace them.
pub(crate) fn references(operation: &mut BulkOperation, registry: &Registry) -> Vec<String> {
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    let mut note = |name: &str| {
        if seen.insert(name.to_owned()) {
            names.push(name.to_owned());
        }
    };
    if let OperationTarget::BulkId(name) = &operation.target {
        note(name);
    }
    // The closure never fails, so there is no error to return.
    let _ = visit_texts(operation, registry, &mut |text, form| {
        if let Some((_, name)) = split(text, form, PREFIX) {
            note(name);
        }
        Ok(())
    });
    if operation.method == Method::Patch && registry.at_endpoint(&operation.endpoint).is_some() {
        for listed in patch_operations(&mut operation.data) {
            let path = path_of(listed).and_then(|path| path.as_str());
            for literal in path.map(literals).into_iter().flatten() {
                if let Some((_, name)) = split(&literal.text, ReferenceForm::Segment, PREFIX) {
                    note(name);
                }
            }
        }
    }
    names
}

/// Replaces all references by ids.
///
/// # Errors
/// `InvalidValue` naming a reference without an id: no operation of the request creates this resource,
/// or the one that should have created it failed.
pub fn resolve(
    operation: &mut BulkOperation,
    registry: &Registry,
    id_of: &impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let resolved = |text: &str, form: ReferenceForm| match split(text, form, PREFIX) {
        None => Ok(None),
        Some((before, name)) => match id_of(name) {
            Some(id) => Ok(Some(format!("{before}{id}"))),
            None => Err(Error::invalid_value(format!(
                "`bulkId:{}` does not name a resource that this request has created",
                excerpt(name)
            ))),
        },
    };
    if let OperationTarget::BulkId(name) = &operation.target
        && let Some(id) = resolved(&format!("{PREFIX}{name}"), ReferenceForm::Whole)?
    {
        operation.target = OperationTarget::Id(id);
    }
    visit_texts(operation, registry, &mut |text, form| {
        if let Some(new) = resolved(text, form)? {
            *text = new;
        }
        Ok(())
    })?;
    if operation.method == Method::Patch && registry.at_endpoint(&operation.endpoint).is_some() {
        for listed in patch_operations(&mut operation.data) {
            resolve_path(listed, &|text| resolved(text, ReferenceForm::Segment))?;
        }
    }
    Ok(())
}

/// Rewrites references that begin with another prefix to begin with `bulkId:`.
pub(crate) fn respell(
    operation: &mut BulkOperation,
    registry: &Registry,
    prefix: &str,
    names: &HashSet<String>,
) {
    // The closure never fails, so there is no error to return.
    let _ = visit_texts(operation, registry, &mut |text, form| {
        if let Some((before, name)) = split(text, form, prefix)
            && names.contains(name)
        {
            *text = format!("{before}{PREFIX}{name}");
        }
        Ok(())
    });
}

/// Finds out which members of a resource refer to given names.
pub(super) struct NameFinder<'r> {
    pub(super) resource_type: &'r ResourceType,
    pub(super) registry: &'r Registry,
}

impl NameFinder<'_> {
    /// Whether a member of the resource refers to one of these names.
    pub(super) fn refer(&self, key: &str, value: &mut Value, names: &HashSet<String>) -> bool {
        let rules = Rules::default();
        let mut reading = Reading::new(&rules);
        let mut found = false;
        let mut sites = ReferenceSites::of(self.resource_type, self.registry, &mut reading);
        // The closure never fails, so there is no error to return.
        let _ = sites.member(key, value, &mut |text, form| {
            found |= split(text, form, PREFIX).is_some_and(|(_, name)| names.contains(name));
            Ok(())
        });
        found
    }
}

/// Replaces the references in the filter of a PATCH's path by ids.
fn resolve_path(
    operation: &mut Map<String, Value>,
    resolved: &impl Fn(&str) -> Result<Option<String>>,
) -> Result<()> {
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
    Ok(())
}

fn path_of(operation: &mut Map<String, Value>) -> Option<&mut Value> {
    let mut members = operation.iter_mut();
    let found = members.find(|(key, _)| key.eq_ignore_ascii_case("path"));
    found.map(|(_, path)| path)
}

/// A JSON string inside a path.
pub(super) struct Literal {
    /// The byte at which it begins, with its quote.
    start: usize,
    /// The byte after its last one, which is a quote.
    end: usize,
    /// The text between the quotes, without escapes.
    pub(super) text: String,
}

/// The JSON strings inside a path.
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
#[expect(clippy::needless_pass_by_value, reason = "literals read best by value")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::urn::ENTERPRISE_USER;

    fn operation(method: Method, target: OperationTarget, data: &Value) -> BulkOperation {
        operation_at("Groups", method, target, data)
    }

    fn operation_at(
        endpoint: &str,
        method: Method,
        target: OperationTarget,
        data: &Value,
    ) -> BulkOperation {
        BulkOperation {
            method,
            endpoint: endpoint.into(),
            target,
            version: None,
            data: data.as_object().unwrap().clone(),
        }
    }

    fn resolved(operation: &BulkOperation) -> Result<BulkOperation> {
        let mut resolved = operation.clone();
        let ids = |name: &str| (name != "lost").then(|| format!("id-of-{name}"));
        super::resolve(&mut resolved, Registry::builtin(), &ids)?;
        Ok(resolved)
    }

    fn check(endpoint: &str, method: Method, data: Value, names: &[&str], expected: Value) {
        let mut operation = operation_at(endpoint, method, OperationTarget::Id("7".into()), &data);
        assert_eq!(
            references(&mut operation, Registry::builtin()),
            names,
            "{data}"
        );
        assert_eq!(Value::Object(operation.data.clone()), data);
        let resolved = resolved(&operation).unwrap();
        assert_eq!(Value::Object(resolved.data), expected);
    }

    #[test]
    fn references_are_found_and_replaced_where_the_schema_has_them() {
        check(
            "Groups",
            Method::Put,
            json!({"members": [{"value": "bulkId:a", "$ref": "../Users/bulkId:a"}, {"value": "bulkId:b"}, "bulkId:c"]}),
            &["a", "b", "c"],
            json!({"members": [{"value": "id-of-a", "$ref": "../Users/id-of-a"}, {"value": "id-of-b"}, "id-of-c"]}),
        );
        for (manager, resolved) in [
            (json!({"value": "bulkId:a"}), json!({"value": "id-of-a"})),
            (
                json!({"managerId": "bulkId:a"}),
                json!({"managerId": "id-of-a"}),
            ),
            (
                json!([{"value": "bulkId:a"}]),
                json!([{"value": "id-of-a"}]),
            ),
            (json!("bulkId:a"), json!("id-of-a")),
        ] {
            check(
                "Users",
                Method::Post,
                json!({ENTERPRISE_USER: {"manager": manager}}),
                &["a"],
                json!({ENTERPRISE_USER: {"manager": resolved}}),
            );
            check(
                "Users",
                Method::Patch,
                json!({"Operations": [{"op": "add", "value": {"manager": manager}}]}),
                &["a"],
                json!({"Operations": [{"op": "add", "value": {"manager": resolved}}]}),
            );
        }
        check(
            "Users",
            Method::Patch,
            json!({"Operations": [{"op": "add", "path": "manager.value", "value": "bulkId:a"}]}),
            &["a"],
            json!({"Operations": [{"op": "add", "path": "manager.value", "value": "id-of-a"}]}),
        );
        check(
            "Groups",
            Method::Patch,
            json!({"Operations": [{"op": "add", "path": "members", "value": "bulkId:a"},
                                  {"op": "remove", "Path": "members[value eq \"bulkId:b\" or value eq \"x\\\"\"]"}]}),
            &["a", "b"],
            json!({"Operations": [{"op": "add", "path": "members", "value": "id-of-a"},
                                  {"op": "remove", "Path": "members[value eq \"id-of-b\" or value eq \"x\\\"\"]"}]}),
        );
    }

    #[test]
    fn text_that_only_looks_like_a_reference_stays() {
        let same = |endpoint: &str, method: Method, data: Value| {
            check(endpoint, method, data.clone(), &[], data);
        };
        let url = "https://example.com/bulkId:a";
        let user = json!({"userName": "bulkId:a", "title": "bulkId:a", "externalId": "bulkId:a",
            "profileUrl": url, "photos": [{"value": url}], "name": {"givenName": "bulkId:a"},
            "emails": [{"value": "x", "type": "bulkId:a", "display": "bulkId:a"}],
            "unknown": {"value": "bulkId:a"}, "path": "x[y eq \"bulkId:a\"]",
            ENTERPRISE_USER: {"department": "bulkId:a", "manager": {"displayName": "bulkId:a"}}});
        same("Users", Method::Put, user.clone());
        same(
            "Users",
            Method::Patch,
            json!({"Operations": [{"op": "add", "value": user}]}),
        );
        same(
            "Users",
            Method::Patch,
            json!({"Operations": [{"op": "replace", "path": "title", "value": "bulkId:a"},
                                  {"op": "replace", "path": "emails[type eq \"work\"].display", "value": "bulkId:a"}]}),
        );
        same(
            "Groups",
            Method::Put,
            json!({"displayName": "bulkId:a", "members": [{"value": "bulkId:"}]}),
        );
        same(
            "Nowhere",
            Method::Put,
            json!({"members": [{"value": "bulkId:a"}]}),
        );
    }

    #[test]
    fn a_target_may_be_a_reference() {
        let target = OperationTarget::BulkId("a".into());
        let mut operation = operation(Method::Delete, target, &json!({}));
        assert_eq!(references(&mut operation, Registry::builtin()), ["a"]);
        let resolved = resolved(&operation).unwrap();
        assert_eq!(resolved.target, OperationTarget::Id("id-of-a".into()));
    }

    #[test]
    fn a_reference_without_a_resource_is_named() {
        for (target, data) in [
            (OperationTarget::BulkId("lost".into()), json!({})),
            (
                OperationTarget::Id("7".into()),
                json!({"Operations": [{"op": "add", "path": "members", "value": ["bulkId:lost"]}]}),
            ),
            (
                OperationTarget::Id("7".into()),
                json!({"Operations": [{"path": "members[value eq \"bulkId:lost\"]"}]}),
            ),
        ] {
            let error = resolved(&operation(Method::Patch, target, &data)).unwrap_err();
            assert_eq!(error.kind().scim_type(), Some("invalidValue"));
            assert!(error.detail().contains("`bulkId:lost`"));
        }
    }
}
