//! Every schema that is built in keeps the rules of RFC 7643 §2 and §7, as `/Schemas` shows it.

use scim_protocol::schema::Registry;
use serde_json::Value;

const TYPES: [&str; 8] = [
    "string",
    "boolean",
    "decimal",
    "integer",
    "dateTime",
    "binary",
    "reference",
    "complex",
];

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

/// Calls `check` with every attribute and sub-attribute, and where it is.
fn each_attribute(check: impl Fn(&Value, &str)) {
    fn walk(attributes: &[Value], within: &str, check: &impl Fn(&Value, &str)) {
        for attribute in attributes {
            let place = format!("{within}:{}", text(attribute, "name"));
            check(attribute, &place);
            walk(list(attribute, "subAttributes"), &place, check);
        }
    }
    for schema in Registry::builtin().schemas() {
        let published = Value::Object(schema.published.clone());
        walk(list(&published, "attributes"), &schema.id, &check);
    }
}

#[test]
fn schemas_have_names_descriptions_and_urns() {
    for schema in Registry::builtin().schemas() {
        let published = Value::Object(schema.published.clone());
        assert_eq!(text(&published, "id"), schema.id);
        assert!(!text(&published, "name").is_empty(), "{}", schema.id);
        assert!(!text(&published, "description").is_empty(), "{}", schema.id);
        let urn = "urn:ietf:params:scim:schemas:";
        assert!(schema.id.starts_with(urn), "{}", schema.id);
    }
}

#[test]
fn attribute_names_follow_the_grammar() {
    each_attribute(|attribute, place| {
        let name = text(attribute, "name");
        let (first, rest) = name.split_at(1);
        let is_reference = name == "$ref";
        let rest_fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '$' | '-' | '_');
        assert!(
            is_reference || first.chars().all(|c| c.is_ascii_alphabetic()),
            "{place}"
        );
        assert!(rest.chars().all(rest_fits), "{place}");
    });
}

#[test]
fn attributes_state_every_characteristic() {
    each_attribute(|attribute, place| {
        assert!(!text(attribute, "description").is_empty(), "{place}");
        assert!(TYPES.contains(&text(attribute, "type")), "{place}");
        for flag in ["multiValued", "required"] {
            assert!(attribute[flag].is_boolean(), "{place} {flag}");
        }
        for choice in ["mutability", "returned"] {
            assert!(attribute[choice].is_string(), "{place} {choice}");
        }
        let is_complex = text(attribute, "type") == "complex";
        let has_parts = !list(attribute, "subAttributes").is_empty();
        assert_eq!(is_complex, has_parts, "{place}");
    });
}

#[test]
fn references_have_types_and_are_case_exact() {
    each_attribute(|attribute, place| {
        let is_exact = attribute["caseExact"] == Value::Bool(true);
        match text(attribute, "type") {
            "reference" => {
                assert!(!list(attribute, "referenceTypes").is_empty(), "{place}");
                assert!(is_exact, "{place}");
            }
            "binary" => assert!(is_exact, "{place}"),
            _ => {}
        }
    });
}

#[test]
fn attributes_with_a_type_suggest_its_values() {
    let user = Registry::builtin()
        .schema("urn:ietf:params:scim:schemas:core:2.0:User")
        .map(|schema| Value::Object(schema.published.clone()))
        .unwrap_or_default();
    for name in ["emails", "phoneNumbers", "ims", "photos", "addresses"] {
        let attribute = list(&user, "attributes")
            .iter()
            .find(|attribute| text(attribute, "name") == name);
        let kinds = attribute.and_then(|attribute| {
            let mut parts = list(attribute, "subAttributes").iter();
            parts.find(|part| text(part, "name") == "type")
        });
        let suggested = kinds.map(|kinds| list(kinds, "canonicalValues").len());
        assert!(suggested.is_some_and(|count| count > 0), "{name}");
    }
}
