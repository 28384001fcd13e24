//! A resource as a client of SCIM 1.1 reads it.

use serde_json::{Map, Value};

use crate::http::render;
use crate::protocol::Result;
use crate::protocol::v1::{self, View};
use crate::protocol::version::Version;
use crate::provider::Representation;

/// A translated resource.
#[derive(Debug)]
pub(super) struct RepresentationV1 {
    /// The resource of 1.1.
    pub(super) object: Map<String, Value>,
    /// The version of everything that it shows.
    pub(super) version: Version,
}

impl RepresentationV1 {
    /// Translates what a verb returned, without a text in between.
    ///
    /// # Errors
    /// `Internal` if what is stored is no resource.
    pub(super) fn of(found: &Representation<'_>, view: View<'_>, base_url: &str) -> Result<Self> {
        Ok(Self {
            object: v1::answer(view, render::object(found, base_url)?),
            version: found.version.clone(),
        })
    }

    /// The resource as text.
    pub(super) fn into_text(self) -> String {
        Value::Object(self.object).to_string()
    }
}
