use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::profile::Rules;
use crate::schema::Registry;
use crate::urn::ENTERPRISE_USER as ENTERPRISE;

const EXTENSION: &str = "urn:example:schemas:extension:Everything";

fn user() -> &'static ResourceType {
    Registry::builtin().resource_type("User").unwrap()
}

fn body() -> Map<String, Value> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "id": "1",
        "userName": "b",
        "name": {"givenName": "B", "familyName": "J"},
        "emails": [{"value": "a", "type": "work"}, {"display": "x"}],
        "groups": [{"value": "g"}],
        "meta": {"resourceType": "User", "version": "v"},
        ENTERPRISE: {"department": "D", "manager": {"value": "7", "displayName": "M"}},
    });
    body.as_object().unwrap().clone()
}

fn select(attributes: &[&str], excluded: &[&str]) -> Selection {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Selection {
        attributes: owned(attributes),
        excluded_attributes: owned(excluded),
    }
}

fn project(selection: &Selection) -> Value {
    let rules = Rules::default();
    let projection = Projection::new(selection, user(), &mut Reading::new(&rules));
    let mut shown = projection.apply(body());
    assert!(shown.shift_remove("schemas").is_some());
    assert_eq!(shown.shift_remove("id"), Some(json!("1")));
    Value::Object(shown)
}

#[test]
fn attributes_selects_only_the_named_ones() {
    let check = |name: &str, expected: Value| {
        assert_eq!(project(&select(&[name], &[])), expected, "{name}");
    };
    check("userName", json!({"userName": "b"}));
    check("NAME.givenname", json!({"name": {"givenName": "B"}}));
    check("emails.type", json!({"emails": [{"type": "work"}]}));
    let emails = body()["emails"].clone();
    check("emails[type eq \"work\"]", json!({ "emails": emails }));
    check(
        "emails[type eq \"work\"].value",
        json!({"emails": [{"value": "a"}]}),
    );
    check("meta.version", json!({"meta": {"version": "v"}}));
    check(
        "urn:ietf:params:scim:schemas:core:2.0:USER:userName",
        json!({"userName": "b"}),
    );
    check(ENTERPRISE, json!({ENTERPRISE: body()[ENTERPRISE]}));
    let mut base = body();
    for name in ["schemas", "id", ENTERPRISE] {
        base.shift_remove(name);
    }
    check(
        "urn:ietf:params:scim:schemas:core:2.0:User",
        Value::Object(base),
    );
    check(
        &format!("{ENTERPRISE}:manager.value"),
        json!({ENTERPRISE: {"manager": {"value": "7"}}}),
    );
    check("department", json!({ENTERPRISE: {"department": "D"}}));
    for nothing in ["password", "foo", "id", "title", "][", "emails["] {
        check(nothing, json!({}));
    }
}

#[test]
fn excluded_attributes_hides_only_the_named_ones() {
    let check = |names: &[&str], gone: &[&str]| {
        let shown = project(&select(&[], names));
        for name in ["userName", "name", "emails", "groups", "meta", ENTERPRISE] {
            assert_eq!(shown.get(name).is_none(), gone.contains(&name), "{name}");
        }
    };
    check(&["id", "schemas", "foo"], &[]);
    check(&["emails", "meta"], &["emails", "meta"]);
    check(&[ENTERPRISE, "groups"], &[ENTERPRISE, "groups"]);
    assert_eq!(
        project(&select(&[], &["emails.value"]))["emails"],
        json!([{"type": "work"}, {"display": "x"}])
    );
}

#[test]
fn names_of_sub_attributes_and_of_the_whole_add_up() {
    let both = project(&select(&["name.givenName", "name"], &[]));
    assert_eq!(both["name"], body()["name"]);
    let parts = project(&select(&["name.givenName", "name.familyName"], &[]));
    assert_eq!(parts["name"], body()["name"]);
}

#[test]
fn a_projection_decides_which_attributes_are_read() {
    let rules = Rules::default();
    let new = |attributes: &[&str], excluded: &[&str]| {
        Projection::new(
            &select(attributes, excluded),
            user(),
            &mut Reading::new(&rules),
        )
    };
    let plain = new(&[], &[]);
    assert!(plain.wants("groups") && !plain.wants("password"));
    assert!(plain.wants_part("groups", "display"));
    let without = new(&[], &["groups"]);
    assert!(!without.wants("groups") && without.wants("emails"));
    let only = new(&["groups.value"], &[]);
    assert!(only.wants("groups") && !only.wants("meta"));
    assert!(only.wants_part("groups", "value") && !only.wants_part("groups", "display"));
}

