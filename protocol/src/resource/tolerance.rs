//! The values that real clients send in place of the right ones: one function for each tolerance.
//!
//! Each function asks the profile only when the request needs the tolerance, so that the log shows
//! which clients depend on it. Without the tolerance the value is left as it is, and refused where it
//! is read.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::place::Place;
use super::{is_password, reference};
use crate::error::{Error, Result};
use crate::json;
use crate::profile::{Reading, Tolerance};
use crate::schema::{Attribute, DataType};

/// The attribute in which Entra ID writes app role assignments as JSON documents inside strings. Other
/// attributes, such as entitlements, may rightly hold such text.
const JSON_IN_STRING_ATTRIBUTE: &str = "roles";

/// The name that SCIM 1.1 gives to the `value` of a manager.
pub(crate) const MANAGER_ID: &str = "managerId";

/// [`Tolerance::StringBooleans`]: `"True"` is `true`.
pub(super) fn boolean(reading: &mut Reading<'_>, text: &str) -> Option<bool> {
    let value = match text {
        _ if text.eq_ignore_ascii_case("true") => true,
        _ if text.eq_ignore_ascii_case("false") => false,
        _ => return None,
    };
    reading
        .tolerates(Tolerance::StringBooleans)
        .then_some(value)
}

/// [`Tolerance::WrappedSingleValue`]: `[x]` is `x`, and `[{"value": x}]` is `x` for a simple value.
pub(crate) fn unwrapped_single(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    value: Value,
) -> Value {
    match value {
        Value::Array(mut elements)
            if elements.len() == 1 && reading.tolerates(Tolerance::WrappedSingleValue) =>
        {
            let element = elements.pop().unwrap_or_default();
            let inner = element
                .as_object()
                .and_then(|object| json::get(object, "value"));
            match inner {
                Some(inner) if !attribute.is_complex() => inner.clone(),
                _ => element,
            }
        }
        value => value,
    }
}

/// [`Tolerance::UnwrappedMultiValue`]: a single value is read as an array of one.
pub(super) fn single_for_many(reading: &mut Reading<'_>) -> bool {
    reading.tolerates(Tolerance::UnwrappedMultiValue)
}

/// [`Tolerance::NumberForText`]: a number or a boolean in place of text is read as the text that
/// spells it.
///
/// A number with a fraction, an exponent or more than 64 bits is refused, because its spelling is not
/// known any more.
pub(super) fn spelled_text(
    reading: &mut Reading<'_>,
    kind: DataType,
    value: &Value,
) -> Option<String> {
    let text = match value {
        Value::Number(number) if !number.is_f64() => number.to_string(),
        Value::Bool(boolean) => boolean.to_string(),
        _ => return None,
    };
    let takes_text = matches!(kind, DataType::String | DataType::Reference);
    (takes_text && reading.tolerates(Tolerance::NumberForText)).then_some(text)
}

/// [`Tolerance::BlankText`]: blank text for a reference or a password is read as no value.
///
/// # Errors
/// `InvalidValue` where the profile does not tolerate it.
pub(super) fn is_blank(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    value: &Value,
    place: Place<'_>,
) -> Result<bool> {
    if !is_blank_text(value) {
        return Ok(false);
    }
    if is_password(attribute) {
        // RFC 8265 allows a password of blanks, so without the tolerance the check of passwords
        // decides.
        return Ok(reading.tolerates(Tolerance::BlankText));
    }
    if attribute.kind != DataType::Reference {
        return Ok(false);
    }
    check_blank_tolerated(reading, place).map(|()| true)
}

/// [`Tolerance::BlankText`]: a blank `value` of a complex attribute, such as `manager.value` or
/// `emails.value`, is read as no value.
///
/// # Errors
/// `InvalidValue` where the profile does not tolerate it.
pub(super) fn assigned_value(
    reading: &mut Reading<'_>,
    sub: &Attribute,
    value: Value,
    place: Place<'_>,
) -> Result<Value> {
    let is_text = matches!(
        sub.kind,
        DataType::String | DataType::Reference | DataType::Binary
    );
    if sub.name != "value" || !is_text || !is_blank_text(&value) {
        return Ok(value);
    }
    check_blank_tolerated(reading, place.sub(sub.name())).map(|()| Value::Null)
}

fn is_blank_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn check_blank_tolerated(reading: &mut Reading<'_>, place: Place<'_>) -> Result<()> {
    if reading.tolerates(Tolerance::BlankText) {
        return Ok(());
    }
    Err(Error::invalid_value(format!(
        "`{place}` is blank; to clear it leave it out or send null"
    )))
}

