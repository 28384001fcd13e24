//! Schemas and resource types as data (RFC 7643 §2.2, §6, §7).
//!
//! All that the rest of the project knows about `User`, `Group` or a tenant's own type is read from
//! here: names, types, mutability, visibility, uniqueness, indexes. The code is the same for every
//! resource type.

mod attribute;
mod bound_path;
mod builtin;
mod index;
mod load;
mod registration;
mod registry;
mod resource_type;
mod successor;
mod target;
mod vendor;

pub(crate) use attribute::Collation;
pub use attribute::{Attribute, DataType, Mutability, Returned, Uniqueness};
pub use bound_path::BoundPath;
pub use index::{Index, IndexState};
pub use registry::Registry;
pub use resource_type::{MembershipAttribute, ResourceType};
pub use successor::check_successor;
pub(crate) use target::AttributeTarget;
pub use vendor::with_vendor_keywords;

pub(crate) use bound_path::PathRoot;

use std::sync::Arc;

use serde_json::{Map, Value};

/// One schema: a URN and the attributes below it (RFC 7643 §7).
#[derive(Debug, Clone)]
pub struct Schema {
    /// The URN, in the spelling that answers use.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The attributes, in the order in which they are published.
    pub attributes: Vec<Attribute>,
    /// The published form: the registered document with the keywords of its vendor, and with every
    /// characteristic that it left out.
    pub published: Map<String, Value>,
}

/// An extension of a resource type (RFC 7643 §3.3, §6).
#[derive(Debug, Clone)]
pub struct Extension {
    /// The schema of the extension. Its URN is the name of the container in the resource.
    pub schema: Arc<Schema>,
    /// Whether every resource of the type must have the extension.
    pub required: bool,
}

impl Schema {
    /// Reads a Schema resource.
    ///
    /// **Shape**: `{"id": URN, "name": …, "attributes": [{"name": …, "type": …}, …]}`.
    ///
    /// # Errors
    /// `InvalidValue` naming the attribute and the characteristic that violates RFC 7643 §7.
    pub fn from_json(value: &Value) -> crate::Result<Self> {
        load::schema(value)
    }

    /// The attribute of that name, in any case.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }
}
