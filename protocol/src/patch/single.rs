//! Operations on single-valued attributes: on the whole value, or on a sub-attribute of it.

use serde_json::{Map, Value};

use super::Op;
use super::select::Selected;
use crate::error::Result;
use crate::json;
use crate::profile::Profile;
use crate::resource::tolerance;
use crate::resource::value::{ValueReader, is_unassigned};
use crate::schema::{Attribute, Mutability};

/// Writes a single-valued attribute or a sub-attribute of it.
pub(super) fn write(
    values: &mut ValueReader<'_, '_>,
    op: Op,
    selected: Selected<'_>,
    old: Option<Value>,
    value: Option<Value>,
) -> Result<Option<Value>> {
    let attribute = selected.attribute;
    let value = value.filter(|value| op != Op::Remove && !is_unassigned(value));
    if value.is_none() && op == Op::Add {
        return Ok(old);
    }
    if let Some(filter) = selected.filter {
        let bound = filter.bind_element(attribute, values.reading)?;
        if !old.as_ref().is_some_and(|old| bound.matches_element(old)) {
            return Ok(old);
        }
    }
    if let Some(sub) = selected.sub {
        let mut complex = json::into_object(old);
        selected.check_clears(&complex, value.is_none())?;
        let part = Map::from_iter([(sub.name().to_owned(), value.unwrap_or_default())]);
        values.merge(attribute, &mut complex, part, selected.place())?;
        return Ok(Some(Value::Object(complex)));
    }
    let Some(value) = value else {
        return Ok(None);
    };
    if !attribute.is_complex() {
        let new = values.value(attribute, value, selected.place())?;
        // A blank text can mean that there is no value. An `add` of no value keeps the old one.
        return Ok(new.or(old.filter(|_| op == Op::Add)));
    }
    let value = tolerance::unwrapped_single(values.reading, attribute, value);
    let object = values.object(attribute, value, selected.place())?;
    let is_total = op == Op::Replace && values.reading.rules.profile == Profile::Interop;
    let mut complex = json::into_object(old);
    if is_total {
        complex.retain(|name, _| attribute.sub_attribute(name).is_some_and(stays));
    }
    values.merge(attribute, &mut complex, object, selected.place())?;
    Ok(Some(Value::Object(complex)))
}

/// Whether a `replace` of the whole value leaves this sub-attribute as it is.
fn stays(sub: &Attribute) -> bool {
    matches!(
        sub.mutability,
        Mutability::ReadOnly | Mutability::Immutable | Mutability::WriteOnly
    )
}
