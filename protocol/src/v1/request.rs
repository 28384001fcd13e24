//! Translates a 1.1 resource in a request into a 2.0 resource (1.1 core §3–§8; API §3.1, §3.3.1).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::names::{self, Destination};
use super::{Dialect, View};
use crate::error::{Error, Result, excerpt};
use crate::json;
use crate::schema::{Attribute, DataType, Extension, MembershipAttribute};
use crate::urn;

/// Sub-attributes that are JSON objects in 1.1. 2.0 has no such type, so they become text.
const JSON_TEXTS: [&str; 1] = ["userAttributes"];

/// The member that the Ionic API adds to a device on request. A client may send it back; it is
/// ignored.
const EMBEDDED: &str = "user";

/// The member that every SCIM 2.0 message with changes has.
const OPERATIONS: &str = "Operations";

/// A 1.1 resource after translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedRequest {
    /// The 2.0 resource.
    pub body: Map<String, Value>,
    /// The ids of the groups that the new user is to join (the Ionic extension's `groups`).
    pub groups: Vec<String>,
    /// The attribute that the new user's `userName` was taken from; `None` if the client gave a
    /// `userName`.
    pub name_from: Option<&'static str>,
}

/// Translates the body of a POST, or of a PUT that replaces.
///
/// **Shape**: `{"userName":"a","urn:scim:schemas:extension:enterprise:1.0":{"manager":
/// {"managerId":"2819"}}}`; `schemas` may be missing, and elements of multi-valued attributes may be
/// plain strings. `meta` is ignored, because the service alone writes it.
///
/// # Errors
/// `InvalidSyntax` for a message of SCIM 2.0; `InvalidValue` when a group of the Ionic API has a
/// member that is not a user.
pub fn request(view: View<'_>, body: Map<String, Value>) -> Result<TranslatedRequest> {
    check_no_message(view, &body)?;
    let mut out = Map::new();
    let mut listed = Value::Null;
    let mut groups = Vec::new();
    for (key, value) in body {
        match names::destination(view, &key) {
            Destination::Schemas => listed = value,
            Destination::Meta => {}
            Destination::Extension(extension) => {
                let value = container_to_v2(view, extension, value, &mut groups)?;
                out.insert(extension.schema.id.clone(), value);
            }
            Destination::Attribute(None, attribute) => {
                let value = value_to_v2(view, attribute, value)?;
                out.insert(attribute.name().to_owned(), value);
            }
            Destination::Attribute(Some(extension), attribute) => {
                let value = value_to_v2(view, attribute, value)?;
                let container = out
                    .entry(extension.schema.id.as_str())
                    .or_insert_with(|| json!({}));
                container[attribute.name()] = value;
            }
            Destination::Unknown if is_embedded(view, &key) => {}
            Destination::Unknown => {
                out.insert(key, value);
            }
        }
    }
    out.insert("schemas".into(), schemas_to_v2(view, &listed, &out));
    Ok(TranslatedRequest {
        body: out,
        groups,
        name_from: None,
    })
}

/// Refuses a message of SCIM 2.0, such as a PatchOp. Read as a resource of 1.1 it would have no known
/// attribute, so the answer would be a success without any effect. A resource of 2.0 is accepted,
/// because its attributes have the same names.
///
/// # Errors
/// `InvalidSyntax`, naming the base URL of SCIM 2.0.
pub(super) fn check_no_message(view: View<'_>, body: &Map<String, Value>) -> Result<()> {
    let listed = json::present(body, "schemas").and_then(Value::as_array);
    let mut listed = listed.into_iter().flatten().filter_map(Value::as_str);
    let is_message = listed.any(|urn| {
        let head = urn.get(..urn::MESSAGE_PREFIX.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(urn::MESSAGE_PREFIX))
    });
    let has_operations = json::present(body, OPERATIONS).is_some()
        && matches!(names::destination(view, OPERATIONS), Destination::Unknown);
    if !is_message && !has_operations {
        return Ok(());
    }
    Err(Error::invalid_syntax(
        "The body is a message of SCIM 2.0, and this URL takes resources of SCIM 1.1; \
         the base URL of SCIM 2.0 ends in /scim/v2",
    ))
}

/// Whether a member is one that the service itself has put into an answer.
pub(super) fn is_embedded(view: View<'_>, key: &str) -> bool {
    view.dialect == Dialect::Ionic && key == EMBEDDED
}

