//! The documents in which the service describes itself in 1.1: `/ServiceProviderConfigs` and
//! `/Schemas` (1.1 core §9, §10).

use serde_json::{Map, Value, json};

use super::{Dialect, View, names};
use crate::discovery::Discovery;
use crate::error::{Error, Result, excerpt};
use crate::schema::{Attribute, DataType, Extension, Mutability, ResourceType};
use crate::urn;

/// Members of the configuration with another name in 1.1.
const RENAMED: [(&str, &str); 2] = [
    ("documentationUri", "documentationUrl"),
    ("specUri", "specUrl"),
];

/// Descriptions of the attributes that no schema of 2.0 describes.
const COMMON: [(&str, &str); 7] = [
    ("id", "The identifier that the service gave the resource."),
    (
        "externalId",
        "The identifier that the client gave the resource.",
    ),
    ("meta", "What the service knows about the resource."),
    ("created", "When the resource was added."),
    ("lastModified", "When the resource was last changed."),
    ("location", "The URI of the resource."),
    ("version", "The version of the resource."),
];

/// The discovery endpoints of one tenant under a 1.1 base URL.
#[derive(Debug, Clone, Copy)]
pub struct DiscoveryV1<'a> {
    /// The documents of 2.0, with the 1.1 base URL.
    pub discovery: Discovery<'a>,
    /// The clients that are served.
    pub dialect: Dialect,
}

impl DiscoveryV1<'_> {
    /// The one resource of `/ServiceProviderConfigs`. XML is announced as unsupported.
    #[must_use]
    pub fn service_provider_config(&self) -> Value {
        let config = self.discovery.service_provider_config();
        let mut out = Map::new();
        for (name, value) in config.as_object().into_iter().flatten() {
            let value = match name.as_str() {
                "schemas" => json!([urn::CORE_1_1]),
                "pagination" | "interopProfileConformant" => continue,
                "meta" => json!({ "location": self.location("ServiceProviderConfigs") }),
                "authenticationSchemes" => self.authentication_schemes(value),
                _ => value.clone(),
            };
            out.insert(renamed(name).to_owned(), value);
        }
        out.insert("xmlDataFormat".into(), json!({ "supported": false }));
        Value::Object(out)
    }

    fn authentication_schemes(&self, schemes: &Value) -> Value {
        let listed = schemes.as_array().into_iter().flatten();
        let listed = listed.filter_map(Value::as_object);
        let mut out: Vec<Value> = listed
            .map(|scheme| {
                let members = scheme.iter();
                let members =
                    members.map(|(name, value)| (renamed(name).to_owned(), value.clone()));
                Value::Object(members.collect())
            })
            .collect();
        if self.dialect == Dialect::Ionic && self.discovery.rules.switches.mac {
            out.push(json!({
                "type": "mac",
                "name": "IONIC",
                "description": "An HMAC-SHA1 over method, Content-MD5, Content-Type, Date and path",
                "primary": false,
            }));
        }
        Value::Array(out)
    }

    /// All resources of `/Schemas`: one for each resource type.
    #[must_use]
    pub fn schemas(&self) -> Vec<Value> {
        let all = self.discovery.registry.resource_types().iter();
        all.map(|resource_type| self.schema_of(resource_type))
            .collect()
    }

    /// One resource of `/Schemas`, found by its id (`urn:scim:schemas:core:1.0:User`), by the URN of a
    /// schema, by the resource's name (`User`) or by its endpoint (`Users`), in any case. If several
    /// types have the URN, the first is returned.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn schema(&self, id: &str) -> Result<Value> {
        let types = self.discovery.registry.resource_types();
        let named = types.iter().find(|found| {
            let names = [&found.name, &found.endpoint, &schema_id(found)];
            names.iter().any(|name| name.eq_ignore_ascii_case(id))
        });
        let having = || {
            types.iter().find(|found| {
                let extensions = found.extensions.iter();
                let mut urns = extensions
                    .map(|extension| extension.schema.id.as_str())
                    .chain([found.schema.id.as_str()]);
                urns.any(|urn| names::schema_to_v1(urn).eq_ignore_ascii_case(id))
            })
        };
        named
            .or_else(having)
            .map(|found| self.schema_of(found))
            .ok_or_else(|| Error::not_found(format!("There is no schema {}", excerpt(id))))
    }

    fn schema_of(&self, resource_type: &ResourceType) -> Value {
        let view = View {
            dialect: self.dialect,
            resource_type,
        };
        let attributes = resource_type.attributes();
        let attributes = attributes.filter(|(_, attribute)| attribute.name != "schemas");
        let attributes: Vec<_> = attributes
            .map(|(extension, attribute)| described(view, extension, attribute))
            .collect();
        let id = schema_id(resource_type);
        let name = json!(resource_type.name);
        json!({
            "schemas": [urn::CORE_1_1],
            "id": id,
            "name": name,
            "description": resource_type.published.get("description").unwrap_or(&name),
            "schema": names::schema_to_v1(&resource_type.schema.id),
            "endpoint": format!("/{}", resource_type.endpoint),
            "attributes": attributes,
            "meta": { "location": self.location(&format!("Schemas/{id}")) },
        })
    }

    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.discovery.base_url)
    }
}

