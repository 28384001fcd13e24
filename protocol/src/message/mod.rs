//! The messages of the protocol as texts: errors, lists, searches and `meta` (RFC 7644 §3).
//!
//! Writers here splice texts that are already JSON and never parse what they splice. Readers take a
//! parsed body or a raw query string and give typed requests. Nothing here knows of HTTP types, of
//! storage or of one resource type beside another.

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
/// `InvalidSyntax` when it does not and the profile insists on it.
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
    // Writing a string into a string cannot fail, and a JSON string is UTF-8.
    out.push_str(&Value::from(text).to_string());
}
