//! Applies operations, one after the other, to a copy of the body.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::body::EditedBody;
use super::members::{self, MemberOp};
use super::select::{PatchTarget, Selected};
use super::{Op, Operation, PatchOutcome, PatchRequest, elements, parse, schemas, single};
use crate::error::{Error, Result, excerpt};
use crate::json;
use crate::patch_path::PatchPath;
use crate::profile::{Reading, Tolerance};
use crate::resource::finish::finish;
use crate::resource::names;
use crate::resource::value::{ValueReader, is_unassigned};
use crate::resource::{
    PasswordChange, Resource, check_size, is_password, requested_paths,
    schemas as schemas_of_request,
};
use crate::schema::{Extension, Mutability, Registry, ResourceType};
use crate::work::{ELEMENT, steps_of_bytes};

/// See [`PatchRequest::apply`].
pub(super) fn apply(
    request: &PatchRequest,
    resource: &Resource,
    resource_type: &ResourceType,
    registry: &Registry,
    reading: &mut Reading<'_>,
) -> Result<PatchOutcome> {
    let length = json::object_length(resource.body());
    let mut patching = Patching {
        values: ValueReader {
            resource_type,
            registry,
            reading,
        },
        body: EditedBody::new(resource.body().clone(), length, resource_type),
        members: Vec::new(),
        password: None,
        written: BTreeSet::new(),
    };
    for (position, operation) in request.operations.iter().enumerate() {
        patching
            .operation(operation)
            .map_err(|error| error.at(&parse::place(position)))?;
    }
    let body = patching.body.into_body();
    let body = finish(body, resource_type, patching.values.reading)?;
    check_size(&body, length)?;
    Ok(PatchOutcome {
        changed: body != *resource.body(),
        resource: Resource::from_canonical(body),
        members: patching.members,
        password: patching.password,
        written: patching.written.into_iter().collect(),
    })
}

/// A resource between two operations.
struct Patching<'a, 'r> {
    values: ValueReader<'a, 'r>,
    body: EditedBody<'a>,
    members: Vec<MemberOp>,
    password: Option<PasswordChange>,
    written: BTreeSet<String>,
}

impl Patching<'_, '_> {
    fn operation(&mut self, operation: &Operation) -> Result<()> {
        let value = operation.value.clone();
        let Some(path) = &operation.path else {
            return match value {
                Some(Value::Object(members)) => self.members_of_value(operation.op, members),
                _ => Err(Error::no_target("The operation needs a `path`")),
            };
        };
        match PatchTarget::of_path(operation.op, path, &mut self.values)? {
            None => Err(unknown_path(path, self.values.resource_type)),
            Some(PatchTarget::Extension(extension)) => {
                self.extension(operation.op, extension, value)
            }
            Some(PatchTarget::Attribute(selected)) if selected.is_read_only() => {
                Err(selected.read_only())
            }
            Some(PatchTarget::Attribute(selected)) => self.attribute(operation.op, selected, value),
        }
    }

    /// An operation without path: the name of each member of the value is a target of its own.
    fn members_of_value(&mut self, op: Op, members: Map<String, Value>) -> Result<()> {
        for (key, value) in members {
            if key.contains('[') && self.values.reading.tolerates(Tolerance::PathKeys) {
                self.filter_key(op, &key, value)?;
                continue;
            }
            match names::target(&mut self.values, &key).and_then(PatchTarget::of_target) {
                None => self.values.unknown(&key)?,
                Some(PatchTarget::Extension(extension)) => {
                    self.extension(op, extension, Some(value))?;
                }
                Some(PatchTarget::Attribute(selected)) => self.member(op, selected, value)?,
            }
        }
        Ok(())
    }

    /// A member of a value whose name is a path with a filter: `emails[type eq "work"].value`.
    fn filter_key(&mut self, op: Op, key: &str, value: Value) -> Result<()> {
        let path = PatchPath::parse(key, self.values.reading)?;
        match PatchTarget::of_path(op, &path, &mut self.values)? {
            Some(PatchTarget::Attribute(selected)) => self.member(op, selected, value),
            _ => self.values.unknown(&key),
        }
    }