/// The 2.0 `schemas`: the base, the listed ones, and every extension that has a container.
fn schemas_to_v2(view: View<'_>, listed: &Value, body: &Map<String, Value>) -> Value {
    let base = view.resource_type.schema.id.clone();
    let mut seen = HashSet::from([base.to_ascii_lowercase()]);
    let mut all = vec![base];
    let listed = listed.as_array().into_iter().flatten();
    let listed = listed.filter_map(Value::as_str);
    let listed = listed.filter_map(|urn| names::schema_to_v2(view, urn));
    let present = view.resource_type.extensions.iter();
    let present = present.map(|extension| &extension.schema.id);
    let present = present.filter(|urn| body.contains_key(*urn)).cloned();
    for urn in listed.chain(present) {
        if seen.insert(urn.to_ascii_lowercase()) {
            all.push(urn);
        }
    }
    json!(all)
}

/// An extension's container, without the members that only ask for an action.
fn container_to_v2(
    view: View<'_>,
    extension: &Extension,
    value: Value,
    groups: &mut Vec<String>,
) -> Result<Value> {
    let Value::Object(members) = value else {
        return Ok(value);
    };
    let mut out = Map::new();
    for (key, value) in members {
        match extension.schema.attribute(&key) {
            Some(attribute) => {
                let value = value_to_v2(view, attribute, value)?;
                out.insert(attribute.name().to_owned(), value);
            }
            None if is_group_order(extension, &key) => groups.extend(ids(&value)),
            None if is_mail_order(extension, &key) => {}
            None => {
                out.insert(key, value);
            }
        }
    }
    Ok(Value::Object(out))
}

/// An attribute's value in the form of 2.0.
pub(super) fn value_to_v2(view: View<'_>, attribute: &Attribute, value: Value) -> Result<Value> {
    match value {
        Value::Array(elements) => {
            let elements = elements.into_iter();
            let elements = elements.map(|element| element_to_v2(view, attribute, element));
            elements.collect::<Result<_>>().map(Value::Array)
        }
        other => element_to_v2(view, attribute, other),
    }
}

fn element_to_v2(view: View<'_>, attribute: &Attribute, element: Value) -> Result<Value> {
    let mut object = match element {
        Value::Object(object) => object,
        // "A multi-valued attribute may be sent as plain strings" (1.1 core §3.2).
        Value::String(text) if is_value_list(attribute) => {
            Map::from_iter([("value".into(), text.into())])
        }
        other => return Ok(other),
    };
    if !attribute.is_complex() {
        return Ok(Value::Object(object));
    }
    object = object
        .into_iter()
        .map(|(key, value)| part(attribute, &key, value))
        .collect();
    if view.resource_type.is_detached(attribute)
        && view.resource_type.membership == Some(MembershipAttribute::Members)
    {
        set_member_type(view, attribute, &mut object)?;
    }
    Ok(Value::Object(object))
}

/// Spells a member's type as in 2.0. A group of the Ionic API may have only users.
fn set_member_type(
    view: View<'_>,
    members: &Attribute,
    member: &mut Map<String, Value>,
) -> Result<()> {
    let given = member.get("type").and_then(Value::as_str);
    let known = members.sub_attribute("type").into_iter();
    let mut known = known.flat_map(|kind| &kind.canonical_values);
    let kind = given.map(|given| {
        let canonical = known.find(|name| name.eq_ignore_ascii_case(given));
        canonical.map_or(given, String::as_str).to_owned()
    });
    let kind = match (view.dialect, kind) {
        (Dialect::General, None) => return Ok(()),
        (Dialect::Ionic, None) => "User".to_owned(),
        (Dialect::Ionic, Some(kind)) if kind != "User" => {
            return Err(Error::invalid_value(format!(
                "`members` holds users only in this API; a member of type `{}` is not allowed",
                excerpt(kind)
            )));
        }
        (_, Some(kind)) => kind,
    };
    member.insert("type".into(), kind.into());
    Ok(())
}

/// Whether the elements of an attribute are identified by their `value`.
pub(super) fn is_value_list(attribute: &Attribute) -> bool {
    attribute.multi_valued && attribute.sub_attribute("value").is_some()
}

