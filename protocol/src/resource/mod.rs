//! Resources as they are stored: one canonical JSON object each (RFC 7643 §2, §3).
//!
//! A request body becomes canonical here: names in the schema's spelling, values of the schema's
//! types, no unassigned values, members in the order `schemas`, `id`, `externalId`, then that of the
//! schemas. The object holds no `meta`, no password, and no attribute that is stored as items of its
//! own (`members`, `groups`); the [`Draft`] returns these parts of a request separately. The object
//! does not depend on the public URL, see [`message::render`](crate::message::render).

pub(crate) mod body;
mod draft;
pub(crate) mod finish;
mod id;
mod keep;
mod limit;
mod member;
pub(crate) mod names;
mod password;
mod pick;
pub(crate) mod place;
pub(crate) mod reference;
pub(crate) mod repeated;
mod scalar;
pub(crate) mod schemas;
pub(crate) mod tolerance;
pub(crate) mod value;

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals read best by value")]
pub(crate) mod tests;

pub use draft::{Draft, DraftKind};
pub use id::ResourceId;
pub use limit::{MAX_BYTES, MAX_ELEMENTS};
pub use member::MemberValue;
pub use password::{Password, PasswordChange};
pub use pick::pick;
pub use reference::{location, relative_reference};

pub(crate) use draft::requested_paths;
pub(crate) use keep::{kept_element, kept_elements};
pub(crate) use limit::{check_size, too_large, too_many_elements};
pub(crate) use member::{MAX_ID_BYTES, check_member_id, member_ids, members};
pub(crate) use password::is_password;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::profile::Reading;
use crate::schema::{Registry, ResourceType};

/// The canonical body of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource(Map<String, Value>);

impl Resource {
    /// Reads a POST or PUT body.
    ///
    /// **Shape**: `{"schemas": [URN, …], "userName": …, "urn:…:User": {…}}`. Read-only attributes in
    /// it are ignored (RFC 7644 §3.3, §3.5.1). The registry knows the endpoints of referenced types.
    ///
    /// # Errors
    /// `InvalidValue` for a value that does not fit its attribute or a required one that is missing,
    /// `InvalidSyntax` for an attribute or schema that the type does not have, `Mutability` for a PUT
    /// that would change an immutable attribute, `PayloadTooLarge` for a resource longer than
    /// [`MAX_BYTES`] or an attribute with more values than [`MAX_ELEMENTS`].
    pub fn from_request(
        body: Map<String, Value>,
        resource_type: &ResourceType,
        registry: &Registry,
        reading: &mut Reading<'_>,
        verb: DraftKind<'_>,
    ) -> Result<Draft> {
        draft::read(body, resource_type, registry, reading, verb)
    }

    /// Reads the text that [`to_text`](Self::to_text) made.
    ///
    /// # Errors
    /// `Internal` if the stored text is not a JSON object, which is a fault of the service.
    pub fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(Error::internal)
    }

    /// A resource from an object that is canonical already.
    #[must_use]
    pub fn from_canonical(body: Map<String, Value>) -> Self {
        Self(body)
    }

    /// The same resource with this `id`, in its canonical place.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        let mut body = Map::with_capacity(self.0.len() + 1);
        let named = |body: &mut Map<String, Value>| {
            body.insert("id".to_owned(), Value::from(id));
        };
        for (name, value) in self.0 {
            let is_schemas = name == "schemas";
            if name != "id" {
                body.insert(name, value);
            }
            if is_schemas {
                named(&mut body);
            }
        }
        if !body.contains_key("id") {
            named(&mut body);
        }
        Self(body)
    }

    /// The JSON text for the store.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// The `id`.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// The canonical object.
    #[must_use]
    pub fn body(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The canonical object, to be rendered or projected.
    #[must_use]
    pub fn into_body(self) -> Map<String, Value> {
        self.0
    }
}
