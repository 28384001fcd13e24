//! Translates a 2.0 resource into a 1.1 answer (1.1 core §5–§8, API §3.2, §3.7).

use serde_json::{Map, Value};

use super::request::json_from_text;
use super::{Dialect, View, names};
use crate::urn;
use crate::version::Version;

/// Translates a 2.0 resource that was rendered with the 1.1 base URL. URNs and names become those of
/// 1.1; attributes that 1.1 does not have are left out.
#[must_use]
pub fn answer(view: View<'_>, resource: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in resource {
        let extension = view.resource_type.extension(&key);
        match (key.as_str(), value) {
            ("schemas", value) => {
                out.insert(key, schemas_to_v1(view, &value));
            }
            ("meta", Value::Object(mut meta)) => {
                meta.shift_remove("resourceType");
                out.insert(key, Value::Object(meta));
            }
            (_, Value::Object(container)) if extension.is_some() => {
                let container = members_to_v1(view, container);
                if is_flattened(view, &key) {
                    out.extend(container);
                } else {
                    let urn = names::schema_to_v1(&key).to_owned();
                    out.insert(urn, Value::Object(container));
                }
            }
            (_, value) => {
                let value = value_to_v1(view, &key, value);
                out.insert(key, value);
            }
        }
    }
    out
}

fn is_flattened(view: View<'_>, urn: &str) -> bool {
    names::flattened(view).is_some_and(|extension| extension.schema.id.eq_ignore_ascii_case(urn))
}

fn schemas_to_v1(view: View<'_>, schemas: &Value) -> Value {
    let listed = schemas.as_array().into_iter().flatten();
    let listed = listed.filter_map(Value::as_str);
    let listed = listed.filter(|urn| !is_flattened(view, urn));
    let renamed = listed.map(|urn| Value::from(names::schema_to_v1(urn)));
    renamed.collect()
}

fn members_to_v1(view: View<'_>, container: Map<String, Value>) -> Map<String, Value> {
    let members = container.into_iter();
    let members = members.map(|(key, value)| {
        let value = value_to_v1(view, &key, value);
        (key, value)
    });
    members.collect()
}

fn value_to_v1(view: View<'_>, attribute: &str, value: Value) -> Value {
    match value {
        Value::Array(elements) => {
            let elements = elements.into_iter();
            elements
                .map(|element| value_to_v1(view, attribute, element))
                .collect()
        }
        Value::Object(mut parts) => {
            parts.shift_remove("$ref");
            let parts = parts.into_iter();
            let parts = parts.map(|(key, value)| part_to_v1(view, attribute, &key, value));
            Value::Object(parts.collect())
        }
        other => other,
    }
}

fn part_to_v1(view: View<'_>, attribute: &str, part: &str, value: Value) -> (String, Value) {
    let name = names::part_to_v1(attribute, part).to_owned();
    let value = match (attribute, part, value) {
        ("members", "type", Value::String(kind)) if view.dialect == Dialect::Ionic => {
            Value::String(kind.to_ascii_lowercase())
        }
        (_, part, value) => json_from_text(part, value),
    };
    (name, value)
}

/// Puts a user into a device of this version. The Ionic API does so when `attributes` names `user`.
///
/// Both are 1.1 resources already. Returns the version that covers the user too; it is now the
/// device's `meta.version`.
#[must_use]
pub fn embed_user(
    device: &mut Map<String, Value>,
    version: &Version,
    user: Map<String, Value>,
) -> Version {
    let user = Value::Object(user);
    let version = version.showing(&user.to_string());
    if let Some(Value::Object(meta)) = device.get_mut("meta") {
        meta.insert("version".into(), version.to_string().into());
    }
    device.insert("user".into(), user);
    version
}

/// The answer of `/Scopes`.
///
/// **Shape**: `{"schemas":[…],"scopes":{"users":["users:create",…],…}}`.
#[must_use]
pub fn scopes() -> Value {
    let mut catalogue = crate::scopes::catalogue();
    catalogue.insert("schemas".to_owned(), serde_json::json!([urn::CORE_1_1]));
    Value::Object(catalogue)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::Registry;

    fn check(name: &str, dialect: Dialect, resource: &Value, expected: &Value) {
        let view = View {
            dialect,
            resource_type: Registry::builtin().resource_type(name).unwrap(),
        };
        let resource = resource.as_object().unwrap().clone();
        assert_eq!(&Value::Object(answer(view, resource)), expected);
    }

    #[test]
    fn attributes_that_1_1_lacks_are_left_out() {
        check(
            "User",
            Dialect::General,
            &json!({"schemas": [urn::USER, urn::ENTERPRISE_USER], "id": "7", "userName": "a",
                    "groups": [{"value": "g", "$ref": "https://x/Groups/g", "type": "direct", "display": "G"}],
                    urn::ENTERPRISE_USER: {"manager": {"value": "26", "$ref": "https://x/Users/26"}},
                    "meta": {"resourceType": "User", "created": "c", "lastModified": "l",
                             "location": "https://x/v1/Users/7", "version": "W/\"1\""}}),
            &json!({"schemas": [urn::CORE_1_1, urn::ENTERPRISE_1_1], "id": "7", "userName": "a",
                    "groups": [{"value": "g", "type": "direct", "display": "G"}],
                    urn::ENTERPRISE_1_1: {"manager": {"managerId": "26"}},
                    "meta": {"created": "c", "lastModified": "l",
                             "location": "https://x/v1/Users/7", "version": "W/\"1\""}}),
        );
    }

    #[test]
    fn member_types_are_lower_case_in_the_ionic_dialect() {
        let group = json!({"schemas": [urn::GROUP], "members": [{"value": "7", "type": "User"}]});
        let expected = |kind: &str| json!({"schemas": [urn::CORE_1_1], "members": [{"value": "7", "type": kind}]});
        check("Group", Dialect::General, &group, &expected("User"));
        check("Group", Dialect::Ionic, &group, &expected("user"));
    }

    #[test]
    fn a_groups_description_is_among_the_core_attributes() {
        let group = json!({"schemas": [urn::GROUP, urn::DESCRIBED_GROUP],
                           urn::DESCRIBED_GROUP: {"description": "d"}});
        check(
            "Group",
            Dialect::Ionic,
            &group,
            &json!({"schemas": [urn::CORE_1_1], "description": "d"}),
        );
        check(
            "Group",
            Dialect::General,
            &group,
            &json!({"schemas": [urn::CORE_1_1, urn::DESCRIBED_GROUP],
                    urn::DESCRIBED_GROUP: {"description": "d"}}),
        );
    }

    #[test]
    fn the_catalogue_of_scopes_names_the_core_schema() {
        let scopes = scopes();
        assert_eq!(scopes["schemas"], json!([urn::CORE_1_1]));
        assert_eq!(scopes["scopes"]["access"], json!(["access:api"]));
    }
}
