//! The parts that an answer adds to a stored body: `meta`, and the base URL of references (RFC 7643
//! §3.1).
//!
//! A stored body is compact JSON without `meta`. References made by the service are relative to the
//! base URL (`"$ref":"Users/2819"`), so that the same body serves every public URL. Both parts are
//! added here to the text, without parsing it.

use serde_json::{Map, Value};

use super::push_string;

/// The key and opening quote of a reference in compact JSON.
const REFERENCE: &str = r#""$ref":""#;

/// The `meta` of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta<'a> {
    /// The resource type's name.
    pub resource_type: &'a str,
    /// When the resource was created, as an `xsd:dateTime`.
    pub created: &'a str,
    /// When it was last changed, as an `xsd:dateTime`.
    pub last_modified: &'a str,
    /// Its absolute URL.
    pub location: &'a str,
    /// Its entity tag: `W/"…"`.
    pub version: &'a str,
}

impl<'a> Meta<'a> {
    /// The names and values of its members, in the order in which they are written.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        [
            ("resourceType", self.resource_type),
            ("created", self.created),
            ("lastModified", self.last_modified),
            ("location", self.location),
            ("version", self.version),
        ]
        .into_iter()
    }

    /// The JSON object.
    #[must_use]
    pub fn object(&self) -> Map<String, Value> {
        let parts = self.parts();
        parts
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect()
    }
}

/// The text of a resource as a client reads it: the body with its references made absolute, then the
/// attribute that is stored outside the body, then `meta` with these members. Without members, there
/// is no `meta`.
///
/// **Shape**: `body` is a compact JSON object as `serde_json` writes it; `base_url` has no trailing
/// slash. A reference is made absolute if it is relative and begins with a path segment
/// (`Users/2819`); absolute URIs, `/x`, `./x` and `../x` stay as they are.
#[must_use]
pub fn render<'m>(
    body: &str,
    beside: Option<(&str, &Value)>,
    meta: impl Iterator<Item = (&'static str, &'m str)>,
    base_url: &str,
) -> String {
    let beside = beside.map(|(name, value)| (name, value.to_string()));
    let length = beside.as_ref().map_or(0, |(_, text)| text.len());
    let mut out = String::with_capacity(body.len() + length + 320);
    let object = body.strip_suffix('}').unwrap_or(body);
    push_with_references(&mut out, object, base_url);
    if let Some((name, text)) = &beside {
        push_separator(&mut out);
        push_string(&mut out, name);
        out.push(':');
        push_with_references(&mut out, text, base_url);
    }
    push_meta(&mut out, meta);
    out.push('}');
    out
}

/// Appends `meta` to an object that is not closed yet, unless it would be empty.
fn push_meta<'m>(out: &mut String, parts: impl Iterator<Item = (&'static str, &'m str)>) {
    let end = out.len();
    push_separator(out);
    out.push_str(r#""meta":{"#);
    let start = out.len();
    for (name, value) in parts {
        push_separator(out);
        push_string(out, name);
        out.push(':');
        push_string(out, value);
    }
    match out.len() > start {
        true => out.push('}'),
        false => out.truncate(end),
    }
}

/// The result of [`render`] as an object.
#[must_use]
pub fn render_object(
    mut body: Map<String, Value>,
    beside: Option<(&str, &Value)>,
    meta: &Meta<'_>,
    base_url: &str,
) -> Map<String, Value> {
    if let Some((name, value)) = beside {
        body.insert(name.to_owned(), value.clone());
    }
    make_absolute(&mut body, base_url);
    body.insert("meta".to_owned(), Value::Object(meta.object()));
    body
}

/// The compact text of a JSON value with its relative references made absolute, as in [`render`].
#[must_use]
pub fn with_absolute_references(value: &Value, base_url: &str) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len() + base_url.len() + 1);
    push_with_references(&mut out, &text, base_url);
    out
}

