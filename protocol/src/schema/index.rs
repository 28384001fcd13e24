//! The indexes of a resource type: the attributes by which its resources can be looked up.

use std::sync::Arc;

use super::attribute::{Attribute, DataType, Uniqueness};
use super::bound_path::BoundPath;
use super::target::AttributeTarget;
use super::{Extension, Schema};

/// An attribute whose values the store keeps as index entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The path to the values.
    pub values: BoundPath,
    /// Whether at most one resource may have a value.
    pub unique: bool,
    /// Whether every resource has its entries, so that queries may use them.
    pub state: IndexState,
    /// Whether a resource can have more than one value.
    pub multi_valued: bool,
    /// Whether every resource has a value.
    pub required: bool,
}

impl Index {
    /// The path of the index that a tenant's switch adds. A resource has one entry, under the hour of
    /// its last change, so its entry moves at most once an hour.
    pub const LAST_MODIFIED: &str = "meta.lastModified";

    /// The index on the attribute that a target leads to.
    pub(crate) fn of(target: &AttributeTarget<'_>, unique: bool) -> Self {
        let is_whole = target.sub_attribute.is_none() && target.extension.is_none();
        let attributes = target.attribute.into_iter().chain(target.leaf());
        Self {
            values: BoundPath::of(target),
            unique,
            state: IndexState::Active,
            multi_valued: attributes.into_iter().any(|any| any.multi_valued),
            required: is_whole && target.attribute.is_some_and(|whole| whole.required),
        }
    }

    /// The full name of the attribute, with the URN for extension attributes: `emails.value`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.values.index_path()
    }

    /// Whether the keys are the hours of the values. Inside an hour the entries have no order.
    #[must_use]
    pub fn is_by_hour(&self) -> bool {
        self.path() == Self::LAST_MODIFIED
    }

    /// Whether queries use the index: it must hold every resource, and must not be on a boolean, whose
    /// two values select too little to save anything.
    pub(super) fn serves_reads(&self) -> bool {
        self.state == IndexState::Active && self.values.collation().kind != DataType::Boolean
    }
}

/// Whether an index is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IndexState {
    /// Writers maintain it, but resources that are older than the index may lack entries.
    Building,
    /// Every resource has its entries.
    #[default]
    Active,
}

/// The indexes of a type, unique attributes first: the attributes that the schemas make unique or mark
/// as `indexed`, and those with these paths.
pub(super) fn indexes(
    common: &[Attribute],
    schema: &Schema,
    extensions: &[Extension],
    paths: &[String],
) -> Vec<Arc<Index>> {
    let extended = extensions
        .iter()
        .flat_map(|extension| targets(Some(extension), &extension.schema.attributes));
    let own: Vec<AttributeTarget<'_>> = targets(None, &schema.attributes).chain(extended).collect();
    let mut indexes: Vec<Index> = own.iter().filter_map(by_schema).collect();
    for path in paths {
        if indexes.iter().any(|index| index.path() == path) {
            continue;
        }
        let named = targets(None, common).chain(own.iter().copied());
        let named = named.into_iter().find(|target| target.to_string() == *path);
        indexes.extend(named.map(|target| Index::of(&target, false)));
    }
    indexes.sort_by_key(|index| !index.unique);
    indexes.into_iter().map(Arc::new).collect()
}

/// The index on a common attribute, such as [`Index::LAST_MODIFIED`].
pub(super) fn common_index(common: &[Attribute], path: &str) -> Option<Arc<Index>> {
    let found = targets(None, common).find(|target| target.to_string() == path);
    found.map(|target| Arc::new(Index::of(&target, false)))
}

/// The index on an attribute, if its definition asks for one.
fn by_schema(target: &AttributeTarget<'_>) -> Option<Index> {
    let leaf = target.leaf()?;
    let unique = leaf.uniqueness != Uniqueness::None && !leaf.is_complex();
    (unique || leaf.indexed).then(|| Index::of(target, unique))
}

/// Every attribute of a schema and every sub-attribute.
fn targets<'a>(
    extension: Option<&'a Extension>,
    attributes: &'a [Attribute],
) -> impl Iterator<Item = AttributeTarget<'a>> {
    attributes.iter().flat_map(move |attribute| {
        let subs = attribute.sub_attributes.iter().map(Some);
        std::iter::once(None)
            .chain(subs)
            .map(move |sub_attribute| AttributeTarget {
                extension,
                attribute: Some(attribute),
                sub_attribute,
            })
    })
}