/// [`Tolerance::JsonInString`] and [`Tolerance::BareComplexValue`]: a string in place of an object, or
/// a number that spells a string ([`Tolerance::NumberForText`]).
pub(super) fn spelled_out(reading: &mut Reading<'_>, attribute: &Attribute, value: Value) -> Value {
    match value {
        Value::String(text) => match json_object(reading, attribute, &text) {
            Some(object) => Value::Object(object),
            None => bare_complex(reading, attribute, text),
        },
        Value::Number(number) if takes_text(attribute) => {
            let number = Value::Number(number);
            match spelled_text(reading, DataType::String, &number) {
                Some(text) => bare_complex(reading, attribute, text),
                None => number,
            }
        }
        other => other,
    }
}

/// [`Tolerance::BareComplexValue`]: `"x"` is `{"value": "x"}`.
fn bare_complex(reading: &mut Reading<'_>, attribute: &Attribute, text: String) -> Value {
    if !takes_text(attribute) || !reading.tolerates(Tolerance::BareComplexValue) {
        return Value::String(text);
    }
    Value::Object(Map::from_iter([("value".to_owned(), Value::String(text))]))
}

/// Whether the `value` of a complex attribute is text.
fn takes_text(attribute: &Attribute) -> bool {
    attribute.sub_attribute("value").is_some_and(|sub| {
        !matches!(
            sub.kind,
            DataType::Boolean | DataType::Integer | DataType::Decimal | DataType::Complex
        )
    })
}

/// [`Tolerance::JsonInString`] inside `value`: the members of the document replace those of the
/// object; members that only the object has stay.
pub(super) fn decode_value(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    object: &mut Map<String, Value>,
) {
    // Each round replaces a string by a part of itself, so the loop ends.
    while let Some(decoded) = json::get(object, "value")
        .and_then(Value::as_str)
        .and_then(|text| json_object(reading, attribute, text))
    {
        let spelled: HashSet<_> = decoded.keys().map(|key| key.to_ascii_lowercase()).collect();
        object.retain(|key, _| !spelled.contains(&key.to_ascii_lowercase()));
        object.extend(decoded);
    }
}

/// The JSON object with a `value` that is written in a string of app role assignments.
fn json_object(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    text: &str,
) -> Option<Map<String, Value>> {
    let may_be_json =
        attribute.name == JSON_IN_STRING_ATTRIBUTE && text.trim_ascii_start().starts_with('{');
    if !may_be_json {
        return None;
    }
    let object = json::parse_object(text.as_bytes()).ok()?;
    json::get(&object, "value")?;
    reading.tolerates(Tolerance::JsonInString).then_some(object)
}

/// [`Tolerance::DisplayNameForDisplay`]: an element's `displayName` is its `display`.
pub(super) fn rename_display(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    object: &mut Map<String, Value>,
) {
    let wanted = attribute.multi_valued
        && attribute.sub_attribute("display").is_some()
        && attribute.sub_attribute("displayName").is_none()
        && json::get(object, "display").is_none();
    if !wanted || json::get(object, "displayName").is_none() {
        return;
    }
    if reading.tolerates(Tolerance::DisplayNameForDisplay) {
        let display = json::take(object, "displayName").unwrap_or_default();
        object.insert("display".to_owned(), display);
    }
}

/// [`Tolerance::ManagerId`]: the `managerId` of SCIM 1.1 is the manager's `value`.
pub(super) fn rename_manager_id(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    object: &mut Map<String, Value>,
) {
    let wanted = attribute.name == "manager"
        && attribute.sub_attribute("value").is_some()
        && attribute.sub_attribute(MANAGER_ID).is_none()
        && json::get(object, "value").is_none();
    if !wanted || json::get(object, MANAGER_ID).is_none() {
        return;
    }
    if reading.tolerates(Tolerance::ManagerId) {
        let id = json::take(object, MANAGER_ID).unwrap_or_default();
        object.insert("value".to_owned(), id);
    }
}

/// [`Tolerance::MemberType`]: a `type` that names no resource type is ignored.
pub(super) fn member_type(reading: &mut Reading<'_>, name: String) -> Option<String> {
    let says_nothing = name.trim().is_empty() || name.eq_ignore_ascii_case("direct");
    (!says_nothing || !reading.tolerates(Tolerance::MemberType)).then_some(name)
}

/// [`Tolerance::ReferenceDisplay`]: the read-only name beside a reference, such as
/// `manager.displayName`, keeps the client's text until the service looks the name up.
pub(super) fn keeps_reference_display(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    sub: &Attribute,
) -> bool {
    let beside_reference = reference::has_maintained(attribute);
    let names = sub.name == "displayName" || sub.name == "display";
    beside_reference && names && reading.tolerates(Tolerance::ReferenceDisplay)
}