/// Appends a comma if the object that is not closed yet has a member.
fn push_separator(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

/// Prepends the base URL to each relative reference of an object and of everything inside it, as
/// [`render`] does.
pub fn make_absolute(object: &mut Map<String, Value>, base_url: &str) {
    for (name, value) in object {
        match value {
            Value::String(text) if name == "$ref" && is_relative(text) => {
                *text = format!("{base_url}/{text}");
            }
            value => make_absolute_inside(value, base_url),
        }
    }
}

fn make_absolute_inside(value: &mut Value, base_url: &str) {
    match value {
        Value::Object(object) => make_absolute(object, base_url),
        Value::Array(elements) => {
            let elements = elements.iter_mut();
            elements.for_each(|element| make_absolute_inside(element, base_url));
        }
        _ => {}
    }
}

/// Copies compact JSON and prepends the base URL to each relative reference.
///
/// The search is by bytes. `"$ref":"` after `{` or `,` is always the name of a member: a quote inside
/// a JSON string is written `\"`, so the first quote begins or ends a string. It cannot end one,
/// because then `$` would be outside of any string.
fn push_with_references(out: &mut String, json: &str, base_url: &str) {
    let mut copied = 0;
    for (position, _) in json.match_indices(REFERENCE) {
        let value = position + REFERENCE.len();
        let is_key = json
            .get(..position)
            .is_some_and(|before| before.ends_with(['{', ',']));
        let (before, after) = (json.get(copied..value), json.get(value..));
        if let (true, Some(before), Some(after)) = (is_key, before, after)
            && is_relative(after)
        {
            out.push_str(before);
            out.push_str(base_url);
            out.push('/');
            copied = value;
        }
    }
    out.push_str(json.get(copied..).unwrap_or_default());
}

/// Whether a text begins with a path segment and a slash.
fn is_relative(text: &str) -> bool {
    let segment = text
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        .count();
    segment > 0 && text.as_bytes().get(segment) == Some(&b'/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const BASE: &str = "https://example.com/scim/v2";

    const META: Meta<'static> = Meta {
        resource_type: "User",
        created: "2010-01-23T04:56:22.000Z",
        last_modified: "2011-05-13T04:42:34.000Z",
        location: "https://example.com/scim/v2/Users/2819",
        version: r#"W/"3694e05e9dff590""#,
    };

    #[test]
    fn meta_is_the_last_member() {
        let text = render(
            r#"{"id":"2819","userName":"bjensen"}"#,
            None,
            META.parts(),
            BASE,
        );
        assert!(text.starts_with(r#"{"id":"2819","userName":"bjensen","meta":{"resourceType":"#));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["meta"],
            json!({"resourceType": "User", "created": "2010-01-23T04:56:22.000Z",
                   "lastModified": "2011-05-13T04:42:34.000Z",
                   "location": "https://example.com/scim/v2/Users/2819",
                   "version": "W/\"3694e05e9dff590\""})
        );
    }

    #[test]
    fn an_empty_body_gets_no_comma() {
        let text = render("{}", None, META.parts().skip(1), BASE);
        assert!(text.starts_with(r#"{"meta":{"created":"#));
        assert_eq!(render("{}", None, META.parts().skip(5), BASE), "{}");
        let beside = json!([]);
        assert_eq!(
            render("{}", Some(("groups", &beside)), META.parts().skip(4), BASE),
            r#"{"groups":[],"meta":{"version":"W/\"3694e05e9dff590\""}}"#
        );
    }

    #[test]
    fn only_relative_references_get_the_base() {
        let check = |reference: &str, expected: &str| {
            let body = json!({"manager": {"$ref": reference}}).to_string();
            let value: Value =
                serde_json::from_str(&render(&body, None, META.parts(), BASE)).unwrap();
            assert_eq!(value["manager"]["$ref"], expected, "{reference}");
        };
        check(
            "Users/26118915",
            "https://example.com/scim/v2/Users/26118915",
        );
        check("My-Things/a/b", "https://example.com/scim/v2/My-Things/a/b");
        for unchanged in [
            "https://example.org/Users/1",
            "urn:uuid:2819",
            "/Users/1",
            "//host/Users",
            "../Users/1",
            "Users",
            "",
            "\"Users/1",
        ] {
            check(unchanged, unchanged);
        }
    }

    #[test]
    fn texts_that_look_like_references_are_left_alone() {
        for text in [
            r#""$ref":"Users/1"#,
            r#","$ref":"Users/1"}"#,
            r#"\","$ref":"Users/1"#,
            r#"\\","$ref":"Users/1"#,
            "{\"$ref\":\"Users/1\"}",
        ] {
            let body = json!({"displayName": text, text: text}).to_string();
            let rendered = render(&body, None, META.parts(), BASE);
            let value: Value = serde_json::from_str(&rendered).unwrap();
            assert_eq!(value["displayName"], text);
            assert_eq!(value[text], text);
        }
    }

    fn tricky_text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("$ref"),
            Just("\""),
            Just("\":\""),
            Just(","),
            Just("{"),
            Just("\\"),
            Just("Users/1"),
            Just(":"),
            Just("é\u{1}"),
        ];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    fn tricky_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            tricky_text().prop_map(Value::from),
            Just(json!("Users/2819")),
            Just(json!(1)),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let key = prop_oneof![Just("$ref".to_owned()), tricky_text()];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn splicing_equals_parsing(inner in tricky_json(), beside in tricky_json()) {
            let body = json!({"id": "x", "inner": inner});
            let beside = Some(("members", &beside));
            let rendered = render(&body.to_string(), beside, META.parts(), BASE);
            let rendered: Value = serde_json::from_str(&rendered).unwrap();
            let Value::Object(body) = body else { unreachable!("it is an object") };
            let expected = render_object(body, beside, &META, BASE);
            prop_assert_eq!(rendered, Value::Object(expected));
        }
    }
}
