//! Single values, extensions, and operations without path.

use serde_json::{Value, json};

use super::*;

#[test]
fn single_values_are_set_and_cleared() {
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let case = Case::user(profile);
        for verb in ["add", "replace"] {
            case.gives(op(verb, "title", json!("x")), json!({"title": "x"}));
            case.gives(op(verb, "userName", json!("b")), json!({"userName": "b"}));
            case.gives(op(verb, "active", json!(false)), json!({"active": false}));
            case.refuses(op(verb, "active", json!("maybe")), ErrorKind::InvalidValue);
            case.refuses(op(verb, "userName", json!("")), ErrorKind::InvalidValue);
            let qualified = format!("{USER}:name.givenName");
            case.gives(
                op(verb, &qualified, json!("Z")),
                json!({"name": {"familyName": "Jensen", "givenName": "Z"}}),
            );
        }
        case.gives(remove("active"), json!({"active": null}));
        case.gives(
            op("replace", "active", json!(null)),
            json!({"active": null}),
        );
        case.keeps(remove("title"));
        case.keeps(op("add", "active", json!(null)));
        case.keeps(op("replace", "userName", json!("bjensen")));
        case.refuses(remove("userName"), ErrorKind::Mutability);
        case.refuses(
            op("replace", "userName", json!(null)),
            ErrorKind::Mutability,
        );
    }
}

#[test]
fn complex_values_merge_but_interop_replaces_them() {
    let merged = json!({"name": {"familyName": "Jensen", "givenName": "Z"}});
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let case = Case::user(profile);
        case.gives(op("add", "name", json!({"givenName": "Z"})), merged.clone());
        case.gives(remove("name"), json!({"name": null}));
        case.gives(
            remove("name.givenName"),
            json!({"name": {"familyName": "Jensen"}}),
        );
        let nulls = json!({"givenName": null, "familyName": null});
        case.gives(op("replace", "name", nulls), json!({"name": null}));
        case.refuses(
            op("add", "name", json!({"givenName": {}})),
            ErrorKind::InvalidValue,
        );
        let replaced = if profile == Profile::Interop {
            json!({"name": {"givenName": "Z"}})
        } else {
            merged.clone()
        };
        case.gives(op("replace", "name", json!({"givenName": "Z"})), replaced);
    }
}

#[test]
fn a_manager_is_written_in_many_ways() {
    let case = Case::user(Profile::Default);
    let manager = |value: Value| json!({ENTERPRISE: {"department": "D", "manager": value}});
    let seven = manager(json!({"value": "7", "$ref": "Users/7"}));
    let path = format!("{ENTERPRISE}:manager");
    case.gives(op("Add", &path, json!("7")), seven.clone());
    case.gives(
        op(
            "Add",
            "manager",
            json!([{"$ref": "http://h/Users/7", "value": "7"}]),
        ),
        seven.clone(),
    );
    case.gives(
        op("Add", &format!("{path}.value"), json!("7")),
        seven.clone(),
    );
    case.gives(
        op("Add", &format!("{path}.$ref"), json!("http://h/Users/7")),
        seven.clone(),
    );
    case.gives(
        without_path("Replace", json!({"manager": {"value": "7"}})),
        seven,
    );
    let named = json!({"value": "7", "$ref": "Users/7", "displayName": "J"});
    let mut case = Case::user(Profile::Default);
    case.before[ENTERPRISE]["manager"] = named.clone();
    case.keeps(op("replace", &path, json!({"value": "7"})));
    case.gives(
        op("replace", &path, json!({"value": "8"})),
        manager(json!({"value": "8", "$ref": "Users/8"})),
    );
    case.gives(remove(&path), json!({ENTERPRISE: {"department": "D"}}));
    case.gives(
        remove(&format!("{path}.value")),
        json!({ENTERPRISE: {"department": "D"}}),
    );
    case.refuses(
        op("replace", &format!("{path}.displayName"), json!("K")),
        ErrorKind::Mutability,
    );
}

