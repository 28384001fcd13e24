//! Elements of multi-valued attributes.

use serde_json::json;

use super::*;

#[test]
fn multi_valued_attributes_grow_and_are_replaced() {
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let case = Case::user(profile);
        let (work, home) = (
            json!({"value": "w@x", "type": "work", "primary": true}),
            json!({"value": "h@x", "type": "home"}),
        );
        let new = json!({"value": "n@x"});
        let grown = json!({"emails": [work, home, new]});
        case.gives(op("add", "emails", json!([new])), grown.clone());
        case.gives(op("add", "emails", new.clone()), grown);
        case.keeps(op(
            "add",
            "emails",
            json!([{"value": "W@x", "type": "work"}, {"value": "h@x", "type": "HOME"}]),
        ));
        case.gives(
            op("add", "emails", json!([{"value": "h@x"}])),
            json!({"emails": [work, home, {"value": "h@x"}]}),
        );
        case.keeps(op("add", "emails", json!([])));
        case.gives(
            op(
                "add",
                "emails",
                json!([{"value": "h@x", "type": "home", "display": "H"}]),
            ),
            json!({"emails": [work, {"value": "h@x", "type": "home", "display": "H"}]}),
        );
        case.gives(
            op("replace", "emails", json!([new, new])),
            json!({"emails": [new]}),
        );
        case.gives(op("replace", "emails", json!([])), json!({"emails": null}));
        case.gives(
            op("replace", "emails", json!(null)),
            json!({"emails": null}),
        );
        case.gives(remove("emails"), json!({"emails": null}));
        case.keeps(remove("phoneNumbers"));
        case.refuses(op("add", "emails", json!([null])), ErrorKind::InvalidValue);
        case.refuses(op("add", "emails", json!([true])), ErrorKind::InvalidValue);
    }
}

