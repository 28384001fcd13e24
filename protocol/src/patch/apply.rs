//! Operations on the body, one after the other on a copy of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::list::{BodySize, ElementList};
use super::members::MemberOp;
use super::select::{Selected, Selection};
use super::{Op, Operation, PatchRequest, Patched, parse};
use crate::error::excerpt;
use crate::error::{Error, Result};
use crate::json;
use crate::patch_path::PatchPath;
use crate::profile::{Profile, Reading, Tolerance};
use crate::resource::finish::finish;
use crate::resource::value::{ValueReader, is_unassigned};
use crate::resource::{
    PasswordChange, Resource, body, check_size, container, is_password, requested_paths, tolerance,
};
use crate::schema::{Attribute, Extension, Mutability, Registry, ResourceType};
use crate::work::{ELEMENT, steps_of_bytes};

/// See [`PatchRequest::apply`].
pub(super) fn apply(
    request: &PatchRequest,
    resource: &Resource,
    resource_type: &ResourceType,
    registry: &Registry,
    reading: &mut Reading<'_>,
) -> Result<Patched> {
    let length = json::object_length(resource.body());
    let mut patching = Patching {
        values: ValueReader {
            resource_type,
            registry,
            reading,
        },
        body: resource.body().clone(),
        lists: Vec::new(),
        size: BodySize::of(length),
        members: Vec::new(),
        password: None,
        written: BTreeSet::new(),
    };
    for (position, operation) in request.operations.iter().enumerate() {
        patching
            .operation(operation)
            .map_err(|error| error.at(&parse::place(position)))?;
    }
    patching.close_lists();
    let body = finish(patching.body, resource_type, patching.values.reading)?;
    check_size(&body, length)?;
    Ok(Patched {
        changed: body != *resource.body(),
        resource: Resource::from_canonical(body),
        members: patching.members,
        password: patching.password,
        written: patching.written.into_iter().collect(),
    })
}

/// A resource between two operations.
pub(super) struct Patching<'a, 'r> {
    pub(super) values: ValueReader<'a, 'r>,
    pub(super) body: Map<String, Value>,
    /// The multi-valued attributes that operations have changed so far. They are not in the body until
    /// the lists are closed.
    lists: Vec<OpenList<'a>>,
    size: BodySize,
    pub(super) members: Vec<MemberOp>,
    password: Option<PasswordChange>,
    written: BTreeSet<String>,
}

/// A multi-valued attribute whose elements operations change.
struct OpenList<'a> {
    extension: Option<&'a Extension>,
    attribute: &'a Attribute,
    list: ElementList,
}

