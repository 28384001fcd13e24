//! A PATCH body is read or refused. Applied to a resource it is refused, or gives a canonical
//! resource, which a PUT of itself does not change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scim_protocol::json::parse_object;
use scim_protocol::patch::PatchRequest;
use scim_protocol::profile::{Reading, Rules};
use scim_protocol::resource::{Resource, DraftKind};
use scim_protocol::schema::Registry;

const USER: &str = r#"{
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "1", "userName": "bjensen",
    "name": {"familyName": "Jensen", "givenName": "Barbara"}, "active": true,
    "emails": [{"value": "w@x", "type": "work", "primary": true}, {"value": "h@x", "type": "home"}]
}"#;

const GROUP: &str = r#"{
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "id": "1", "displayName": "g"
}"#;

fuzz_target!(|body: &[u8]| {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let Ok(body) = parse_object(body) else {
        return;
    };
    let Ok(request) = PatchRequest::parse(&body, &mut reading) else {
        return;
    };
    let registry = Registry::builtin();
    for (name, text) in [("User", USER), ("Group", GROUP)] {
        let resource_type = registry.resource_type(name).expect("the type is built in");
        let resource = Resource::from_text(text).expect("the text is JSON");
        let Ok(patched) = request.apply(&resource, resource_type, registry, &mut reading) else {
            continue;
        };
        assert_eq!(patched.changed, patched.resource != resource);
        let verb = DraftKind::Replace {
            existing: &patched.resource,
        };
        let body = patched.resource.body().clone();
        let again = Resource::from_request(body, resource_type, registry, &mut reading, verb)
            .expect("a canonical body is a body");
        assert_eq!(again.resource, patched.resource);
    }
});
