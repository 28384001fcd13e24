//! The names that a request body may give its values: attributes, extension URNs, and paths.

use serde_json::{Map, Value};

use super::place::{Place, mismatch};
use super::value::{ValueReader, is_unassigned};
use crate::error::Result;
use crate::path::AttributePath;
use crate::profile::Tolerance;
use crate::schema::{AttributeTarget, Extension};

/// The target that a member of a resource body names; `None` if the type does not define it.
///
/// A name that begins with a URN or ends in a sub-attribute is meant for PATCH paths. As the name of a
/// member it is tolerated ([`Tolerance::PathKeys`]).
pub(crate) fn target<'a>(
    values: &mut ValueReader<'a, '_>,
    key: &str,
) -> Option<AttributeTarget<'a>> {
    if let Some(attribute) = values.resource_type.attribute(key) {
        return Some(AttributeTarget {
            extension: None,
            attribute: Some(attribute),
            sub_attribute: None,
        });
    }
    let target = AttributePath::parse(key)?.resolve(values.resource_type, values.reading)?;
    let is_path = match target.attribute {
        Some(attribute) => attribute.name != key,
        None => false,
    };
    (!is_path || values.reading.tolerates(Tolerance::PathKeys)).then_some(target)
}

/// The attribute that a member of an extension's container names.
pub(crate) fn target_within<'e>(
    values: &mut ValueReader<'_, '_>,
    extension: &'e Extension,
    key: &str,
) -> Option<AttributeTarget<'e>> {
    let (name, sub) = match key.split_once('.') {
        Some((name, sub)) => (name, Some(sub)),
        None => (key, None),
    };
    let attribute = extension.schema.attribute(name)?;
    let sub_attribute = match sub {
        Some(sub) => Some(attribute.sub_attribute(sub)?),
        None => None,
    };
    let allowed = sub.is_none() || values.reading.tolerates(Tolerance::PathKeys);
    allowed.then_some(AttributeTarget {
        extension: Some(extension),
        attribute: Some(attribute),
        sub_attribute,
    })
}

/// The members of an extension's container; none when it is unassigned.
pub(crate) fn container(extension: &Extension, value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(members) => Ok(members),
        value if is_unassigned(&value) => Ok(Map::new()),
        other => Err(mismatch(
            Place::named(&extension.schema.id),
            "an object",
            &other,
        )),
    }
}
