use serde_json::{Map, Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::profile::{Profile, Rules};
use crate::urn::{ENTERPRISE_USER as ENTERPRISE, GROUP, USER};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

/// A registry with a type that has every kind and characteristic, and a required extension.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::builtin().clone();
    for schema in [
        include_str!("../../tests/data/everything-schema.json"),
        include_str!("../../tests/data/everything-extension.json"),
    ] {
        let schema: Value = serde_json::from_str(schema).unwrap();
        registry.add_schema(&schema).unwrap();
    }
    registry
        .add_resource_type(&json!({
            "name": "Everything", "endpoint": "/Everything", "schema": EVERYTHING,
            "schemaExtensions": [{"schema": EXTENSION, "required": true}]
        }))
        .unwrap();
    registry
}

const EVERYTHING: &str = "urn:example:schemas:Everything";
const EXTENSION: &str = "urn:example:schemas:extension:Everything";

struct Case {
    registry: Registry,
    rules: Rules,
    resource_type: &'static str,
}

impl Case {
    fn new(resource_type: &'static str, profile: Profile) -> Self {
        Self {
            registry: registry(),
            rules: Rules {
                profile,
                ..Rules::default()
            },
            resource_type,
        }
    }

    fn read(&self, body: Value, verb: DraftKind<'_>) -> (Result<Draft>, String) {
        let mut reading = Reading::new(&self.rules);
        let resource_type = self.registry.resource_type(self.resource_type).unwrap();
        let draft = Resource::from_request(
            object(body),
            resource_type,
            &self.registry,
            &mut reading,
            verb,
        );
        (draft, reading.used_tolerances().to_string())
    }

    fn create(&self, body: Value) -> Result<Draft> {
        self.read(body, DraftKind::Create { id: "1" }).0
    }

    fn replace(&self, existing: &Value, body: Value) -> Result<Draft> {
        let existing = Resource::from_canonical(object(existing.clone()));
        let verb = DraftKind::Replace {
            existing: &existing,
        };
        self.read(body, verb).0
    }
}

fn user(more: Value) -> Value {
    let mut body = json!({"schemas": [USER], "userName": "bjensen"});
    body.as_object_mut().unwrap().extend(object(more));
    body
}

fn text(draft: &Draft) -> String {
    draft.resource.to_text()
}

fn refused(draft: Result<Draft>, kind: ErrorKind, part: &str) {
    let error = draft.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.detail().contains(part), "{error}");
}

#[test]
fn a_body_is_stored_in_canonical_spelling_and_order() {
    let case = Case::new("User", Profile::Strict);
    let body = json!({
        ENTERPRISE.to_uppercase(): {"DEPARTMENT": "X", "employeeNumber": "7"},
        "EMAILS": [{"Type": "work", "VALUE": "b@example.com", "Primary": true}],
        "Active": true,
        "NAME": {"FamilyName": "Jensen", "formatted": "B J"},
        "USERNAME": "bjensen",
        "externalId": "x",
        "schemas": [ENTERPRISE, USER, USER],
    });
    assert_eq!(
        text(&case.create(body).unwrap()),
        format!(
            r#"{{"schemas":["{USER}","{ENTERPRISE}"],"id":"1","externalId":"x","userName":"bjensen","name":{{"formatted":"B J","familyName":"Jensen"}},"active":true,"emails":[{{"value":"b@example.com","type":"work","primary":true}}],"{ENTERPRISE}":{{"employeeNumber":"7","department":"X"}}}}"#
        )
    );
}

