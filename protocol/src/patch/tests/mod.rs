//! PATCH as clients send it: a table of operations for each subject.

mod bounds;
mod elements;
mod envelope;
mod members;
mod rules;
mod tolerances;
mod values;

use serde_json::{Map, Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::profile::{Profile, Rules};
use crate::resource::tests::registry;
use crate::resource::{MemberValue, Password};
use crate::urn::{ENTERPRISE_USER as ENTERPRISE, GROUP, PATCH_OP, USER};

const EVERYTHING: &str = "urn:example:schemas:Everything";
const EXTENSION: &str = "urn:example:schemas:extension:Everything";

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

struct Case {
    registry: Registry,
    rules: Rules,
    before: Value,
    resource_type: &'static str,
}

impl Case {
    fn new(resource_type: &'static str, before: Value, profile: Profile) -> Self {
        Self {
            registry: registry(),
            rules: Rules {
                profile,
                ..Rules::default()
            },
            before,
            resource_type,
        }
    }

    /// A user with two e-mail addresses, a name and a department.
    fn user(profile: Profile) -> Self {
        let before = json!({
            "schemas": [USER, ENTERPRISE], "id": "1", "userName": "bjensen",
            "name": {"familyName": "Jensen", "givenName": "Barbara"}, "active": true,
            "emails": [{"value": "w@x", "type": "work", "primary": true}, {"value": "h@x", "type": "home"}],
            ENTERPRISE: {"department": "D"},
        });
        Self::new("User", before, profile)
    }

    fn group(profile: Profile) -> Self {
        let before = json!({"schemas": [GROUP], "id": "1", "displayName": "g"});
        Self::new("Group", before, profile)
    }

    fn everything(more: Value) -> Self {
        let mut before = json!({
            "schemas": [EVERYTHING, EXTENSION], "id": "1", "name": "n", EXTENSION: {"label": "l"},
        });
        before.as_object_mut().unwrap().extend(object(more));
        Self::new("Everything", before, Profile::Strict)
    }

    fn patch(&self, operations: &Value) -> Result<PatchOutcome> {
        let mut reading = Reading::new(&self.rules);
        let body = json!({"schemas": [PATCH_OP], "Operations": operations});
        let request = PatchRequest::parse(&object(body), &mut reading)?;
        let resource = Resource::from_canonical(object(self.before.clone()));
        let resource_type = self.registry.resource_type(self.resource_type).unwrap();
        request.apply(&resource, resource_type, &self.registry, &mut reading)
    }

    /// Checks that the operations give these members of the body; `null` for members that must be
    /// absent.
    fn gives(&self, operations: Value, expected: Value) {
        let patched = self
            .patch(&operations)
            .unwrap_or_else(|error| panic!("{operations}: {error}"));
        for (name, expected) in object(expected) {
            let found = patched.resource.body().get(&name).unwrap_or(&Value::Null);
            assert_eq!(*found, expected, "{name} after {operations}");
        }
        let unchanged = Value::Object(patched.resource.into_body()) == self.before;
        assert_eq!(patched.changed, !unchanged, "{operations}");
    }

    fn keeps(&self, operations: Value) {
        let patched = self
            .patch(&operations)
            .unwrap_or_else(|error| panic!("{operations}: {error}"));
        assert!(!patched.changed, "{operations}: {:?}", patched.resource);
        assert_eq!(Value::Object(patched.resource.into_body()), self.before);
    }

    fn refuses(&self, operations: Value, kind: ErrorKind) {
        let error = self
            .patch(&operations)
            .err()
            .unwrap_or_else(|| panic!("{operations} passes"));
        assert_eq!(error.kind(), kind, "{operations}: {error}");
    }
}

fn op(op: &str, path: &str, value: Value) -> Value {
    json!([{"op": op, "path": path, "value": value}])
}

fn remove(path: &str) -> Value {
    json!([{"op": "remove", "path": path}])
}

fn without_path(op: &str, value: Value) -> Value {
    json!([{"op": op, "value": value}])
}
