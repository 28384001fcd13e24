//! PATCH requests of clients that deviate from the RFC.

use serde_json::json;

use super::*;
use crate::resource::ResourceId;

#[test]
fn of_several_primaries_that_one_operation_sets_the_first_stays() {
    let two = json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]);
    let settled = json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}]);
    let case = Case::user(Profile::Default);
    case.gives(
        op("replace", "emails", two.clone()),
        json!({"emails": settled}),
    );
    case.gives(
        op("add", "emails", two.clone()),
        json!({"emails": [
            {"value": "w@x", "type": "work", "primary": false}, {"value": "h@x", "type": "home"},
            {"value": "a", "primary": true}, {"value": "b", "primary": false},
        ]}),
    );
    case.keeps(op(
        "replace",
        r#"emails[type eq "work"].primary"#,
        json!(true),
    ));
    case.gives(
        op("replace", "emails.primary", json!(true)),
        json!({"emails": [
            {"value": "w@x", "type": "work", "primary": true},
            {"value": "h@x", "type": "home", "primary": false},
        ]}),
    );
    for profile in [Profile::Strict, Profile::Interop] {
        let case = Case::user(profile);
        for refused in [
            op("add", "emails", two.clone()),
            op("replace", "emails", two.clone()),
            op("replace", "emails.primary", json!(true)),
        ] {
            case.refuses(refused, ErrorKind::InvalidValue);
        }
    }
}

#[test]
fn a_replace_of_an_element_keeps_sub_attributes_it_does_not_name() {
    let home = r#"emails[type eq "home"]"#;
    let work = json!({"value": "w@x", "type": "work", "primary": true});
    let with_home = |home: Value| json!({"emails": [work, home]});
    let new = json!({"value": "n@x"});
    let case = Case::user(Profile::Default);
    let merged = with_home(json!({"value": "n@x", "type": "home"}));
    case.gives(op("replace", home, new.clone()), merged.clone());
    case.gives(op("replace", home, json!("n@x")), merged);
    case.gives(
        op("replace", home, json!({"value": "n@x", "type": "other"})),
        with_home(json!({"value": "n@x", "type": "other"})),
    );
    let strict = Case::user(Profile::Strict);
    strict.gives(op("replace", home, new), with_home(json!({"value": "n@x"})));
}