#[test]
fn read_only_and_unassigned_values_are_dropped() {
    let case = Case::new("User", Profile::Strict);
    let body = user(json!({
        "id": "mine", "meta": {"created": "1999"}, "groups": [{"value": "g"}],
        "title": null, "emails": [], "name": {}, "addresses": [{}], "nickName": [],
        "phoneNumbers": [{"value": null, "type": null}], "displayName": "",
        ENTERPRISE: {"manager": null, "department": []},
    }));
    assert_eq!(
        text(&case.create(body).unwrap()),
        format!(r#"{{"schemas":["{USER}"],"id":"1","userName":"bjensen","displayName":""}}"#)
    );
}

/// Creates a resource that has this value for this attribute.
fn with(name: &str, value: Value) -> Result<Draft> {
    let mut body = json!({
        "schemas": [EVERYTHING, EXTENSION], "name": "n", EXTENSION: {"label": "l"},
    });
    body[name] = value;
    Case::new("Everything", Profile::Strict).create(body)
}

fn fits(name: &str, values: &[Value]) {
    for value in values {
        let draft = with(name, value.clone()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(draft.resource.body().get(name), Some(value));
    }
}

fn does_not_fit(name: &str, values: &[Value]) {
    for value in values {
        refused(with(name, value.clone()), ErrorKind::InvalidValue, name);
    }
}

#[test]
fn every_simple_kind_is_checked() {
    fits("integer", &[json!(0), json!(-7), json!(u64::MAX)]);
    does_not_fit("integer", &[json!(1.0), json!(1e2), json!(1.5)]);
    does_not_fit("integer", &[json!("1"), json!(true), json!([1])]);
    fits("decimal", &[json!(1), json!(0.1), json!(-1e-7)]);
    does_not_fit("decimal", &[json!("1.5"), json!(true)]);
    fits("boolean", &[json!(false), json!(true)]);
    does_not_fit("boolean", &[json!("true"), json!("maybe"), json!(1)]);
    fits(
        "dateTime",
        &[
            json!("2024-02-29T12:00:00Z"),
            json!("2024-02-29T12:00:00.5+01:00"),
        ],
    );
    does_not_fit(
        "dateTime",
        &[json!("2024-02-30T00:00:00Z"), json!("2024-01-01"), json!(7)],
    );
    fits(
        "binary",
        &[json!("QUJD"), json!("QUI="), json!("QUI"), json!("")],
    );
    does_not_fit(
        "binary",
        &[json!("***"), json!("Q"), json!("QU-_"), json!(1)],
    );
    fits(
        "reference",
        &[
            json!("https://example.com/a?b#c"),
            json!("urn:x:y"),
            json!("../a"),
        ],
    );
    does_not_fit("reference", &[json!("not a uri %%"), json!(1)]);
    fits("caseExact", &[json!("AbC"), json!("")]);
    does_not_fit(
        "caseExact",
        &[json!(1), json!(["a"]), json!({"value": "a"})],
    );
}

#[test]
fn every_shape_is_checked() {
    fits("texts", &[json!(["a", "b"])]);
    does_not_fit(
        "texts",
        &[json!("a"), json!([1]), json!(["a", null]), json!([["a"]])],
    );
    does_not_fit("texts", &[json!({}), json!([{"value": "a"}])]);
    fits("complex", &[json!({"text": "t", "number": 1})]);
    does_not_fit(
        "complex",
        &[json!("a"), json!([{"number": 1}]), json!({"number": "1"})],
    );
    fits("many", &[json!([{"value": "a", "primary": true}])]);
    does_not_fit(
        "many",
        &[
            json!({"value": "a"}),
            json!(["a"]),
            json!([null]),
            json!([[]]),
        ],
    );
}

/// The default profile reads `more` as `expected`, using these tolerances; the other profiles refuse
/// it.
fn tolerated(more: Value, expected: Value, fired: &str) {
    let case = Case::new("User", Profile::Default);
    let (draft, used) = case.read(user(more.clone()), DraftKind::Create { id: "1" });
    let draft = draft.unwrap_or_else(|error| panic!("{more}: {error}"));
    let mut body = draft.resource.into_body();
    body.retain(|name, _| !matches!(name.as_str(), "schemas" | "id" | "userName"));
    assert_eq!(Value::Object(body), expected);
    assert_eq!(used, fired, "{more}");
    for profile in [Profile::Strict, Profile::Interop] {
        let strict = Case::new("User", profile).create(user(more.clone()));
        assert!(strict.is_err(), "{more} passes {profile:?}");
    }
}

#[test]
fn values_in_other_shapes_are_translated_in_the_default_profile_only() {
    let email = || json!({"emails": [{"value": "a@b"}]});
    tolerated(
        json!({"active": "False"}),
        json!({"active": false}),
        "stringBooleans",
    );
    tolerated(
        json!({"displayName": [{"$ref": null, "value": "X"}]}),
        json!({"displayName": "X"}),
        "wrappedSingleValue",
    );
    tolerated(
        json!({"displayName": ["X"]}),
        json!({"displayName": "X"}),
        "wrappedSingleValue",
    );
    tolerated(
        json!({ENTERPRISE: {"manager": [{"value": "7"}]}}),
        json!({ENTERPRISE: {"manager": {"value": "7", "$ref": "Users/7"}}}),
        "wrappedSingleValue",
    );
    tolerated(
        json!({"emails": {"value": "a@b"}}),
        email(),
        "unwrappedMultiValue",
    );
    tolerated(json!({"emails": ["a@b"]}), email(), "bareComplexValue");
    tolerated(
        json!({"emails": "a@b"}),
        email(),
        "unwrappedMultiValue,bareComplexValue",
    );
    tolerated(
        json!({"roles": [{"value": "Admin", "displayName": "The admin"}]}),
        json!({"roles": [{"value": "Admin", "display": "The admin"}]}),
        "displayNameForDisplay",
    );
}

#[test]
fn names_in_other_places_are_translated_in_the_default_profile_only() {
    let manager = || json!({"manager": {"value": "7", "$ref": "Users/7"}});
    tolerated(
        json!({"manager": "7"}),
        json!({ENTERPRISE: manager()}),
        "bareComplexValue,bareExtensionNames",
    );
    tolerated(
        json!({"department": null, "manager": null}),
        json!({}),
        "bareExtensionNames",
    );
    tolerated(
        json!({"manager.value": "7", "name.givenName": "B"}),
        json!({"name": {"givenName": "B"}, ENTERPRISE: manager()}),
        "bareExtensionNames,pathKeys",
    );
    tolerated(
        json!({format!("{ENTERPRISE}:department"): "X"}),
        json!({ENTERPRISE: {"department": "X"}}),
        "pathKeys",
    );
    tolerated(
        json!({"foo": 1, "urn:example:x": {}}),
        json!({}),
        "unknownAttributes",
    );
    tolerated(json!({"name": {"foo": 1}}), json!({}), "unknownAttributes");
    tolerated(json!({"schemas": []}), json!({}), "missingSchemas");
    tolerated(
        json!({"schemas": [ENTERPRISE]}),
        json!({}),
        "missingSchemas",
    );
    tolerated(
        json!({"schemas": [USER, "urn:example:x"]}),
        json!({}),
        "unknownAttributes",
    );
}

#[test]
fn a_role_may_be_a_json_document_in_a_string() {
    let document = r#"{"id":"06b0","value":"Admin","displayName":"The admin"}"#;
    let case = Case::new("User", Profile::Default);
    let check = |role: Value, expected: Value| {
        let draft = case.create(user(json!({"roles": [role]}))).unwrap();
        assert_eq!(draft.resource.body()["roles"], json!([expected]));
    };
    check(
        json!(document),
        json!({"value": "Admin", "display": "The admin"}),
    );
    check(
        json!({"value": document, "type": "T", "primary": "False"}),
        json!({"value": "Admin", "display": "The admin", "type": "T", "primary": false}),
    );
    check(json!({"value": "{not json"}), json!({"value": "{not json"}));
    let strict = Case::new("User", Profile::Strict);
    let draft = strict
        .create(user(json!({"roles": [{"value": document}]})))
        .unwrap();
    assert_eq!(draft.resource.body()["roles"][0]["value"], document);
    let entitlements = json!({"entitlements": [{"value": document}]});
    let draft = case.create(user(entitlements)).unwrap();
    assert_eq!(draft.resource.body()["entitlements"][0]["value"], document);
}

#[test]
fn a_reference_is_the_services_own() {
    let manager = |profile: Profile, given: Value| {
        let body = user(json!({ENTERPRISE: {"manager": given}}));
        let draft = Case::new("User", profile).create(body).unwrap();
        draft.resource.body()[ENTERPRISE]["manager"].clone()
    };
    let check = |given: Value, expected: Value| {
        assert_eq!(manager(Profile::Strict, given), expected);
    };
    let seven = json!({"value": "7", "$ref": "Users/7"});
    check(json!({"value": "7"}), seven.clone());
    check(
        json!({"value": "7", "$ref": "https://other/Users/8"}),
        seven.clone(),
    );
    check(json!({"$ref": "https://other/Users/7"}), seven.clone());
    check(
        json!({"value": "7", "$ref": null, "displayName": "J"}),
        seven,
    );
    assert_eq!(
        manager(Profile::Default, json!({"value": "7", "displayName": "J"})),
        json!({"value": "7", "$ref": "Users/7", "displayName": "J"})
    );
}

#[test]
fn required_attributes_have_values() {
    let user_case = Case::new("User", Profile::Default);
    let missing = |body: Value, part: &str| {
        refused(user_case.create(body), ErrorKind::InvalidValue, part);
    };
    missing(json!({"schemas": [USER]}), "`userName` is required");
    missing(
        json!({"schemas": [USER], "userName": null}),
        "`userName` is required",
    );
    missing(
        json!({"schemas": [USER], "userName": ""}),
        "must not be empty",
    );
    let case = Case::new("Everything", Profile::Default);
    let missing = |body: Value, part: &str| {
        refused(case.create(body), ErrorKind::InvalidValue, part);
    };
    missing(json!({"name": "n"}), &format!("`{EXTENSION}:label`"));
    let with_part = |part: Value| json!({"name": "n", "many": [part], EXTENSION: {"label": "l"}});
    missing(with_part(json!({"type": "t"})), "`many.value` is required");
    let draft = case.create(with_part(json!("v"))).unwrap();
    assert_eq!(
        draft.resource.body()["schemas"],
        json!([EVERYTHING, EXTENSION])
    );
}

#[test]
fn at_most_one_element_is_primary_and_elements_are_unique() {
    let case = Case::new("User", Profile::Default);
    let emails = |emails: Value| case.create(user(json!({"emails": emails})));
    let same = json!([{"value": "a", "type": "work"}, {"type": "work", "value": "A"}]);
    let draft = emails(same).unwrap();
    assert_eq!(
        draft.resource.body()["emails"],
        json!([{"value": "a", "type": "work"}])
    );
}

#[test]
fn of_several_primaries_the_first_stays() {
    let two = json!({
        "emails": [{"value": "a", "primary": true}, {"value": "b", "primary": "true"}],
        "phoneNumbers": [{"value": "1"}, {"value": "2", "primary": true}, {"value": "3", "primary": true}],
    });
    let case = Case::new("User", Profile::Default);
    let draft = case.create(user(two)).unwrap();
    assert_eq!(
        draft.resource.body()["emails"],
        json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}])
    );
    assert_eq!(
        draft.resource.body()["phoneNumbers"],
        json!([{"value": "1"}, {"value": "2", "primary": true}, {"value": "3", "primary": false}])
    );
    let two = json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]});
    for profile in [Profile::Strict, Profile::Interop] {
        refused(
            Case::new("User", profile).create(user(two.clone())),
            ErrorKind::InvalidValue,
            "`emails` has more than one",
        );
    }
}

