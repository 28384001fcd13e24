//! The device schemas of RFC 9944, registered by a tenant in the place of the built-in Device, and the
//! RFC's examples read by them.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::fs;
use std::path::{Path, PathBuf};

use scim_protocol::profile::{Reading, Rules};
use scim_protocol::resource::{DraftKind, Resource};
use scim_protocol::schema::Registry;
use serde_json::{Map, Value, json};

/// Read-only attributes. The examples show them as answers do; a request leaves them out.
const READ_ONLY: [&str; 3] = [
    "applicationType",
    "deviceControlEnterpriseEndpoint",
    "telemetryEnterpriseEndpoint",
];

const DEVICE: &str = "urn:ietf:params:scim:schemas:core:2.0:Device";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/device")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data().join(directory)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A tenant's registry with every schema, and every device extension at Device.
fn registry() -> Registry {
    let mut registry = Registry::builtin().clone();
    let mut extensions = Vec::new();
    for path in files("schemas") {
        let schemas = read(&path);
        for schema in schemas.as_array().unwrap_or(&vec![schemas.clone()]) {
            registry.add_schema(schema).unwrap();
            let urn = schema["id"].as_str().unwrap();
            if urn.contains(":extension:") {
                extensions.push(json!({ "schema": urn, "required": false }));
            }
        }
    }
    for mut resource_type in read(&data().join("resource-types.json"))
        .as_array()
        .unwrap()
        .clone()
    {
        if resource_type["schema"] == DEVICE {
            resource_type["schemaExtensions"] = json!(extensions);
        }
        registry.add_resource_type(&resource_type).unwrap();
    }
    registry
}

/// The parts of a given value that the stored value lacks. Null counts as no value. An object inside
/// an extension that has no such attribute is ignored.
fn missing(given: &Map<String, Value>, stored: &Map<String, Value>) -> Vec<String> {
    let members = given
        .iter()
        .filter(|(name, value)| !value.is_null() && !READ_ONLY.contains(&name.as_str()));
    let lost = members.filter(|(name, value)| match (value, stored.get(*name)) {
        (Value::Object(given), Some(Value::Object(stored))) => !missing(given, stored).is_empty(),
        (_, Some(_)) => false,
        (_, None) => !name.starts_with("urn:"),
    });
    lost.map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_examples_fit_the_schemas() {
    let registry = registry();
    let rules = Rules::default();
    let mut played = 0;
    for path in files("examples") {
        let mut example = read(&path).as_object().unwrap().clone();
        let urn = example["schemas"][0].as_str().unwrap();
        let endpoint = if urn.ends_with(":EndpointApp") {
            "EndpointApp"
        } else {
            "Devices"
        };
        let resource_type = registry.at_endpoint(endpoint).unwrap();
        let verb = DraftKind::Create { id: "7" };
        let mut reading = Reading::new(&rules);
        let draft = Resource::from_request(
            example.clone(),
            resource_type,
            &registry,
            &mut reading,
            verb,
        );
        let stored = draft.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        example.remove("meta");
        let missing = missing(&example, stored.resource.body());
        assert!(missing.is_empty(), "{}: {missing:?}", path.display());
        played += 1;
    }
    assert_eq!(played, 11);
}

#[test]
fn the_built_in_device_is_replaced() {
    let registry = registry();
    let device = registry.resource_type("Device").unwrap();
    assert_eq!(device.schema.id, DEVICE);
    assert_eq!(device.extensions.len(), 10);
    assert!(device.attribute("keySpace").is_none());
}