#[test]
fn filters_select_elements() {
    for profile in [Profile::Default, Profile::Strict] {
        let case = Case::user(profile);
        let work = json!({"value": "w@x", "type": "work", "primary": true});
        let home = json!({"value": "h@x", "type": "home"});
        let path = r#"emails[type eq "home"]"#;
        case.gives(
            op("replace", &format!("{path}.value"), json!("n@x")),
            json!({"emails": [work, {"value": "n@x", "type": "home"}]}),
        );
        case.gives(
            op("add", path, json!({"display": "H"})),
            json!({"emails": [work, {"value": "h@x", "display": "H", "type": "home"}]}),
        );
        case.gives(remove(path), json!({"emails": [work]}));
        case.gives(op("replace", path, json!(null)), json!({"emails": [work]}));
        case.gives(
            remove(r#"emails[type eq "work"].primary"#),
            json!({"emails": [{"value": "w@x", "type": "work"}, home]}),
        );
        case.gives(remove("emails[value pr]"), json!({"emails": null}));
        case.gives(
            op("replace", "emails[value pr].display", json!("D")),
            json!({"emails": [
                {"value": "w@x", "display": "D", "type": "work", "primary": true},
                {"value": "h@x", "display": "D", "type": "home"},
            ]}),
        );
        case.gives(
            op("replace", "emails.type", json!("other")),
            json!({"emails": [
                {"value": "w@x", "type": "other", "primary": true}, {"value": "h@x", "type": "other"},
            ]}),
        );
    }
}

#[test]
fn a_path_that_does_not_fit_its_attribute_is_refused() {
    for profile in [Profile::Default, Profile::Strict] {
        let case = Case::user(profile);
        case.refuses(
            op("replace", r#"userName[value eq "bjensen"]"#, json!("x")),
            ErrorKind::InvalidPath,
        );
        case.refuses(
            op("replace", r#"emails[type eq "home"].foo"#, json!("x")),
            ErrorKind::InvalidPath,
        );
        case.refuses(
            op("replace", r#"emails[foo eq "home"].value"#, json!("x")),
            ErrorKind::InvalidFilter,
        );
        case.refuses(
            op("replace", "emails.foo", json!("x")),
            ErrorKind::InvalidPath,
        );
        case.refuses(
            op("replace", "userName.foo", json!("x")),
            ErrorKind::InvalidPath,
        );
    }
}

#[test]
fn a_filter_that_matches_nothing_creates_or_has_no_target() {
    let before = json!({"schemas": [USER], "id": "1", "userName": "b"});
    let path = r#"emails[type eq "work"]"#;
    let case = Case::new("User", before.clone(), Profile::Default);
    for verb in ["add", "replace"] {
        let created = json!({"emails": [{"value": "a@x", "type": "work"}]});
        case.gives(
            op(verb, &format!("{path}.value"), json!("a@x")),
            created.clone(),
        );
        case.gives(op(verb, path, json!({"value": "a@x"})), created.clone());
        case.gives(op(verb, path, json!([{"value": "a@x"}])), created.clone());
        case.gives(op(verb, path, json!("a@x")), created);
        case.gives(
            op(
                verb,
                r#"emails[type eq "work" and primary eq "True"].value"#,
                json!("a@x"),
            ),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": true}]}),
        );
        case.gives(
            op(verb, "emails.value", json!("a@x")),
            json!({"emails": [{"value": "a@x"}]}),
        );
        case.refuses(
            op(verb, r#"emails[type ne "work"].value"#, json!("a")),
            ErrorKind::NoTarget,
        );
        case.refuses(
            op(
                verb,
                r#"emails[type eq "a" or type eq "b"].value"#,
                json!("a"),
            ),
            ErrorKind::NoTarget,
        );
        for profile in [Profile::Strict, Profile::Interop] {
            let case = Case::new("User", before.clone(), profile);
            case.refuses(
                op(verb, &format!("{path}.value"), json!("a")),
                ErrorKind::NoTarget,
            );
        }
    }
    case.keeps(remove(path));
    case.keeps(remove(r#"emails[type eq "work"].value"#));
    let strict = Case::new("User", before, Profile::Strict);
    strict.refuses(remove(path), ErrorKind::NoTarget);
}

#[test]
fn operations_on_one_missing_element_build_one() {
    let case = Case::user(Profile::Default);
    case.gives(
        json!([
            {"op": "Add", "path": r#"addresses[type eq "work"].streetAddress"#, "value": "1 Main"},
            {"op": "Add", "path": r#"addresses[type eq "work"].locality"#, "value": "Springfield"},
            {"op": "Add", "path": r#"addresses[type eq "work"].postalCode"#, "value": "01101"},
        ]),
        json!({"addresses": [{"streetAddress": "1 Main", "locality": "Springfield",
                              "postalCode": "01101", "type": "work"}]}),
    );
}

#[test]
fn one_primary_clears_the_others() {
    for profile in [Profile::Default, Profile::Strict] {
        let case = Case::user(profile);
        let work = json!({"value": "w@x", "type": "work", "primary": false});
        let home = json!({"value": "h@x", "type": "home", "primary": true});
        let moved = json!({"emails": [work, home]});
        case.gives(
            op("replace", r#"emails[type eq "home"].primary"#, json!(true)),
            moved.clone(),
        );
        case.gives(
            op("add", r#"emails[type eq "home"]"#, json!({"primary": true})),
            moved.clone(),
        );
        case.gives(op("add", "emails", json!([home])), moved.clone());
        case.gives(
            op("replace", r#"emails[type eq "home"]"#, home.clone()),
            moved,
        );
        let new = json!({"value": "n@x", "primary": true});
        case.gives(
            op("add", "emails", json!([new])),
            json!({"emails": [work, {"value": "h@x", "type": "home"}, new]}),
        );
        case.keeps(op(
            "replace",
            r#"emails[type eq "work"].primary"#,
            json!(true),
        ));
        case.gives(
            op("add", r#"emails[type eq "home"]"#, json!({"display": "H"})),
            json!({"emails": [
                {"value": "w@x", "type": "work", "primary": true},
                {"value": "h@x", "display": "H", "type": "home"},
            ]}),
        );
    }
}

#[test]
fn a_remove_with_values_removes_just_those() {
    for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
        let case = Case::user(profile);
        let home = json!({"value": "h@x", "type": "home"});
        let without_work = json!({"emails": [home]});
        for value in [
            json!([{"value": "W@x"}]),
            json!({"value": "w@x", "type": "work"}),
            json!([{"type": "work"}]),
        ] {
            case.gives(op("remove", "emails", value), without_work.clone());
        }
        case.keeps(op("remove", "emails", json!([])));
        case.keeps(op(
            "remove",
            "emails",
            json!([{"value": "w@x", "type": "home"}]),
        ));
        case.keeps(op("remove", "emails", json!([{"value": "other"}])));
        case.gives(op("remove", "emails", json!(null)), json!({"emails": null}));
        case.gives(
            op("remove", r#"emails[type eq "work"].primary"#, json!(false)),
            json!({"emails": [{"value": "w@x", "type": "work"}, home]}),
        );
        case.gives(op("remove", "active", json!(true)), json!({"active": null}));
    }
    let case = Case::everything(json!({"texts": ["a", "b"]}));
    case.gives(
        op("remove", "texts", json!(["a", "c"])),
        json!({"texts": ["b"]}),
    );
    case.gives(remove(r#"texts[value eq "a"]"#), json!({"texts": ["b"]}));
    case.gives(
        op("replace", r#"texts[value eq "a"]"#, json!("c")),
        json!({"texts": ["c", "b"]}),
    );
    case.keeps(op("add", "texts", json!(["A"])));
    case.gives(
        op("add", "texts", json!(["b", "c"])),
        json!({"texts": ["a", "b", "c"]}),
    );
}