#[test]
fn blank_text_is_no_value() {
    let check = |given: Value, member: &str, expected: Value| {
        let draft = Case::new("User", Profile::Default)
            .create(user(given.clone()))
            .unwrap();
        let body = draft.resource.body();
        assert_eq!(
            body.get(member),
            Some(&expected).filter(|value| !value.is_null()),
            "{given}"
        );
        for profile in [Profile::Strict, Profile::Interop] {
            let refused = Case::new("User", profile).create(user(given.clone()));
            assert_eq!(
                refused.unwrap_err().kind(),
                ErrorKind::InvalidValue,
                "{given}"
            );
        }
    };
    check(json!({"profileUrl": " "}), "profileUrl", json!(null));
    check(json!({"profileUrl": ""}), "profileUrl", json!(null));
    check(
        json!({"photos": [{"value": "", "type": "photo"}]}),
        "photos",
        json!([{"type": "photo"}]),
    );
    check(json!({"emails": [{"value": " "}]}), "emails", json!(null));
    check(
        json!({"emails": [{"value": "", "type": "work"}, {"value": "a@x"}]}),
        "emails",
        json!([{"type": "work"}, {"value": "a@x"}]),
    );
    check(
        json!({ENTERPRISE: {"manager": ""}}),
        ENTERPRISE,
        json!(null),
    );
    check(
        json!({ENTERPRISE: {"manager": {"value": "", "displayName": "J"}}}),
        ENTERPRISE,
        json!(null),
    );
    let case = Case::new("User", Profile::Default);
    for blank in ["", "  "] {
        let draft = case.create(user(json!({"password": blank}))).unwrap();
        assert_eq!(draft.password, Some(PasswordChange::Clear), "{blank:?}");
    }
    let strict = Case::new("User", Profile::Strict).create(user(json!({"password": "  "})));
    assert!(matches!(
        strict.unwrap().password,
        Some(PasswordChange::Set(_))
    ));
    // Other attributes keep their text, blank or not.
    let draft = case.create(user(json!({"displayName": " "}))).unwrap();
    assert_eq!(draft.resource.body()["displayName"], json!(" "));
}

