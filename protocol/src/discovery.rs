//! The documents in which the service describes itself: `/ServiceProviderConfig`, `/Schemas`,
//! `/ResourceTypes` (RFC 7644 §4, RFC 7643 §5–§7, RFC 9865 §4).
//!
//! They are derived from the tenant's registry, rules and [`Capabilities`], so that they announce
//! exactly what works. Message URNs are never listed, because the registry refuses them.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, excerpt};
use crate::profile::{Passwords, Profile, Rules};
use crate::schema::{Registry, ResourceType, Schema};
use crate::urn;

/// What this build of the service supports, independent of a tenant's switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// PATCH works.
    pub patch: bool,
    /// `/Bulk` works.
    pub bulk: bool,
    /// `filter` works.
    pub filter: bool,
    /// `sortBy` works.
    pub sort: bool,
    /// Entity tags are sent, and conditional requests are honoured.
    pub etag: bool,
    /// The number of seconds for which a cursor is valid; `None` without cursor paging.
    pub cursor_timeout_seconds: Option<u32>,
    /// The URL of documentation for people.
    pub documentation_uri: Option<String>,
}

/// The discovery endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Described {
    /// `/ServiceProviderConfig`.
    ServiceProviderConfig,
    /// `/ResourceTypes`.
    ResourceType,
    /// `/Schemas`.
    Schema,
    /// `/Scopes`.
    Scopes,
}

static DESCRIBED: LazyLock<[ResourceType; 4]> = LazyLock::new(|| {
    [
        (
            "ServiceProviderConfig",
            "ServiceProviderConfig",
            urn::SERVICE_PROVIDER_CONFIG,
        ),
        ("ResourceType", "ResourceTypes", urn::RESOURCE_TYPE),
        ("Schema", "Schemas", urn::SCHEMA),
        ("Scopes", "Scopes", urn::SCOPES),
    ]
    .map(|(name, endpoint, urn)| {
        Registry::described_type(name, endpoint, urn)
            .expect("the built-in registry has these schemas, as this crate's tests check")
    })
});

impl Described {
    /// The resource type by which `attributes` is read at this endpoint. It is not one of the
    /// tenant's, and no client can write a resource of it.
    #[must_use]
    pub fn resource_type(self) -> &'static ResourceType {
        &DESCRIBED[self as usize]
    }
}

/// The discovery endpoints of one tenant under one base URL.
#[derive(Debug, Clone, Copy)]
pub struct Discovery<'a> {
    /// The tenant's schemas and resource types.
    pub registry: &'a Registry,
    /// The tenant's profile and switches.
    pub rules: &'a Rules,
    /// What the service can do.
    pub capabilities: &'a Capabilities,
    /// The absolute URL that endpoints follow, without a trailing slash.
    pub base_url: &'a str,
    /// Whether the tenant has an OAuth client.
    pub has_oauth: bool,
}

