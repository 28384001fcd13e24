//! `schemas` as the target of an operation: removing an extension's URN removes its data.

use serde_json::Value;

use super::Op;
use super::body::EditedBody;
use super::select::Selected;
use crate::error::{Error, Result};
use crate::profile::Tolerance;
use crate::resource::schemas::{listed, lists, of_body};
use crate::resource::value::ValueReader;
use crate::schema::{Extension, ResourceType};

/// Applies an operation to `schemas`. Adding a URN changes nothing, because `schemas` is derived from
/// the body.
pub(super) fn write<'a>(
    values: &mut ValueReader<'a, '_>,
    body: &mut EditedBody<'a>,
    op: Op,
    selected: Selected<'_>,
    value: Option<Value>,
) -> Result<()> {
    if selected.filter.is_some() && op != Op::Remove {
        return Err(Error::mutability(
            "An element of `schemas` cannot be edited; add or remove URNs",
        ));
    }
    let extensions = match op {
        Op::Add => {
            listed(values, value.unwrap_or_default())?;
            Vec::new()
        }
        Op::Replace => left_out(values, value.unwrap_or_default())?,
        Op::Remove => removed(values, body, selected, value)?,
    };
    extensions
        .into_iter()
        .try_for_each(|extension| body.remove_extension(extension))
}

/// The extensions that a new value of `schemas` leaves out and that may be removed.
fn left_out<'a>(values: &mut ValueReader<'a, '_>, value: Value) -> Result<Vec<&'a Extension>> {
    let (has_base, kept) = listed(values, value)?;
    if !has_base {
        return Err(base_stays(values.resource_type));
    }
    let extensions = values.resource_type.extensions.iter();
    let left_out = extensions.filter(|extension| !extension.required && !lists(&kept, extension));
    Ok(left_out.collect())
}

/// The extensions that a `remove` names, by a filter or by its value.
fn removed<'a>(
    values: &mut ValueReader<'a, '_>,
    body: &mut EditedBody<'a>,
    selected: Selected<'_>,
    value: Option<Value>,
) -> Result<Vec<&'a Extension>> {
    let (has_base, named) = match (selected.filter, value.filter(|value| !value.is_null())) {
        (Some(filter), _) => {
            let bound = filter.bind_element(selected.attribute, values.reading)?;
            let present = of_body(body.whole(), values.resource_type);
            let matching = present.as_array().into_iter().flatten();
            let matching = matching.filter(|urn| bound.matches_element(urn)).cloned();
            listed(values, matching.collect())?
        }
        (None, Some(value)) => {
            values.reading.tolerates(Tolerance::RemovedValues);
            listed(values, value)?
        }
        (None, None) => (true, Vec::new()),
    };
    if has_base {
        return Err(base_stays(values.resource_type));
    }
    let is_nothing = named.is_empty() && selected.filter.is_some();
    if is_nothing && !values.reading.tolerates(Tolerance::RemovedNothing) {
        return Err(Error::no_target("The filter matches no URN of `schemas`"));
    }
    Ok(named)
}

fn base_stays(resource_type: &ResourceType) -> Error {
    Error::mutability(format!("`schemas` must keep {}", resource_type.schema.id))
}