fn renamed(name: &str) -> &str {
    let mut pairs = RENAMED.iter();
    pairs
        .find(|(new, _)| *new == name)
        .map_or(name, |(_, old)| old)
}

/// The id of a schema. The core schema has one URN for several resources, so the id also has the
/// resource's name.
fn schema_id(resource_type: &ResourceType) -> String {
    let base = names::schema_to_v1(&resource_type.schema.id);
    if base == urn::CORE_1_1 {
        format!("{base}:{}", resource_type.name)
    } else {
        base.to_owned()
    }
}

/// An attribute of 2.0 with the characteristics that 1.1 has.
fn described(view: View<'_>, extension: Option<&Extension>, attribute: &Attribute) -> Value {
    let own = extension.filter(|extension| {
        let flattened = names::flattened(view);
        flattened.is_none_or(|flattened| flattened.schema.id != extension.schema.id)
    });
    let urn = own.map_or(&view.resource_type.schema.id, |own| &own.schema.id);
    let source = extension.map_or(&view.resource_type.schema, |extension| &extension.schema);
    let published = named(source.published.get("attributes"), attribute.name());
    let name = attribute.name();
    let mut out = characteristics(attribute, name, published);
    if attribute.multi_valued {
        let child = singular(name);
        out.insert("multiValuedAttributeChildName".into(), json!(child));
    }
    out.insert("schema".into(), json!(names::schema_to_v1(urn)));
    let listed = published.and_then(|published| published.get("subAttributes"));
    let parts = attribute.sub_attributes.iter();
    // References and the resource type do not exist in 1.1.
    let parts = parts.filter(|part| part.name != "$ref" && part.name != "resourceType");
    let mut parts: Vec<_> = parts
        .map(|part| {
            let name = names::part_to_v1(attribute.name(), part.name());
            Value::Object(characteristics(part, name, named(listed, part.name())))
        })
        .collect();
    if attribute.name == "meta" {
        parts.push(removed_names());
    }
    if !parts.is_empty() {
        out.insert("subAttributes".into(), Value::Array(parts));
    }
    Value::Object(out)
}

/// The published definition of that name.
fn named<'v>(attributes: Option<&'v Value>, name: &str) -> Option<&'v Value> {
    let mut listed = attributes?.as_array()?.iter();
    listed.find(|published| published["name"] == name)
}

/// `meta.attributes`, which 2.0 does not have: only a PATCH may send it.
fn removed_names() -> Value {
    json!({
        "name": "attributes", "type": "string", "multiValued": true,
        "description": "The names of the attributes to remove in a PATCH.",
        "readOnly": false, "required": false, "caseExact": false,
    })
}

fn characteristics(
    attribute: &Attribute,
    name: &str,
    published: Option<&Value>,
) -> Map<String, Value> {
    let kind = match attribute.kind {
        // 1.1 has no type of its own for references.
        DataType::Reference => DataType::String,
        kind => kind,
    };
    let description = published.and_then(|published| published["description"].as_str());
    let description = description.or_else(|| {
        let mut common = COMMON.iter();
        let (_, text) = common.find(|(known, _)| *known == name)?;
        Some(*text)
    });
    let read_only = attribute.mutability == Mutability::ReadOnly;
    let members = [
        ("name", json!(name)),
        ("type", json!(kind.name())),
        ("multiValued", json!(attribute.multi_valued)),
        ("description", json!(description.unwrap_or(name))),
        ("readOnly", json!(read_only)),
        ("required", json!(attribute.required)),
        ("caseExact", json!(attribute.case_exact)),
    ];
    let mut out: Map<_, _> = members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
    if !attribute.canonical_values.is_empty() {
        out.insert("canonicalValues".into(), json!(attribute.canonical_values));
    }
    out
}