impl Discovery<'_> {
    /// The one resource of `/ServiceProviderConfig`.
    #[must_use]
    pub fn service_provider_config(&self) -> Value {
        let Capabilities {
            patch,
            bulk,
            filter,
            sort,
            etag,
            ..
        } = *self.capabilities;
        let switches = &self.rules.switches;
        let if_bulk = |limit: u32| if bulk { limit } else { 0 };
        let mut config = Map::new();
        config.insert("schemas".into(), json!([urn::SERVICE_PROVIDER_CONFIG]));
        if let Some(uri) = &self.capabilities.documentation_uri {
            config.insert("documentationUri".into(), json!(uri));
        }
        let members = [
            ("patch", json!({ "supported": patch })),
            (
                "bulk",
                json!({
                    "supported": bulk,
                    "maxOperations": if_bulk(switches.bulk_max_operations),
                    "maxPayloadSize": if_bulk(switches.bulk_max_payload_size),
                }),
            ),
            (
                "filter",
                json!({ "supported": filter, "maxResults": switches.max_count }),
            ),
            (
                "changePassword",
                json!({ "supported": switches.passwords == Passwords::Hash }),
            ),
            ("sort", json!({ "supported": sort })),
            ("etag", json!({ "supported": etag })),
            ("authenticationSchemes", self.authentication_schemes()),
            ("pagination", self.pagination()),
        ];
        config.extend(members.map(|(name, value)| (name.to_owned(), value)));
        if self.rules.profile == Profile::Interop {
            config.insert("interopProfileConformant".into(), json!(true));
        }
        let location = format!("{}/ServiceProviderConfig", self.base_url);
        Value::Object(with_meta(config, "ServiceProviderConfig", &location))
    }

    fn authentication_schemes(&self) -> Value {
        let mut schemes = vec![json!({
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "A token of this tenant in the Authorization header",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        })];
        if self.has_oauth {
            schemes.push(json!({
                "type": "oauth2",
                "name": "OAuth 2.0 Client Credentials",
                "description": "A client of this tenant gets access tokens from /oauth/token",
                "specUri": "https://www.rfc-editor.org/info/rfc6749",
                "primary": false,
            }));
        }
        if self.rules.switches.basic {
            schemes.push(json!({
                "type": "httpbasic",
                "name": "HTTP Basic",
                "description": "The name and password of an account of this tenant",
                "specUri": "https://www.rfc-editor.org/info/rfc7617",
                "primary": false,
            }));
        }
        Value::Array(schemes)
    }

    fn pagination(&self) -> Value {
        let switches = &self.rules.switches;
        let timeout = self.capabilities.cursor_timeout_seconds;
        let mut pagination = json!({
            "cursor": timeout.is_some(),
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": switches.default_count.min(switches.max_count),
            "maxPageSize": switches.max_count,
        });
        if let (Some(seconds), Some(members)) = (timeout, pagination.as_object_mut()) {
            members.insert("cursorTimeout".into(), json!(seconds));
        }
        pagination
    }

    /// All resources of `/Schemas`.
    #[must_use]
    pub fn schemas(&self) -> Vec<Value> {
        let all = self.registry.schemas().iter();
        all.map(|schema| self.published_schema(schema)).collect()
    }

    /// One resource of `/Schemas`; the URN may be in any case.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn schema(&self, urn: &str) -> Result<Value> {
        let found = self.registry.schema(urn);
        found
            .map(|schema| self.published_schema(schema))
            .ok_or_else(|| Error::not_found(format!("There is no schema {}", excerpt(urn))))
    }

    fn published_schema(&self, schema: &Schema) -> Value {
        let location = format!("{}/Schemas/{}", self.base_url, schema.id);
        Value::Object(with_meta(schema.published.clone(), "Schema", &location))
    }

    /// All resources of `/ResourceTypes`.
    #[must_use]
    pub fn resource_types(&self) -> Vec<Value> {
        let all = self.registry.resource_types().iter();
        all.map(|found| self.published_type(&found.name, &found.published))
            .collect()
    }

    /// One resource of `/ResourceTypes`, its name in exact case.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn resource_type(&self, name: &str) -> Result<Value> {
        let found = self.registry.resource_type(name);
        found
            .map(|found| self.published_type(&found.name, &found.published))
            .ok_or_else(|| Error::not_found(format!("There is no resource type {}", excerpt(name))))
    }

    /// The one resource of `/Scopes`: the catalogue of permissions.
    #[must_use]
    pub fn scopes(&self) -> Value {
        let location = format!("{}/Scopes", self.base_url);
        let catalogue = crate::scopes::catalogue();
        Value::Object(with_meta(catalogue, "Scopes", &location))
    }

    fn published_type(&self, name: &str, published: &Map<String, Value>) -> Value {
        let location = format!("{}/ResourceTypes/{name}", self.base_url);
        Value::Object(with_meta(published.clone(), "ResourceType", &location))
    }
}

/// The error of a filter on a discovery endpoint (RFC 7644 §4).
#[must_use]
pub fn filter_refused() -> Error {
    Error::forbidden("Schemas, resource types and the service's configuration cannot be filtered")
}

