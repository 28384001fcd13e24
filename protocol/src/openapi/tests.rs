use serde_json::{Value, json};

use super::*;
use crate::schema::ResourceType;
use crate::urn;

/// The routes of a resource type, as the router has them.
fn routes(resource_type: &ResourceType) -> Vec<Route<'_>> {
    let base = format!("/scim/v2/{}", resource_type.endpoint);
    vec![
        Route {
            path: base.clone(),
            operations: vec![
                (Method::Get, Operation::List(Some(resource_type))),
                (Method::Post, Operation::Create(resource_type)),
            ],
        },
        Route {
            path: format!("{base}/{{id}}"),
            operations: vec![
                (Method::Get, Operation::Get(resource_type)),
                (Method::Put, Operation::Replace(resource_type)),
                (Method::Patch, Operation::Patch(resource_type)),
                (Method::Delete, Operation::Delete(resource_type)),
            ],
        },
    ]
}

fn document(registry: &Registry, rules: Option<&Rules>) -> Value {
    let types = registry.resource_types().iter();
    let routes: Vec<_> = types.flat_map(|found| routes(found)).collect();
    Document {
        registry,
        rules,
        server_url: "https://id.example.com/prod",
        routes: &routes,
    }
    .render()
}

/// Every `$ref` of a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(
                members
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Checks that every reference leads to a component, and that every id of an operation exists once.
#[track_caller]
fn check_whole(document: &Value) {
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let mut ids: Vec<_> = operations
        .map(|one| one["operationId"].as_str().unwrap())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
}

#[test]
fn a_request_has_what_clients_write_and_an_answer_what_they_see() {
    let document = document(Registry::builtin(), None);
    check_whole(&document);
    let schemas = &document["components"]["schemas"];
    let (answer, request) = (&schemas["User"], &schemas["UserRequest"]);
    assert_eq!(request["required"], json!(["schemas", "userName"]));
    assert_eq!(answer["required"], json!(["schemas", "id"]));
    for (name, in_answer, in_request) in [
        ("userName", true, true),
        ("id", true, false),
        ("meta", true, false),
        ("groups", true, false),
        ("password", false, true),
        ("externalId", true, true),
    ] {
        assert_eq!(
            answer["properties"].get(name).is_some(),
            in_answer,
            "{name}"
        );
        assert_eq!(
            request["properties"].get(name).is_some(),
            in_request,
            "{name}"
        );
    }
    assert_eq!(request["properties"]["password"]["writeOnly"], true);
    assert_eq!(answer["properties"]["groups"]["readOnly"], true);
    assert_eq!(
        answer["properties"][urn::ENTERPRISE_USER],
        schema::reference("EnterpriseUser")
    );
    assert_eq!(
        request["properties"][urn::ENTERPRISE_USER],
        schema::reference("EnterpriseUserRequest")
    );
    let listed = &answer["properties"]["schemas"]["items"]["enum"];
    assert_eq!(
        listed,
        &json!([urn::USER, urn::ENTERPRISE_USER, urn::IONIC_USER])
    );
}

#[test]
fn characteristics_become_keywords() {
    let schema = json!({"id": "urn:example:Badge", "name": "Badge of a person", "x-owner": "people",
    "attributes": [
        {"name": "number", "type": "integer", "required": true, "uniqueness": "server", "mapping": {"key": "no"}},
        {"name": "issued", "type": "dateTime", "mutability": "immutable"},
        {"name": "photo", "type": "binary", "returned": "request"},
        {"name": "holder", "type": "reference", "referenceTypes": ["User"]},
        {"name": "colour", "type": "string", "canonicalValues": ["red"], "caseExact": true},
        {"name": "doors", "type": "complex", "multiValued": true, "description": "What it opens",
         "subAttributes": [{"name": "value", "type": "string", "required": true}]},
    ]});
    let mut registry = Registry::builtin().clone();
    registry.add_schema(&schema).unwrap();
    let badge = json!({"name": "Badge", "endpoint": "/Badges", "schema": "urn:example:Badge", "icon": "id-card"});
    registry.add_resource_type(&badge).unwrap();
    let document = document(&registry, None);
    check_whole(&document);
    let badge = &document["components"]["schemas"]["BadgeRequest"];
    let property = |name: &str| &badge["properties"][name];
    assert_eq!(
        property("number"),
        &json!({"type": "integer", "x-mapping": {"key": "no"}, "x-uniqueness": "server"})
    );
    assert_eq!(
        property("issued"),
        &json!({"type": "string", "format": "date-time", "x-mutability": "immutable"})
    );
    assert_eq!(
        property("photo"),
        &json!({"type": "string", "contentEncoding": "base64", "x-returned": "request"})
    );
    assert_eq!(
        property("holder"),
        &json!({"type": "string", "format": "uri-reference", "x-referenceTypes": ["User"]})
    );
    assert_eq!(
        property("colour"),
        &json!({"type": "string", "examples": ["red"], "x-caseExact": true})
    );
    assert_eq!(
        property("doors"),
        &json!({"type": "array", "description": "What it opens", "items":
            {"type": "object", "required": ["value"], "properties": {"value": {"type": "string"}}}})
    );
    assert_eq!(badge["x-owner"], "people");
    assert_eq!(badge["x-icon"], "id-card");
    let example = json!({"schemas": ["urn:example:Badge"], "number": 1});
    assert_eq!(badge["examples"], json!([example]));
    let create = &document["paths"]["/scim/v2/Badges"]["post"];
    assert_eq!(create["operationId"], "createBadge");
    assert_eq!(
        create["requestBody"]["content"][SCIM_JSON]["example"],
        example
    );
    assert_eq!(
        create["security"][0],
        json!({"bearer": ["resources:create"]})
    );
}

