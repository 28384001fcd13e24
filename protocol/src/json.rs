//! Request bodies: bytes to one JSON object (RFC 8259). A broken body is refused with the place of the
//! fault.
//!
//! serde_json alone would keep the last of two members with one name, and has its own limit of
//! nesting. SCIM names compare without case (RFC 7643 §2.1), so `userName` beside `USERNAME` is one
//! attribute given twice. No legal message is nested deeper than [`MAX_DEPTH`].

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result, excerpt};

/// The number of levels to which arrays and objects may nest; a bulk request of PATCH operations needs
/// ten.
pub const MAX_DEPTH: u8 = 32;

/// The largest number of values in a body, including those inside other values.
pub const MAX_VALUES: usize = 400_000;

/// The largest number of objects and arrays in a body.
pub const MAX_CONTAINERS: usize = 100_000;

/// The largest number of members of one object.
pub const MAX_NAMES: usize = 10_000;

/// In an object with up to this many members a name is searched for; in a larger one it is hashed.
const SEARCHED_MEMBERS: usize = 16;

/// Reads a request body that must be a JSON object.
///
/// **Shape**: UTF-8, with or without a byte order mark; at most [`MAX_DEPTH`] levels; in each object
/// at most [`MAX_NAMES`] members, and no two whose names differ only in ASCII case; at most
/// [`MAX_VALUES`] values, of which at most [`MAX_CONTAINERS`] are objects or arrays.
///
/// # Errors
/// `InvalidSyntax` with the line and column of the fault, or with the name of the member that is given
/// twice; `PayloadTooLarge` at the first value beyond a limit.
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
    let allowance = ValueAllowance::default();
    let level = Level {
        depth: MAX_DEPTH,
        allowance: &allowance,
    };
    let value = level.deserialize(&mut deserializer);
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| match allowance.is_used_up.get() {
            true => Error::payload_too_large(format!(
                "The request body holds too many values; at most {MAX_VALUES} are allowed, of which \
                 {MAX_CONTAINERS} may be objects and arrays"
            )),
            false => Error::invalid_syntax(format!("The request body is not valid JSON: {error}")),
        })
}

/// The value of the member with this name, in any case (RFC 7643 §2.1).
#[must_use]
pub fn get<'m>(object: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The value of the member with this name, in any case. Null counts as absent (RFC 7643 §2.5).
pub(crate) fn present<'m>(object: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    get(object, name).filter(|value| !value.is_null())
}

/// Removes the member with this name, in any case, and returns its value.
pub fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))?
        .clone();
    object.shift_remove(&key)
}

/// The value if it is an object, else an empty object.
pub(crate) fn into_object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Reads the name of a member, without a copy unless the name holds an escape.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The length that a compact JSON text has inside a JSON string, without the quotes around it: `"` and
/// `\` take two bytes. A compact text holds no control characters.
#[must_use]
pub fn length_in_string(json: &[u8]) -> usize {
    let count = |byte| memchr::memchr_iter(byte, json).count();
    json.len() + count(b'"') + count(b'\\')
}

/// The content of a JSON string; the text itself for any other value.
pub(crate) fn string_of(value: &RawValue) -> Cow<'_, str> {
    let json = value.get();
    let inner = json
        .strip_prefix('"')
        .and_then(|json| json.strip_suffix('"'));
    match inner {
        Some(text) if !text.contains('\\') => Cow::Borrowed(text),
        _ => Cow::Owned(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())),
    }
}

/// The JSON type of a value with its article, for error messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The number of bytes that a value takes as JSON text, without writing it.
pub(crate) fn text_length(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(boolean) => 5 - usize::from(*boolean),
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => string_length(text),
        Value::Array(elements) => {
            let inner: usize = elements.iter().map(text_length).sum();
            2 + inner + elements.len().saturating_sub(1)
        }
        Value::Object(members) => object_length(members),
    }
}

/// The number of bytes that an object takes as JSON text.
pub(crate) fn object_length(members: &Map<String, Value>) -> usize {
    let inner = members.iter();
    let inner: usize = inner.map(|(name, value)| member_length(name, value)).sum();
    2 + inner + members.len().saturating_sub(1)
}

/// The number of bytes that a member of an object takes, without the comma before it.
pub(crate) fn member_length(name: &str, value: &Value) -> usize {
    string_length(name) + 1 + text_length(value)
}

fn string_length(text: &str) -> usize {
    let escaped: usize = text.bytes().map(escape_length).sum();
    2 + text.len() + escaped
}

/// The bytes that escaping adds to a byte of a string (RFC 8259 §7).
fn escape_length(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 1,
        0..=0x1f => 5,
        _ => 0,
    }
}

/// The approximate size of an object as JSON, in bytes. Counting ends once it is past `limit`, so that
/// a larger object takes no longer.
#[must_use]
pub fn size_up_to(object: &Map<String, Value>, limit: usize) -> usize {
    let mut size = 2;
    for (key, value) in object {
        if size > limit {
            break;
        }
        size += key.len() + 4 + value_size_up_to(value, limit - size.min(limit));
    }
    size
}

fn value_size_up_to(value: &Value, limit: usize) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => text.len() + 2,
        Value::Object(object) => size_up_to(object, limit),
        Value::Array(values) => {
            let mut size = 2;
            for value in values {
                if size > limit {
                    break;
                }
                size += 1 + value_size_up_to(value, limit - size.min(limit));
            }
            size
        }
    }
}

/// How many more values a body may hold. A value takes far more memory than text: an empty object, two
/// bytes of text, takes some 400.
struct ValueAllowance {
    values: Cell<usize>,
    containers: Cell<usize>,
    is_used_up: Cell<bool>,
}

