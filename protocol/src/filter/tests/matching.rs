use proptest::prelude::*;
use serde_json::json;

use crate::error::ErrorKind;
use crate::filter::*;
use crate::key::{IndexRange, IndexText, Key};
use crate::profile::{Profile, Rules, Tolerance, UnknownFilterAttributes};
use crate::schema::{Registry, ResourceType};

fn resource_type(name: &str) -> &'static ResourceType {
    Registry::builtin().resource_type(name).unwrap()
}

/// A type with the kinds of attributes that User and Group lack.
fn thing() -> Registry {
    let mut registry = Registry::builtin().clone();
    let attributes = json!([
        {"name": "size", "type": "integer"},
        {"name": "weight", "type": "decimal"},
        {"name": "tags", "type": "string", "multiValued": true},
        {"name": "userName", "type": "boolean"},
        {"name": "secret", "type": "complex", "subAttributes": [
            {"name": "pin", "type": "string", "mutability": "writeOnly", "returned": "never"},
        ]},
    ]);
    registry
        .add_schema(&json!({"id": "urn:example:Thing", "name": "Thing", "attributes": attributes}))
        .unwrap();
    let badges = json!([{"name": "tags", "type": "complex", "multiValued": true, "subAttributes": [
        {"name": "value", "type": "string"},
    ]}]);
    registry
        .add_schema(&json!({"id": "urn:example:B", "name": "Badges", "attributes": badges}))
        .unwrap();
    registry
        .add_resource_type(&json!({
            "name": "Thing", "endpoint": "/Things", "schema": "urn:example:Thing",
            "schemaExtensions": [{"schema": "urn:example:B", "required": false}],
        }))
        .unwrap();
    registry
}

fn rules(profile: Profile) -> Rules {
    Rules {
        profile,
        ..Rules::default()
    }
}

fn bind(text: &str, profile: Profile, resource_type: &ResourceType) -> Result<BoundFilter> {
    let rules = rules(profile);
    let mut reading = Reading::new(&rules);
    Filter::parse(text, &mut reading)?.bind(resource_type, &mut reading)
}

fn barbara() -> Value {
    json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
        ],
        "id": "2819c223-7f76-453a-919d-413861904646",
        "externalId": "701984",
        "userName": "bjensen@example.com",
        "name": {"familyName": "Jensen", "givenName": "Barbara", "middleName": ""},
        "displayName": "Zoë Straße",
        "nickName": "",
        "title": null,
        "emails": [
            {"value": "bjensen@example.com", "type": "work", "primary": true},
            {"value": "babs@home.org", "type": "home"},
            {"value": "untyped@example.net"}
        ],
        "phoneNumbers": [],
        "ims": [{"value": "", "type": null}],
        "photos": [{"value": "https://photos.example.com/F/Photo"}],
        "active": true,
        "groups": [{"value": "e9e30dba", "display": "Tour Guides", "type": "direct"}],
        "x509Certificates": [{"value": "YWI="}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "employeeNumber": "701984",
            "manager": {"value": "26118915", "displayName": "John Smith"}
        },
        "meta": {
            "resourceType": "User",
            "created": "2010-01-23T04:56:22.000Z",
            "lastModified": "2011-05-13T04:42:34.000Z",
            "version": "W/\"a330\"",
            "location": "https://example.com/v2/Users/2819c223"
        }
    })
}

fn matches(text: &str, resource_type: &ResourceType, resource: &Value) -> bool {
    let filter =
        bind(text, Profile::Strict, resource_type).unwrap_or_else(|e| panic!("{text}: {e}"));
    filter.matches(resource.as_object().unwrap())
}

