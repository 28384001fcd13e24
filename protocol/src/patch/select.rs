//! What a PATCH path selects in a resource type.

use serde_json::{Map, Value};

use super::Op;
use crate::error::{Error, Result, excerpt};
use crate::filter::Filter;
use crate::patch_path::PatchPath;
use crate::path::AttributePath;
use crate::profile::{Profile, Reading, Tolerance};
use crate::resource::place::Place;
use crate::resource::tolerance::MANAGER_ID;
use crate::resource::value::ValueReader;
use crate::schema::{Attribute, AttributeTarget, Extension, Mutability};

/// A selected attribute, some of its elements, or a sub-attribute of them.
#[derive(Clone, Copy)]
pub(super) struct Selected<'a> {
    pub(super) extension: Option<&'a Extension>,
    pub(super) attribute: &'a Attribute,
    pub(super) filter: Option<&'a Filter>,
    pub(super) sub: Option<&'a Attribute>,
}

/// The target that a path leads to.
pub(super) enum PatchTarget<'a> {
    /// All of an extension.
    Extension(&'a Extension),
    /// An attribute or a part of it.
    Attribute(Selected<'a>),
}

impl<'a> PatchTarget<'a> {
    /// Resolves the path of an operation; `None` when the resource type has no such attribute.
    ///
    /// # Errors
    /// `InvalidPath` when the attribute exists but the rest of the path does not fit it.
    pub(super) fn of_path<'t: 'a>(
        op: Op,
        path: &'a PatchPath,
        values: &mut ValueReader<'t, '_>,
    ) -> Result<Option<Self>> {
        let target = path.attribute.resolve(values.resource_type, values.reading);
        let Some(target) = target.or_else(|| other_name(path, values)) else {
            return Ok(None);
        };
        match &path.value_filter {
            Some(filter) => filtered(op, path, filter, (target, values.reading)).map(Some),
            None => Ok(Self::of_target(target)),
        }
    }

    pub(super) fn of_target(target: AttributeTarget<'a>) -> Option<Self> {
        match target.attribute {
            Some(attribute) => Some(Self::Attribute(Selected {
                extension: target.extension,
                attribute,
                filter: None,
                sub: target.sub_attribute,
            })),
            None => target.extension.map(Self::Extension),
        }
    }
}

/// The target of a path without filter by another name that clients use: `givenName` for
/// `name.givenName` ([`Tolerance::BareSubAttributes`]), `manager.managerId` for `manager.value`
/// ([`Tolerance::ManagerId`]). It is tried where no attribute has the name of the path.
fn other_name<'t>(
    path: &PatchPath,
    values: &mut ValueReader<'t, '_>,
) -> Option<AttributeTarget<'t>> {
    if path.value_filter.is_some() {
        return None;
    }
    let text = path.attribute.as_str();
    if let Some((manager, MANAGER_ID)) = text.rsplit_once('.') {
        let target =
            AttributePath::parse(manager)?.resolve(values.resource_type, values.reading)?;
        let attribute = target.attribute.filter(|found| found.name == "manager")?;
        let value = attribute.sub_attribute("value")?;
        return values
            .reading
            .tolerates(Tolerance::ManagerId)
            .then_some(AttributeTarget {
                sub_attribute: Some(value),
                ..target
            });
    }
    let name = match values.resource_type.split_urn(text) {
        Some((None, name)) => name,
        Some((Some(_), _)) => return None,
        None => text,
    };
    let (attribute, sub) = values.resource_type.sole_part(name)?;
    let tolerated = values.reading.tolerates(Tolerance::BareSubAttributes);
    tolerated.then_some(AttributeTarget {
        extension: None,
        attribute: Some(attribute),
        sub_attribute: Some(sub),
    })
}

fn filtered<'a>(
    op: Op,
    path: &'a PatchPath,
    filter: &'a Filter,
    (target, reading): (AttributeTarget<'a>, &mut Reading<'_>),
) -> Result<PatchTarget<'a>> {
    let mut has_elements = |attribute: &Attribute| {
        attribute.multi_valued
            || (attribute.is_complex() && reading.tolerates(Tolerance::FilteredSingleValue))
    };
    let attribute = target
        .attribute
        .filter(|attribute| target.sub_attribute.is_none() && has_elements(attribute))
        .ok_or_else(|| {
            Error::invalid_path(format!(
                "`{}` is not multi-valued and has no elements to filter",
                path.attribute
            ))
        })?;
    let sub = match &path.sub_attribute {
        Some(name) => Some(attribute.sub_attribute(name.as_str()).ok_or_else(|| {
            Error::invalid_path(format!(
                "`{}` has no sub-attribute `{}`",
                attribute.name,
                excerpt(name)
            ))
        })?),
        // In the interop profile, whole elements can be removed but not written.
        None if reading.rules.profile == Profile::Interop && op != Op::Remove => {
            return Err(Error::invalid_path(format!(
                "`{}` must name a sub-attribute after its filter",
                excerpt(path)
            )));
        }
        None => None,
    };
    Ok(PatchTarget::Attribute(Selected {
        extension: target.extension,
        attribute,
        filter: Some(filter),
        sub,
    }))
}

impl<'a> Selected<'a> {
    pub(super) fn place(&self) -> Place<'a> {
        let urn = self.extension.map(|extension| extension.schema.id.as_str());
        Place::new(urn, self.attribute)
    }

    /// The attribute without its filter, for the part of a write that concerns all elements.
    pub(super) fn target(&self) -> AttributeTarget<'a> {
        AttributeTarget {
            extension: self.extension,
            attribute: Some(self.attribute),
            sub_attribute: self.sub,
        }
    }

    /// Whether clients may not write it.
    pub(super) fn is_read_only(&self) -> bool {
        self.attribute.mutability == Mutability::ReadOnly
            || self
                .sub
                .is_some_and(|sub| sub.mutability == Mutability::ReadOnly)
    }

    /// Refuses to clear a required sub-attribute that has a value.
    ///
    /// # Errors
    /// `Mutability`.
    pub(super) fn check_clears(&self, complex: &Map<String, Value>, clears: bool) -> Result<()> {
        let required = self.sub.filter(|sub| clears && sub.required);
        if required.is_some_and(|sub| complex.contains_key(sub.name())) {
            return Err(self.required());
        }
        Ok(())
    }

    /// Refuses to change an immutable attribute that has a value.
    ///
    /// # Errors
    /// `Mutability`.
    pub(super) fn check_fixed(&self, is_same: bool) -> Result<()> {
        if is_same {
            return Ok(());
        }
        Err(Error::mutability(format!(
            "`{}` is immutable and cannot be changed",
            self.place()
        )))
    }

    /// The error of writing a value that only the service writes.
    pub(super) fn read_only(&self) -> Error {
        Error::mutability(format!(
            "`{}` is read-only and cannot be written",
            self.target()
        ))
    }

    /// The error of clearing a value that is required.
    pub(super) fn required(&self) -> Error {
        Error::mutability(format!(
            "`{}` is required and cannot be removed",
            self.target()
        ))
    }
}