#[test]
fn references_may_be_any_text_and_text_may_be_a_number() {
    let check = |given: Value, expected: Value| {
        let draft = Case::new("User", Profile::Default)
            .create(user(given.clone()))
            .unwrap();
        let body = Value::Object(draft.resource.body().clone());
        let expected = object(expected);
        for (name, value) in expected {
            assert_eq!(body.get(&name), Some(&value), "{given}");
        }
        for profile in [Profile::Strict, Profile::Interop] {
            let refused = Case::new("User", profile).create(user(given.clone()));
            assert_eq!(
                refused.unwrap_err().kind(),
                ErrorKind::InvalidValue,
                "{given}"
            );
        }
    };
    let kept = json!({"profileUrl": "my page", "photos": [{"value": "a|b"}]});
    check(kept.clone(), kept);
    check(
        json!({"title": 7, "nickName": true, "profileUrl": 12}),
        json!({"title": "7", "nickName": "true", "profileUrl": "12"}),
    );
    check(
        json!({ENTERPRISE: {"employeeNumber": 701_984, "manager": {"value": 26_118_915}}}),
        json!({ENTERPRISE: {"employeeNumber": "701984",
               "manager": {"value": "26118915", "$ref": "Users/26118915"}}}),
    );
    check(
        json!({ENTERPRISE: {"manager": 7}, "emails": [18_446_744_073_709_551_615u64]}),
        json!({ENTERPRISE: {"manager": {"value": "7", "$ref": "Users/7"}},
               "emails": [{"value": "18446744073709551615"}]}),
    );
    let case = Case::new("User", Profile::Default);
    for lost in [json!(1.5), json!(1e30), json!([]), json!({"a": 1})] {
        let draft = case.create(user(json!({"title": "t", "userName": lost})));
        assert!(draft.is_err(), "{lost}");
    }
    // A number where binary belongs is not read as text.
    refused(
        case.create(user(json!({"x509Certificates": [{"value": 7}]}))),
        ErrorKind::InvalidValue,
        "x509Certificates",
    );
}