/// Whether a member of an extension's container lists groups that a new user is to join.
pub(super) fn is_group_order(extension: &Extension, key: &str) -> bool {
    extension.schema.id == urn::IONIC_USER && key.eq_ignore_ascii_case("groups")
}

/// Whether a member of an extension's container asks whether to mail the user. The service never
/// mails.
pub(super) fn is_mail_order(extension: &Extension, key: &str) -> bool {
    extension.schema.id == urn::IONIC_USER && key.eq_ignore_ascii_case("sendEmail")
}

fn part(attribute: &Attribute, key: &str, value: Value) -> (String, Value) {
    let key = names::part_to_v2(attribute.name(), key);
    let Some(sub) = attribute.sub_attribute(key) else {
        return (key.to_owned(), value);
    };
    let is_text = sub.kind == DataType::String && JSON_TEXTS.contains(&sub.name());
    let value = match value {
        Value::Object(_) if is_text => Value::String(value.to_string()),
        other => other,
    };
    (sub.name().to_owned(), value)
}

/// Parses the text of a JSON object where 1.1 has an object.
pub(super) fn json_from_text(name: &str, value: Value) -> Value {
    let parsed = value
        .as_str()
        .filter(|_| JSON_TEXTS.contains(&name))
        .and_then(|text| serde_json::from_str(text).ok())
        .filter(Value::is_object);
    parsed.unwrap_or(value)
}