impl Default for ValueAllowance {
    fn default() -> Self {
        Self {
            values: Cell::new(MAX_VALUES),
            containers: Cell::new(MAX_CONTAINERS),
            is_used_up: Cell::new(false),
        }
    }
}

impl ValueAllowance {
    fn take<E: serde::de::Error>(&self, left: &Cell<usize>) -> Result<(), E> {
        match left.get().checked_sub(1) {
            Some(rest) => left.set(rest),
            None => {
                self.is_used_up.set(true);
                return Err(E::custom("too many values"));
            }
        }
        Ok(())
    }
}

/// Reads one value that may nest to the level that is left.
#[derive(Clone, Copy)]
struct Level<'a> {
    depth: u8,
    allowance: &'a ValueAllowance,
}

impl Level<'_> {
    /// The reader of the values inside an array or an object.
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        self.allowance.take(&self.allowance.containers)?;
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.allowance.take(&self.allowance.values)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
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
        let mut names = NameSet::default();
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if object.len() == MAX_NAMES {
                return Err(A::Error::custom(format_args!(
                    "an object has more than {MAX_NAMES} members"
                )));
            }
            if !names.insert(&object, &name) {
                return Err(A::Error::custom(format_args!(
                    "member `{}` is given twice (names compare without case)",
                    excerpt(&name)
                )));
            }
            object.insert(name, access.next_value_seed(below)?);
        }
        Ok(Value::Object(object))
    }
}

/// The names that an object has so far, once they are too many to be searched. It holds a hash of each
/// folded name. Where two hashes are equal, the names themselves are compared.
#[derive(Default)]
struct NameSet {
    hashes: HashSet<u64>,
    state: RandomState,
}

impl NameSet {
    /// Adds a name; returns whether it is new.
    fn insert(&mut self, object: &Map<String, Value>, name: &str) -> bool {
        let is_new = || !object.keys().any(|key| key.eq_ignore_ascii_case(name));
        if object.len() < SEARCHED_MEMBERS {
            return is_new();
        }
        if self.hashes.is_empty() {
            let hashes = object.keys().map(|key| self.hash(key));
            self.hashes = hashes.collect();
        }
        self.hashes.insert(self.hash(name)) || is_new()
    }

    fn hash(&self, name: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        name.bytes()
            .for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
        hasher.finish()
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
    fn the_number_of_members_is_bounded() {
        let with = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
            format!("{{{}}}", names.join(","))
        };
        assert!(parse_object(with(MAX_NAMES).as_bytes()).is_ok());
        assert!(refused(with(MAX_NAMES + 1)).contains("more than 10000 members"));
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
    fn a_text_in_a_string_is_as_long_as_counted() {
        let every_character: String = (0..0x300).filter_map(char::from_u32).collect();
        for value in ["", "{\"a\":\"b\\\"c\"}", "\u{1f600}", &every_character] {
            let json = Value::from(value).to_string();
            let in_string = Value::from(&*json).to_string();
            assert_eq!(
                length_in_string(json.as_bytes()),
                in_string.len() - 2,
                "{json}"
            );
        }
    }

    #[test]
    fn lengths_are_those_of_the_text() {
        let every_character: String = (0..=0x2_ffffu32).filter_map(char::from_u32).collect();
        for value in [
            Value::Null,
            true.into(),
            false.into(),
            (-7).into(),
            1.5e-9.into(),
            every_character.into(),
            serde_json::json!([]),
            serde_json::json!({}),
            serde_json::json!({"a\n": [1, "x", {"b": null, "": [[]]}], "c": "\u{1}"}),
        ] {
            assert_eq!(text_length(&value), value.to_string().len());
        }
    }

    #[test]
    fn the_values_of_a_body_are_bounded() {
        let check = |values: &str, count: usize, is_taken: bool| {
            let body = format!("{{\"a\":[{}]}}", vec![values; count].join(","));
            match parse_object(body.as_bytes()) {
                Ok(_) => assert!(is_taken, "{count} of {values}"),
                Err(error) => {
                    assert!(!is_taken, "{count} of {values}: {error}");
                    assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
                }
            }
        };
        // The body and the array are values, too.
        check("0", MAX_VALUES - 2, true);
        check("0", MAX_VALUES - 1, false);
        check("{}", MAX_CONTAINERS - 2, true);
        check("{}", MAX_CONTAINERS - 1, false);
        check("[]", MAX_CONTAINERS - 1, false);
        check(
            "{\"a\":0,\"b\":0,\"c\":0,\"d\":0}",
            MAX_CONTAINERS - 2,
            false,
        );
    }

    #[test]
    fn members_are_found_in_any_case() {
        let mut object = parse_object(br#"{"operations":[1],"Value":2}"#).unwrap();
        assert_eq!(get(&object, "Operations"), Some(&Value::from(vec![1])));
        assert_eq!(take(&mut object, "value"), Some(Value::from(2)));
        assert_eq!(take(&mut object, "value"), None);
    }

    #[test]
    fn a_size_is_about_that_of_the_text_up_to_a_limit() {
        let body = serde_json::json!({
            "userName": "ada@example.com",
            "active": true,
            "emails": (0..100).map(|n| serde_json::json!({"value": format!("{n}@example.com")})).collect::<Vec<_>>(),
        });
        let (text, object) = (body.to_string(), body.as_object().unwrap());
        let size = size_up_to(object, usize::MAX);
        assert!(
            size.abs_diff(text.len()) < text.len() / 10,
            "{size} of {}",
            text.len()
        );
        // It stops at the first value past the limit.
        assert!((501..600).contains(&size_up_to(object, 500)));
        assert_eq!(size_up_to(&Map::new(), 0), 2);
    }
}
