//! The envelope of a PATCH request.

use serde_json::{Map, Value};

use super::{Op, Operation, PatchRequest};
use crate::error::{Error, Result};
use crate::json::{self, kind_of};
use crate::message::check_message;
use crate::patch_path::PatchPath;
use crate::profile::{Profile, Reading, Tolerance};
use crate::urn;

/// The largest number of operations of one request.
pub const MAX_OPERATIONS: usize = 1_000;

/// See [`PatchRequest::parse`].
pub(super) fn request(
    body: &Map<String, Value>,
    reading: &mut Reading<'_>,
) -> Result<PatchRequest> {
    check_message(body, urn::PATCH_OP, reading)?;
    let listed = match json::present(body, "Operations") {
        Some(Value::Array(listed)) if !listed.is_empty() => listed,
        _ => {
            return Err(Error::invalid_syntax(
                "`Operations` must be an array of at least one operation",
            ));
        }
    };
    if listed.len() > MAX_OPERATIONS {
        return Err(Error::payload_too_large(format!(
            "`Operations` has {} elements; at most {MAX_OPERATIONS} are allowed",
            listed.len()
        )));
    }
    let operations = listed.iter().enumerate().map(|(position, listed)| {
        operation(listed, reading).map_err(|error| error.at(&place(position)))
    });
    Ok(PatchRequest {
        operations: operations.collect::<Result<_>>()?,
    })
}

/// The place of an operation, for error messages.
pub(super) fn place(position: usize) -> String {
    format!("Operations[{position}]")
}

fn operation(listed: &Value, reading: &mut Reading<'_>) -> Result<Operation> {
    let listed = listed
        .as_object()
        .ok_or_else(|| Error::invalid_syntax(format!("{} is not an operation", kind_of(listed))))?;
    let op = op(json::present(listed, "op"), reading)?;
    let path = match json::present(listed, "path") {
        None => None,
        Some(Value::String(text)) if is_no_path(text, reading) => None,
        Some(Value::String(text)) => Some(PatchPath::parse(text, reading)?),
        Some(other) => {
            return Err(Error::invalid_syntax(format!(
                "`path` must be a string, not {}",
                kind_of(other)
            )));
        }
    };
    let value = json::get(listed, "value").cloned();
    check(op, path.as_ref(), value.as_ref(), reading.rules.profile)?;
    Ok(Operation { op, path, value })
}

/// Whether a path is blank and the profile reads it as no path ([`Tolerance::BlankPath`]).
fn is_no_path(text: &str, reading: &mut Reading<'_>) -> bool {
    text.trim().is_empty() && reading.tolerates(Tolerance::BlankPath)
}

fn op(value: Option<&Value>, reading: &mut Reading<'_>) -> Result<Op> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let found = Op::ALL
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(text));
    match found {
        Some((op, name)) if *name == text || reading.tolerates(Tolerance::OperationCase) => Ok(*op),
        _ => Err(Error::invalid_syntax(
            "`op` must be `add`, `remove` or `replace`",
        )),
    }
}

fn check(op: Op, path: Option<&PatchPath>, value: Option<&Value>, profile: Profile) -> Result<()> {
    if path.is_none() && profile == Profile::Interop {
        return Err(Error::invalid_syntax("`path` is required"));
    }
    match (op, path, value) {
        (Op::Remove, Some(_), _) => Ok(()),
        (Op::Remove, None, _) => Err(Error::no_target("A `remove` needs a `path`")),
        (_, _, None) => Err(Error::invalid_value(
            "An `add` or `replace` needs a `value`",
        )),
        (_, Some(_), Some(_)) | (_, None, Some(Value::Object(_))) => Ok(()),
        (_, None, Some(other)) => Err(Error::invalid_value(format!(
            "`value` without `path` must be an object of attributes, not {}",
            kind_of(other)
        ))),
    }
}