impl<'a> Patching<'a, '_> {
    fn operation(&mut self, operation: &Operation) -> Result<()> {
        let value = operation.value.clone();
        let Some(path) = &operation.path else {
            return match value {
                Some(Value::Object(members)) => self.members_of_value(operation.op, members),
                _ => Err(Error::no_target("The operation needs a `path`")),
            };
        };
        match Selection::of_path(operation.op, path, &mut self.values)? {
            None => Err(unknown_path(path, self.values.resource_type)),
            Some(Selection::Extension(extension)) => self.extension(operation.op, extension, value),
            Some(Selection::Attribute(selected)) if selected.is_read_only() => {
                Err(read_only(&selected))
            }
            Some(Selection::Attribute(selected)) => self.attribute(operation.op, selected, value),
        }
    }

    /// An operation without path: each member of the value names its own target.
    fn members_of_value(&mut self, op: Op, members: Map<String, Value>) -> Result<()> {
        for (key, value) in members {
            if key.contains('[') && self.values.reading.tolerates(Tolerance::PathKeys) {
                self.filter_key(op, &key, value)?;
                continue;
            }
            match self.values.target(&key).and_then(Selection::of_target) {
                None => self.values.unknown(&key)?,
                Some(Selection::Extension(extension)) => {
                    self.extension(op, extension, Some(value))?;
                }
                Some(Selection::Attribute(selected)) => self.member(op, selected, value)?,
            }
        }
        Ok(())
    }

    /// A member of a value whose key is a path with a filter: `emails[type eq "work"].value`.
    fn filter_key(&mut self, op: Op, key: &str, value: Value) -> Result<()> {
        let path = PatchPath::parse(key, self.values.reading)?;
        match Selection::of_path(op, &path, &mut self.values)? {
            Some(Selection::Attribute(selected)) => self.member(op, selected, value),
            _ => self.values.unknown(&key),
        }
    }

    /// A member of a value that names an attribute.
    fn member(&mut self, op: Op, selected: Selected<'_>, value: Value) -> Result<()> {
        let tolerance = Tolerance::ReadOnlyInPatchValue;
        match selected.is_read_only() {
            true if self.values.reading.tolerates(tolerance) => Ok(()),
            true => Err(read_only(&selected)),
            // Clients repeat `schemas` beside what they change and do not mean to drop the rest.
            false if selected.attribute.name == "schemas" => {
                self.values.listed_schemas(value).map(|_| ())
            }
            false => self.attribute(op, selected, Some(value)),
        }
    }

    /// An extension as a whole: the members of its container, or all of it.
    fn extension(&mut self, op: Op, extension: &Extension, value: Option<Value>) -> Result<()> {
        let value = value.unwrap_or_default();
        let clears = op == Op::Remove || (op == Op::Replace && is_unassigned(&value));
        if clears {
            return self.remove_extension(extension);
        }
        for (key, value) in container(extension, value)? {
            let target = self.values.target_within(extension, &key);
            match target.and_then(Selection::of_target) {
                Some(Selection::Attribute(selected)) => self.member(op, selected, value)?,
                _ => self
                    .values
                    .unknown(&format_args!("{}:{key}", extension.schema.id))?,
            }
        }
        Ok(())
    }

    /// Drops an extension's data, unless some of it must stay.
    pub(super) fn remove_extension(&mut self, extension: &Extension) -> Result<()> {
        self.close_lists();
        let Some(container) = body::scope(&self.body, Some(extension)) else {
            return Ok(());
        };
        let urn = &extension.schema.id;
        if extension.required {
            return Err(Error::mutability(format!(
                "`{urn}` is required and cannot be removed"
            )));
        }
        let fixed = extension.schema.attributes.iter().find(|attribute| {
            attribute.mutability == Mutability::Immutable
                && container.contains_key(attribute.name())
        });
        if let Some(fixed) = fixed {
            return Err(Error::mutability(format!(
                "`{urn}:{}` is immutable and cannot be removed",
                fixed.name
            )));
        }
        let removed = self.body.shift_remove(urn).unwrap_or_default();
        self.size.change(json::member_length(urn, &removed) + 1, 0)
    }

    fn attribute(&mut self, op: Op, selected: Selected<'_>, value: Option<Value>) -> Result<()> {
        let attribute = selected.attribute;
        if op != Op::Remove {
            self.written.extend(requested_paths(selected.target()));
        }
        if attribute.name == "schemas" && selected.extension.is_none() {
            self.schemas(op, selected, value)
        } else if self.values.resource_type.is_detached(attribute) {
            self.detached(op, selected, value)
        } else if is_password(attribute) {
            self.password(op, selected, value)
        } else if attribute.multi_valued {
            self.elements(op, selected, value)
        } else {
            self.update(selected, |values, old| {
                single(values, op, selected, old, value)
            })
        }
    }

    fn password(&mut self, op: Op, selected: Selected<'_>, value: Option<Value>) -> Result<()> {
        let value = match (op, value) {
            (Op::Remove, _) | (_, None) => None,
            (_, Some(value)) => self
                .values
                .value(selected.attribute, value, selected.place())?,
        };
        if op != Op::Add || value.is_some() {
            self.password = Some(PasswordChange::read(value)?);
        }
        Ok(())
    }

    /// Changes the elements of a multi-valued attribute where its characteristics allow it.
    fn elements(&mut self, op: Op, selected: Selected<'_>, value: Option<Value>) -> Result<()> {
        let Some(position) = self.open_list(selected.attribute) else {
            return Ok(());
        };
        let Some(OpenList { list, .. }) = self.lists.get_mut(position) else {
            return Ok(());
        };
        let (before, had_value) = (list.bytes(), !list.is_empty());
        list.set_room(self.size.room_of(before));
        let fixed = match selected.attribute.mutability {
            Mutability::Immutable if had_value => {
                self.values
                    .reading
                    .count(list.positions() as u64 * ELEMENT)?;
                let elements = list.iter();
                Some(elements.map(|(_, element)| element.clone()).collect())
            }
            _ => None,
        };
        super::elements::write(&mut self.values, op, selected, list, value)?;
        if let Some::<Vec<Value>>(fixed) = fixed {
            check_fixed(
                &selected,
                fixed.iter().eq(list.iter().map(|(_, element)| element)),
            )?;
        }
        if selected.attribute.required && had_value && list.is_empty() {
            return Err(required(&selected));
        }
        self.size.change(before, list.bytes())
    }

    /// Takes a multi-valued attribute out of the body, if an earlier operation has not; returns where
    /// its list is.
    fn open_list(&mut self, attribute: &Attribute) -> Option<usize> {
        let mut open = self.lists.iter();
        if let Some(found) = open.position(|open| std::ptr::eq(open.attribute, attribute)) {
            return Some(found);
        }
        let mut attributes = self.values.resource_type.attributes();
        let (extension, attribute) =
            attributes.find(|(_, known)| std::ptr::eq(*known, attribute))?;
        let value = body::take(&mut self.body, extension, attribute);
        self.lists.push(OpenList {
            extension,
            attribute,
            list: ElementList::of(value),
        });
        Some(self.lists.len() - 1)
    }

    /// Puts all lists back into the body, for what looks at it as a whole.
    pub(super) fn close_lists(&mut self) {
        for open in std::mem::take(&mut self.lists) {
            let elements = open.list.into_elements();
            let value = (!elements.is_empty()).then_some(Value::Array(elements));
            body::set(&mut self.body, open.extension, open.attribute, value);
        }
    }

    /// Puts a new value in place of the old one where the attribute's characteristics allow it.
    fn update(
        &mut self,
        selected: Selected<'_>,
        write: impl FnOnce(&mut ValueReader<'a, '_>, Option<Value>) -> Result<Option<Value>>,
    ) -> Result<()> {
        let Selected {
            extension,
            attribute,
            ..
        } = selected;
        let old = body::take(&mut self.body, extension, attribute);
        let had_value = old.is_some();
        let before = old.as_ref().map_or(0, json::text_length);
        self.values
            .reading
            .count(ELEMENT + steps_of_bytes(before))?;
        let fixed = match attribute.mutability {
            Mutability::Immutable => old.clone(),
            _ => None,
        };
        let new = write(&mut self.values, old)?.filter(|new| !is_empty(new));
        check_fixed(&selected, fixed.is_none() || fixed == new)?;
        if attribute.required && had_value && new.is_none() {
            return Err(required(&selected));
        }
        self.size
            .change(before, new.as_ref().map_or(0, json::text_length))?;
        body::set(&mut self.body, extension, attribute, new);
        Ok(())
    }
}

