use serde_json::json;

use super::*;
use crate::schema::Uniqueness;
use crate::urn;

#[test]
fn the_embedded_registry_loads() {
    let registry = Registry::builtin();
    let user = registry.at_endpoint("Users").unwrap();
    assert_eq!(user.name, "User");
    assert!(
        user.attribute("USERNAME")
            .is_some_and(|attribute| attribute.required)
    );
    assert!(
        user.attribute("id")
            .is_some_and(|attribute| attribute.case_exact)
    );
    let first = user.indexes.first().unwrap();
    assert_eq!((first.path(), first.unique), ("userName", true));
    assert_eq!(first.state, IndexState::Active);
    assert_eq!(registry.at_endpoint("uSERS").unwrap().name, "User");
    assert!(registry.at_endpoint("user").is_none());
}

#[test]
fn the_types_of_groups_and_members_are_known() {
    let check = |registry: &Registry| {
        assert_eq!(registry.group_type().unwrap().name, "Group");
        assert_eq!(registry.default_member_type().unwrap().name, "User");
        let members: Vec<_> = registry.member_types().map(|found| &*found.name).collect();
        assert_eq!(members, ["User", "Group"]);
    };
    let mut registry = Registry::builtin().clone();
    check(&registry);
    let user = registry.resource_type("User").unwrap().published.clone();
    registry.add_resource_type(&Value::Object(user)).unwrap();
    let thing = json!({"name": "Thing", "endpoint": "/Things", "schema": urn::ROLE});
    registry.add_resource_type(&thing).unwrap();
    check(&registry);
}

#[test]
fn a_device_of_another_schema_replaces_the_built_in_one() {
    let mut registry = Registry::builtin().clone();
    let urn = "urn:ietf:params:scim:schemas:core:2.0:Device";
    let attributes = json!([{"name": "active", "type": "boolean"}]);
    let schema = json!({"id": urn, "name": "Device", "attributes": attributes});
    registry.add_schema(&schema).unwrap();
    let device = |name: &str| json!({"name": name, "endpoint": "/Devices", "schema": urn});
    assert!(registry.add_resource_type(&device("Thing")).is_err());
    let old = registry.add_resource_type(&device("Device")).unwrap();
    assert_eq!(old.unwrap().schema.id, urn::DEVICE);
    let device = registry.at_endpoint("Devices").unwrap();
    assert_eq!(device.schema.id, urn);
    assert!(device.attribute("keySpace").is_none());
    assert!(registry.schema(urn::DEVICE).is_none());
    let role = json!({"name": "Role", "endpoint": "/Roles", "schema": urn});
    assert!(registry.add_resource_type(&role).is_err());
}

#[test]
fn devices_and_roles_have_their_indexes() {
    let check = |name: &str, expected: &[(&str, bool)]| {
        let found = Registry::builtin().resource_type(name).unwrap();
        let indexes = found.indexes.iter();
        let indexes: Vec<_> = indexes.map(|index| (index.path(), index.unique)).collect();
        assert_eq!(indexes, expected, "{name}");
    };
    check("Device", &[("userId", false), ("displayName", false)]);
    check("Role", &[("name", true)]);
}

#[test]
fn indexes_know_whether_a_resource_can_have_several_values() {
    let mut registry = Registry::builtin().clone();
    registry.index_last_modified(|_| true);
    let user = registry.resource_type("User").unwrap();
    let check = |path: &str, multi_valued: bool, required: bool| {
        let index = user.index(path).unwrap();
        let found = (index.path(), index.multi_valued, index.required);
        assert_eq!(found, (path, multi_valued, required));
    };
    check("userName", false, true);
    check("externalId", false, false);
    check("emails.value", true, false);
    check(Index::LAST_MODIFIED, false, false);
    assert!(user.index("title").is_none());
    assert!(user.index("emails").is_none());
    registry.mark_building("User", "externalId");
    let user = registry.resource_type("User").unwrap();
    assert!(user.index("externalId").is_none());
    assert!(
        user.indexes
            .iter()
            .any(|index| index.path() == "externalId")
    );
}

