//! The schemas and resource types that every tenant has. They are embedded as JSON.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::Value;

use super::Schema;
use super::attribute::Attribute;
use super::resource_type::MembershipAttribute;
use crate::error::{Error, Result};

/// The Schema resources that every tenant has.
const SCHEMAS: [&str; 11] = [
    include_str!("builtin/User.json"),
    include_str!("builtin/EnterpriseUser.json"),
    include_str!("builtin/IonicUser.json"),
    include_str!("builtin/Group.json"),
    include_str!("builtin/DescribedGroup.json"),
    include_str!("builtin/Device.json"),
    include_str!("builtin/Role.json"),
    include_str!("builtin/Scopes.json"),
    include_str!("builtin/ServiceProviderConfig.json"),
    include_str!("builtin/ResourceType.json"),
    include_str!("builtin/Schema.json"),
];

/// The resource types that every tenant has, with their storage flags.
const RESOURCE_TYPES: &str = include_str!("builtin/resource-types.json");

/// The definitions of `schemas`, `id`, `externalId` and `meta` (RFC 7643 §3.1). They replace the
/// definitions that a schema has for these names.
const COMMON_ATTRIBUTES: &str = include_str!("builtin/common.json");

/// One entry of `builtin/resource-types.json`: the published form, and the flags that it does not
/// publish.
#[derive(Deserialize)]
pub(super) struct BuiltinType {
    #[serde(rename = "resourceType")]
    pub(super) published: Value,
    #[serde(default)]
    pub(super) indexed: Vec<String>,
    #[serde(default)]
    membership: Option<String>,
    #[serde(default)]
    pub(super) yields: bool,
}

static COMMON: LazyLock<Arc<[Attribute]>> = LazyLock::new(|| {
    let value = serde_json::from_str(COMMON_ATTRIBUTES)
        .expect("the embedded JSON is checked by this crate's tests");
    let schema =
        Schema::from_json(&value).expect("the embedded schemas are checked by this crate's tests");
    schema.attributes.into()
});

/// The Schema resources.
///
/// # Errors
/// `Internal` if an embedded text is not JSON.
pub(super) fn schemas() -> impl Iterator<Item = Result<Value>> {
    let schemas = SCHEMAS.iter();
    schemas.map(|text| serde_json::from_str(text).map_err(Error::internal))
}

/// The resource types.
///
/// # Errors
/// `Internal` if the embedded text does not have the form of [`BuiltinType`].
pub(super) fn resource_types() -> Result<Vec<BuiltinType>> {
    serde_json::from_str(RESOURCE_TYPES).map_err(Error::internal)
}

/// The attributes of every resource type.
pub(super) fn common_attributes() -> Arc<[Attribute]> {
    Arc::clone(&COMMON)
}

impl BuiltinType {
    /// The attribute whose values are stored outside the body.
    pub(super) fn membership(&self) -> Option<MembershipAttribute> {
        match self.membership.as_deref() {
            Some("members") => Some(MembershipAttribute::Members),
            Some("memberOf") => Some(MembershipAttribute::MemberOf),
            _ => None,
        }
    }
}