#[test]
fn a_filter_after_a_single_value_selects_it_or_nothing() {
    let manager = json!({"value": "7", "$ref": "Users/7", "displayName": "J"});
    let extension = |manager: Value| json!({ENTERPRISE: {"department": "D", "manager": manager}});
    let user = |profile: Profile| {
        let mut case = Case::user(profile);
        case.before[ENTERPRISE]["manager"] = manager.clone();
        case
    };
    let case = user(Profile::Default);
    let path = |filter: &str| format!("{ENTERPRISE}:manager[{filter}]");
    for mine in [
        r#"value eq "7""#,
        r#"$ref eq "https://example.com/scim/v2/Users/7""#,
        r#"displayName eq "j""#,
    ] {
        case.gives(
            remove(&path(mine)),
            json!({ENTERPRISE: {"department": "D"}}),
        );
        case.gives(
            op("replace", &path(mine), json!({"value": "8"})),
            extension(json!({"value": "8", "$ref": "Users/8"})),
        );
        case.gives(
            op("replace", &format!("{}.value", path(mine)), json!("8")),
            extension(json!({"value": "8", "$ref": "Users/8"})),
        );
    }
    case.gives(
        remove(r#"manager[value eq "7"]"#),
        json!({ENTERPRISE: {"department": "D"}}),
    );
    for other in [
        r#"value eq "8""#,
        r#"$ref eq "https://example.com/scim/v2/Groups/7""#,
    ] {
        case.keeps(remove(&path(other)));
        case.keeps(op("replace", &path(other), json!({"value": "9"})));
        case.keeps(op("add", &path(other), json!({"value": "9"})));
    }
    case.gives(
        op(
            "replace",
            r#"name[givenName eq "Barbara"].familyName"#,
            json!("B"),
        ),
        json!({"name": {"familyName": "B", "givenName": "Barbara"}}),
    );
    case.refuses(remove(&path(r#"foo eq "7""#)), ErrorKind::InvalidFilter);
    let strict = user(Profile::Strict);
    strict.refuses(remove(&path(r#"value eq "7""#)), ErrorKind::InvalidPath);
}

#[test]
fn blank_text_clears_and_an_add_of_it_does_nothing() {
    let mut case = Case::user(Profile::Default);
    case.before["profileUrl"] = json!("https://example.com/b");
    case.before[ENTERPRISE]["manager"] = json!({"value": "7", "$ref": "Users/7"});
    case.gives(
        op("replace", "profileUrl", json!(" ")),
        json!({"profileUrl": null}),
    );
    case.keeps(op("add", "profileUrl", json!("")));
    let without = json!({ENTERPRISE: {"department": "D"}});
    for value in [json!(""), json!({"value": ""}), json!([{"value": " "}])] {
        case.gives(op("replace", "manager", value), without.clone());
    }
    case.gives(op("replace", "manager.value", json!("")), without);
    case.gives(
        op("replace", r#"emails[type eq "home"].value"#, json!("")),
        json!({"emails": [{"value": "w@x", "type": "work", "primary": true}, {"type": "home"}]}),
    );
    let patched = case.patch(&op("replace", "password", json!(""))).unwrap();
    assert_eq!(patched.password, Some(PasswordChange::Clear));
    assert_eq!(
        case.patch(&op("add", "password", json!("")))
            .unwrap()
            .password,
        None
    );
}

#[test]
fn a_blank_path_is_read_as_no_path() {
    let case = Case::user(Profile::Default);
    for path in ["", " "] {
        case.gives(
            op("replace", path, json!({"displayName": "E"})),
            json!({"displayName": "E"}),
        );
        case.refuses(remove(path), ErrorKind::NoTarget);
        case.refuses(op("add", path, json!("E")), ErrorKind::InvalidValue);
    }
    let strict = Case::user(Profile::Strict);
    strict.refuses(
        op("replace", "", json!({"displayName": "E"})),
        ErrorKind::InvalidPath,
    );
}

#[test]
fn a_sub_attribute_may_be_named_without_its_attribute() {
    let case = Case::user(Profile::Default);
    let renamed = json!({"name": {"familyName": "Jensen", "givenName": "A"}});
    for path in ["givenName", "GIVENNAME", &format!("{USER}:givenName")] {
        case.gives(op("replace", path, json!("A")), renamed.clone());
    }
    case.gives(
        remove("familyName"),
        json!({"name": {"givenName": "Barbara"}}),
    );
    // A top-level attribute takes precedence. A name that several attributes have, or no attribute
    // has, is refused.
    case.gives(
        op("replace", "displayName", json!("D")),
        json!({"displayName": "D"}),
    );
    for unknown in [
        "value",
        "foo",
        "foo.givenName",
        &format!("{ENTERPRISE}:givenName"),
    ] {
        case.refuses(op("replace", unknown, json!("A")), ErrorKind::InvalidPath);
    }
    let manager =
        json!({ENTERPRISE: {"department": "D", "manager": {"value": "7", "$ref": "Users/7"}}});
    for path in [
        "manager.managerId",
        &format!("{ENTERPRISE}:manager.managerId"),
    ] {
        case.gives(op("replace", path, json!("7")), manager.clone());
    }
    let strict = Case::user(Profile::Strict);
    strict.refuses(
        op("replace", "givenName", json!("A")),
        ErrorKind::InvalidPath,
    );
}

#[test]
fn members_are_found_by_their_reference() {
    let case = Case::group(Profile::Strict);
    let by_reference = r#"members[$ref eq "https://example.com/scim/v2/Users/7"]"#;
    let patched = case.patch(&remove(by_reference)).unwrap();
    assert_eq!(
        patched.members,
        [MemberOp::Remove(vec![ResourceId::parse("7").unwrap()])]
    );
    let patched = case
        .patch(&remove(
            r#"members[not ($ref eq "https://example.com/scim/v2/Users/7")]"#,
        ))
        .unwrap();
    let [MemberOp::RemoveMatching(filter)] = patched.members.as_slice() else {
        panic!("{:?}", patched.members);
    };
    assert!(!filter.matches_element(&json!({"value": "7", "$ref": "Users/7"})));
    assert!(filter.matches_element(&json!({"value": "8", "$ref": "Users/8"})));
}
