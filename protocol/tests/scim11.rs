//! PATCH and the merging PUT of SCIM 1.1, translated and then applied to resources.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use scim_protocol::patch::{MemberOp, PatchOutcome, PatchRequest};
use scim_protocol::profile::{Reading, Rules};
use scim_protocol::resource::{DraftKind, Resource};
use scim_protocol::schema::{Registry, ResourceType};
use scim_protocol::v1::{self, Dialect, View};
use serde_json::{Map, Value, json};

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn resource_type(name: &str) -> &'static ResourceType {
    Registry::builtin().resource_type(name).unwrap()
}

/// A stored resource, from how a 1.1 client would create it.
fn stored(view: View<'_>, body: &Value) -> Resource {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let body = v1::request(view, object(body)).unwrap().body;
    let registry = Registry::builtin();
    let verb = DraftKind::Create { id: "7" };
    Resource::from_request(body, view.resource_type, registry, &mut reading, verb)
        .unwrap()
        .resource
}

fn apply(view: View<'_>, given: &Value, message: &Map<String, Value>) -> PatchOutcome {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let request = PatchRequest::parse(message, &mut reading).unwrap();
    let registry = Registry::builtin();
    request
        .apply(
            &stored(view, given),
            view.resource_type,
            registry,
            &mut reading,
        )
        .unwrap()
}

/// The resource of type `name` after a PATCH, as a 1.1 client reads it, without `schemas` and `id`.
fn patched(name: &str, given: &Value, body: &Value) -> Value {
    let view = View {
        dialect: Dialect::General,
        resource_type: resource_type(name),
    };
    let rules = Rules::default();
    let message = v1::patch(view, object(body), &mut Reading::new(&rules)).unwrap();
    read(view, apply(view, given, &message))
}

fn read(view: View<'_>, patched: PatchOutcome) -> Value {
    let mut answer = v1::answer(view, patched.resource.into_body());
    answer.remove("schemas");
    answer.remove("id");
    Value::Object(answer)
}