#[test]
fn filters_select_by_schema() {
    let barbara = barbara();
    let check = |text: &str, expected: bool| {
        assert_eq!(
            matches(text, resource_type("User"), &barbara),
            expected,
            "{text}"
        );
    };
    // Case, and Unicode, by caseExact.
    check(r#"userName eq "BJensen@example.com""#, true);
    check(r#"displayName eq "ZOE\u0308 STRASSE""#, true);
    check(r#"externalId eq "701984""#, true);
    check(r#"id eq "2819C223-7f76-453a-919d-413861904646""#, false);
    check(r#"meta.version eq "w/\"A330\"""#, false);
    // Parts of strings.
    check(r#"name.familyName co "ENS""#, true);
    check(r#"userName sw "BJ""#, true);
    check(r#"userName sw "bjensen@example.com""#, true);
    check(r#"userName sw "jensen""#, false);
    check(r#"emails.value ew "@HOME.org""#, true);
    check(r#"photos.value sw "https://photos""#, true);
    check(r#"photos.value co "f/photo""#, false);
    check(r#"userName co """#, true);
    check(r#"title co """#, false);
    // Order.
    check(r#"userName gt "BA""#, true);
    check(r#"userName lt "ba""#, false);
    check(r#"userName le "bjensen@example.com""#, true);
    check(r#"meta.lastModified gt "2011-05-13T04:42:33Z""#, true);
    check(r#"meta.lastModified ge "2011-05-13T06:42:34+02:00""#, true);
    check(r#"meta.lastModified lt "2011-05-13T05:42:34+02:00""#, false);
    check(r#"meta.created eq "2010-01-23T04:56:22Z""#, true);
    check(r#"title gt "a""#, false);
    check(r#"title le "z""#, false);
    // Booleans, binaries, references.
    check("active eq true", true);
    check("active ne true", false);
    check(r#"x509Certificates.value eq "YWI""#, true);
    check(r#"x509Certificates eq "ywi=""#, false);
    check(
        r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
        true,
    );
    check(r#"meta.resourceType eq "User""#, true);
    check(r#"meta.resourceType ne "User""#, false);
    check(r#"meta.location ew "2819c223""#, true);
}

#[test]
fn unassigned_values_are_not_present() {
    let barbara = barbara();
    let check = |text: &str, expected: bool| {
        assert_eq!(
            matches(text, resource_type("User"), &barbara),
            expected,
            "{text}"
        );
    };
    check("userName pr", true);
    check("name pr", true);
    check("name.middleName pr", false);
    check("nickName pr", false);
    check("title pr", false);
    check("userType pr", false);
    check("emails pr", true);
    check("emails.primary pr", true);
    check("phoneNumbers pr", false);
    check("phoneNumbers.value pr", false);
    check("ims pr", false);
    check("active pr", true);
    check(
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
        true,
    );
    check("title eq null", true);
    check("title ne null", false);
    check("userName eq null", false);
    check("phoneNumbers ne null", false);
}

#[test]
fn ne_is_true_without_a_value_and_when_any_value_differs() {
    let barbara = barbara();
    let check = |text: &str, expected: bool| {
        assert_eq!(
            matches(text, resource_type("User"), &barbara),
            expected,
            "{text}"
        );
    };
    check(r#"userName ne "x""#, true);
    check(r#"userName ne "BJENSEN@example.com""#, false);
    check(r#"title ne "x""#, true);
    check(r#"not (title eq "x")"#, true);
    check(r#"emails.type ne "work""#, true);
    check(r#"not (emails.type eq "work")"#, false);
    check(
        r#"photos.value ne "https://photos.example.com/F/Photo""#,
        false,
    );
    check(r#"phoneNumbers.type ne "work""#, true);
    check(r#"emails[type ne "work" and value sw "bjensen"]"#, false);
    check(r#"emails[type ne "work" and value sw "untyped"]"#, true);
    check(r#"phoneNumbers[type ne "work"]"#, false);
}

#[test]
fn brackets_are_about_one_element() {
    let barbara = barbara();
    let check = |text: &str, expected: bool| {
        assert_eq!(
            matches(text, resource_type("User"), &barbara),
            expected,
            "{text}"
        );
    };
    check(
        r#"emails[type eq "work" and value co "@example.com"]"#,
        true,
    );
    check(r#"emails[type eq "work" and value co "@home.org"]"#, false);
    check(
        r#"emails.type eq "work" and emails.value co "@home.org""#,
        true,
    );
    check(r#"emails[type eq "work" or value co "@nowhere"]"#, true);
    check(r#"emails[not (type pr)]"#, true);
    check(
        r#"emails[type eq "work"].value eq "BJENSEN@example.com""#,
        true,
    );
    check(
        r#"emails[type eq "home"].value eq "bjensen@example.com""#,
        false,
    );
    check(r#"emails[type eq "home"].primary pr"#, false);
    check(
        r#"name[givenName eq "Barbara" and familyName sw "J"]"#,
        true,
    );
    check(r#"schemas[value ew "core:2.0:User"]"#, true);
    check(r#"emails[type eq null]"#, true);
}

#[test]
fn a_missing_primary_is_false() {
    let barbara = barbara();
    let check = |text: &str, expected: bool| {
        assert_eq!(
            matches(text, resource_type("User"), &barbara),
            expected,
            "{text}"
        );
    };
    check(r#"emails[type eq "home" and primary eq false]"#, true);
    check(r#"emails[type eq "home" and primary ne true]"#, true);
    check(r#"emails[type eq "home" and primary ne false]"#, false);
    check(r#"emails[type eq "work" and primary eq false]"#, false);
    check("emails.primary eq false", true);
    check("photos.primary eq true", false);
    check("phoneNumbers.primary eq false", false);
    check("emails[not (primary pr)]", true);
}

#[test]
fn names_are_found_in_any_case_and_notation() {
    let barbara = barbara();
    let enterprise = "URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:user";
    let check = |text: &str, expected: bool| {
        assert_eq!(
            matches(text, resource_type("User"), &barbara),
            expected,
            "{text}"
        );
    };
    check(r#"USERNAME EQ "bjensen@example.com""#, true);
    check(
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "b""#,
        true,
    );
    check(&format!(r#"{enterprise}:employeeNumber eq "701984""#), true);
    check(&format!(r#"{enterprise}:manager eq "26118915""#), true);
    check(
        &format!(r#"{enterprise}:manager.displayName sw "john""#),
        true,
    );
    check(&format!(r#"{enterprise}:costCenter pr"#), false);
    check(r#"emails co "example.com""#, true);
    check(r#"groups eq "E9E30DBA""#, true);
}

#[test]
fn numbers_and_plain_lists_compare() {
    let registry = thing();
    let thing = registry.resource_type("Thing").unwrap();
    let resource = json!({"size": 9, "weight": 0.1, "tags": ["Red", "blue"]});
    let check = |text: &str, expected: bool| {
        assert_eq!(matches(text, thing, &resource), expected, "{text}");
    };
    check("size lt 10", true);
    check("size eq 9.0", true);
    check("size gt -100", true);
    check("weight ge 1e-1", true);
    check("weight lt 0.05", false);
    check(r#"tags eq "RED""#, true);
    check(r#"tags ne "red""#, true);
    check(r#"tags[value sw "b"]"#, true);
    check(r#"tags[value sw "b" and value ew "d"]"#, false);
}

#[test]
fn unsupported_comparisons_are_refused_by_name() {
    let registry = thing();
    let check_in = |name: &str, text: &str, part: &str| {
        let resource_type = registry.resource_type(name).unwrap();
        let error = bind(text, Profile::Strict, resource_type).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFilter, "{text}");
        assert!(error.detail().contains(part), "{text}: {}", error.detail());
    };
    let check = |text: &str, part: &str| check_in("User", text, part);
    check(r#"foo eq "x""#, "User has no attribute `foo`");
    check(r#"department eq "x""#, "`department`");
    check(r#"userName pr and name.foo eq "x""#, "`name.foo`");
    check(r#"urn:example:x:foo eq "x""#, "`urn:example:x:foo`");
    check(
        r#"emails[foo eq "x"]"#,
        "`emails` has no sub-attribute `foo`",
    );
    check(
        r#"emails[foo eq "x"]"#,
        "it has value, display, type, primary",
    );
    check(r#"schemas[type eq "x"]"#, "plain values");
    check(
        &format!("{} pr", "x".repeat(2_000)),
        &format!("`{}…`", "x".repeat(100)),
    );
    check(r#"userName[value eq "x"]"#, "single string");
    check(r#"emails.type[value eq "x"]"#, "no elements");
    check(r#"password eq "x""#, "never returned");
    check("password pr", "never returned");
    check(
        "active gt true",
        "`gt` does not apply to `active` of type boolean",
    );
    check(r#"active co "t""#, "eq, ne and pr");
    check(r#"active eq "yes""#, "true or false");
    check(r#"active eq "true""#, "true or false");
    check(r#"x509Certificates.value lt "A""#, "type binary");
    check(r#"meta.created sw "2011""#, "type dateTime");
    check(r#"meta.created gt "abc""#, "a dateTime such as");
    check("meta.created gt 5", "a dateTime such as");
    check("userName eq 5", "a string in double quotes");
    check("userName eq true", "a string in double quotes");
    check(r#"name eq "B""#, "formatted, familyName");
    check(r#"addresses eq "B""#, "streetAddress");
    check("title gt null", "null goes with eq and ne");
    check(
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User eq "x""#,
        "is an extension",
    );
    check_in("Thing", r#"size eq "9""#, "a number");
    check_in("Thing", "size co 9", "type integer");
    check_in("Thing", r#"secret.pin eq "1""#, "never returned");
    check_in("Thing", r#"secret[pin eq "1"]"#, "never returned");
}

#[test]
fn tolerances_read_what_providers_send() {
    let barbara = barbara();
    let check = |text: &str, tolerance: Tolerance| {
        let rules = Rules::default();
        let mut reading = Reading::new(&rules);
        let filter = Filter::parse(text, &mut reading).unwrap();
        let bound = filter.bind(resource_type("User"), &mut reading).unwrap();
        assert!(bound.matches(barbara.as_object().unwrap()), "{text}");
        assert!(reading.used_tolerances().contains(tolerance), "{text}");
        assert!(bind(text, Profile::Strict, resource_type("User")).is_err());
    };
    check(r#"active eq "True""#, Tolerance::StringBooleans);
    check(r#"emails[primary eq "TRUE"]"#, Tolerance::StringBooleans);
    check("externalId eq 701984", Tolerance::UnquotedFilterValues);
    check(
        "userName eq bjensen@example.com",
        Tolerance::UnquotedFilterValues,
    );
    check(r#"manager eq "26118915""#, Tolerance::BareExtensionNames);
    check(
        r#"manager.value eq "26118915""#,
        Tolerance::BareExtensionNames,
    );
    let wrong = bind("userName eq 1.5", Profile::Default, resource_type("User"));
    assert!(wrong.is_err());
}

#[test]
fn an_unknown_attribute_can_match_nothing() {
    let mut rules = Rules::default();
    rules.switches.unknown_filter_attributes = UnknownFilterAttributes::Empty;
    let mut reading = Reading::new(&rules);
    let mut check = |text: &str, empty: bool| {
        let filter = Filter::parse(text, &mut reading).unwrap();
        let bound = filter.bind(resource_type("User"), &mut reading);
        let found = bound.map(|bound| bound == BoundFilter::Constant(false));
        assert_eq!(found.ok(), empty.then_some(true), "{text}");
    };
    check(r#"foo eq "x""#, true);
    check(r#"userName pr or not (foo eq "x")"#, true);
    check(r#"emails[foo eq "x"]"#, true);
    check(r#"foo eq "x" or active gt true"#, false);
    check(r#"name eq "x""#, false);
}

#[test]
fn an_attribute_that_a_type_lacks_has_no_value_there() {
    let registry = thing();
    let types = ["User", "Group", "Thing"].map(|name| &**registry.resource_type(name).unwrap());
    let rules = rules(Profile::Strict);
    let mut reading = Reading::new(&rules);
    let mut check = |text: &str, expected: [Option<bool>; 3]| {
        let filter = Filter::parse(text, &mut reading).unwrap();
        let bound = filter.bind_each(&types, &mut reading).unwrap();
        let constants = bound.iter().map(|bound| match bound {
            BoundFilter::Constant(constant) => Some(*constant),
            _ => None,
        });
        assert_eq!(constants.collect::<Vec<_>>(), expected, "{text}");
    };
    let (no, yes) = (Some(false), Some(true));
    check(r#"userName eq "x""#, [None, no, no]);
    check(r#"userName ne "x""#, [None, no, no]);
    check("userName eq true", [no, no, None]);
    check("members pr", [no, None, no]);
    check(r#"not (emails[type eq "work"])"#, [None, yes, yes]);
    check(r#"displayName eq "x" and size eq 1"#, [no, no, no]);
    check(r#"displayName eq "x" or size eq 1"#, [None, None, None]);
    check(r#"meta.resourceType eq "Group""#, [no, yes, no]);
    check(
        r#"meta.resourceType eq "Group" and id eq "1""#,
        [no, None, no],
    );
    check(
        r#"emails[type eq "work"] or tags[value eq "x"] or members pr"#,
        [None, None, None],
    );
    for text in ["foo pr", "userName pr and foo pr", "emails[foo pr]"] {
        let filter = Filter::parse(text, &mut reading).unwrap();
        let error = filter.bind_each(&types, &mut reading).unwrap_err();
        assert!(error.detail().contains("`foo`"), "{error}");
    }
}

#[test]
fn plans_can_read_bound_filters() {
    let bound = |text: &str| bind(text, Profile::Default, resource_type("User")).unwrap();
    let BoundFilter::And(parts) = bound(r#"(USERNAME eq "X" and title pr) and emails sw "A""#)
    else {
        panic!("no conjunction");
    };
    assert_eq!(parts.len(), 3);
    let comparison = |filter: &BoundFilter| match filter {
        BoundFilter::Compare(c) => (
            c.path.index_path().to_owned(),
            c.op,
            c.operand.as_str().to_owned(),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        comparison(&parts[0]),
        ("userName".to_owned(), CompareOp::Eq, "x".to_owned())
    );
    assert_eq!(
        comparison(&parts[2]),
        ("emails.value".to_owned(), CompareOp::Sw, "a".to_owned())
    );
    let BoundFilter::Compare(employee) = bound(r#"employeeNumber eq "1""#) else {
        panic!("no comparison");
    };
    assert_eq!(
        employee.path.index_path(),
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"
    );
    let registry = thing();
    let thing = registry.resource_type("Thing").unwrap();
    let badges = bind(
        r#"urn:example:B:tags[VALUE eq "x"]"#,
        Profile::Strict,
        thing,
    )
    .unwrap();
    let BoundFilter::ValuePath { filter, .. } = &badges else {
        panic!("no value path");
    };
    assert_eq!(comparison(filter).0, "urn:example:B:tags.value");
    let plain = bind(r#"tags[value eq "x"]"#, Profile::Strict, thing).unwrap();
    let BoundFilter::ValuePath { filter, .. } = &plain else {
        panic!("no value path");
    };
    assert_eq!(comparison(filter).0, "tags");
    let BoundFilter::ValuePath { path, filter } = bound(r#"emails[value eq "x"]"#) else {
        panic!("no value path");
    };
    assert_eq!(path.index_path(), "emails");
    assert_eq!(comparison(&filter).0, "emails.value");
    assert!(bound("not (groups pr)").reads("groups"));
    assert!(bound(r#"emails[value eq "x"]"#).reads("emails"));
    assert!(!bound("userName pr").reads("groups"));
}

#[test]
fn a_comparison_with_an_impossible_id_is_a_constant() {
    let long = "x".repeat(257);
    let check = |text: &str, name: &str, expected: Option<bool>| {
        let text = text.replace('?', &long);
        let bound = bind(&text, Profile::Default, resource_type(name)).unwrap();
        let constant = match bound {
            BoundFilter::Constant(constant) => Some(constant),
            _ => None,
        };
        assert_eq!(constant, expected, "{text}");
    };
    check(r#"id eq "?""#, "User", Some(false));
    check(r#"id eq """#, "User", Some(false));
    check(r#"id sw """#, "User", None);
    check(r#"members eq "?""#, "Group", Some(false));
    check(
        r#"members[value eq "?" and type eq "User"]"#,
        "Group",
        Some(false),
    );
    check(r#"not (groups.value eq "?")"#, "User", Some(true));
    check(r#"members.display eq "?""#, "Group", None);
    check(r#"emails.value eq "?""#, "User", None);
    check(&format!(r#"id eq "{}""#, "x".repeat(256)), "User", None);
}

#[test]
fn elements_match_the_filter_of_a_patch_path() {
    let rules = rules(Profile::Strict);
    let mut reading = Reading::new(&rules);
    let emails = resource_type("User").attribute("emails").unwrap();
    let mut check = |text: &str, element: Value, expected: Option<bool>| {
        let filter = Filter::parse(text, &mut reading).unwrap();
        let bound = filter.bind_element(emails, &mut reading);
        let found = bound.map(|bound| bound.matches_element(&element));
        assert_eq!(found.ok(), expected, "{text}");
    };
    check(r#"type eq "WORK""#, json!({"type": "work"}), Some(true));
    check(r#"type eq "work""#, json!({"type": "home"}), Some(false));
    check("primary eq false", json!({"type": "home"}), Some(true));
    check("foo pr", json!({}), None);
    check("emails.type pr", json!({}), None);
    let schemas = resource_type("User").attribute("schemas").unwrap();
    let filter = Filter::parse(r#"value eq "a""#, &mut reading).unwrap();
    let bound = filter.bind_element(schemas, &mut reading).unwrap();
    assert!(bound.matches_element(&json!("a")));
    assert!(!bound.matches_element(&json!("b")));
}

#[test]
fn keys_of_an_index_are_the_distinct_values() {
    let user = resource_type("User");
    let keys = |path: &str| {
        let index = user.index(path).unwrap();
        let resource = json!({
            "userName": "BJ",
            "emails": [{"value": "A@x"}, {"value": "a@X"}, {"type": "work"}, {"value": "b@x"}],
        });
        let keys = Key::all_of(&index.values, resource.as_object().unwrap());
        keys.iter()
            .map(|key| key.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("userName"), ["bj"]);
    assert_eq!(keys("emails.value"), ["a@x", "b@x"]);
    assert!(keys("externalId").is_empty());
}

/// Filters over a few attributes of User, with constants that random users often have.
fn user_filter() -> impl Strategy<Value = String> {
    let op = || prop::sample::select(vec!["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]);
    let text = || prop::sample::select(vec!["", "a", "A", "ab", "b", "work", "é"]);
    let term = prop_oneof![
        (op(), text()).prop_map(|(op, text)| format!(r#"userName {op} "{text}""#)),
        (op(), text()).prop_map(|(op, text)| format!(r#"externalId {op} "{text}""#)),
        (op(), text()).prop_map(|(op, text)| format!(r#"emails.value {op} "{text}""#)),
        (op(), text(), any::<bool>()).prop_map(|(op, text, primary)| {
            format!(r#"emails[type {op} "{text}" and primary eq {primary}]"#)
        }),
        prop::sample::select(vec![
            "title pr",
            "emails pr",
            "active eq true",
            "emails.primary ne true"
        ])
        .prop_map(str::to_owned),
    ];
    term.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

fn user() -> impl Strategy<Value = Value> {
    let text = || prop::option::of(prop::sample::select(vec!["", "a", "B", "ab", "Work", "É"]));
    let email = (text(), text(), prop::option::of(any::<bool>())).prop_map(
        |(value, kind, primary)| json!({"value": value, "type": kind, "primary": primary}),
    );
    let emails = prop::collection::vec(email, 0..3);
    (text(), text(), text(), emails, prop::option::of(any::<bool>())).prop_map(
        |(name, external, title, emails, active)| {
            json!({"userName": name, "externalId": external, "title": title, "emails": emails, "active": active})
        },
    )
}

proptest! {
    #[test]
    fn filters_obey_the_laws_of_logic(one in user_filter(), other in user_filter(), user in user()) {
        let holds = |text: &str| matches(text, resource_type("User"), &user);
        let (a, b) = (holds(&one), holds(&other));
        prop_assert_eq!(holds(&format!("not ({one})")), !a);
        prop_assert_eq!(holds(&format!("not (not ({one}))")), a);
        prop_assert_eq!(holds(&format!("({one}) and ({other})")), a && b);
        prop_assert_eq!(holds(&format!("({one}) or ({other})")), a || b);
    }

    #[test]
    fn an_index_range_holds_every_match(
        op in prop::sample::select(CompareOp::ALL.to_vec()),
        operand in any::<String>(),
        name in any::<String>(),
    ) {
        let path = &resource_type("User").index("userName").unwrap().values;
        let value = Value::String(name);
        let (Some(key), Some(operand)) = (
            Key::of(&value, path.collation()),
            Key::of_text(&operand, path.collation()),
        ) else {
            return Err(TestCaseError::fail("a string has a key"));
        };
        let Some(range) = IndexRange::of_texts(&operand, op.0) else { return Ok(()) };
        let text = IndexText::of(&key).text;
        let inside = match &range.bounds {
            crate::key::Bounds::Equal(bound) => text == *bound,
            crate::key::Bounds::Prefix(bound) => text.starts_with(bound),
            crate::key::Bounds::From(bound) => text >= *bound,
            crate::key::Bounds::Before(bound) => text < *bound,
        };
        prop_assert_eq!(inside, op.0.holds(Some(&key), &operand));
    }
}