    /// A member of a value that names an attribute.
    fn member(&mut self, op: Op, selected: Selected<'_>, value: Value) -> Result<()> {
        let tolerance = Tolerance::ReadOnlyInPatchValue;
        match selected.is_read_only() {
            true if self.values.reading.tolerates(tolerance) => Ok(()),
            true => Err(selected.read_only()),
            // Clients repeat `schemas` beside what they change and do not mean to drop the rest.
            false if selected.attribute.name == "schemas" => {
                schemas_of_request::listed(&mut self.values, value).map(|_| ())
            }
            false => self.attribute(op, selected, Some(value)),
        }
    }

    /// An extension as a whole: the members that the value names, or all of it.
    fn extension(&mut self, op: Op, extension: &Extension, value: Option<Value>) -> Result<()> {
        let value = value.unwrap_or_default();
        let clears = op == Op::Remove || (op == Op::Replace && is_unassigned(&value));
        if clears {
            return self.body.remove_extension(extension);
        }
        for (key, value) in names::container(extension, value)? {
            let target = names::target_within(&mut self.values, extension, &key);
            match target.and_then(PatchTarget::of_target) {
                Some(PatchTarget::Attribute(selected)) => self.member(op, selected, value)?,
                _ => self
                    .values
                    .unknown(&format_args!("{}:{key}", extension.schema.id))?,
            }
        }
        Ok(())
    }

    fn attribute(&mut self, op: Op, selected: Selected<'_>, value: Option<Value>) -> Result<()> {
        let attribute = selected.attribute;
        if op != Op::Remove {
            self.written.extend(requested_paths(selected.target()));
        }
        if attribute.name == "schemas" && selected.extension.is_none() {
            schemas::write(&mut self.values, &mut self.body, op, selected, value)
        } else if self.values.resource_type.is_detached(attribute) {
            let op = members::member_op(&mut self.values, op, selected, value)?;
            self.members.extend(op);
            Ok(())
        } else if is_password(attribute) {
            self.password(op, selected, value)
        } else if attribute.multi_valued {
            self.elements(op, selected, value)
        } else {
            self.single(op, selected, value)
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
        let attribute = selected.attribute;
        let values = &mut self.values;
        self.body.edit_elements(attribute, |list| {
            let had_value = !list.is_empty();
            let fixed = match attribute.mutability {
                Mutability::Immutable if had_value => {
                    values.reading.count(list.positions() as u64 * ELEMENT)?;
                    let elements = list.iter();
                    Some(elements.map(|(_, element)| element.clone()).collect())
                }
                _ => None,
            };
            elements::write(values, op, selected, list, value)?;
            if let Some::<Vec<Value>>(fixed) = fixed {
                let new = list.iter().map(|(_, element)| element);
                selected.check_fixed(fixed.iter().eq(new))?;
            }
            if attribute.required && had_value && list.is_empty() {
                return Err(selected.required());
            }
            Ok(())
        })
    }

    /// Puts a new value in place of the old one where the attribute's characteristics allow it.
    fn single(&mut self, op: Op, selected: Selected<'_>, value: Option<Value>) -> Result<()> {
        let Selected {
            extension,
            attribute,
            ..
        } = selected;
        let values = &mut self.values;
        self.body.edit_value(extension, attribute, |old, length| {
            let had_value = old.is_some();
            values.reading.count(ELEMENT + steps_of_bytes(length))?;
            let fixed = match attribute.mutability {
                Mutability::Immutable => old.clone(),
                _ => None,
            };
            let new = single::write(values, op, selected, old, value)?;
            let new = new.filter(|new| !is_empty(new));
            selected.check_fixed(fixed.is_none() || fixed == new)?;
            if attribute.required && had_value && new.is_none() {
                return Err(selected.required());
            }
            Ok(new)
        })
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
