//! The times of a stored resource as texts.

use crate::protocol::datetime::DateTime;
use crate::protocol::error::{Error, Result};
use crate::store::Stored;

/// The times of a resource as `meta` has them (RFC 7643 §3.1), each an `xsd:dateTime`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// When the resource was created.
    pub created: String,
    /// When the body or the members last changed.
    pub last_modified: String,
}

impl Times {
    /// The times of a stored resource.
    ///
    /// # Errors
    /// `Internal` if a stored time is beyond the year 9999.
    pub fn of(stored: &Stored) -> Result<Self> {
        let text = |milliseconds: u64| {
            let time = i64::try_from(milliseconds)
                .ok()
                .and_then(DateTime::from_unix_milliseconds);
            time.map(|time| time.to_string())
                .ok_or_else(|| Error::internal("a stored time is out of range"))
        };
        Ok(Self {
            created: text(stored.created)?,
            last_modified: text(stored.last_modified())?,
        })
    }
}