#[test]
fn stored_text_is_spliced_unless_it_holds_hidden_attributes() {
    let registry = crate::resource::tests::registry();
    let rules = Rules::default();
    let check = |resource_type: &str, selection: &Selection, stored: Value, expected: bool| {
        let resource_type = registry.resource_type(resource_type).unwrap();
        let projection = Projection::new(selection, resource_type, &mut Reading::new(&rules));
        assert_eq!(
            projection.shows_all_of(&stored.to_string()),
            expected,
            "{stored}"
        );
    };
    let all = Selection::default();
    check("User", &all, Value::Object(body()), true);
    check("User", &select(&["id"], &[]), Value::Object(body()), false);
    check(
        "User",
        &select(&[], &["title"]),
        Value::Object(body()),
        false,
    );
    // An attribute that no body holds does not have to be cut out of one.
    for (excluded, expected) in [
        (&["groups"][..], true),
        (
            &[
                "GROUPS",
                "urn:ietf:params:scim:schemas:core:2.0:User:groups",
            ],
            true,
        ),
        (&["groups", "title"], false),
        (&["groups.display"], false),
        (&["meta"], false),
    ] {
        let selection = select(&[], excluded);
        check("User", &selection, Value::Object(body()), expected);
    }
    check("Everything", &all, json!({"name": "\"writeOnly\":"}), true);
    check("Everything", &all, json!({"writeOnly": "w"}), false);
    check(
        "Everything",
        &all,
        json!({"complex": {"asked": "q"}}),
        false,
    );
}

/// The shown part of a resource with one attribute of each kind, without `schemas` and `id`.
fn everything(attributes: &[&str], excluded: &[&str], written: &[&str]) -> Value {
    let registry = crate::resource::tests::registry();
    let resource_type = registry.resource_type("Everything").unwrap();
    let body = json!({
        "schemas": [], "id": "1", "name": "n", "writeOnly": "w", "request": "r", "always": "a",
        "complex": {"text": "t", "hidden": "h", "asked": "q", "shown": "s"},
        EXTENSION: {"label": "l", "asked": "q", "shown": "s"},
    });
    let rules = Rules::default();
    let selection = select(attributes, excluded);
    let projection = Projection::new(&selection, resource_type, &mut Reading::new(&rules))
        .after_write(written.iter().map(|name| (*name).to_owned()).collect());
    let mut shown = projection.apply(body.as_object().unwrap().clone());
    shown.retain(|name, _| name != "schemas" && name != "id");
    Value::Object(shown)
}

/// The attributes that are always shown, and these.
fn always_and(more: Value) -> Value {
    let mut shown = json!({"always": "a", EXTENSION: {"shown": "s"}});
    let more = more.as_object().unwrap().clone();
    shown.as_object_mut().unwrap().extend(more);
    shown
}

#[test]
fn every_returned_rule_holds_for_attributes_and_parts() {
    let default = json!({
        "name": "n", "always": "a", "complex": {"text": "t", "shown": "s"},
        EXTENSION: {"label": "l", "shown": "s"},
    });
    assert_eq!(everything(&[], &[], &[]), default);
    let check = |name: &str, shown: Value| {
        assert_eq!(everything(&[name], &[], &[]), always_and(shown), "{name}");
    };
    check("foo", json!({}));
    check("writeOnly", json!({}));
    check("request", json!({"request": "r"}));
    check("complex", json!({"complex": {"text": "t", "shown": "s"}}));
    check(
        "complex.asked",
        json!({"complex": {"asked": "q", "shown": "s"}}),
    );
    check("complex.hidden", json!({"complex": {"shown": "s"}}));
    check(EXTENSION, json!({EXTENSION: {"label": "l", "shown": "s"}}));
    assert_eq!(
        everything(&[], &["complex.text", "name", "always"], &[]),
        always_and(json!({"complex": {"shown": "s"}, EXTENSION: {"label": "l", "shown": "s"}}))
    );
}

#[test]
fn the_answer_to_a_write_shows_written_attributes() {
    let asked = format!("{EXTENSION}:asked");
    let written = ["request", "complex.asked", &asked];
    assert_eq!(
        everything(&[], &[], &written),
        json!({
            "name": "n", "request": "r", "always": "a",
            "complex": {"text": "t", "asked": "q", "shown": "s"},
            EXTENSION: {"label": "l", "asked": "q", "shown": "s"},
        })
    );
    assert_eq!(
        everything(&["name"], &[], &written),
        always_and(json!({"name": "n"}))
    );
}

proptest! {
    #[test]
    fn never_returned_is_never_shown_and_always_returned_always(
        names in prop::collection::vec("(writeOnly|complex|complex\\.hidden|schemas|id|name|always|[a-z.\\[\\]:]{0,8})", 0..4),
        excludes in any::<bool>(),
    ) {
        let registry = crate::resource::tests::registry();
        let everything = registry.resource_type("Everything").unwrap();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let selection = if excludes { select(&[], &names) } else { select(&names, &[]) };
        let rules = Rules::default();
        let body = json!({"schemas": ["x"], "id": "1", "writeOnly": "w", "always": "a",
                          "complex": {"hidden": "h", "text": "t"}});
        let shown = Projection::new(&selection, everything, &mut Reading::new(&rules))
            .apply(body.as_object().unwrap().clone());
        for name in ["schemas", "id", "always"] {
            prop_assert!(shown.contains_key(name));
        }
        prop_assert!(!shown.contains_key("writeOnly"));
        prop_assert!(shown.get("complex").is_none_or(|complex| complex.get("hidden").is_none()));
    }
}

