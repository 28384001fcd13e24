//! Operations on the members of a group, which are stored as items of their own (RFC 7643 §4.2).
//!
//! What an operation does to the members is known without reading them. So changing a group costs the
//! same whether it has one member or a million.

use serde_json::Value;

use super::Op;
use super::select::Selected;
use crate::error::{Error, Result};
use crate::filter::{BoundFilter, CompareOp, CompareValue, Filter};
use crate::json;
use crate::profile::Tolerance;
use crate::resource::reference::referred_id;
use crate::resource::value::{ValueReader, is_unassigned};
use crate::resource::{MemberValue, ResourceId, check_member_id, member_ids, members, tolerance};

/// A change of the members of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberOp {
    /// Adds these, unless they are members already.
    Add(Vec<MemberValue>),
    /// Removes the members with these ids.
    Remove(Vec<ResourceId>),
    /// Removes the members that match. The filter sees elements with `value`, `type` and `display`.
    RemoveMatching(BoundFilter),
    /// Removes all members.
    Clear,
    /// Makes these the only members.
    ReplaceAll(Vec<MemberValue>),
}

/// Reads what an operation does to the members; `None` if it changes nothing.
pub(super) fn member_op(
    values: &mut ValueReader<'_, '_>,
    op: Op,
    selected: Selected<'_>,
    value: Option<Value>,
) -> Result<Option<MemberOp>> {
    if let Some(sub) = selected.sub {
        return Err(Error::mutability(format!(
            "`{}` is immutable: members are added and removed, not edited",
            selected.place().sub(sub.name())
        )));
    }
    match selected.filter {
        Some(filter) => filtered(values, op, selected, filter, value),
        None => unfiltered(values, op, selected, value),
    }
}

fn unfiltered(
    values: &mut ValueReader<'_, '_>,
    op: Op,
    selected: Selected<'_>,
    value: Option<Value>,
) -> Result<Option<MemberOp>> {
    let value = value.filter(|value| !value.is_null());
    let Some(value) = value else {
        return Ok((op != Op::Add).then_some(MemberOp::Clear));
    };
    // Clients may send one member without an array where members are added or removed.
    let value = match value {
        single @ (Value::Object(_) | Value::String(_)) if op != Op::Replace => {
            Value::Array(vec![single])
        }
        value => value,
    };
    let (attribute, place) = (selected.attribute, selected.place());
    if op == Op::Remove {
        values.reading.tolerates(Tolerance::RemovedValues);
        let ids = member_ids(values, attribute, value, place)?;
        return Ok((!ids.is_empty()).then_some(MemberOp::Remove(ids)));
    }
    let listed = members(values, attribute, value, place)?;
    Ok(match op {
        Op::Add => (!listed.is_empty()).then_some(MemberOp::Add(listed)),
        _ if listed.is_empty() => Some(MemberOp::Clear),
        _ => Some(MemberOp::ReplaceAll(listed)),
    })
}

fn filtered(
    values: &mut ValueReader<'_, '_>,
    op: Op,
    selected: Selected<'_>,
    filter: &Filter,
    value: Option<Value>,
) -> Result<Option<MemberOp>> {
    let bound = filter.bind_element(selected.attribute, values.reading)?;
    let ids = ids_of(filter);
    for id in ids.iter().flatten() {
        check_member_id(id, selected.place())?;
    }
    let clears = op == Op::Replace && value.as_ref().is_none_or(is_unassigned);
    if op == Op::Remove || clears {
        return Ok(Some(match ids {
            // An id that cannot exist is not a member, so it is left out of the removal.
            Some(ids) => {
                MemberOp::Remove(ids.iter().filter_map(|id| ResourceId::parse(id)).collect())
            }
            None => MemberOp::RemoveMatching(bound),
        }));
    }
    same_member(values, selected, ids.as_deref(), value.unwrap_or_default())
}

/// `add` or `replace` of `members[value eq "id"]`. Members cannot be edited, so this adds the member.
fn same_member(
    values: &mut ValueReader<'_, '_>,
    selected: Selected<'_>,
    ids: Option<&[String]>,
    value: Value,
) -> Result<Option<MemberOp>> {
    let (attribute, place) = (selected.attribute, selected.place());
    let edited = || {
        Error::mutability(format!(
            "The elements of `{place}` are immutable: members are added and removed, not edited"
        ))
    };
    let id = match ids {
        Some([id]) => id.clone(),
        _ => return Err(edited()),
    };
    if is_unassigned(&value) {
        return Ok(None);
    }
    if !values.reading.tolerates(Tolerance::CreatedElements) {
        return Err(edited());
    }
    let value = tolerance::unwrapped_single(values.reading, attribute, value);
    let mut object = values.object(attribute, value, place)?;
    if json::get(&object, "value").is_none_or(Value::is_null) {
        object.retain(|key, _| !key.eq_ignore_ascii_case("value"));
        object.insert("value".to_owned(), Value::String(id.clone()));
    }
    let listed = Value::Array(vec![Value::Object(object)]);
    let member = members(values, attribute, listed, place)?;
    if member.iter().any(|member| member.value.as_str() != id) {
        return Err(edited());
    }
    Ok(Some(MemberOp::Add(member)))
}

/// The ids that a filter selects, if it has the form `value eq "a"`, `$ref eq "…/Users/a"`, or several
/// of these joined by `or`.
fn ids_of(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::Compare {
            path,
            op: CompareOp::Eq,
            value: CompareValue::String(id),
        } if path.as_str().eq_ignore_ascii_case("value") => Some(vec![id.clone()]),
        Filter::Compare {
            path,
            op: CompareOp::Eq,
            value: CompareValue::String(reference),
        } if path.as_str().eq_ignore_ascii_case("$ref") => Some(vec![referred_id(reference)?]),
        Filter::Or(parts) => {
            let ids: Option<Vec<_>> = parts.iter().map(ids_of).collect();
            ids.map(|ids| ids.into_iter().flatten().collect())
        }
        _ => None,
    }
}
