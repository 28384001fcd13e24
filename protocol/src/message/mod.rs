//! The messages of the protocol as texts: errors, lists, searches and `meta` (RFC 7644 §3).
//!
//! Code that writes messages splices texts that are already JSON, without parsing them. Code that
//! reads them takes a parsed body or a raw query string and returns typed requests. This module knows
//! no HTTP types, no storage, and no single resource type.

mod error;
mod list;
mod meta;
mod parameters;
mod search;

pub use error::{error_response, error_response_v1};
pub use list::{ListResponse, Paging};
pub use meta::{Meta, make_absolute, render, render_object, with_absolute_references};
pub use parameters::Parameters;
pub(crate) use search::integer_parameter;
pub use search::{MAX_NAMES, PageStart, Query, QueryFilter, Selection};

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json;
use crate::profile::{Reading, Tolerance};

/// Checks that the `schemas` of a body lists the message URN.
///
/// # Errors
/// `InvalidSyntax` when it does not and the profile requires it.
pub(crate) fn check_message(
    body: &Map<String, Value>,
    urn: &str,
    reading: &mut Reading<'_>,
) -> Result<()> {
    let schemas = json::present(body, "schemas").and_then(Value::as_array);
    let listed = schemas.is_some_and(|schemas| {
        let mut texts = schemas.iter().filter_map(Value::as_str);
        texts.any(|text| text.eq_ignore_ascii_case(urn))
    });
    if listed || reading.tolerates(Tolerance::MissingMessageUrn) {
        return Ok(());
    }
    Err(Error::invalid_syntax(format!(
        "`schemas` of the body does not list {urn}"
    )))
}

/// Appends a JSON string with its quotes.
pub(crate) fn push_string(out: &mut String, text: &str) {
    let is_plain = |byte: u8| byte >= 0x20 && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        out.extend(["\"", text, "\""]);
        return;
    }
    // Writing JSON into a string cannot fail.
    out.push_str(&Value::from(text).to_string());
}