#[test]
fn a_manager_may_have_the_name_of_1_1() {
    let given = json!({ENTERPRISE: {"manager": {"managerId": "7", "displayName": "J"}}});
    let draft = Case::new("User", Profile::Default)
        .create(user(given.clone()))
        .unwrap();
    assert_eq!(
        draft.resource.body()[ENTERPRISE]["manager"],
        json!({"value": "7", "$ref": "Users/7", "displayName": "J"})
    );
    let both = json!({ENTERPRISE: {"manager": {"managerId": "7", "value": "8"}}});
    let draft = Case::new("User", Profile::Default)
        .create(user(both))
        .unwrap();
    assert_eq!(
        draft.resource.body()[ENTERPRISE]["manager"]["value"],
        json!("8")
    );
    refused(
        Case::new("User", Profile::Strict).create(user(given)),
        ErrorKind::InvalidSyntax,
        "managerId",
    );
}

#[test]
fn a_member_type_without_meaning_is_ignored() {
    let group = |kind: &str| json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "1", "type": kind}]});
    for kind in ["", " ", "direct", "Direct"] {
        let draft = Case::new("Group", Profile::Default)
            .create(group(kind))
            .unwrap();
        assert_eq!(draft.members.unwrap()[0].kind, None, "{kind:?}");
        let draft = Case::new("Group", Profile::Strict)
            .create(group(kind))
            .unwrap();
        assert_eq!(draft.members.unwrap()[0].kind.as_deref(), Some(kind));
    }
}

