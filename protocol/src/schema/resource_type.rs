//! A resource type: a base schema, its extensions, and what the service keeps beside the body.

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
    /// What can be looked up by key, unique attributes first.
    pub indexes: Vec<Arc<Index>>,
    /// The attribute whose values are kept outside the body, if there is one.
    pub membership: Option<MembershipAttribute>,
    /// Whether a tenant's own type may take this one's name and endpoint.
    pub yields: bool,
    /// The published form: what was registered, vendor keywords included.
    pub published: Map<String, Value>,
}

/// An attribute that the service keeps outside the body, as items of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MembershipAttribute {
    /// Written by clients: `members` of a Group.
    Members,
    /// Computed from others' members: `groups` of a User.
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

    /// Whether the URN is the base schema's or an extension's.
    pub(crate) fn has_schema(&self, urn: &str) -> bool {
        self.schema.id.eq_ignore_ascii_case(urn) || self.extension(urn).is_some()
    }

    /// The one extension that has an attribute of this name, if exactly one has.
    pub(crate) fn sole_extension_with(&self, name: &str) -> Option<(&Extension, &Attribute)> {
        let mut found = self
            .extensions
            .iter()
            .filter_map(|extension| Some((extension, extension.schema.attribute(name)?)));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The one single-valued complex attribute of the base schema that has a sub-attribute of this name,
    /// with that sub-attribute, if exactly one has.
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

    /// Splits a path's text at the longest registered URN it begins with: that extension (or none for
    /// the base schema), and what follows the separator.
    ///
    /// `urn:…:enterprise:2.0:User:manager.value` gives the extension and `manager.value`; the bare
    /// URN gives an empty rest. A dot instead of the last colon is accepted, as some clients send it.
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

    /// The index of the attribute with that full notation, if it has one that reads can go by: one that
    /// holds every resource, and whose values are not booleans.
    #[must_use]
    pub fn index(&self, path: &str) -> Option<&Arc<Index>> {
        self.indexes
            .iter()
            .find(|index| index.path() == path && index.serves_reads())
    }

    /// Whether a resource changes with its body only. Where members change beside it, its index
    /// entries do not tell when it was changed last.
    #[must_use]
    pub fn changes_by_body(&self) -> bool {
        self.membership != Some(MembershipAttribute::Members)
    }

    /// Whether the attribute is kept outside the body.
    #[must_use]
    pub fn is_detached(&self, attribute: &Attribute) -> bool {
        self.membership
            .is_some_and(|membership| attribute.name == membership.attribute())
    }
}
