//! A resource type: a base schema, its extensions, and how the service stores its resources.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::attribute::Attribute;
use super::index::Index;
use super::{Extension, Schema};

/// A kind of resource with its endpoint (RFC 7643 §6).
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// The name, which is also its `id` and every resource's `meta.resourceType`.
    pub name: String,
    /// The path segment below the base URL, without slashes: `Users`.
    pub endpoint: String,
    /// The base schema.
    pub schema: Arc<Schema>,
    /// The extensions, in published order.
    pub extensions: Vec<Extension>,
    /// `schemas`, `id`, `externalId` and `meta` (RFC 7643 §3.1), the same for every type.
    pub common: Arc<[Attribute]>,
    /// The indexes, those on unique attributes first.
    pub indexes: Vec<Arc<Index>>,
    /// The attribute whose values are stored outside the body, if the type has one.
    pub membership: Option<MembershipAttribute>,
    /// Whether a tenant's own type may replace this one, although its base schema is another.
    pub(crate) yields: bool,
    /// The published form: the registered document with the keywords of its vendor.
    pub published: Map<String, Value>,
}

/// An attribute that the service stores outside the body, as items of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MembershipAttribute {
    /// Written by clients: `members` of a Group.
    Members,
    /// Computed from the members of groups: `groups` of a User.
    MemberOf,
}

impl MembershipAttribute {
    /// The attribute's name.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::MemberOf => "groups",
        }
    }
}

impl ResourceType {
    /// The core or common attribute of that name, in any case.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.common
            .iter()
            .find(|attribute| attribute.name == name)
            .or_else(|| self.schema.attribute(name))
    }

    /// The extension with that URN, in any case.
    #[must_use]
    pub fn extension(&self, urn: &str) -> Option<&Extension> {
        self.extensions
            .iter()
            .find(|extension| extension.schema.id.eq_ignore_ascii_case(urn))
    }

    /// Whether a member of a resource with this name is an attribute or an extension of the type.
    #[must_use]
    pub fn has_member(&self, name: &str) -> bool {
        self.attribute(name).is_some() || self.extension(name).is_some()
    }

    /// Whether the URN is the base schema's or an extension's.
    pub(crate) fn has_schema(&self, urn: &str) -> bool {
        self.schema.id.eq_ignore_ascii_case(urn) || self.extension(urn).is_some()
    }

    /// The extension and attribute of this name, if exactly one extension has one.
    pub(crate) fn sole_extension_with(&self, name: &str) -> Option<(&Extension, &Attribute)> {
        let mut found = self
            .extensions
            .iter()
            .filter_map(|extension| Some((extension, extension.schema.attribute(name)?)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The attribute and sub-attribute of this name, if exactly one single-valued complex attribute of
    /// the base schema has a sub-attribute of this name.
    pub(crate) fn sole_part(&self, name: &str) -> Option<(&Attribute, &Attribute)> {
        let mut found = self
            .schema
            .attributes
            .iter()
            .filter(|attribute| !attribute.multi_valued)
            .filter_map(|attribute| Some((attribute, attribute.sub_attribute(name)?)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Every top-level attribute with the extension it belongs to: common, core, then extensions.
    pub fn attributes(&self) -> impl Iterator<Item = (Option<&Extension>, &Attribute)> {
        let core = self
            .common
            .iter()
            .chain(&self.schema.attributes)
            .map(|attribute| (None, attribute));
        let extended = self.extensions.iter().flat_map(|extension| {
            extension
                .schema
                .attributes
                .iter()
                .map(move |attribute| (Some(extension), attribute))
        });
        core.chain(extended)
    }

    /// Splits the text of a path at the longest registered URN that it begins with. Returns the
    /// extension (`None` for the base schema) and the text after the separator.
    ///
    /// `urn:…:enterprise:2.0:User:manager.value` gives the extension and `manager.value`; the bare URN
    /// gives an empty text. A dot is accepted in place of the last colon, as some clients send it.
    pub(crate) fn split_urn<'t>(&self, text: &'t str) -> Option<(Option<&Extension>, &'t str)> {
        let base = std::iter::once((None, &self.schema.id));
        let extended = self
            .extensions
            .iter()
            .map(|extension| (Some(extension), &extension.schema.id));
        base.chain(extended)
            .filter_map(|(extension, urn)| {
                let head = text.get(..urn.len())?;
                let rest = text.get(urn.len()..)?;
                let ends = rest.is_empty() || rest.starts_with([':', '.']);
                (ends && head.eq_ignore_ascii_case(urn))
                    .then(|| (extension, urn.len(), rest.get(1..).unwrap_or("")))
            })
            .max_by_key(|(_, length, _)| *length)
            .map(|(extension, _, rest)| (extension, rest))
    }

    /// The index on the attribute with this full name, if queries may use it: it holds every resource,
    /// and its values are not booleans.
    #[must_use]
    pub fn index(&self, path: &str) -> Option<&Arc<Index>> {
        self.indexes
            .iter()
            .find(|index| index.path() == path && index.serves_reads())
    }

    /// Whether every change of a resource is a change of its body. The members of a group change
    /// without it, so the group's index entries do not show when it was changed last.
    #[must_use]
    pub fn changes_by_body(&self) -> bool {
        self.membership != Some(MembershipAttribute::Members)
    }

    /// Whether the attribute is stored outside the body.
    #[must_use]
    pub fn is_detached(&self, attribute: &Attribute) -> bool {
        self.membership
            .is_some_and(|membership| attribute.name == membership.attribute())
    }
}
