//! Members of a group.

use serde_json::{Value, json};

use super::*;
use crate::resource::ResourceId;

/// Checks that the operations change the members like this, and do not change the body.
fn check(operations: Value, expected: &[MemberOp]) {
    let patched = Case::group(Profile::Default)
        .patch(&operations)
        .unwrap_or_else(|error| panic!("{operations}: {error}"));
    assert!(!patched.changed, "{operations}");
    assert_eq!(patched.members, expected, "{operations}");
}

fn listed(ids: &[&str]) -> Vec<MemberValue> {
    let member = |id: &&str| MemberValue {
        value: ResourceId::parse(id).unwrap(),
        kind: None,
        display: None,
    };
    ids.iter().map(member).collect()
}

fn adds(ids: &[&str]) -> MemberOp {
    MemberOp::Add(listed(ids))
}

fn removes(ids: &[&str]) -> MemberOp {
    MemberOp::Remove(
        ids.iter()
            .map(|id| ResourceId::parse(id).unwrap())
            .collect(),
    )
}

#[test]
fn members_are_added_and_replaced() {
    let one = || json!([{"value": "1"}]);
    check(
        op("Add", "members", json!([{"value": "1", "$ref": null}, "2"])),
        &[adds(&["1", "2"])],
    );
    check(op("add", "members", json!({"value": "1"})), &[adds(&["1"])]);
    check(op("add", "members", json!([])), &[]);
    check(
        op("add", &format!("{GROUP}:members"), one()),
        &[adds(&["1"])],
    );
    check(
        without_path("add", json!({"members": one()})),
        &[adds(&["1"])],
    );
    check(
        op("add", r#"members[value eq "1"]"#, json!({"value": "1"})),
        &[adds(&["1"])],
    );
    check(
        op("replace", "members", one()),
        &[MemberOp::ReplaceAll(listed(&["1"]))],
    );
    check(op("replace", "members", json!([])), &[MemberOp::Clear]);
    check(
        without_path(
            "replace",
            json!({"members": [], "id": "1", "displayName": "g"}),
        ),
        &[MemberOp::Clear],
    );
}

#[test]
fn members_are_removed() {
    check(remove("members"), &[MemberOp::Clear]);
    check(
        op("Remove", "members", json!([{"value": "1"}])),
        &[removes(&["1"])],
    );
    check(op("Remove", "members", json!([])), &[]);
    check(remove(r#"members[value eq "1"]"#), &[removes(&["1"])]);
    check(
        remove(r#"members[value eq"1" or VALUE eq "2"]"#),
        &[removes(&["1", "2"])],
    );
    check(
        json!([
            {"op": "remove", "path": "members"},
            {"op": "add", "path": "members", "value": [{"value": "2"}]},
        ]),
        &[MemberOp::Clear, adds(&["2"])],
    );
}

#[test]
fn other_filters_are_returned_for_the_stored_members() {
    let patched = Case::group(Profile::Strict)
        .patch(&remove(r#"members[type eq "User"]"#))
        .unwrap();
    let [MemberOp::RemoveMatching(filter)] = patched.members.as_slice() else {
        panic!("{:?}", patched.members);
    };
    assert!(filter.matches_element(&json!({"value": "1", "type": "User"})));
    assert!(!filter.matches_element(&json!({"value": "1", "type": "Group"})));
}

#[test]
fn members_are_not_edited() {
    let case = Case::group(Profile::Default);
    let one = r#"members[value eq "1"]"#;
    for path in [&format!("{one}.value"), "members.value", "members.display"] {
        case.refuses(op("replace", path, json!("2")), ErrorKind::Mutability);
        case.refuses(remove(path), ErrorKind::Mutability);
    }
    for path in [one, r#"members[type eq "User"]"#] {
        case.refuses(
            op("replace", path, json!({"value": "2"})),
            ErrorKind::Mutability,
        );
    }
}

#[test]
fn values_that_are_not_members_are_refused() {
    let case = Case::group(Profile::Default);
    case.refuses(op("add", "members", json!([null])), ErrorKind::InvalidValue);
    case.refuses(
        op("add", "members", json!([{"value": {}}])),
        ErrorKind::InvalidValue,
    );
    case.refuses(
        op("add", "members", json!([{"display": "x"}])),
        ErrorKind::InvalidValue,
    );
    case.refuses(remove(r#"members[foo eq "1"]"#), ErrorKind::InvalidFilter);
}

#[test]
fn an_impossible_id_is_refused_in_an_addition_and_ignored_in_a_removal() {
    let long = "x".repeat(257);
    let error =
        Case::group(Profile::Default).patch(&op("add", "members", json!([{"value": long}])));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::InvalidValue);
    assert!(
        error
            .detail()
            .ends_with("which is not the id of a resource"),
        "{error}"
    );
    check(
        op(
            "remove",
            "members",
            json!([{"value": "1"}, {"value": long}]),
        ),
        &[removes(&["1"])],
    );
    check(
        op(
            "remove",
            &format!(r#"members[value eq "1" or value eq "{long}"]"#),
            Value::Null,
        ),
        &[removes(&["1"])],
    );
}
