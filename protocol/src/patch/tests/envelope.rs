//! The message and its paths.

use serde_json::{Value, json};

use super::*;

fn refused(body: Value, kind: ErrorKind) {
    let rules = Rules {
        profile: Profile::Strict,
        ..Rules::default()
    };
    let request = PatchRequest::parse(&object(body.clone()), &mut Reading::new(&rules));
    assert_eq!(request.unwrap_err().kind(), kind, "{body}");
}

fn with(operations: Value) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

#[test]
fn a_broken_envelope_is_refused() {
    refused(json!({"schemas": [PATCH_OP]}), ErrorKind::InvalidSyntax);
    let without_urn = json!({"Operations": [{"op": "remove", "path": "title"}]});
    refused(without_urn, ErrorKind::InvalidSyntax);
    for operations in [
        json!([]),
        json!({}),
        json!(null),
        json!("x"),
        json!(["x"]),
        json!([{}]),
    ] {
        refused(with(operations), ErrorKind::InvalidSyntax);
    }
    let many = vec![json!({"op": "remove", "path": "title"}); MAX_OPERATIONS + 1];
    refused(with(Value::Array(many)), ErrorKind::PayloadTooLarge);
}

#[test]
fn a_broken_operation_is_refused() {
    let check = |operation: Value, kind: ErrorKind| refused(with(json!([operation])), kind);
    let replace = |path: Value| json!({"op": "replace", "path": path, "value": 1});
    check(
        json!({"op": "move", "path": "title"}),
        ErrorKind::InvalidSyntax,
    );
    check(
        json!({"op": "Remove", "path": "title"}),
        ErrorKind::InvalidSyntax,
    );
    check(replace(json!(7)), ErrorKind::InvalidSyntax);
    check(replace(json!("a[")), ErrorKind::InvalidPath);
    check(replace(json!("a[0]")), ErrorKind::InvalidPath);
    check(replace(json!("name..x")), ErrorKind::InvalidPath);
    check(replace(json!("a[b xx 1]")), ErrorKind::InvalidFilter);
    check(json!({"op": "remove"}), ErrorKind::NoTarget);
    check(
        json!({"op": "remove", "value": {"title": "x"}}),
        ErrorKind::NoTarget,
    );
    check(
        json!({"op": "add", "path": "title"}),
        ErrorKind::InvalidValue,
    );
    check(
        json!({"op": "replace", "value": "x"}),
        ErrorKind::InvalidValue,
    );
    check(json!({"op": "add", "value": null}), ErrorKind::InvalidValue);
}

#[test]
fn an_error_names_the_operation() {
    let case = Case::user(Profile::Default);
    let error = case
        .patch(&json!([
            {"op": "replace", "path": "title", "value": "x"},
            {"op": "replace", "path": "noSuch.attr", "value": "x"},
        ]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidPath);
    assert_eq!(
        error.detail(),
        "Operations[1]: `noSuch.attr` is not an attribute of User"
    );
}

#[test]
fn names_operations_and_extra_members_are_read_as_clients_write_them() {
    let case = Case::user(Profile::Default);
    let body = json!({
        "id": "1", "operations": [{"OP": "Replace", "Path": "TITLE", "Value": "x", "name": "y"}],
    });
    let mut reading = Reading::new(&case.rules);
    let request = PatchRequest::parse(&object(body), &mut reading).unwrap();
    assert_eq!(request.operations.len(), 1);
    assert_eq!(
        reading.used_tolerances().to_string(),
        "operationCase,missingMessageUrn"
    );
}

#[test]
fn interop_requires_paths_to_a_sub_attribute_of_one_element() {
    let case = Case::user(Profile::Interop);
    case.refuses(
        without_path("replace", json!({"title": "x"})),
        ErrorKind::InvalidSyntax,
    );
    case.refuses(json!([{"op": "remove"}]), ErrorKind::InvalidSyntax);
    let home = r#"emails[type eq "home"]"#;
    case.refuses(
        op("replace", home, json!({"value": "x"})),
        ErrorKind::InvalidPath,
    );
    case.refuses(
        op("add", home, json!({"value": "x"})),
        ErrorKind::InvalidPath,
    );
    case.gives(remove(home), json!({"emails": [case.before["emails"][0]]}));
    case.refuses(
        op("replace", "emails[value pr].display", json!("x")),
        ErrorKind::InvalidFilter,
    );
    case.gives(
        op("replace", &format!("{home}.value"), json!("n@x")),
        json!({"emails": [case.before["emails"][0], {"value": "n@x", "type": "home"}]}),
    );
}