/// Refuses to change an immutable attribute that has a value.
fn check_fixed(selected: &Selected<'_>, is_same: bool) -> Result<()> {
    if is_same {
        return Ok(());
    }
    Err(Error::mutability(format!(
        "`{}` is immutable and cannot be changed",
        selected.place()
    )))
}

/// Writes a single-valued attribute or a part of it.
fn single(
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
        let mut complex = into_object(old);
        check_part(&complex, sub, value.is_none(), &selected)?;
        let part = Map::from_iter([(sub.name().to_owned(), value.unwrap_or_default())]);
        values.merge(attribute, &mut complex, part, selected.place())?;
        return Ok(Some(Value::Object(complex)));
    }
    let Some(value) = value else {
        return Ok(None);
    };
    if !attribute.is_complex() {
        let new = values.value(attribute, value, selected.place())?;
        // Blank text can mean that there is no value, which an `add` does not add.
        return Ok(new.or(old.filter(|_| op == Op::Add)));
    }
    let value = tolerance::unwrapped_single(values.reading, attribute, value);
    let object = values.object(attribute, value, selected.place())?;
    let is_total = op == Op::Replace && values.reading.rules.profile == Profile::Interop;
    let mut complex = into_object(old);
    if is_total {
        complex.retain(|name, _| attribute.sub_attribute(name).is_some_and(stays));
    }
    values.merge(attribute, &mut complex, object, selected.place())?;
    Ok(Some(Value::Object(complex)))
}

/// Whether a sub-attribute is not a client's to replace along with the others.
fn stays(sub: &Attribute) -> bool {
    matches!(
        sub.mutability,
        Mutability::ReadOnly | Mutability::Immutable | Mutability::WriteOnly
    )
}

/// Refuses to clear a required part that is there.
pub(super) fn check_part(
    complex: &Map<String, Value>,
    sub: &Attribute,
    clears: bool,
    selected: &Selected<'_>,
) -> Result<()> {
    if clears && sub.required && complex.contains_key(sub.name()) {
        return Err(required(selected));
    }
    Ok(())
}

pub(super) fn into_object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_empty(),
        other => is_unassigned(other),
    }
}

fn unknown_path(path: &PatchPath, resource_type: &ResourceType) -> Error {
    Error::invalid_path(format!(
        "`{}` is not an attribute of {}",
        excerpt(&path.attribute),
        resource_type.name
    ))
}

fn read_only(selected: &Selected<'_>) -> Error {
    Error::mutability(format!(
        "`{}` is read-only and cannot be written",
        selected.target()
    ))
}

fn required(selected: &Selected<'_>) -> Error {
    Error::mutability(format!(
        "`{}` is required and cannot be removed",
        selected.target()
    ))
}
