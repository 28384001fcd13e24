//! Simple values, checked strictly by their type (RFC 7643 §2.3).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::place::{Place, mismatch};
use super::tolerance;
use crate::datetime::DateTime;
use crate::error::{Error, Result};
use crate::profile::{Reading, Tolerance};
use crate::schema::{Attribute, DataType, Uniqueness};

/// RFC 4648 §4, padding optional (RFC 7643 §2.3.6).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The value as it is stored. It is stored as it was sent, except for booleans in strings, and for
/// numbers and booleans in place of text.
///
/// `canonicalValues` are suggestions and not checked (RFC 7643 §7).
pub(super) fn read(
    attribute: &Attribute,
    value: Value,
    place: Place<'_>,
    reading: &mut Reading<'_>,
) -> Result<Value> {
    match (attribute.kind, value) {
        (DataType::Boolean, value) => boolean(&value, place, reading),
        (DataType::Integer, Value::Number(number)) if !number.is_f64() => Ok(Value::Number(number)),
        (DataType::Integer, Value::Number(number)) => Err(Error::invalid_value(format!(
            "`{place}` is {number}; an integer of 64 bits without fraction and exponent is required"
        ))),
        (DataType::Integer, other) => Err(mismatch(place, "an integer", &other)),
        (DataType::Decimal, number @ Value::Number(_)) => Ok(number),
        (DataType::Decimal, other) => Err(mismatch(place, "a number", &other)),
        (kind, value) => {
            let text = match value {
                Value::String(text) => text,
                other => match tolerance::spelled_text(reading, kind, &other) {
                    Some(text) => text,
                    None => return Err(mismatch(place, "a string", &other)),
                },
            };
            check_text(kind, &text, place, reading)?;
            check_country(&text, place, reading)?;
            check_name(attribute, &text, place)?;
            Ok(Value::String(text))
        }
    }
}

fn boolean(value: &Value, place: Place<'_>, reading: &mut Reading<'_>) -> Result<Value> {
    let known = match value {
        Value::Bool(known) => Some(*known),
        Value::String(text) => tolerance::boolean(reading, text),
        _ => None,
    };
    known
        .map(Value::Bool)
        .ok_or_else(|| mismatch(place, "true or false", value))
}

fn check_text(
    kind: DataType,
    text: &str,
    place: Place<'_>,
    reading: &mut Reading<'_>,
) -> Result<()> {
    let (fits, expected) = match kind {
        DataType::DateTime => (DateTime::parse(text).is_some(), DateTime::SHAPE),
        DataType::Binary => (BASE64.decode(text).is_ok(), "base64 (RFC 4648 section 4)"),
        DataType::Reference => (
            is_reference(text) || reading.tolerates(Tolerance::ReferenceText),
            "a URI (RFC 3986)",
        ),
        DataType::String
        | DataType::Boolean
        | DataType::Integer
        | DataType::Decimal
        | DataType::Complex => (true, ""),
    };
    if fits {
        return Ok(());
    }
    Err(Error::invalid_value(format!("`{place}` is not {expected}")))
}

/// The longest unique text, in bytes.
const MAX_NAME_BYTES: usize = 1_024;

/// Checks a text that only one resource may have, such as `userName`. People read and type such a
/// name, so it has no control characters, is not blank, and has a bounded length.
fn check_name(attribute: &Attribute, text: &str, place: Place<'_>) -> Result<()> {
    if attribute.uniqueness == Uniqueness::None || attribute.kind != DataType::String {
        return Ok(());
    }
    let fault = if text.len() > MAX_NAME_BYTES {
        format!(
            "has {} bytes; at most {MAX_NAME_BYTES} are allowed",
            text.len()
        )
    } else if text.chars().any(char::is_control) {
        "holds a control character, which is not allowed".to_owned()
    } else if !text.is_empty() && text.trim().is_empty() {
        "holds only blanks; another character is required".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::invalid_value(format!("`{place}` {fault}")))
}

/// Checks that the country of an address is a code of two letters (RFC 7643 §4.1.2, ISO 3166-1),
/// unless the profile tolerates more.
fn check_country(text: &str, place: Place<'_>, reading: &mut Reading<'_>) -> Result<()> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_country = place.is_part("addresses", "country");
    if !is_country || is_code || reading.tolerates(Tolerance::CountryNames) {
        return Ok(());
    }
    Err(Error::invalid_value(format!(
        "`{place}` is not a country code of two letters (ISO 3166-1 alpha-2)"
    )))
}

/// Whether the text can be an absolute or relative URI; letters beyond ASCII are allowed (RFC 3987).
fn is_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let escaped = |start: usize| {
        bytes
            .get(start + 1..start + 3)
            .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    };
    escapes.into_iter().all(|(start, _)| escaped(start)) && text.chars().all(is_reference_char)
}

fn is_reference_char(c: char) -> bool {
    !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_uris() {
        let check = |text: &str, expected: bool| assert_eq!(is_reference(text), expected, "{text}");
        check("https://example.com/a%20b?x=[1]#y", true);
        check("Users/2819c223", true);
        check("urn:example:x", true);
        check("https://example.com/Zoë", true);
        check("", true);
        check("not a uri %%", false);
        check("%", false);
        check("%4", false);
        check("%zz", false);
        check("a|b", false);
        check("a\u{0}", false);
    }
}