#[test]
fn elements_are_merged_by_their_value() {
    let check = |emails: Value, expected: Value| {
        let given = json!({"userName": "a", "emails": [
            {"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "home"}]});
        let after = patched("User", &given, &json!({ "emails": emails }));
        assert_eq!(after["emails"], expected);
    };
    check(
        json!([{"value": "b@x", "primary": true}]),
        json!([{"value": "a@x", "type": "work", "primary": false}, {"value": "b@x", "type": "home", "primary": true}]),
    );
    check(
        json!([{"type": "other", "value": "c@x"}, "d@x"]),
        json!([{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "home"},
               {"value": "c@x", "type": "other"}, {"value": "d@x"}]),
    );
    check(
        json!(["a@x", {"value": "b@x", "type": "other"}]),
        json!([{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "other"}]),
    );
    check(
        json!([{"value": "a@x", "operation": "delete"}, {"value": "z@x", "operation": "delete"}]),
        json!([{"value": "b@x", "type": "home"}]),
    );
    check(
        json!([{"value": "a@x", "operation": "delete"}, {"value": "a@x", "type": "home"}]),
        json!([{"value": "b@x", "type": "home"}, {"value": "a@x", "type": "home"}]),
    );
}

#[test]
fn an_address_is_deleted_and_added() {
    let body: Value = serde_json::from_str(include_str!("data/scim11/patch-address.json")).unwrap();
    let mut address = body["addresses"][0].clone();
    address.as_object_mut().unwrap().remove("operation");
    let other = json!({"type": "home", "locality": "Hollywood"});
    let given = json!({"userName": "a", "addresses": [address, other]});
    let after = patched("User", &given, &body);
    let streets = after["addresses"].as_array().unwrap();
    assert_eq!(streets.len(), 2);
}

#[test]
fn singular_and_complex_attributes_are_merged() {
    let urn = "urn:scim:schemas:extension:enterprise:1.0";
    let given = json!({"userName": "a", "nickName": "n", "title": "t",
        "name": {"givenName": "G", "familyName": "F", "formatted": "G F"},
        urn: {"department": "d", "costCenter": "c", "manager": {"managerId": "1"}}});
    let body = json!({"meta": {"attributes": ["nickName", "name.formatted", format!("{urn}:costCenter")]},
        "displayName": "D", "name": {"familyName": "H"}, "title": null,
        urn: {"manager": {"managerId": "2"}}});
    assert_eq!(
        patched("User", &given, &body),
        json!({"userName": "a", "displayName": "D", "name": {"givenName": "G", "familyName": "H"},
               urn: {"department": "d", "manager": {"managerId": "2"}}})
    );
}

#[test]
fn an_empty_patch_changes_nothing() {
    let given = json!({"userName": "a", "title": "t"});
    assert_eq!(patched("User", &given, &json!({"id": "8"})), given);
}

#[test]
fn simple_lists_are_merged() {
    let given = json!({"name": "R", "scopes": ["users:read", "users:list"]});
    let body = json!({"scopes": ["groups:read", "users:read", {"value": "users:list", "operation": "delete"}]});
    assert_eq!(
        patched("Role", &given, &body)["scopes"],
        json!(["users:read", "groups:read"])
    );
}

#[test]
fn members_join_and_leave() {
    let view = View {
        dialect: Dialect::Ionic,
        resource_type: resource_type("Group"),
    };
    let ops = |body: &Value| {
        let rules = Rules::default();
        let message = v1::patch(view, object(body), &mut Reading::new(&rules)).unwrap();
        apply(view, &json!({"displayName": "G"}), &message).members
    };
    let swap: Value =
        serde_json::from_str(include_str!("data/scim11/patch-swap-member.json")).unwrap();
    let swapped = ops(&swap);
    assert!(
        matches!(&swapped[..], [MemberOp::Remove(gone), MemberOp::Add(new)]
        if gone.len() == 1 && new.len() == 1)
    );
    let replace: Value =
        serde_json::from_str(include_str!("data/scim11/patch-replace-members.json")).unwrap();
    assert!(matches!(&ops(&replace)[..], [MemberOp::ReplaceAll(all)] if all.len() == 2));
    let clear: Value =
        serde_json::from_str(include_str!("data/scim11/patch-remove-members.json")).unwrap();
    assert!(matches!(&ops(&clear)[..], [MemberOp::Clear]));
}

#[test]
fn a_put_of_the_ionic_api_leaves_the_rest_alone() {
    let view = View {
        dialect: Dialect::Ionic,
        resource_type: resource_type("Device"),
    };
    let given = json!({"name": "N", "status": true, "os": "linux", "plugin": "p",
        "source": {"name": "s", "tenant": "t"}, "subjectAttributes": [{"type": "a", "value": "b"}],
        "enrollmentAssertion": {"userId": "7", "userAttributes": {"x": 1}}});
    let body = json!({"schemas": ["urn:scim:schemas:core:1.0"], "name": "M", "status": false, "plugin": "",
        "source": {"name": "z"}, "subjectAttributes": null});
    let rules = Rules::default();
    let message = v1::merging_put(view, object(&body), &mut Reading::new(&rules)).unwrap();
    assert_eq!(
        read(view, apply(view, &given, &message)),
        json!({"name": "M", "status": false, "os": "linux", "source": {"name": "z"},
               "enrollmentAssertion": {"userId": "7", "userAttributes": {"x": 1}}})
    );
}

/// The same attributes, written in one view and read in the same view.
#[test]
fn resources_written_in_1_1_are_read_in_1_1() {
    let text = include_str!("data/scim11/enterprise-user.json");
    let given: Value = serde_json::from_str(text).unwrap();
    let view = View {
        dialect: Dialect::General,
        resource_type: resource_type("User"),
    };
    let answer = v1::answer(view, stored(view, &given).into_body());
    for (name, value) in given.as_object().unwrap() {
        match name.as_str() {
            "id" | "meta" | "groups" | "password" => {}
            name => assert_eq!(answer.get(name), Some(value), "{name}"),
        }
    }
}