fn with_meta(
    mut resource: Map<String, Value>,
    resource_type: &str,
    location: &str,
) -> Map<String, Value> {
    // Removed first, so that it becomes the last member, as in every other resource.
    resource.remove("meta");
    resource.insert(
        "meta".into(),
        json!({ "resourceType": resource_type, "location": location }),
    );
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Switches;

    const BASE: &str = "https://example.com/scim/v2";

    const CAPABILITIES: Capabilities = Capabilities {
        patch: true,
        bulk: true,
        filter: true,
        sort: true,
        etag: true,
        cursor_timeout_seconds: Some(3600),
        documentation_uri: None,
    };

    fn discovery<'a>(rules: &'a Rules, capabilities: &'a Capabilities) -> Discovery<'a> {
        Discovery {
            registry: Registry::builtin(),
            rules,
            capabilities,
            base_url: BASE,
            has_oauth: false,
        }
    }

    #[test]
    fn the_configuration_lists_the_capabilities() {
        let rules = Rules::default();
        let config = discovery(&rules, &CAPABILITIES).service_provider_config();
        let check = |pointer: &str, expected: Value| {
            assert_eq!(config.pointer(pointer), Some(&expected), "{pointer}");
        };
        check("/schemas", json!([urn::SERVICE_PROVIDER_CONFIG]));
        check("/patch/supported", json!(true));
        check(
            "/bulk",
            json!({"supported": true, "maxOperations": 1000, "maxPayloadSize": 1_048_576}),
        );
        check("/filter", json!({"supported": true, "maxResults": 1000}));
        check("/changePassword/supported", json!(false));
        check("/authenticationSchemes/0/type", json!("oauthbearertoken"));
        check(
            "/pagination",
            json!({"cursor": true, "index": true, "defaultPaginationMethod": "index",
                   "defaultPageSize": 100, "maxPageSize": 1000, "cursorTimeout": 3600}),
        );
        check(
            "/meta",
            json!({"resourceType": "ServiceProviderConfig",
                   "location": "https://example.com/scim/v2/ServiceProviderConfig"}),
        );
        for absent in [
            "/interopProfileConformant",
            "/documentationUri",
            "/authenticationSchemes/1",
        ] {
            assert_eq!(config.pointer(absent), None, "{absent}");
        }
    }

    #[test]
    fn the_configuration_follows_switches_and_capabilities() {
        let rules = Rules {
            profile: Profile::Interop,
            switches: Switches {
                passwords: Passwords::Hash,
                basic: true,
                ..Switches::default()
            },
        };
        let capabilities = Capabilities {
            bulk: false,
            cursor_timeout_seconds: None,
            documentation_uri: Some("https://example.com/docs".into()),
            ..CAPABILITIES
        };
        let config = discovery(&rules, &capabilities).service_provider_config();
        assert_eq!(
            config["bulk"],
            json!({"supported": false, "maxOperations": 0, "maxPayloadSize": 0})
        );
        assert_eq!(config["pagination"]["cursor"], false);
        assert_eq!(config["pagination"].get("cursorTimeout"), None);
        assert_eq!(config["changePassword"]["supported"], true);
        assert_eq!(config["authenticationSchemes"][1]["type"], "httpbasic");
        assert_eq!(config["interopProfileConformant"], true);
        assert_eq!(config["documentationUri"], "https://example.com/docs");
    }

    /// Every member of an instance is an attribute of the schema that describes it.
    fn check_described(instance: &Value, attributes: &Value, within: &str) {
        let attribute = |name: &str| {
            let all = attributes.as_array().into_iter().flatten();
            all.clone().find(|attribute| attribute["name"] == name)
        };
        for (name, value) in instance.as_object().into_iter().flatten() {
            if matches!(name.as_str(), "schemas" | "id" | "meta") && within.is_empty() {
                continue;
            }
            let attribute =
                attribute(name).unwrap_or_else(|| panic!("{within}.{name} is not in the schema"));
            let elements = value
                .as_array()
                .map_or(vec![value], |all| all.iter().collect());
            assert_eq!(value.is_array(), attribute["multiValued"] == true, "{name}");
            for element in elements {
                assert_eq!(
                    element.is_object(),
                    attribute["type"] == "complex",
                    "{name}"
                );
                check_described(element, &attribute["subAttributes"], name);
            }
        }
    }

    #[test]
    fn announced_members_are_in_the_published_schemas() {
        let rules = Rules {
            profile: Profile::Interop,
            ..Rules::default()
        };
        let capabilities = Capabilities {
            documentation_uri: Some("https://example.com/docs".into()),
            ..CAPABILITIES
        };
        let discovery = discovery(&rules, &capabilities);
        let attributes = |urn: &str| discovery.schema(urn).unwrap()["attributes"].clone();
        check_described(
            &discovery.service_provider_config(),
            &attributes(urn::SERVICE_PROVIDER_CONFIG),
            "",
        );
        check_described(&discovery.scopes(), &attributes(urn::SCOPES), "");
        for resource_type in discovery.resource_types() {
            check_described(&resource_type, &attributes(urn::RESOURCE_TYPE), "");
        }
        // The schema of schemas nests deeper than it can describe itself (RFC 7643 §8.7.2).
        let listed = discovery.schemas().into_iter();
        for schema in listed.filter(|schema| schema["id"] != urn::SCHEMA) {
            check_described(&schema, &attributes(urn::SCHEMA), "");
        }
    }

    #[test]
    fn schemas_are_found_in_any_case_and_have_a_location() {
        let rules = Rules::default();
        let discovery = discovery(&rules, &CAPABILITIES);
        let user = discovery.schema(&urn::USER.to_uppercase()).unwrap();
        assert_eq!(user["id"], urn::USER);
        assert_eq!(
            user["meta"],
            json!({"resourceType": "Schema", "location": format!("{BASE}/Schemas/{}", urn::USER)})
        );
        assert_eq!(
            discovery.schema(urn::LIST_RESPONSE).unwrap_err().status(),
            404
        );
        let listed = discovery.schemas();
        let listed: Vec<_> = listed.iter().filter_map(|s| s["id"].as_str()).collect();
        for urn in [
            urn::USER,
            urn::GROUP,
            urn::ENTERPRISE_USER,
            urn::SERVICE_PROVIDER_CONFIG,
            urn::RESOURCE_TYPE,
            urn::SCHEMA,
        ] {
            assert!(listed.contains(&urn), "{urn}");
        }
        assert!(
            !listed
                .iter()
                .any(|urn| urn.starts_with(urn::MESSAGE_PREFIX))
        );
        assert!(!listed.iter().any(|urn| urn.ends_with(":Common")));
    }

    #[test]
    fn resource_types_are_found_by_their_exact_name() {
        let rules = Rules::default();
        let discovery = discovery(&rules, &CAPABILITIES);
        let user = discovery.resource_type("User").unwrap();
        assert_eq!(user["id"], "User");
        assert_eq!(user["endpoint"], "/Users");
        assert_eq!(user["schema"], urn::USER);
        assert_eq!(
            user["meta"],
            json!({"resourceType": "ResourceType", "location": format!("{BASE}/ResourceTypes/User")})
        );
        assert_eq!(discovery.resource_type("user").unwrap_err().status(), 404);
    }

    #[test]
    fn each_endpoint_has_a_type_to_read_attributes_by() {
        for (described, name, attribute) in [
            (
                Described::ServiceProviderConfig,
                "ServiceProviderConfig",
                "patch",
            ),
            (Described::ResourceType, "ResourceType", "endpoint"),
            (Described::Schema, "Schema", "attributes"),
            (Described::Scopes, "Scopes", "scopes"),
        ] {
            let resource_type = described.resource_type();
            assert_eq!(resource_type.name, name);
            assert!(resource_type.attribute(attribute).is_some());
            assert!(resource_type.attribute("meta").is_some());
        }
    }

    #[test]
    fn vendor_keywords_are_published() {
        let mut registry = Registry::builtin().clone();
        let schema = json!({"id": "urn:example:Thing", "name": "Thing", "x-vendor": {"a": 1},
                            "attributes": [{"name": "size", "type": "integer", "x-unit": "cm"}]});
        registry.add_schema(&schema).unwrap();
        let resource_type = json!({"name": "Thing", "endpoint": "/Things", "schema": "urn:example:Thing",
                                   "x-icon": "box"});
        registry.add_resource_type(&resource_type).unwrap();
        let rules = Rules::default();
        let discovery = Discovery {
            registry: &registry,
            ..discovery(&rules, &CAPABILITIES)
        };
        let schema = discovery.schema("urn:example:thing").unwrap();
        assert_eq!(schema["x-vendor"], json!({"a": 1}));
        assert_eq!(schema["attributes"][0]["x-unit"], "cm");
        assert_eq!(discovery.resource_type("Thing").unwrap()["x-icon"], "box");
    }
}