/// A stored body with data of a schema that the type has lost is not spliced.
#[test]
fn attributes_without_schema_are_not_shown() {
    let mut stored = body();
    let rules = Rules::default();
    let selection = Selection::default();
    let projection = Projection::new(&selection, user(), &mut Reading::new(&rules));
    let text = |body: &Map<String, Value>| serde_json::to_string(body).unwrap();
    stored.insert(
        "entitlements".to_owned(),
        json!([{"value": "urn:example:x"}]),
    );
    assert!(projection.shows_all_of(&text(&stored)));
    let gone = "urn:example:schemas:extension:Gone";
    stored["schemas"].as_array_mut().unwrap().push(json!(gone));
    let expected = projection.apply(stored.clone());
    assert!(!text(&expected).contains("Gone"));
    stored.insert(gone.to_owned(), json!({"a": 1}));
    assert!(!projection.shows_all_of(&text(&stored)));
    assert_eq!(projection.apply(stored), expected);
}

/// The cost of a projection grows with the attributes of the type, not with the names of the request.
#[test]
fn names_are_resolved_once() {
    let names: Vec<_> = ["emails.type", "EMAILS.TYPE", "nosuch", "name"].repeat(200);
    let rules = Rules::default();
    let projection = Projection::new(&select(&names, &[]), user(), &mut Reading::new(&rules));
    assert_eq!(projection.named.len(), 2);
}

#[test]
fn an_array_that_is_empty_is_shown_and_one_that_becomes_empty_is_not() {
    let group = Registry::builtin().resource_type("Group").unwrap();
    let rules = Rules::default();
    let check = |selection: &Selection, members: Value, expected: Option<Value>| {
        let body = json!({"id": "1", "displayName": "g", "members": members});
        let projection = Projection::new(selection, group, &mut Reading::new(&rules));
        let shown = projection.apply(body.as_object().unwrap().clone());
        assert_eq!(shown.get("members"), expected.as_ref(), "{selection:?}");
    };
    for selection in [
        Selection::default(),
        select(&["members"], &[]),
        select(&["members.value"], &[]),
        select(&[], &["displayName"]),
    ] {
        check(&selection, json!([]), Some(json!([])));
    }
    check(&select(&[], &["members"]), json!([]), None);
    check(&select(&["displayName"], &[]), json!([]), None);
    check(
        &select(&["members.display"], &[]),
        json!([{"value": "7"}]),
        None,
    );
}

/// A value of any shape under any name, allowed by the schema or not.
fn any_member() -> impl Strategy<Value = (String, Value)> {
    let name = prop_oneof![
        Just("schemas"),
        Just("id"),
        Just("name"),
        Just("writeOnly"),
        Just("request"),
        Just("always"),
        Just("complex"),
        Just("Complex"),
        Just("many"),
        Just(EXTENSION),
        Just("urn:example:schemas:extension:Gone"),
        Just("n\u{1}\"o"),
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(-3)),
        Just(json!(1.5)),
        Just(json!("a\"b\\\u{7f}\u{e9}")),
        Just(json!(EXTENSION)),
        Just(json!("urn:example:schemas:Everything")),
        Just(json!([])),
        Just(json!({})),
    ];
    let value = leaf.prop_recursive(3, 24, 5, |inner| {
        let part = prop_oneof![
            Just("text"),
            Just("hidden"),
            Just("asked"),
            Just("shown"),
            Just("label"),
            Just("value"),
            Just("complex"),
            Just("unknown"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((part, inner), 0..5).prop_map(|parts| {
                let parts = parts.into_iter();
                Value::Object(
                    parts
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    });
    (name.prop_map(str::to_owned), value)
}

proptest! {
    #[test]
    fn a_text_is_projected_like_its_value(
        members in prop::collection::vec(any_member(), 0..8),
        names in prop::collection::vec("(name|request|always|complex|complex\\.(text|hidden|asked|shown)|schemas|urn:example:schemas:extension:Everything(:label|:asked)?)", 0..3),
        excludes in any::<bool>(),
        written in prop::collection::vec("(request|complex\\.asked)", 0..2),
    ) {
        let registry = crate::resource::tests::registry();
        let everything = registry.resource_type("Everything").unwrap();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let selection = if excludes { select(&[], &names) } else { select(&names, &[]) };
        let rules = Rules::default();
        let projection = Projection::new(&selection, everything, &mut Reading::new(&rules))
            .after_write(written);
        let body: Map<_, _> = members.into_iter().collect();
        let text = serde_json::to_string(&body).unwrap();
        let expected = serde_json::to_string(&projection.apply(body)).unwrap();
        prop_assert_eq!(project_text(&projection, &text).unwrap(), expected);
    }
}

#[test]
fn a_stored_text_that_is_not_an_object_is_an_internal_error() {
    let rules = Rules::default();
    let projection = Projection::new(&Selection::default(), user(), &mut Reading::new(&rules));
    assert_eq!(project_text(&projection, "{}").unwrap(), "{}");
    for broken in ["", "[]", "null", "{\"id\":\"1\"", "{}}"] {
        let error = project_text(&projection, broken).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Internal, "{broken}");
    }
}