#[test]
fn a_boolean_is_indexed_but_not_used_by_queries() {
    let mut registry = Registry::builtin().clone();
    let attributes = json!([{"name": "on", "type": "boolean", "indexed": true}]);
    let schema = json!({"id": "urn:example:Lamp", "name": "Lamp", "attributes": attributes});
    registry.add_schema(&schema).unwrap();
    let lamp = json!({"name": "Lamp", "endpoint": "/Lamps", "schema": "urn:example:Lamp"});
    registry.add_resource_type(&lamp).unwrap();
    let lamp = registry.resource_type("Lamp").unwrap();
    assert!(lamp.indexes.iter().any(|index| index.path() == "on"));
    assert!(lamp.index("on").is_none());
}

#[test]
fn paths_split_at_the_longest_urn() {
    let user = Registry::builtin().resource_type("User").unwrap();
    let check = |text: &str, extended: bool, rest: &str| {
        let (extension, found) = user.split_urn(text).unwrap();
        assert_eq!((extension.is_some(), found), (extended, rest), "{text}");
    };
    check(
        "urn:ietf:params:scim:schemas:core:2.0:User:userName",
        false,
        "userName",
    );
    check(
        "URN:IETF:params:scim:schemas:extension:enterprise:2.0:user:manager.value",
        true,
        "manager.value",
    );
    check(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        true,
        "",
    );
    check(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department",
        true,
        "department",
    );
    assert!(user.split_urn("userName").is_none());
    assert!(
        user.split_urn("urn:ietf:params:scim:schemas:core:2.0:Users:userName")
            .is_none()
    );
}

#[test]
fn a_bad_schema_is_refused_with_its_place() {
    let check = |schema: Value, part: &str| {
        let error = Schema::from_json(&schema).unwrap_err();
        assert!(error.detail().contains(part), "{}", error.detail());
    };
    check(json!([]), "JSON object");
    check(json!({"id": "x", "name": "X", "attributes": []}), "URN");
    let with =
        |attribute: Value| json!({"id": "urn:example:X", "name": "X", "attributes": [attribute]});
    check(
        with(json!({"name": "a", "type": "money"})),
        "allowed are string",
    );
    check(with(json!({"name": "1a"})), "not an attribute name");
    check(
        with(json!({"name": "a", "type": "complex"})),
        "subAttributes",
    );
    let nested = json!({"name": "b", "type": "complex", "subAttributes": []});
    check(
        with(json!({"name": "a", "type": "complex", "subAttributes": [nested]})),
        "inside a complex",
    );
}

#[test]
fn characteristics_that_are_left_out_get_their_defaults() {
    let schema =
        json!({"id": "urn:example:X", "name": "X", "attributes": [{"name": "a", "color": "red"}]});
    let schema = Schema::from_json(&schema).unwrap();
    assert_eq!(
        schema.published["attributes"][0],
        json!({"name": "a", "color": "red", "type": "string", "multiValued": false, "required": false,
               "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none"})
    );
}

#[test]
fn keywords_of_device_schemas_are_read() {
    let address = json!({"name": "address", "type": "String", "uniqueness": "Manufacturer"});
    let link = json!({"name": "link", "type": "reference", "referenceTypes": "Apps"});
    let schema = json!({"id": "urn:example:X", "name": "X", "attributes": [address, link]});
    let schema = Schema::from_json(&schema).unwrap();
    assert_eq!(schema.attributes[0].uniqueness, Uniqueness::None);
    assert_eq!(schema.published["attributes"][0]["uniqueness"], "none");
    assert_eq!(schema.attributes[1].reference_types, ["Apps"]);
    let mark = Schema::from_json(&json!({"id": "urn:example:Y", "name": "Y"})).unwrap();
    assert!(mark.attributes.is_empty());
    assert_eq!(mark.published["attributes"], json!([]));
}

#[test]
fn a_reserved_or_taken_endpoint_is_refused() {
    let mut registry = Registry::builtin().clone();
    let mut check = |name: &str, endpoint: &str, schema: &str| {
        let value = json!({"name": name, "endpoint": endpoint, "schema": schema});
        assert!(registry.add_resource_type(&value).is_err(), "{value}");
    };
    check("Thing", "/Bulk", urn::USER);
    check("Thing", "/Users", urn::USER);
    check("Thing", "/a/b", urn::USER);
    check("Thing", "/Things", "urn:example:none");
    check("a#b", "/Things", urn::USER);
}