/// The name of a single value: `email` for `emails`, `address` for `addresses`.
fn singular(name: &str) -> &str {
    name.strip_suffix("sses")
        .and_then(|_| name.strip_suffix("es"))
        .or_else(|| name.strip_suffix('s'))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Capabilities;
    use crate::profile::{Rules, Switches};
    use crate::schema::Registry;

    fn with_discovery<T>(dialect: Dialect, check: impl FnOnce(DiscoveryV1<'_>) -> T) -> T {
        let rules = Rules {
            switches: Switches {
                basic: true,
                mac: true,
                ..Switches::default()
            },
            ..Rules::default()
        };
        let capabilities = Capabilities {
            patch: true,
            bulk: true,
            filter: true,
            sort: true,
            etag: true,
            cursor_timeout_seconds: Some(3600),
            documentation_uri: Some("https://example.com/help".into()),
        };
        check(DiscoveryV1 {
            discovery: Discovery {
                registry: Registry::builtin(),
                rules: &rules,
                capabilities: &capabilities,
                base_url: "https://example.com/scim/v1",
                has_oauth: false,
            },
            dialect,
        })
    }

    /// The names of an object's members, and of those of the objects inside.
    fn shape(value: &Value) -> Vec<String> {
        let mut names: Vec<_> = value
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(name, value)| {
                let inner = shape(
                    value
                        .as_array()
                        .and_then(|all| all.first())
                        .unwrap_or(value),
                );
                let inner: Vec<_> = inner.iter().map(|part| format!("{name}.{part}")).collect();
                std::iter::once(name.clone()).chain(inner)
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_configuration_has_the_members_of_the_example() {
        let example = include_str!("../../tests/data/scim11/service-provider-config.json");
        let example: Value = serde_json::from_str(example).unwrap();
        let config = with_discovery(Dialect::General, |found| found.service_provider_config());
        let mut expected = shape(&example);
        expected.retain(|name| name != "authenticationSchemes.documentationUrl");
        expected.extend(["meta".to_owned(), "meta.location".to_owned()]);
        expected.sort();
        assert_eq!(shape(&config), expected);
        assert_eq!(config["schemas"], example["schemas"]);
        assert_eq!(config["xmlDataFormat"], json!({"supported": false}));
        assert_eq!(config["authenticationSchemes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_mac_scheme_belongs_to_the_ionic_api() {
        let config = with_discovery(Dialect::Ionic, |found| found.service_provider_config());
        assert_eq!(config["authenticationSchemes"][2]["name"], "IONIC");
    }

    #[test]
    fn a_schema_describes_a_resource_with_its_extensions() {
        let user = with_discovery(Dialect::General, |found| {
            found.schema("urn:scim:schemas:core:1.0:user").unwrap()
        });
        assert_eq!(user["id"], "urn:scim:schemas:core:1.0:User");
        assert_eq!(user["schema"], urn::CORE_1_1);
        assert_eq!(user["endpoint"], "/Users");
        let attribute = |name: &str| named(user.get("attributes"), name).unwrap().clone();
        assert_eq!(attribute("id")["readOnly"], true);
        assert_eq!(attribute("userName")["required"], true);
        assert_eq!(
            attribute("emails")["multiValuedAttributeChildName"],
            "email"
        );
        assert_eq!(
            attribute("addresses")["multiValuedAttributeChildName"],
            "address"
        );
        assert_eq!(attribute("profileUrl")["type"], "string");
        assert_eq!(attribute("department")["schema"], urn::ENTERPRISE_1_1);
        let manager = attribute("manager");
        assert!(named(manager.get("subAttributes"), "managerId").is_some());
        assert!(named(manager.get("subAttributes"), "$ref").is_none());
        let meta = attribute("meta");
        assert!(named(meta.get("subAttributes"), "attributes").is_some());
        assert!(named(meta.get("subAttributes"), "resourceType").is_none());
    }

    /// Every attribute of the printed schema is described with the same names.
    #[test]
    fn the_user_schema_has_the_attributes_of_the_printed_one() {
        let printed = include_str!("../../tests/data/scim11/user-schema.json");
        let printed: Value = serde_json::from_str(printed).unwrap();
        let user = with_discovery(Dialect::General, |found| found.schema("User").unwrap());
        for expected in printed["attributes"].as_array().unwrap() {
            let name = expected["name"].as_str().unwrap();
            let found = named(user.get("attributes"), name);
            let found = found.unwrap_or_else(|| panic!("{name} is missing"));
            for key in expected.as_object().unwrap().keys() {
                assert!(found.get(key).is_some(), "{name} has no {key}");
            }
            for part in expected["subAttributes"].as_array().into_iter().flatten() {
                let part = part["name"].as_str().unwrap();
                let part = named(found.get("subAttributes"), part);
                assert!(part.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn schemas_are_found_by_id_urn_and_name() {
        let check = |id: &str, expected: Option<&str>| {
            let found = with_discovery(Dialect::Ionic, |found| found.schema(id));
            let name = found
                .as_ref()
                .ok()
                .and_then(|schema| schema["name"].as_str());
            assert_eq!(name, expected, "{id}");
        };
        check("urn:scim:schemas:core:1.0", Some("User"));
        check("urn:scim:schemas:core:1.0:Group", Some("Group"));
        check("urn:scim:schemas:extension:enterprise:1.0", Some("User"));
        check("device", Some("Device"));
        check("urn:scim:schemas:core:2.0", None);
        let all = with_discovery(Dialect::Ionic, |found| found.schemas());
        let all: Vec<_> = all
            .iter()
            .filter_map(|schema| schema["name"].as_str())
            .collect();
        assert_eq!(all, ["User", "Group", "Device", "Role"]);
    }
}
