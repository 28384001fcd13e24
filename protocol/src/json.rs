//! Request bodies: bytes to one JSON object (RFC 8259), refused with a place where they are broken.
//!
//! serde_json alone keeps the last of two members with one name and lets nesting grow to its own
//! limit. SCIM names compare without case (RFC 7643 §2.1), so `userName` beside `USERNAME` is one
//! attribute given twice, and a body says nothing legal below [`MAX_DEPTH`].

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};

/// How deep arrays and objects may nest; a bulk request of PATCH operations needs ten levels.
pub const MAX_DEPTH: u8 = 32;

/// Up to this many members an object is searched rather than hashed.
const SEARCHED_MEMBERS: usize = 16;

/// Reads a request body that must be a JSON object.
///
/// **Shape**: UTF-8, with or without a byte order mark; [`MAX_DEPTH`] levels at the most; no object
/// with two members whose names differ only in ASCII case.
///
/// # Errors
/// `InvalidSyntax` with the line and column of the fault, and the member given twice.
pub fn parse_object(body: &[u8]) -> Result<Map<String, Value>> {
    match parse(body)? {
        Value::Object(object) => Ok(object),
        other => Err(Error::invalid_syntax(format!(
            "The request body is {}; a JSON object is required",
            kind_of(&other)
        ))),
    }
}

fn parse(body: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Error::invalid_syntax(format!(
            "The request body is not UTF-8 at byte {}",
            error.valid_up_to()
        ))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Error::invalid_syntax("The request body is empty"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Level(MAX_DEPTH).deserialize(&mut deserializer);
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| {
            Error::invalid_syntax(format!("The request body is not valid JSON: {error}"))
        })
}

/// The member of that name, in any case.
#[must_use]
pub fn member<'m>(object: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// Takes the member of that name, in any case, out of the object.
pub fn take_member(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))?
        .clone();
    object.shift_remove(&key)
}

/// A value's JSON type with its article, for messages.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads one value that may nest this many levels.
#[derive(Clone, Copy)]
struct Level(u8);

impl Level {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(below)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut names = Names::default();
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if !names.insert(&object, &name) {
                return Err(A::Error::custom(format_args!(
                    "member `{name}` is given twice (names compare without case)"
                )));
            }
            object.insert(name, access.next_value_seed(below)?);
        }
        Ok(Value::Object(object))
    }
}

/// The names of an object so far, folded, once there are too many to search.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    /// Tells whether the name is new.
    fn insert(&mut self, object: &Map<String, Value>, name: &str) -> bool {
        if object.len() < SEARCHED_MEMBERS {
            return !object.keys().any(|key| key.eq_ignore_ascii_case(name));
        }
        if self.0.is_empty() {
            self.0 = object.keys().map(|key| key.to_ascii_lowercase()).collect();
        }
        self.0.insert(name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn refused(body: impl AsRef<[u8]>) -> String {
        let error = parse_object(body.as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSyntax);
        error.detail().to_owned()
    }

    #[test]
    fn a_body_is_read_as_serde_json_reads_it() {
        let text = r#"{"a":[1,-2,1.5,"x\u00e9",true,null,{}],"b":18446744073709551615}"#;
        let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(parse_object(text.as_bytes()).unwrap(), expected);
        assert_eq!(
            parse_object(format!("\u{feff}{text}").as_bytes()).unwrap(),
            expected
        );
    }

    #[test]
    fn a_broken_body_is_refused_with_its_place() {
        let check = |body: &str, part: &str| {
            let detail = refused(body);
            assert!(detail.contains(part), "{body}: {detail}");
        };
        check("", "empty");
        check(" \n", "empty");
        check("{\n  \"a\": }", "line 2");
        check("{} {}", "trailing characters");
        check("[]", "is an array");
        check("\"x\"", "is a string");
        check(r#"{"a":1e999}"#, "out of range");
        check(r#"{"a":"\ud800"}"#, "line 1 column");
        check("{'a':1}", "line 1 column 2");
        assert!(refused(b"{\"a\":\"\xff\"}").contains("byte 6"));
    }

    #[test]
    fn a_member_given_twice_in_any_case_is_named() {
        let check = |body: &str| {
            let detail = refused(body);
            assert!(
                detail.contains("`A`") && detail.contains("line 1"),
                "{detail}"
            );
        };
        check(r#"{"a":1,"A":2}"#);
        check(r#"{"x":[{"a":1,"A":2}]}"#);
        let many: String = (0..40).map(|n| format!("\"m{n}\":{n},")).collect();
        check(&format!("{{\"a\":0,{many}\"A\":1}}"));
        assert!(parse_object(format!("{{{many}\"z\":0}}").as_bytes()).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        assert!(parse_object(nested(usize::from(MAX_DEPTH)).as_bytes()).is_ok());
        assert!(refused(nested(usize::from(MAX_DEPTH) + 1)).contains("deeper than 32"));
        assert!(refused(nested(10_000)).contains("deeper than 32"));
    }

    #[test]
    fn members_are_found_in_any_case() {
        let mut object = parse_object(br#"{"operations":[1],"Value":2}"#).unwrap();
        assert_eq!(member(&object, "Operations"), Some(&Value::from(vec![1])));
        assert_eq!(take_member(&mut object, "value"), Some(Value::from(2)));
        assert_eq!(take_member(&mut object, "value"), None);
    }
}