fn ids(value: &Value) -> impl Iterator<Item = String> {
    let elements = value.as_array().into_iter().flatten();
    elements.filter_map(|element| {
        let id = element.as_str().or_else(|| element["value"].as_str())?;
        Some(id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Registry;
    use crate::v1::response;

    fn view(name: &str, dialect: Dialect) -> View<'static> {
        View {
            dialect,
            resource_type: Registry::builtin().resource_type(name).unwrap(),
        }
    }

    fn read(name: &str, dialect: Dialect, body: &Value) -> Result<TranslatedRequest> {
        super::request(view(name, dialect), body.as_object().unwrap().clone())
    }

    fn check(name: &str, dialect: Dialect, body: &Value, expected: &Value) {
        let body = read(name, dialect, body).unwrap().body;
        assert_eq!(&Value::Object(body), expected);
    }

    #[test]
    fn urns_and_names_become_those_of_2_0() {
        check(
            "User",
            Dialect::General,
            &json!({"schemas": ["urn:scim:schemas:core:1.0", "urn:scim:schemas:extension:enterprise:1.0"],
                    "UserName": "Bob", "preferredLanguage": "en_US", "meta": {"version": "x"},
                    "urn:scim:schemas:extension:enterprise:1.0":
                        {"employeeNumber": "11250", "manager": {"managerId": "26", "displayName": "Alice"}}}),
            &json!({"userName": "Bob", "preferredLanguage": "en_US",
                    urn::ENTERPRISE_USER:
                        {"employeeNumber": "11250", "manager": {"value": "26", "displayName": "Alice"}},
                    "schemas": [urn::USER, urn::ENTERPRISE_USER]}),
        );
    }

    #[test]
    fn schemas_are_implied() {
        check(
            "User",
            Dialect::General,
            &json!({"userName": "a", "URN:scim:schemas:extension:enterprise:1.0": {"division": "d"}}),
            &json!({"userName": "a", urn::ENTERPRISE_USER: {"division": "d"},
                    "schemas": [urn::USER, urn::ENTERPRISE_USER]}),
        );
        check(
            "Role",
            Dialect::Ionic,
            &json!({"schemas": [urn::IONIC_USER], "name": "Reader", "scopes": ["users:read"]}),
            &json!({"name": "Reader", "scopes": ["users:read"], "schemas": [urn::ROLE]}),
        );
        check(
            "User",
            Dialect::General,
            &json!({"schemas": [urn::CORE_1_1, "urn:hr:schemas:user", urn::CORE_1_1], "urn:hr:schemas:user": {"age": 7}}),
            &json!({"urn:hr:schemas:user": {"age": 7}, "schemas": [urn::USER, "urn:hr:schemas:user"]}),
        );
    }

    #[test]
    fn plain_strings_become_elements() {
        let body = include_str!("../../tests/data/scim11/plain-string-emails.json");
        check(
            "User",
            Dialect::General,
            &serde_json::from_str(body).unwrap(),
            &json!({"emails": [{"value": "dschrute@example.com"}, {"value": "recyclops@example.com"}],
                    "schemas": [urn::USER]}),
        );
    }

    #[test]
    fn member_types_are_spelled_as_in_2_0() {
        let members = |kinds: [Value; 2]| {
            let [first, second] = kinds;
            json!({"displayName": "G", "members": [first, second], "schemas": [urn::GROUP]})
        };
        let check = |dialect: Dialect, given: [Value; 2], expected: [Value; 2]| {
            check("Group", dialect, &members(given), &members(expected));
        };
        let typed = |kind: &str| json!({"value": "7", "type": kind});
        check(
            Dialect::General,
            [typed("group"), json!("8")],
            [typed("Group"), json!({"value": "8"})],
        );
        check(
            Dialect::Ionic,
            [typed("user"), json!({"value": "7"})],
            [typed("User"), typed("User")],
        );
        let error = read(
            "Group",
            Dialect::Ionic,
            &members([typed("User"), typed("group")]),
        );
        assert!(error.unwrap_err().detail().contains("users only"));
    }

    #[test]
    fn the_ionic_extension_asks_for_memberships() {
        let body = json!({"userName": "a", urn::IONIC_USER: {
            "domainUpn": "a@corp", "sendEmail": true,
            "groups": [{"type": "group", "value": "g1"}, "g2", {"type": "group"}],
            "subjectAttributes": [{"type": "risk", "value": "low", "dataType": "string"}]}});
        let request = read("User", Dialect::Ionic, &body).unwrap();
        assert_eq!(request.groups, ["g1", "g2"]);
        let expected = json!({"domainUpn": "a@corp",
            "subjectAttributes": [{"type": "risk", "value": "low", "dataType": "string"}]});
        assert_eq!(request.body[urn::IONIC_USER], expected);
        assert_eq!(request.body["schemas"], json!([urn::USER, urn::IONIC_USER]));
    }

    #[test]
    fn a_description_of_a_group_moves_into_its_extension() {
        let body = json!({"displayName": "G", "description": "d"});
        check(
            "Group",
            Dialect::Ionic,
            &body,
            &json!({"displayName": "G", urn::DESCRIBED_GROUP: {"description": "d"},
                    "schemas": [urn::GROUP, urn::DESCRIBED_GROUP]}),
        );
        check(
            "Group",
            Dialect::General,
            &body,
            &json!({"displayName": "G", "description": "d", "schemas": [urn::GROUP]}),
        );
    }

    #[test]
    fn objects_that_2_0_has_no_type_for_become_texts() {
        check(
            "Device",
            Dialect::Ionic,
            &json!({"user": {"id": "7"}, "enrollmentAssertion": {"userAttributes": {"a": [1]}, "userId": "7"}}),
            &json!({"enrollmentAssertion": {"userAttributes": "{\"a\":[1]}", "userId": "7"},
                    "schemas": [urn::DEVICE]}),
        );
    }

    /// A resource translated from 1.1 and back is the same.
    #[test]
    fn the_examples_are_the_same_after_both_translations() {
        let check = |name: &str, dialect: Dialect, text: &str| {
            let view = view(name, dialect);
            let mut given: Map<String, Value> = serde_json::from_str(text).unwrap();
            let body = request(view, given.clone()).unwrap().body;
            let answer = response::answer(view, body);
            given.remove("meta");
            assert_eq!(answer, given);
        };
        for text in [
            include_str!("../../tests/data/scim11/minimal-user.json"),
            include_str!("../../tests/data/scim11/full-user.json"),
            include_str!("../../tests/data/scim11/enterprise-user.json"),
        ] {
            check("User", Dialect::General, text);
            check("User", Dialect::Ionic, text);
        }
        let group = include_str!("../../tests/data/scim11/group.json");
        check("Group", Dialect::General, group);
        let described = r#"{"schemas": ["urn:scim:schemas:core:1.0"], "displayName": "G",
                            "description": "d", "members": [{"value": "7", "type": "user"}]}"#;
        check("Group", Dialect::Ionic, described);
        let device = r#"{"schemas": ["urn:scim:schemas:core:1.0"], "name": "N",
                         "enrollmentAssertion": {"userAttributes": {"a": {"b": null}}}}"#;
        check("Device", Dialect::Ionic, device);
    }
}
