//! Members of a group as requests write them (RFC 7643 §4.2).

use std::collections::HashSet;

use serde_json::Value;

use super::id::ResourceId;
use super::place::Place;
use super::tolerance;
use super::value::ValueReader;
use crate::error::{Error, Result, excerpt};
use crate::schema::Attribute;

/// One member. The service computes its `$ref`, and its `display` where it can.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberValue {
    /// The id of the member.
    pub value: ResourceId,
    /// The name of the member's resource type, as the client gave it.
    pub kind: Option<String>,
    /// The member's name, as the client gave it.
    pub display: Option<String>,
}

/// Reads a list of members, each id once.
///
/// **Shape**: `[{"value": id, "type": …, "display": …}, …]`. A `$ref` may take the place of `value`.
/// Where the profile tolerates it, a bare string may take the place of the object.
pub(crate) fn members(
    reader: &mut ValueReader<'_, '_>,
    attribute: &Attribute,
    value: Value,
    place: Place<'_>,
) -> Result<Vec<MemberValue>> {
    let listed = listed(reader, value, place)?;
    let mut seen = HashSet::with_capacity(listed.len());
    let mut members = Vec::with_capacity(listed.len());
    for value in listed {
        let MemberParts { id, kind, display } = parts(reader, attribute, value, place)?;
        let value = ResourceId::of(id).map_err(|id| no_such_member(&id))?;
        if seen.insert(value.clone()) {
            members.push(MemberValue {
                value,
                kind,
                display,
            });
        }
    }
    Ok(members)
}

/// The ids of the members that a list names. Ids that no resource can have are left out.
pub(crate) fn member_ids(
    reader: &mut ValueReader<'_, '_>,
    attribute: &Attribute,
    value: Value,
    place: Place<'_>,
) -> Result<Vec<ResourceId>> {
    let listed = listed(reader, value, place)?;
    let mut seen = HashSet::with_capacity(listed.len());
    let mut ids = Vec::with_capacity(listed.len());
    for value in listed {
        let MemberParts { id, .. } = parts(reader, attribute, value, place)?;
        ids.extend(ResourceId::of(id).ok().filter(|id| seen.insert(id.clone())));
    }
    Ok(ids)
}

fn listed(reader: &mut ValueReader<'_, '_>, value: Value, place: Place<'_>) -> Result<Vec<Value>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(listed) => Ok(listed),
        single => Ok(vec![reader.single_for_many(single, place)?]),
    }
}

/// The error of a member that does not exist in the tenant.
fn no_such_member(id: &str) -> Error {
    Error::invalid_value(format!(
        "`members` names `{}`, which is not the id of a resource",
        excerpt(id)
    ))
}

/// The longest id that a request may name, in bytes. The key of an item holds no longer one.
pub(crate) const MAX_ID_BYTES: usize = 1_024;

/// Checks the length of a text that a request names as the id of a member.
///
/// # Errors
/// `InvalidValue` when it is empty or longer than [`MAX_ID_BYTES`].
pub(crate) fn check_member_id(id: &str, place: Place<'_>) -> Result<()> {
    if id.is_empty() {
        return Err(Error::invalid_value(format!(
            "An element of `{place}` needs a `value`, which is the id of a resource"
        )));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(Error::invalid_value(format!(
            "The `value` of an element of `{place}` has {} bytes; ids have at most {MAX_ID_BYTES}",
            id.len()
        )));
    }
    Ok(())
}

/// The parts of one listed member.
struct MemberParts {
    id: String,
    kind: Option<String>,
    display: Option<String>,
}

fn parts(
    reader: &mut ValueReader<'_, '_>,
    attribute: &Attribute,
    value: Value,
    place: Place<'_>,
) -> Result<MemberParts> {
    let object = reader.object(attribute, value, place)?;
    let (mut id, mut kind, mut display) = (None, None, None);
    for (sub, value) in reader.sub_values(attribute, object, place)? {
        let Some(Value::String(text)) = value else {
            continue;
        };
        match sub.name() {
            "value" => id = Some(text),
            "type" => kind = tolerance::member_type(reader.reading, text),
            "display" => display = Some(text),
            _ => {}
        }
    }
    let id = id.unwrap_or_default();
    check_member_id(&id, place)?;
    Ok(MemberParts { id, kind, display })
}