#[test]
fn an_operation_without_path_merges_its_value() {
    for verb in ["add", "replace"] {
        let case = Case::user(Profile::Strict);
        case.gives(
            without_path(
                verb,
                json!({"title": "T", "name": {"givenName": "Z"}, ENTERPRISE: {"costCenter": "C"}}),
            ),
            json!({"title": "T", "name": {"familyName": "Jensen", "givenName": "Z"},
                   ENTERPRISE: {"costCenter": "C", "department": "D"}}),
        );
        case.refuses(
            without_path(verb, json!({"foo": 1})),
            ErrorKind::InvalidSyntax,
        );
        case.refuses(
            without_path(verb, json!({"id": "1"})),
            ErrorKind::Mutability,
        );
        let case = Case::user(Profile::Default);
        case.gives(
            without_path(
                verb,
                json!({
                    "name.givenName": "K", "NAME.familyName": "U", "department": "X",
                    format!("{ENTERPRISE}:employeeNumber"): "A", "manager.value": "7",
                    r#"emails[type eq "home"].value"#: "n@x",
                    "id": "other", "meta": {"x": 1}, "groups": [], "foo": 1, "schemas": [USER],
                }),
            ),
            json!({
                "id": "1", "name": {"familyName": "U", "givenName": "K"}, "name.givenName": null,
                "emails": [{"value": "w@x", "type": "work", "primary": true},
                           {"value": "n@x", "type": "home"}],
                ENTERPRISE: {"employeeNumber": "A", "department": "X",
                             "manager": {"value": "7", "$ref": "Users/7"}},
            }),
        );
        case.refuses(
            without_path(verb, json!({"userName": {}})),
            ErrorKind::InvalidValue,
        );
    }
    let case = Case::user(Profile::Default);
    let none = json!({"emails": null});
    case.gives(without_path("replace", json!({"emails": []})), none);
    case.keeps(without_path("add", json!({"emails": null})));
    case.gives(
        json!([
            {"op": "replace", "value": {"name": {"familyName": "F"}}},
            {"op": "replace", "value": {"name": {"givenName": "G"}}},
        ]),
        json!({"name": {"familyName": "F", "givenName": "G"}}),
    );
}

#[test]
fn extensions_come_and_go_with_their_data() {
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let bare = json!({"schemas": [USER], "id": "1", "userName": "b"});
        let case = Case::new("User", bare, profile);
        let department = format!("{ENTERPRISE}:department");
        case.gives(
            op("add", &department, json!("Sales")),
            json!({"schemas": [USER, ENTERPRISE], ENTERPRISE: {"department": "Sales"}}),
        );
        case.gives(
            op("add", ENTERPRISE, json!({"department": "Sales"})),
            json!({ENTERPRISE: {"department": "Sales"}}),
        );
        case.keeps(remove(ENTERPRISE));
        case.keeps(op("add", "schemas", json!([ENTERPRISE])));
        let gone = json!({"schemas": [USER], ENTERPRISE: null});
        let case = Case::user(profile);
        case.gives(remove(&department), gone.clone());
        case.gives(remove(ENTERPRISE), gone.clone());
        case.gives(op("replace", ENTERPRISE, json!(null)), gone.clone());
        case.gives(op("remove", "schemas", json!([ENTERPRISE])), gone.clone());
        case.gives(op("replace", "schemas", json!([USER])), gone.clone());
        case.keeps(op("replace", "schemas", json!([ENTERPRISE, USER])));
        case.refuses(remove("schemas"), ErrorKind::Mutability);
        case.refuses(
            op("remove", "schemas", json!([USER])),
            ErrorKind::Mutability,
        );
        case.refuses(
            op("replace", "schemas", json!([ENTERPRISE])),
            ErrorKind::Mutability,
        );
        case.refuses(op("replace", "schemas", json!([])), ErrorKind::Mutability);
        if profile != Profile::Interop {
            let path = format!("schemas[value eq \"{ENTERPRISE}\"]");
            case.gives(remove(&path), gone);
            let path = format!("schemas[value eq \"{USER}\"]");
            case.refuses(remove(&path), ErrorKind::Mutability);
        }
        case.refuses(
            op("add", "urn:example:x:foo", json!("x")),
            ErrorKind::InvalidPath,
        );
    }
    let case = Case::everything(json!({}));
    case.refuses(remove(EXTENSION), ErrorKind::Mutability);
    case.refuses(remove(&format!("{EXTENSION}:label")), ErrorKind::Mutability);
}

#[test]
fn passwords_and_written_attributes_are_reported_apart() {
    let case = Case::user(Profile::Default);
    let patched = case
        .patch(&op("replace", "password", json!("s3cret")))
        .unwrap();
    let set = PasswordChange::Set(Password::prepare("s3cret").unwrap());
    assert_eq!(patched.password, Some(set.clone()));
    assert!(!patched.changed);
    assert!(!format!("{patched:?}").contains("s3cret"));
    let patched = case.patch(&without_path("add", json!({"password": "s3cret"})));
    assert_eq!(patched.unwrap().password, Some(set));
    let patched = case.patch(&remove("password")).unwrap();
    assert_eq!(patched.password, Some(PasswordChange::Clear));
    case.refuses(
        op("replace", "password", json!({})),
        ErrorKind::InvalidValue,
    );
    let case = Case::everything(json!({}));
    let operations = json!([
        {"op": "add", "path": "request", "value": "r"},
        {"op": "add", "value": {EXTENSION: {"asked": "q"}}},
    ]);
    let written = case.patch(&operations).unwrap().written;
    assert_eq!(
        written,
        ["request".to_owned(), format!("{EXTENSION}:asked")]
    );
}
