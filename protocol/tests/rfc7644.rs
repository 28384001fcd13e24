//! The examples of RFC 7644 §3.5.1 and §3.5.2, in every profile that allows them.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::fs;
use std::path::Path;

use scim_protocol::patch::{MemberOp, PatchRequest};
use scim_protocol::profile::{Profile, Reading, Rules};
use scim_protocol::resource::{DraftKind, MemberValue, Resource, ResourceId};
use scim_protocol::schema::Registry;
use serde_json::{Map, Value, json};

#[test]
fn patch_examples_have_the_documented_result() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfc7644");
    let mut played = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let example: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for profile in [Profile::Default, Profile::Strict] {
            play(&example, profile, &path);
        }
        played += 1;
    }
    assert_eq!(played, 11);
}

fn play(example: &Value, profile: Profile, path: &Path) {
    let registry = Registry::builtin();
    let resource_type = registry
        .resource_type(example["resourceType"].as_str().unwrap())
        .unwrap();
    let rules = Rules {
        profile,
        ..Rules::default()
    };
    let mut reading = Reading::new(&rules);
    let request = PatchRequest::parse(object(&example["request"]), &mut reading).unwrap();
    let given = Resource::from_canonical(object(&example["given"]).clone());
    let patched = request
        .apply(&given, resource_type, registry, &mut reading)
        .unwrap();
    let path = path.display();
    assert_eq!(
        Value::Object(patched.resource.into_body()),
        example["expect"],
        "{path}"
    );
    assert_eq!(patched.changed, example["given"] != example["expect"]);
    let members: Vec<_> = patched.members.iter().map(described).collect();
    assert_eq!(Value::Array(members), example["members"], "{path}");
}

fn described(op: &MemberOp) -> Value {
    let list = |members: &[MemberValue]| -> Value {
        let one = |member: &MemberValue| json!({"value": member.value.as_str(), "display": member.display});
        members.iter().map(one).collect()
    };
    match op {
        MemberOp::Add(members) => json!({"add": list(members)}),
        MemberOp::ReplaceAll(members) => json!({"replaceAll": list(members)}),
        MemberOp::Remove(ids) => {
            let ids: Vec<_> = ids.iter().map(ResourceId::as_str).collect();
            json!({"remove": ids})
        }
        MemberOp::RemoveMatching(_) => json!("removeMatching"),
        MemberOp::Clear => json!("clear"),
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// The request and the answer of §3.5.1, the answer without `meta`.
#[test]
fn the_put_example_has_the_documented_result() {
    let registry = Registry::builtin();
    let user = registry.resource_type("User").unwrap();
    let id = "2819c223-7f76-453a-919d-413861904646";
    let existing = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": id, "userName": "bjensen",
        "title": "Tour Guide", "roles": [{"value": "guide"}],
    });
    let mut request = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": id,
        "userName": "bjensen", "externalId": "bjensen",
        "name": {"formatted": "Ms. Barbara J Jensen III", "familyName": "Jensen",
                 "givenName": "Barbara", "middleName": "Jane"},
        "roles": [],
        "emails": [{"value": "bjensen@example.com"}, {"value": "babs@jensen.org"}],
    });
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let rules = Rules {
            profile,
            ..Rules::default()
        };
        let existing = Resource::from_canonical(object(&existing).clone());
        let draft = Resource::from_request(
            object(&request).clone(),
            user,
            registry,
            &mut Reading::new(&rules),
            DraftKind::Replace {
                existing: &existing,
            },
        );
        let replaced = Value::Object(draft.unwrap().resource.into_body());
        request.as_object_mut().unwrap().remove("roles");
        assert_eq!(replaced, request);
    }
}
