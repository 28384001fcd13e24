//! Which operators and constants each type allows (RFC 7644 §3.4.2.2, Table 3).

use super::{CompareOp, CompareValue};
use crate::datetime::DateTime;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::path::AttributePath;
use crate::profile::{Reading, Tolerance};
use crate::schema::{Attribute, Collation, DataType};

/// Refuses an operator that the attribute's type does not have.
pub(super) fn check_operator(path: &AttributePath, op: CompareOp, leaf: &Attribute) -> Result<()> {
    let (allowed, names) = match leaf.kind {
        DataType::String | DataType::Reference => return Ok(()),
        DataType::Boolean | DataType::Binary | DataType::Complex => {
            (op.is_equality(), "eq, ne and pr")
        }
        DataType::Integer | DataType::Decimal | DataType::DateTime => (
            op.is_equality() || op.is_ordering(),
            "eq, ne, gt, ge, lt, le and pr",
        ),
    };
    if allowed {
        return Ok(());
    }
    Err(Error::invalid_filter(format!(
        "`{op}` does not apply to `{path}` of type {}, which has {names}",
        leaf.kind.name()
    )))
}

/// The key of a constant under the attribute's type.
pub(super) fn operand(
    path: &AttributePath,
    value: &CompareValue,
    leaf: &Attribute,
    reading: &mut Reading<'_>,
) -> Result<Key<'static>> {
    let collation = Collation::from(leaf);
    let key = match (leaf.kind, value) {
        (DataType::Boolean, CompareValue::Boolean(boolean)) => Some(Key::of_boolean(*boolean)),
        (DataType::Boolean, CompareValue::String(text)) => boolean_word(text, reading),
        (DataType::Integer | DataType::Decimal, CompareValue::Number(number)) => {
            Some(Key::of_number(number))
        }
        (
            DataType::String | DataType::Reference,
            CompareValue::Number(_) | CompareValue::Boolean(_),
        ) => {
            let word = unquoted_word(value, reading);
            word.and_then(|word| Key::of_text(&word, collation).map(Key::into_owned))
        }
        (_, CompareValue::String(text)) => Key::of_text(text, collation).map(Key::into_owned),
        _ => None,
    };
    key.ok_or_else(|| {
        Error::invalid_filter(format!(
            "`{path}` is of type {}; compare it with {}",
            leaf.kind.name(),
            constant(leaf.kind)
        ))
    })
}

/// A string that spells a boolean, as older Entra jobs send it.
fn boolean_word(text: &str, reading: &mut Reading<'_>) -> Option<Key<'static>> {
    let boolean = match text {
        text if text.eq_ignore_ascii_case("true") => true,
        text if text.eq_ignore_ascii_case("false") => false,
        _ => return None,
    };
    let tolerated = reading.tolerates(Tolerance::StringBooleans);
    tolerated.then(|| Key::of_boolean(boolean))
}

/// The text of a constant without quotes that the parser read as a number or a boolean: `externalId eq
/// 701984`. A number with a fraction or an exponent cannot be turned back into its spelling, so it
/// stays a number.
fn unquoted_word(value: &CompareValue, reading: &mut Reading<'_>) -> Option<String> {
    let keeps_spelling = match value {
        CompareValue::Number(number) => !number.is_f64(),
        CompareValue::Boolean(_) => true,
        CompareValue::Null | CompareValue::String(_) => false,
    };
    let tolerated = keeps_spelling && reading.tolerates(Tolerance::UnquotedFilterValues);
    tolerated.then(|| value.to_string())
}

/// The constants that a type can be compared with.
fn constant(kind: DataType) -> &'static str {
    match kind {
        DataType::Boolean => "true or false",
        DataType::Integer | DataType::Decimal => "a number",
        DataType::DateTime => DateTime::SHAPE,
        DataType::String | DataType::Binary | DataType::Reference | DataType::Complex => {
            "a string in double quotes"
        }
    }
}