#[test]
fn names_of_a_tenant_never_take_those_of_the_service() {
    let mut registry = Registry::builtin().clone();
    for (urn, name) in [("urn:example:1", "User"), ("urn:example:2", "Error")] {
        let schema = json!({"id": urn, "name": name, "attributes": [{"name": "a"}]});
        registry.add_schema(&schema).unwrap();
    }
    let error = json!({"name": "Error", "endpoint": "/all", "schema": "urn:example:2",
                       "schemaExtensions": [{"schema": "urn:example:1", "required": true}]});
    registry.add_resource_type(&error).unwrap();
    let me = json!({"name": "users", "endpoint": "/Accounts", "schema": "urn:example:1"});
    registry.add_resource_type(&me).unwrap();
    let document = document(&registry, None);
    check_whole(&document);
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["Error"]["properties"]["scimType"]["enum"][0],
        "invalidFilter"
    );
    assert_eq!(
        schemas["Error2Request"]["required"],
        json!(["schemas", "urn:example:1"])
    );
    assert_eq!(
        schemas["Error2"]["properties"]["urn:example:1"],
        schema::reference("User2")
    );
}

#[test]
fn basic_is_there_for_tenants_that_allow_it() {
    let check = |rules: Option<&Rules>, expected: bool| {
        let document = document(Registry::builtin(), rules);
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes.get("basic").is_some(), expected);
        let security = document["paths"]["/scim/v2/Users"]["get"]["security"]
            .as_array()
            .unwrap();
        assert_eq!(security.len(), 2 + usize::from(expected));
    };
    let mut rules = Rules::default();
    check(None, true);
    check(Some(&rules), false);
    rules.switches.basic = true;
    check(Some(&rules), true);
}

#[test]
fn every_built_in_example_fits_its_schema() {
    let rules = Rules::default();
    for resource_type in Registry::builtin().resource_types() {
        let body = example::body(resource_type);
        let mut reading = crate::profile::Reading::new(&rules);
        let kind = crate::resource::DraftKind::Create { id: "1" };
        let body = body.as_object().unwrap().clone();
        crate::resource::Resource::from_request(
            body,
            resource_type,
            Registry::builtin(),
            &mut reading,
            kind,
        )
        .unwrap();
        let patch = example::patch(resource_type);
        crate::patch::PatchRequest::parse(patch.as_object().unwrap(), &mut reading).unwrap();
        assert!(
            reading.used_tolerances().is_empty(),
            "{}",
            resource_type.name
        );
    }
    assert!(
        data(example::EXAMPLES)
            .keys()
            .all(|urn| Registry::builtin().schema(urn).is_some())
    );
}

#[test]
fn errors_have_the_statuses_and_types_that_answers_have() {
    let types = data(COMPONENTS);
    let types = &types["schemas"]["Error"]["properties"]["scimType"]["enum"];
    let statuses: Vec<_> = crate::ErrorKind::ALL
        .iter()
        .map(|kind| kind.status())
        .collect();
    assert!(ERRORS.iter().all(|(status, ..)| statuses.contains(status)));
    for kind in crate::ErrorKind::ALL {
        assert!(error_of(kind.status()).is_some(), "{kind:?}");
        let scim_type = kind.scim_type().map(|name| json!(name));
        assert!(
            scim_type.is_none_or(|name| types.as_array().unwrap().contains(&name)),
            "{kind:?}"
        );
    }
}
