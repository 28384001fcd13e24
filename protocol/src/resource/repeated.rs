//! When two elements of a multi-valued attribute are the same element (RFC 7643 §2.4).

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::schema::Attribute;

/// A text that identifies an element: its `type` and `value`, or all of it if it has no `value`.
///
/// Case counts where the schema says so. An element without `type` differs from one with a `type`.
pub(crate) fn identity(attribute: &Attribute, element: &Value) -> String {
    let kind = element
        .get("type")
        .filter(|_| element.get("value").is_some());
    let kind = kind.map(|kind| folded(attribute.sub_attribute("type"), kind));
    format!(
        "{}\u{0}{}",
        kind.unwrap_or_default(),
        value_identity(attribute, element)
    )
}

/// A text that identifies an element regardless of its `type`: its `value`, or all of it.
pub(crate) fn value_identity(attribute: &Attribute, element: &Value) -> String {
    match element.get("value") {
        Some(value) => folded(attribute.sub_attribute("value"), value),
        None => folded(Some(attribute).filter(|a| !a.is_complex()), element),
    }
}

/// The text of a value, folded where case does not count.
fn folded(attribute: Option<&Attribute>, value: &Value) -> String {
    let text = value.to_string();
    match attribute {
        Some(attribute) if !attribute.case_exact => text.to_lowercase(),
        _ => text,
    }
}

/// Keeps each element once. The first copy gains what only a later copy has.
pub(crate) fn collapse(attribute: &Attribute, elements: Vec<Value>) -> Vec<Value> {
    if elements.len() < 2 {
        return elements;
    }
    let mut places = HashMap::with_capacity(elements.len());
    let mut collapsed = Vec::<Value>::with_capacity(elements.len());
    for element in elements {
        let place = *places
            .entry(identity(attribute, &element))
            .or_insert(collapsed.len());
        match (collapsed.get_mut(place), element) {
            (None, element) => collapsed.push(element),
            (Some(Value::Object(first)), Value::Object(copy)) => fill_gaps(attribute, first, copy),
            (Some(_), _) => {}
        }
    }
    collapsed
}

/// Adds the sub-attributes that only the copy has, and keeps them in the schema's order.
fn fill_gaps(attribute: &Attribute, first: &mut Map<String, Value>, copy: Map<String, Value>) {
    for (name, value) in copy {
        first.entry(name).or_insert(value);
    }
    let mut ordered = Map::with_capacity(first.len());
    for sub in &attribute.sub_attributes {
        ordered.extend(first.shift_remove_entry(sub.name()));
    }
    ordered.append(first);
    *first = ordered;
}

/// Whether the element claims to be the primary one.
pub(crate) fn is_primary(element: &Value) -> bool {
    element.get("primary") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Registry;
    use serde_json::json;

    #[test]
    fn equal_elements_are_kept_once() {
        let user = Registry::builtin().resource_type("User").unwrap();
        let check = |name: &str, given: Value, expected: Value| {
            let attribute = user.attribute(name).unwrap();
            let Value::Array(given) = given else {
                panic!("{given} is not an array");
            };
            assert_eq!(Value::Array(collapse(attribute, given)), expected);
        };
        check(
            "emails",
            json!([{"value": "a@b", "type": "work"}, {"value": "A@B", "type": "Work", "primary": true}]),
            json!([{"value": "a@b", "type": "work", "primary": true}]),
        );
        let roles = user.attribute("roles").unwrap();
        let given = json!([{"value": "x", "primary": false}, {"value": "x", "display": "X"}]);
        let kept = collapse(roles, given.as_array().unwrap().clone());
        assert_eq!(
            kept[0].to_string(),
            r#"{"value":"x","display":"X","primary":false}"#
        );
        let distinct = json!([{"value": "a@b", "type": "work"}, {"value": "a@b", "type": "home"}, {"value": "a@b"}]);
        check("emails", distinct.clone(), distinct);
        check(
            "addresses",
            json!([{"locality": "X"}, {"locality": "X"}, {"locality": "Y"}]),
            json!([{"locality": "X"}, {"locality": "Y"}]),
        );
        let certificates = json!([{"value": "QUJD"}, {"value": "qujd"}]);
        check("x509Certificates", certificates.clone(), certificates);
    }
}
