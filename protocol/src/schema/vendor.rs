//! A built-in schema registered again: the service's own definition with a vendor's keywords.
//!
//! Some APIs publish keywords of their own in the standard schemas, such as Ironclad's `"mapping":
//! {"type": "direct", "key": "employeeNumber"}`. They have no meaning for this service. It keeps them
//! and publishes them again. Everything that RFC 7643 §7 defines stays as it is.

use serde_json::{Map, Value};

use super::Schema;
use crate::error::{Error, Result};

/// Members of a published definition that hold further definitions.
const LISTS: [&str; 2] = ["attributes", "subAttributes"];

/// Keywords of an attribute, besides those of RFC 7643 §7, that have a meaning for this service.
const OWN_KEYWORDS: [&str; 2] = ["indexed", "sensitive"];

/// Members of a Schema resource that the service writes itself.
const WRITTEN: [&str; 2] = ["schemas", "meta"];

/// A built-in schema with the keywords of another publication of it. Members and characteristics that
/// the publication leaves out stay. A characteristic that it gives must equal that of the built-in
/// schema. Descriptions and the schema's name are for people, and may differ.
///
/// **Shape**: `{"id": URN, "attributes": [{"name": "employeeNumber", "mapping": {…}}]}`.
///
/// # Errors
/// `InvalidValue` naming the attribute that the schema does not have, or the characteristic that
/// differs.
pub fn with_vendor_keywords(builtin: &Schema, value: &Value) -> Result<Schema> {
    let source = value
        .as_object()
        .ok_or_else(|| Error::invalid_value("A schema must be a JSON object"))?;
    let mut schema = builtin.clone();
    merge(&mut schema.published, source, "")?;
    Ok(schema)
}

/// Merges a vendor's publication of a schema, an attribute or a sub-attribute.
fn merge(ours: &mut Map<String, Value>, theirs: &Map<String, Value>, path: &str) -> Result<()> {
    let is_schema = path.is_empty();
    for (key, value) in theirs {
        match key.as_str() {
            key if is_schema && WRITTEN.contains(&key) => {}
            list if LISTS.contains(&list) => merge_list(ours, list, value, path)?,
            // Both are for people. The name of an attribute is not: attributes are found by it.
            "description" => {
                ours.insert(key.clone(), value.clone());
            }
            "name" if is_schema => {
                ours.insert(key.clone(), value.clone());
            }
            // An attribute without the keyword does not have the property, and must not get it here.
            own if OWN_KEYWORDS.contains(&own) && !ours.contains_key(own) => {
                if *value != Value::Bool(false) {
                    return Err(differs(path, own));
                }
            }
            known => match ours.get(known) {
                Some(own) if !is_same(own, value) => return Err(differs(path, known)),
                Some(_) => {}
                None if is_characteristic(known) && !is_empty(value) => {
                    return Err(differs(path, known));
                }
                None => {
                    ours.insert(key.clone(), value.clone());
                }
            },
        }
    }
    Ok(())
}

fn merge_list(ours: &mut Map<String, Value>, list: &str, theirs: &Value, path: &str) -> Result<()> {
    let listed = theirs.as_array().into_iter().flatten();
    let mut own = ours.get_mut(list).and_then(Value::as_array_mut);
    for their in listed {
        let (name, definition) = named(their).ok_or_else(|| {
            Error::invalid_value(format!("An element of `{list}` has no string `name`"))
        })?;
        let path = match path {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        };
        let mut all = own.iter_mut().flat_map(|own| own.iter_mut());
        let found = all.find_map(|own| {
            let is_it = named(own).is_some_and(|(own, _)| own.eq_ignore_ascii_case(name));
            own.as_object_mut().filter(|_| is_it)
        });
        let found = found.ok_or_else(|| {
            Error::invalid_value(format!(
                "The schema belongs to the service and has no `{path}`; \
                 attributes of your own go into a schema of your own"
            ))
        })?;
        merge(found, definition, &path)?;
    }
    Ok(())
}

fn named(definition: &Value) -> Option<(&str, &Map<String, Value>)> {
    let members = definition.as_object()?;
    Some((members.get("name")?.as_str()?, members))
}

