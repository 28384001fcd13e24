//! Resource types that a tenant registered itself, used like the built-in ones: a type with every
//! kind of attribute, and the devices of RFC 9944.

use std::fs;
use std::path::{Path, PathBuf};

use scim_lambda::identity::TenantId;
use scim_lambda::protocol::ErrorKind;
use serde_json::{Value, json};

use crate::support::{self, Answer, Server};

const TEST: &str = "urn:ietf:params:scim:schemas:test:2.0:TestResource";
const EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:test:2.0:TestResource";
const DEVICE: &str = "urn:ietf:params:scim:schemas:core:2.0:Device";

fn kept(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn objects(path: &Path) -> Vec<Value> {
    match serde_json::from_slice(&fs::read(path).unwrap()).unwrap() {
        Value::Array(objects) => objects,
        object => vec![object],
    }
}

fn files(path: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(kept(path)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// A service whose tenant has registered these.
async fn server(schemas: &[Value], resource_types: &[Value]) -> Server {
    let server = Server::start().await;
    let service = server.stack.service();
    let acme = TenantId::parse("acme").unwrap();
    for schema in schemas {
        service.provider.add_schema(&acme, schema).await.unwrap();
    }
    for resource_type in resource_types {
        let added = service.provider.add_resource_type(&acme, resource_type);
        assert_eq!(added.await.unwrap().building, [""; 0]);
    }
    server
}

async fn test_resources() -> Server {
    let schemas = objects(&kept("tests/conformance/test-resource-schemas.json"));
    let types = objects(&kept("tests/conformance/test-resource-types.json"));
    server(&schemas, &types).await
}

fn resource(identifier: &str) -> Value {
    json!({
        "schemas": [TEST, EXTENSION],
        "identifier": identifier,
        "externalId": format!("external-{identifier}"),
        "caseExactString": "Exact",
        "caseInsensitiveString": "Inexact",
        "integerAttr": 7,
        "booleanAttr": true,
        "dateTimeAttr": "2011-05-13T04:42:34Z",
        "binaryAttr": "aGVsbG8=",
        "referenceAttr": "https://example.com/one",
        "immutableAttr": "fixed",
        "writeOnlyAttr": "secret",
        "requestOnlyAttr": "on request",
        "alwaysReturnedAttr": "always",
        "multiStrings": ["one", "two"],
        "complexAttr": {"sub1": "a", "sub2": 1, "sub3": false},
        "multiComplex": [{"value": "v", "type": "t", "primary": true}],
        "uniqueString": format!("unique-{identifier}"),
        EXTENSION: {"extRequired": "required", "extString": "s", "extInteger": 3},
    })
}

impl Answer {
    /// The identifiers of a list.
    fn identifiers(&self) -> Vec<&str> {
        let resources = self.json["Resources"].as_array().unwrap().iter();
        resources
            .map(|resource| resource["identifier"].as_str().unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_registered_type_takes_every_verb() {
    let server = test_resources().await;
    let created = server
        .send("POST", "/scim/v2/TestResources", Some(&resource("a")))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = created.header("location").to_owned();
    let path = path.strip_prefix(support::ORIGIN).unwrap();
    let mut expected = resource("a");
    let shown = expected.as_object_mut().unwrap();
    shown.remove("writeOnlyAttr");
    let kept = shown.remove("requestOnlyAttr");
    let read = server.send("GET", path, None).await;
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(read.json[name], *value, "{name}");
    }
    assert_eq!(read.json["meta"]["resourceType"], "TestResource");
    assert!(read.json.get("requestOnlyAttr").is_none());
    assert!(read.json.get("writeOnlyAttr").is_none());
    let asked = format!("{path}?attributes=requestOnlyAttr");
    let asked = server.send("GET", &asked, None).await;
    assert_eq!(asked.json["requestOnlyAttr"], kept.unwrap());
    assert_eq!(asked.json["alwaysReturnedAttr"], "always");
    assert!(asked.json.get("identifier").is_none());

    let again = server
        .send("POST", "/scim/v2/TestResources", Some(&resource("A")))
        .await;
    again.check_error(409, Some("uniqueness"));
    let mut changed = resource("b");
    changed["immutableAttr"] = json!("other");
    let refused = server.send("PUT", path, Some(&changed)).await;
    refused.check_error(400, Some("mutability"));
    let replaced = server.send("PUT", path, Some(&resource("b"))).await;
    assert_eq!(replaced.json["identifier"], "b");
    assert_eq!(server.send("DELETE", path, None).await.status, 204);
    server.send("GET", path, None).await.check_error(404, None);
}

#[tokio::test]
async fn a_registered_type_is_patched_in_every_part() {
    let server = test_resources().await;
    let id = server
        .create("/scim/v2/TestResources", &resource("a"))
        .await;
    let path = format!("/scim/v2/TestResources/{id}");
    let check = async |operation: Value, pointer: &str, expected: Value| {
        let body = json!({"Operations": [operation]});
        let patched = server.send("PATCH", &path, Some(&body)).await;
        assert_eq!(patched.status, 200, "{body} {}", patched.text);
        let found = patched.json.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(*found, expected, "{body}");
    };
    let set = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
    let remove = |path: &str| json!({"op": "remove", "path": path});
    check(set("integerAttr", json!(8)), "/integerAttr", json!(8)).await;
    check(
        set("complexAttr.sub2", json!(2)),
        "/complexAttr",
        json!({"sub1": "a", "sub2": 2, "sub3": false}),
    )
    .await;
    check(remove("complexAttr.sub1"), "/complexAttr/sub1", Value::Null).await;
    let add = json!({"op": "add", "path": "multiStrings", "value": ["two", "three"]});
    check(add, "/multiStrings", json!(["one", "two", "three"])).await;
    check(
        set("multiComplex[type eq \"t\"].value", json!("w")),
        "/multiComplex/0/value",
        json!("w"),
    )
    .await;
    check(
        remove("multiComplex[value eq \"w\"]"),
        "/multiComplex",
        Value::Null,
    )
    .await;
    let extension = format!("{EXTENSION}:extInteger");
    let pointer = format!("/{EXTENSION}/extInteger");
    check(set(&extension, json!(4)), &pointer, json!(4)).await;
    let required = remove(&format!("{EXTENSION}:extRequired"));
    for wrong in [
        required,
        remove("identifier"),
        set("readOnlyAttr", json!("x")),
    ] {
        let body = json!({"Operations": [wrong]});
        assert_eq!(
            server.send("PATCH", &path, Some(&body)).await.status,
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_registered_type_is_searched_by_every_kind_of_attribute() {
    let server = test_resources().await;
    for (identifier, number) in [("a", 1), ("b", 2), ("c", 3)] {
        let mut body = resource(identifier);
        body["integerAttr"] = json!(number);
        body["booleanAttr"] = json!(number == 2);
        body["multiStrings"] = json!([identifier, "all"]);
        body["dateTimeAttr"] = json!(format!("2011-05-1{number}T00:00:00Z"));
        server.create("/scim/v2/TestResources", &body).await;
    }
    let check = async |query: &str, expected: &[&str]| {
        let query = query.replace(' ', "%20").replace('"', "%22");
        let path = format!("/scim/v2/TestResources?{query}");
        let list = server.send("GET", &path, None).await;
        assert_eq!(list.status, 200, "{query} {}", list.text);
        assert_eq!(list.identifiers(), expected, "{query}");
    };
    check("filter=identifier eq \"B\"", &["b"]).await;
    check(
        "filter=uniqueString sw \"UNIQUE-\"&sortBy=uniqueString&sortOrder=descending",
        &["c", "b", "a"],
    )
    .await;
    check("filter=externalId eq \"external-c\"", &["c"]).await;
    check("filter=caseExactString eq \"exact\"", &[]).await;
    check(
        "filter=caseInsensitiveString eq \"inexact\"&count=1&startIndex=2",
        &["b"],
    )
    .await;
    check("filter=integerAttr gt 1 and booleanAttr eq false", &["c"]).await;
    check(
        "filter=dateTimeAttr lt \"2011-05-12T01:00:00%2B01:00\"",
        &["a"],
    )
    .await;
    check("filter=multiStrings eq \"b\"", &["b"]).await;
    check(
        "filter=complexAttr.sub2 ge 1 and multiComplex[type eq \"t\" and primary eq true]",
        &["a", "b", "c"],
    )
    .await;
    check(
        &format!("filter={EXTENSION}:extInteger eq 3 and not (integerAttr eq 2)"),
        &["a", "c"],
    )
    .await;
    check("sortBy=integerAttr&sortOrder=descending", &["c", "b", "a"]).await;
    let search = json!({"filter": "integerAttr le 2", "attributes": ["identifier"]});
    let found = server
        .send("POST", "/scim/v2/TestResources/.search", Some(&search))
        .await;
    assert_eq!(found.identifiers(), ["a", "b"]);
}

#[tokio::test]
async fn a_registered_type_is_part_of_bulk_requests_and_of_1_1() {
    let mut server = test_resources().await;
    let post = |name: &str| json!({"method": "POST", "path": "/TestResources", "bulkId": name, "data": resource(name)});
    let operations = json!([post("a"), post("A"), {"method": "DELETE", "path": "/TestResources/bulkId:a"}, post("b")]);
    let bulk = json!({ "Operations": operations });
    let done = server.send("POST", "/scim/v2/Bulk", Some(&bulk)).await;
    let statuses = done.json["Operations"].as_array().unwrap().iter();
    let statuses: Vec<_> = statuses
        .map(|done| done["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["201", "409", "204", "201"]);
    let list = server.send("GET", "/scim/v1/TestResources", None).await;
    assert_eq!(list.identifiers(), ["b"]);
    let id = list.json["Resources"][0]["id"].as_str().unwrap();
    let path = format!("/scim/v1/TestResources/{id}");
    let patch =
        json!({"integerAttr": 9, "meta": {"attributes": ["booleanAttr", "complexAttr.sub1"]}});
    let patched = server.send("PATCH", &path, Some(&patch)).await.json;
    assert_eq!(patched["integerAttr"], 9);
    assert!(patched.get("booleanAttr").is_none());
    assert_eq!(patched["complexAttr"], json!({"sub2": 1, "sub3": false}));
    let schema = server
        .send("GET", "/scim/v1/Schemas/TestResource", None)
        .await;
    assert_eq!(schema.json["endpoint"], "/TestResources");
    server.token = server
        .issue("acme", |new| {
            new.permissions = scim_lambda::tenant::Permissions::of_credential(["resources:read"]);
        })
        .await;
    assert_eq!(server.send("GET", &path, None).await.status, 200);
    let refused = server.send("DELETE", &path, None).await;
    assert!(refused.status == 403 && refused.text.contains("resources:delete"));
}

/// Every schema of RFC 9944, every extension at Device.
async fn devices() -> Server {
    let schemas: Vec<_> = files("protocol/tests/data/device/schemas")
        .iter()
        .flat_map(|path| objects(path))
        .collect();
    let urns = schemas.iter().map(|schema| schema["id"].as_str().unwrap());
    let extensions: Vec<_> = urns
        .filter(|urn| urn.contains(":extension:"))
        .map(|urn| json!({"schema": urn, "required": false}))
        .collect();
    let mut types = objects(&kept("protocol/tests/data/device/resource-types.json"));
    for resource_type in types.iter_mut().filter(|found| found["schema"] == DEVICE) {
        resource_type["schemaExtensions"] = json!(extensions);
    }
    server(&schemas, &types).await
}

#[tokio::test]
async fn the_devices_of_rfc_9944_take_every_verb() {
    let server = devices().await;
    for path in files("protocol/tests/data/device/examples") {
        let example = objects(&path).remove(0);
        let urn = example["schemas"][0].as_str().unwrap();
        let endpoint = match urn.ends_with(":EndpointApp") {
            true => "EndpointApp",
            false => "Devices",
        };
        let name = path.file_name().unwrap().to_string_lossy();
        let id = server
            .create(&format!("/scim/v2/{endpoint}"), &example)
            .await;
        let one = format!("/scim/v2/{endpoint}/{id}");
        let read = server.send("GET", &one, None).await;
        assert_eq!(read.status, 200, "{name}: {}", read.text);
        let put = server.send("PUT", &one, Some(&read.json)).await;
        assert_eq!(put.status, 200, "{name}: {}", put.text);
        assert_eq!(put.header("etag"), read.header("etag"), "{name}");
        let list = server
            .send("GET", &format!("/scim/v2/{endpoint}"), None)
            .await;
        assert_eq!(list.json["Resources"][0]["id"], json!(id), "{name}");
        assert_eq!(server.send("DELETE", &one, None).await.status, 204);
    }
    let types = server
        .send("GET", "/scim/v2/ResourceTypes/Device", None)
        .await;
    assert_eq!(types.json["schema"], DEVICE);
    let schema = format!("/scim/v2/Schemas/{DEVICE}");
    assert_eq!(server.send("GET", &schema, None).await.status, 200);
}

#[tokio::test]
async fn a_configuration_that_is_too_large_is_not_registered() {
    let server = Server::start().await;
    let provider = &server.stack.service().provider;
    let acme = TenantId::parse("acme").unwrap();
    let schema = |number: usize, length: usize| {
        json!({
            "id": format!("urn:example:Thing{number}"),
            "name": "Thing",
            "description": "x".repeat(length),
            "attributes": [{"name": "title", "type": "string"}],
        })
    };
    let refused = provider.add_schema(&acme, &schema(0, 300_000)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PayloadTooLarge);
    assert!(refused.detail().contains("300000"), "{refused}");
    for number in 0..4 {
        let added = provider.add_schema(&acme, &schema(number, 240_000)).await;
        assert_eq!(added.unwrap().name, format!("urn:example:Thing{number}"));
    }
    let refused = provider.add_schema(&acme, &schema(4, 240_000)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PayloadTooLarge);
    assert!(refused.detail().contains("1000000"), "{refused}");
    let resource_type = json!({
        "name": "Thing", "endpoint": "/Things", "schema": "urn:example:Thing0",
        "description": "x".repeat(240_000),
    });
    let refused = provider.add_resource_type(&acme, &resource_type).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    let config = provider.config(&acme).await.unwrap();
    assert_eq!((config.schemas.len(), config.building.len()), (4, 0));
    // A later form takes the place of the earlier one.
    let mut again = resource_type.clone();
    again["description"] = json!("x".repeat(30_000));
    for _ in 0..2 {
        provider.add_resource_type(&acme, &again).await.unwrap();
    }
}

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const IONIC: &str = "urn:ietf:params:scim:schemas:extension:ionic:2.0:User";
const BADGE: &str = "urn:example:Badge";

/// The resource type of users with these extensions.
fn users_with(extensions: &[&str]) -> Value {
    let listed = extensions.iter().map(|urn| json!({"schema": urn}));
    json!({
        "name": "User", "endpoint": "/Users",
        "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
        "schemaExtensions": listed.collect::<Vec<_>>(),
    })
}

/// A service whose tenant has a schema for badges, which no type uses yet.
async fn with_badge() -> Server {
    let badge = json!({"id": BADGE, "name": "Badge", "attributes": [
        {"name": "number", "type": "string"},
    ]});
    server(&[badge], &[]).await
}

#[tokio::test]
async fn a_type_keeps_the_extensions_that_it_has() {
    let server = with_badge().await;
    let provider = &server.stack.service().provider;
    let acme = TenantId::parse("acme").unwrap();
    let mut unlisted = users_with(&[]);
    unlisted.as_object_mut().unwrap().remove("schemaExtensions");
    for (left, omitted) in [
        (users_with(&[BADGE]), ENTERPRISE),
        (users_with(&[ENTERPRISE, BADGE]), IONIC),
        (users_with(&[]), ENTERPRISE),
        (unlisted, ENTERPRISE),
    ] {
        let refused = provider.add_resource_type(&acme, &left).await.unwrap_err();
        assert_eq!(refused.status(), 400);
        assert!(refused.detail().contains(omitted), "{refused}");
    }
    for all in [
        users_with(&[BADGE, IONIC, &ENTERPRISE.to_uppercase()]),
        users_with(&[ENTERPRISE, IONIC, BADGE]),
    ] {
        provider.add_resource_type(&acme, &all).await.unwrap();
        assert_eq!(provider.omitted_extensions(&acme, &all).await.unwrap(), []);
    }
    // What was added has to stay as well.
    let less = users_with(&[ENTERPRISE, IONIC]);
    let refused = provider.add_resource_type(&acme, &less);
    assert!(refused.await.unwrap_err().detail().contains(BADGE));
}

#[tokio::test]
async fn losses_with_an_extension_are_counted() {
    let server = with_badge().await;
    let provider = &server.stack.service().provider;
    let acme = TenantId::parse("acme").unwrap();
    // More users than one page has.
    for number in 0..120 {
        let mut user = json!({"userName": format!("u{number}"), IONIC: {"domainUpn": "x"}});
        if number >= 118 {
            user[ENTERPRISE] = json!({"department": "Tours", "costCenter": "1"});
        }
        server.create("/scim/v2/Users", &user).await;
    }
    let less = users_with(&[BADGE]);
    let lost = provider.omitted_extensions(&acme, &less).await.unwrap();
    let lost: Vec<_> = lost
        .iter()
        .map(|found| (found.extension.as_str(), found.resources, found.attributes))
        .collect();
    assert_eq!(lost, [(ENTERPRISE, 2, 4), (IONIC, 120, 120)]);
    let one = [IONIC.to_owned()];
    let refused = provider.replace_resource_type(&acme, &less, &one).await;
    assert!(refused.unwrap_err().detail().contains(ENTERPRISE));
    let both = [IONIC.to_uppercase(), ENTERPRISE.to_owned()];
    let replaced = provider.replace_resource_type(&acme, &less, &both);
    replaced.await.unwrap();
    let types = provider.config(&acme).await.unwrap().resource_types;
    assert_eq!(types, [less]);
}