#[test]
fn passwords_are_never_part_of_the_body() {
    let case = Case::new("User", Profile::Default);
    let draft = case
        .create(user(json!({"password": "t1meMa$heen"})))
        .unwrap();
    assert!(!text(&draft).contains("t1meMa"));
    assert!(!format!("{draft:?}").contains("t1meMa"));
    assert_eq!(
        draft.password,
        Some(PasswordChange::Set(
            Password::prepare("t1meMa$heen").unwrap()
        ))
    );
    let draft = case.create(user(json!({"password": null}))).unwrap();
    assert_eq!(draft.password, Some(PasswordChange::Clear));
    assert_eq!(case.create(user(json!({}))).unwrap().password, None);
    refused(
        case.create(user(json!({"password": {}}))),
        ErrorKind::InvalidValue,
        "`password`",
    );
}

#[test]
fn members_are_not_part_of_the_body() {
    let case = Case::new("Group", Profile::Default);
    let members = |members: Value| {
        let body = json!({"schemas": [GROUP], "displayName": "g", "members": members});
        case.create(body).map(|draft| {
            assert!(!draft.resource.body().contains_key("members"));
            draft.members
        })
    };
    let member = |id: &str| MemberValue {
        value: ResourceId::parse(id).unwrap(),
        kind: None,
        display: None,
    };
    let labelled = MemberValue {
        kind: Some("User".to_owned()),
        display: Some("B".to_owned()),
        ..member("1")
    };
    let check = |given: Value, expected: &[MemberValue]| {
        assert_eq!(
            members(given.clone()).unwrap().unwrap(),
            expected,
            "{given}"
        );
    };
    check(json!([]), &[]);
    assert_eq!(members(json!(null)).unwrap(), None);
    check(
        json!([{"value": "1"}, "2", {"value": "1", "type": "User"}]),
        &[member("1"), member("2")],
    );
    check(
        json!({"value": "1", "type": "User", "display": "B", "$ref": null, "x": 1}),
        &[labelled],
    );
    check(
        json!([{"$ref": "https://example.com/Users/1"}]),
        &[member("1")],
    );
    for bad in [
        json!([null]),
        json!([true]),
        json!([{}]),
        json!([{"value": {}}]),
        json!([{"value": ""}]),
    ] {
        let error = members(bad.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{bad}");
        assert!(error.detail().contains("members"), "{error}");
    }
    let without = json!({"schemas": [GROUP], "displayName": "g"});
    assert_eq!(case.create(without).unwrap().members, None);
}

#[test]
fn a_put_replaces_the_attributes_that_clients_can_see() {
    let case = Case::new("Everything", Profile::Strict);
    let full = json!({
        "schemas": [EVERYTHING, EXTENSION], "name": "n", "immutable": "i", "writeOnly": "w",
        "request": "r", "integer": 1, "kept": [{"value": "a", "fixed": "f"}],
        EXTENSION: {"label": "l", "number": 1},
    });
    let mut existing = case.create(full).unwrap().resource.into_body();
    existing.insert("readOnly".to_owned(), json!("server"));
    let existing = Value::Object(existing);
    let minimal = || json!({"schemas": [EVERYTHING], "name": "m", "readOnly": "client", "id": "9", EXTENSION: {"label": "k"}});
    let draft = case.replace(&existing, minimal()).unwrap();
    assert_eq!(
        Value::Object(draft.resource.into_body()),
        json!({
            "schemas": [EVERYTHING, EXTENSION], "id": "1", "name": "m", "immutable": "i",
            "writeOnly": "w", "request": "r", "readOnly": "server", EXTENSION: {"label": "k"},
        })
    );
    let with = |name: &str, value: Value| {
        let mut body = minimal();
        body[name] = value;
        case.replace(&existing, body)
    };
    for name in ["writeOnly", "request"] {
        let cleared = with(name, Value::Null).unwrap();
        assert!(!cleared.resource.body().contains_key(name));
    }
    assert!(with("immutable", json!("i")).is_ok());
    refused(
        with("immutable", json!("j")),
        ErrorKind::Mutability,
        "`immutable`",
    );
    refused(
        with("immutable", json!(null)),
        ErrorKind::Mutability,
        "`immutable`",
    );
    let kept = with(
        "kept",
        json!([{"value": "a"}, {"value": "b", "fixed": "g"}]),
    )
    .unwrap();
    assert_eq!(
        kept.resource.body()["kept"],
        json!([{"value": "a", "fixed": "f"}, {"value": "b", "fixed": "g"}])
    );
    let changed = with("kept", json!([{"value": "a", "fixed": "g"}]));
    refused(changed, ErrorKind::Mutability, "`kept.fixed`");
    assert_eq!(with("request", json!("s")).unwrap().written, ["request"]);
}

/// Attributes that answers show only on request survive a PUT of an answer.
#[test]
fn a_put_of_the_answer_to_a_get_changes_nothing() {
    let case = Case::new("Everything", Profile::Default);
    for complex in [
        json!({"text": "t", "asked": "a", "hidden": "h"}),
        json!({"asked": "a", "hidden": "h"}),
    ] {
        let full = json!({"schemas": [EVERYTHING, EXTENSION], "name": "n", "request": "r",
            "complex": complex, EXTENSION: {"label": "l"}});
        let existing = Value::Object(case.create(full).unwrap().resource.into_body());
        let resource_type = case.registry.resource_type("Everything").unwrap();
        let projection = crate::projection::Projection::new(
            &crate::message::Selection::default(),
            resource_type,
            &mut Reading::new(&case.rules),
        );
        let shown = Value::Object(projection.apply(existing.as_object().unwrap().clone()));
        assert!(!shown.to_string().contains("asked"), "{shown}");
        let draft = case.replace(&existing, shown.clone()).unwrap();
        assert_eq!(Value::Object(draft.resource.into_body()), existing);
        let mut cleared = shown;
        cleared["complex"] = json!({"text": "t", "asked": null});
        let draft = case.replace(&existing, cleared).unwrap();
        assert_eq!(
            draft.resource.body()["complex"],
            json!({"text": "t", "hidden": "h"})
        );
    }
}

/// When a type has lost a schema, the data under it stays, unseen, until the schema comes back.
#[test]
fn data_of_a_schema_that_is_gone_stays() {
    const GONE: &str = "urn:example:schemas:extension:Gone";
    let case = Case::new("User", Profile::Default);
    let existing = user(
        json!({"id": "1", GONE: {"b": 1, "a": [{"x": "y"}]}, "old": "o",
        "emails": [{"value": "a@x", "mood": "m"}], ENTERPRISE: {"department": "X", "shoe": 9}}),
    );
    let sent = user(json!({"userName": "n", GONE: {"a": 2}, ENTERPRISE: {"department": "Y"}}));
    let draft = case.replace(&existing, sent).unwrap();
    let body = Value::Object(draft.resource.into_body());
    assert_eq!(body[GONE], existing[GONE]);
    assert_eq!(body["old"], "o");
    assert_eq!(body[ENTERPRISE], json!({"department": "Y", "shoe": 9}));
    assert_eq!(body["schemas"], json!([USER, ENTERPRISE]));
    // A second write changes nothing: the order stays, too.
    let again = case.replace(&body, body.clone()).unwrap().resource;
    assert_eq!(again.to_text(), body.to_string());
}

#[test]
fn a_post_and_a_put_are_bounded() {
    use crate::resource::{MAX_BYTES, MAX_ELEMENTS};
    let case = Case::new("User", Profile::Default);
    let long = |bytes: usize| user(json!({"title": "x".repeat(bytes)}));
    let own = Value::Object(case.create(long(1)).unwrap().resource.into_body())
        .to_string()
        .len()
        - 1;
    assert!(case.create(long(MAX_BYTES - own)).is_ok());
    let error = case.create(long(MAX_BYTES - own + 1)).unwrap_err();
    assert_eq!(error.status(), 413);
    let existing = user(json!({"id": "1"}));
    assert_eq!(
        case.replace(&existing, long(MAX_BYTES))
            .unwrap_err()
            .status(),
        413
    );
    let many = |count: usize| user(json!({"emails": vec!["a@x"; count]}));
    assert!(case.create(many(MAX_ELEMENTS)).is_ok());
    assert_eq!(
        case.create(many(MAX_ELEMENTS + 1)).unwrap_err().status(),
        413
    );
    // One that is larger already can be put back as it was.
    let mut larger = existing.clone();
    larger["title"] = json!("x".repeat(MAX_BYTES));
    assert!(case.replace(&larger, larger.clone()).is_ok());
}

#[test]
fn a_put_clears_an_extension_unless_the_switch_keeps_unnamed_ones() {
    let mut case = Case::new("User", Profile::Default);
    let existing = user(json!({"id": "1", ENTERPRISE: {"department": "X"}}));
    let has_department = |case: &Case, body: Value| {
        let draft = case.replace(&existing, body).unwrap();
        draft.resource.body().contains_key(ENTERPRISE)
    };
    let named = || json!({"schemas": [USER, ENTERPRISE], "userName": "b"});
    assert!(!has_department(&case, user(json!({}))));
    case.rules.switches.put_keeps_unnamed_extensions = true;
    assert!(has_department(&case, user(json!({}))));
    assert!(!has_department(&case, named()));
    assert!(!has_department(
        &case,
        user(json!({ENTERPRISE: {"department": null}}))
    ));
}

#[test]
fn a_missing_shape_is_refused_everywhere() {
    let case = Case::new("User", Profile::Default);
    refused(
        case.create(user(json!({"schemas": [1]}))),
        ErrorKind::InvalidValue,
        "`schemas`",
    );
    refused(
        case.create(user(json!({ENTERPRISE: "x"}))),
        ErrorKind::InvalidValue,
        ENTERPRISE,
    );
    refused(
        case.create(user(json!({"name": 7}))),
        ErrorKind::InvalidValue,
        "`name`",
    );
    refused(
        case.create(user(json!({"active": "maybe"}))),
        ErrorKind::InvalidValue,
        "true or false",
    );
    let strict = Case::new("User", Profile::Strict);
    refused(
        strict.create(user(json!({"foo": 1}))),
        ErrorKind::InvalidSyntax,
        "`foo`",
    );
    refused(
        strict.create(json!({"schemas": [USER, "urn:x:y"], "userName": "b"})),
        ErrorKind::InvalidSyntax,
        "urn:x:y",
    );
}
