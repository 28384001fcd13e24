//! How large a resource may be. A larger one is refused while it is read or changed, before it is
//! written as text or sent anywhere.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json;

/// The longest text of a resource, in bytes. DynamoDB stores items of up to 409,600 bytes; the
/// difference is for the other attributes of the item.
pub const MAX_BYTES: usize = 400_000;

/// The largest number of values of one multi-valued attribute. Members of groups are stored elsewhere
/// and have limits of their own.
pub const MAX_ELEMENTS: usize = 20_000;

/// Refuses a body that is too long. A body that was too long before may keep its length.
///
/// # Errors
/// `PayloadTooLarge` naming the limit.
pub(crate) fn check_size(body: &Map<String, Value>, before: usize) -> Result<()> {
    if json::object_length(body) <= before.max(MAX_BYTES) {
        return Ok(());
    }
    Err(too_large())
}

/// The error of a resource that is too large to be stored.
pub(crate) fn too_large() -> Error {
    Error::payload_too_large(format!(
        "The resource would be larger than {MAX_BYTES} bytes, which is the most that can be stored"
    ))
}

/// The error of an attribute with too many values.
pub(crate) fn too_many_elements(attribute: &str) -> Error {
    Error::payload_too_large(format!(
        "`{attribute}` has more than {MAX_ELEMENTS} values, which is the most that is supported"
    ))
}
