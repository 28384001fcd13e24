//! References that the service maintains: the `$ref` beside a `value` that names a resource.
//!
//! A stored body does not depend on the public URL. So its references are relative to the SCIM root,
//! `Users/2819c223` (RFC 7643 §2.3.7), and become absolute where an answer is rendered
//! ([`message::render`](crate::message::render)).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::json;
use crate::schema::{Attribute, DataType, Mutability, Registry};

/// All characters but the unreserved ones of RFC 3986 §2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The stored form of a reference to a resource: its endpoint and id.
#[must_use]
pub fn relative_reference(endpoint: &str, id: &str) -> String {
    format!("{endpoint}/{}", utf8_percent_encode(id, SEGMENT))
}

/// The URL of a resource: its reference below the base URL, which has no trailing slash.
#[must_use]
pub fn location(base_url: &str, endpoint: &str, id: &str) -> String {
    format!("{base_url}/{}", relative_reference(endpoint, id))
}

/// Whether the service maintains this sub-attribute: a `$ref` to a resource, beside a `value`.
pub(crate) fn is_maintained(attribute: &Attribute, sub: &Attribute) -> bool {
    sub.name == "$ref"
        && sub.kind == DataType::Reference
        && sub.reference_types.iter().any(|name| names_resources(name))
        && attribute.sub_attribute("value").is_some()
}

/// Whether a reference of this type refers to resources.
pub(crate) fn names_resources(reference_type: &str) -> bool {
    !reference_type.eq_ignore_ascii_case("external") && !reference_type.eq_ignore_ascii_case("uri")
}

/// Whether the service maintains a `$ref` in this attribute's values.
pub(crate) fn has_maintained(attribute: &Attribute) -> bool {
    maintained(attribute).is_some()
}

fn maintained(attribute: &Attribute) -> Option<&Attribute> {
    attribute
        .sub_attribute("$ref")
        .filter(|sub| is_maintained(attribute, sub))
}

/// Takes a maintained `$ref` out of a client's object; returns the `value` sub-attribute, and the id
/// at the end of the reference.
pub(crate) fn take_referred<'a>(
    attribute: &'a Attribute,
    object: &mut Map<String, Value>,
) -> Option<(&'a Attribute, String)> {
    maintained(attribute)?;
    let reference = json::take(object, "$ref")?;
    let id = referred_id(reference.as_str()?)?;
    Some((attribute.sub_attribute("value")?, id))
}

/// The id at the end of a reference's path, with any root and version segment before it.
pub(crate) fn referred_id(reference: &str) -> Option<String> {
    let path = reference.split(['?', '#']).next()?;
    let segment = path.trim_end_matches('/').rsplit('/').next()?;
    let id = percent_decode_str(segment).decode_utf8().ok()?;
    (!id.is_empty()).then(|| id.into_owned())
}

/// Sets the maintained `$ref` according to the object's `value`, or removes it if there is no `value`.
pub(crate) fn settle(attribute: &Attribute, object: &mut Map<String, Value>, registry: &Registry) {
    let Some(sub) = maintained(attribute) else {
        return;
    };
    let endpoint = endpoint(sub, object, registry);
    let reference = object
        .get("value")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty())
        .zip(endpoint)
        .map(|(id, endpoint)| relative_reference(endpoint, id));
    match reference {
        Some(reference) => {
            object.insert(sub.name().to_owned(), Value::String(reference));
        }
        // A read-only name is the name of the resource in `value`. Without `value` it means nothing.
        None => {
            object.shift_remove(sub.name());
            drop_read_only(attribute, object);
        }
    }
}

/// Drops the read-only sub-attributes, which describe the resource that the object referred to before.
pub(crate) fn drop_read_only(attribute: &Attribute, object: &mut Map<String, Value>) {
    object.retain(|name, _| {
        let sub = attribute.sub_attribute(name);
        sub.is_none_or(|sub| sub.mutability != Mutability::ReadOnly)
    });
}

/// The endpoint of the type that the object's `type` names, or of the first reference type.
fn endpoint<'r>(
    sub: &Attribute,
    object: &Map<String, Value>,
    registry: &'r Registry,
) -> Option<&'r str> {
    let label = object.get("type").and_then(Value::as_str);
    let types = || {
        sub.reference_types
            .iter()
            .filter(|name| names_resources(name))
    };
    let labelled = types().find(|name| label.is_some_and(|label| name.eq_ignore_ascii_case(label)));
    let resource_type = registry.resource_type(labelled.or_else(|| types().next())?)?;
    Some(&resource_type.endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_ends_in_the_id() {
        let check = |reference: &str, id: Option<&str>| {
            assert_eq!(referred_id(reference).as_deref(), id, "{reference}");
        };
        check("https://example.com/v2/Users/26118915", Some("26118915"));
        check("../Users/26118915/", Some("26118915"));
        check("26118915", Some("26118915"));
        check("/Users/a%20b?x=1", Some("a b"));
        check("", None);
        check("///", None);
        check("/Users/%ff", None);
    }

    #[test]
    fn an_id_is_one_segment() {
        assert_eq!(relative_reference("Users", "a/b c"), "Users/a%2Fb%20c");
        assert_eq!(referred_id("Users/a%2Fb%20c").as_deref(), Some("a/b c"));
    }
}
