//! The names that errors give to the attributes of a request.

use std::fmt;

use serde_json::Value;

use crate::error::Error;
use crate::json::kind_of;
use crate::schema::Attribute;

/// The name of an attribute in messages: `urn:…:attribute.sub`.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    urn: Option<&'a str>,
    outer: Option<&'a str>,
    name: &'a str,
}

impl<'a> Place<'a> {
    /// A top-level attribute, of an extension if it has a URN.
    pub(crate) fn new(urn: Option<&'a str>, attribute: &'a Attribute) -> Self {
        Self {
            urn,
            outer: None,
            name: attribute.name(),
        }
    }

    /// A place with only a name.
    pub(crate) fn named(name: &'a str) -> Self {
        Self {
            urn: None,
            outer: None,
            name,
        }
    }

    /// Whether this is the sub-attribute `name` of the core attribute `outer`. Both are spelt as in the
    /// schema.
    pub(super) fn is_part(self, outer: &str, name: &str) -> bool {
        self.urn.is_none() && self.outer == Some(outer) && self.name == name
    }

    /// A sub-attribute of this place.
    pub(crate) fn sub(self, name: &'a str) -> Self {
        Self {
            urn: self.urn,
            outer: Some(self.name),
            name,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.urn, ":"), (self.outer, "."), (Some(self.name), "")];
        for (part, separator) in parts {
            if let Some(part) = part {
                write!(f, "{part}{separator}")?;
            }
        }
        Ok(())
    }
}

/// `InvalidValue` for a value of the wrong JSON type.
pub(super) fn mismatch(place: Place<'_>, expected: &str, found: &Value) -> Error {
    Error::invalid_value(format!(
        "`{place}` must be {expected}, not {}",
        kind_of(found)
    ))
}