/// Whether a keyword is a characteristic that must stay absent where it is absent.
fn is_characteristic(key: &str) -> bool {
    matches!(key, "canonicalValues" | "referenceTypes")
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Whether two values of a characteristic are equal. Keywords of the RFC are compared without case.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::String(ours), Value::String(theirs)) => ours.eq_ignore_ascii_case(theirs),
        _ => ours == theirs,
    }
}

fn differs(path: &str, key: &str) -> Error {
    let owner = match path {
        "" => String::new(),
        path => format!(" of `{path}`"),
    };
    Error::invalid_value(format!(
        "The schema belongs to the service, so `{key}`{owner} may not differ; only keywords that \
         RFC 7643 section 7 does not define, and descriptions, can be added"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::Registry;
    use crate::urn::ENTERPRISE_USER;

    fn with(change: &Value) -> Result<Schema> {
        let schema = Registry::builtin().schema(ENTERPRISE_USER).unwrap();
        with_vendor_keywords(schema, change)
    }

    #[test]
    fn keywords_of_a_vendor_are_kept_at_every_level() {
        let mapping = |key: &str| json!({"type": "direct", "key": key});
        let schema = with(&json!({
            "id": ENTERPRISE_USER.to_uppercase(),
            "name": "Enterprise",
            "x-owner": "people",
            "attributes": [
                {"name": "EmployeeNumber", "type": "STRING", "multiValued": false,
                 "description": "The number on the badge", "mapping": mapping("employeeNumber")},
                {"name": "manager", "subAttributes": [{"name": "value", "mapping": mapping("boss")}]},
            ],
        }));
        let schema = schema.unwrap();
        let published = Value::Object(schema.published.clone());
        assert_eq!(published["id"], ENTERPRISE_USER);
        assert_eq!(published["name"], "Enterprise");
        assert_eq!(published["x-owner"], "people");
        let own = Registry::builtin().schema(ENTERPRISE_USER).unwrap();
        let count = own.published["attributes"].as_array().unwrap().len();
        let attributes = published["attributes"].as_array().unwrap();
        assert_eq!(attributes.len(), count);
        let number = &attributes[0];
        assert_eq!(number["name"], "employeeNumber");
        assert_eq!(number["mapping"], mapping("employeeNumber"));
        assert_eq!(number["description"], "The number on the badge");
        let manager = attributes.iter().find(|one| one["name"] == "manager");
        let parts = manager.unwrap()["subAttributes"].as_array().unwrap();
        let value = parts.iter().find(|part| part["name"] == "value").unwrap();
        assert_eq!(value["mapping"], mapping("boss"));
        // Read as a schema, its meaning is unchanged.
        let read = Schema::from_json(&published).unwrap();
        assert_eq!(
            format!("{:?}", read.attributes),
            format!("{:?}", own.attributes)
        );
    }

    #[test]
    fn the_whole_publication_of_a_schema_is_its_own_successor() {
        for schema in Registry::builtin().schemas() {
            let published = Value::Object(schema.published.clone());
            let merged = with_vendor_keywords(schema, &published).unwrap();
            assert_eq!(merged.published, schema.published, "{}", schema.id);
        }
    }

    #[test]
    fn keywords_of_the_rfc_cannot_change() {
        let check = |attribute: Value, part: &str| {
            let error = with(&json!({"attributes": [attribute]})).unwrap_err();
            assert!(error.detail().contains(part), "{error}");
        };
        check(json!({"name": "badge", "type": "string"}), "no `badge`");
        check(json!({"type": "string"}), "has no string `name`");
        check(
            json!({"name": "department", "type": "integer"}),
            "`type` of `department`",
        );
        check(
            json!({"name": "department", "required": true}),
            "`required` of `department`",
        );
        check(
            json!({"name": "department", "indexed": true}),
            "`indexed` of `department`",
        );
        check(
            json!({"name": "department", "canonicalValues": ["Sales"]}),
            "`canonicalValues` of `department`",
        );
        check(
            json!({"name": "manager", "subAttributes": [{"name": "value", "returned": "never"}]}),
            "`returned` of `manager.value`",
        );
        check(
            json!({"name": "department", "subAttributes": [{"name": "x"}]}),
            "no `department.x`",
        );
        assert!(with(&json!([])).is_err());
    }
}
