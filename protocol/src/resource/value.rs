//! Reads values by their attribute's definition: spelling, types and shape (RFC 7643 §2.3–§2.5).

use std::fmt;

use serde_json::{Map, Value};

use super::limit::{MAX_ELEMENTS, too_many_elements};
use super::place::{Place, mismatch};
use super::{reference, scalar, tolerance};
use crate::error::{Error, Result, excerpt};
use crate::profile::{Reading, Tolerance};
use crate::schema::{Attribute, Mutability, Registry, ResourceType};

/// Reads the values of one request. An unassigned value becomes `None` (RFC 7643 §2.5).
pub(crate) struct ValueReader<'a, 'r> {
    pub(crate) resource_type: &'a ResourceType,
    pub(crate) registry: &'a Registry,
    pub(crate) reading: &'a mut Reading<'r>,
}

/// The sub-attributes that one object names, in its order, each with its value; `None` for unassigned.
pub(crate) type SubValues<'a> = Vec<(&'a Attribute, Option<Value>)>;

impl ValueReader<'_, '_> {
    /// The whole value of an attribute.
    pub(crate) fn value(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Option<Value>> {
        if is_unassigned(&value) {
            return Ok(None);
        }
        if attribute.multi_valued {
            let elements = self.elements(attribute, value, place)?;
            return Ok((!elements.is_empty()).then_some(Value::Array(elements)));
        }
        let value = tolerance::unwrapped_single(self.reading, attribute, value);
        self.element(attribute, value, place)
    }

    /// The elements of a multi-valued attribute.
    pub(crate) fn elements(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Vec<Value>> {
        let listed = match value {
            Value::Null => Vec::new(),
            Value::Array(listed) => listed,
            single => vec![self.single_for_many(single, place)?],
        };
        if listed.len() > MAX_ELEMENTS {
            return Err(too_many_elements(attribute.name()));
        }
        let mut elements = Vec::with_capacity(listed.len());
        for value in listed {
            if value.is_null() {
                return Err(Error::invalid_value(format!(
                    "`{place}` holds null inside its array; leave the element out"
                )));
            }
            elements.extend(self.element(attribute, value, place)?);
        }
        Ok(elements)
    }

    /// Reads a single value in place of an array.
    pub(crate) fn single_for_many(&mut self, value: Value, place: Place<'_>) -> Result<Value> {
        if tolerance::single_for_many(self.reading) {
            return Ok(value);
        }
        Err(mismatch(place, "an array", &value))
    }

    /// One value of a single-valued attribute, or one element of a multi-valued one.
    pub(crate) fn element(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Option<Value>> {
        if value.is_null() {
            return Ok(None);
        }
        if !attribute.is_complex() {
            if tolerance::is_blank(self.reading, attribute, &value, place)? {
                return Ok(None);
            }
            return scalar::read(attribute, value, place, self.reading).map(Some);
        }
        let object = self.object(attribute, value, place)?;
        let mut complex = Map::new();
        for (sub, value) in self.sub_values(attribute, object, place)? {
            match value {
                Some(value) => complex.insert(sub.name().to_owned(), value),
                // If the null were dropped here, the sub-attribute would keep its value. It is dropped
                // when the write is finished.
                None if !sub.is_shown_by_default() => {
                    complex.insert(sub.name().to_owned(), Value::Null)
                }
                None => None,
            };
        }
        reference::settle(attribute, &mut complex, self.registry);
        Ok((!complex.is_empty()).then_some(Value::Object(complex)))
    }

    /// Reads the object of a complex value.
    pub(crate) fn object(
        &mut self,
        attribute: &Attribute,
        value: Value,
        place: Place<'_>,
    ) -> Result<Map<String, Value>> {
        let value = tolerance::spelled_out(self.reading, attribute, value);
        match value {
            Value::Object(object) => Ok(object),
            other => Err(mismatch(place, "an object", &other)),
        }
    }

    /// The sub-attributes of an object that the client may set.
    ///
    /// Read-only ones are left out (RFC 7644 §3.5.1), and so is the `$ref` that the service maintains.
    /// If the object has `$ref` without `value`, the last segment of the reference becomes the
    /// `value`.
    pub(crate) fn sub_values<'a>(
        &mut self,
        attribute: &'a Attribute,
        mut object: Map<String, Value>,
        place: Place<'_>,
    ) -> Result<SubValues<'a>> {
        let mut values = SubValues::with_capacity(object.len());
        let referred = reference::take_referred(attribute, &mut object);
        tolerance::decode_value(self.reading, attribute, &mut object);
        tolerance::rename_display(self.reading, attribute, &mut object);
        tolerance::rename_manager_id(self.reading, attribute, &mut object);
        for (key, value) in object {
            let Some(sub) = attribute.sub_attribute(&key) else {
                self.unknown(&place.sub(&key))?;
                continue;
            };
            let value = tolerance::assigned_value(self.reading, sub, value, place)?;
            if is_given_by_client(self.reading, attribute, sub, &value) {
                values.push((sub, self.value(sub, value, place.sub(sub.name()))?));
            }
        }
        if let Some((sub, id)) = referred
            && !values.iter().any(|(given, _)| std::ptr::eq(*given, sub))
        {
            values.push((sub, Some(Value::String(id))));
        }
        Ok(values)
    }

    /// Puts the sub-attributes that an object names into a complex value; the others stay.
    ///
    /// When `value` changes, the read-only sub-attributes are dropped, because they describe the
    /// resource that `value` named before.
    pub(crate) fn merge(
        &mut self,
        attribute: &Attribute,
        complex: &mut Map<String, Value>,
        object: Map<String, Value>,
        place: Place<'_>,
    ) -> Result<()> {
        let old = complex.get("value").cloned();
        let values = self.sub_values(attribute, object, place)?;
        let renamed = values
            .iter()
            .any(|(sub, value)| sub.name == "value" && *value != old);
        if renamed && reference::has_maintained(attribute) {
            reference::drop_read_only(attribute, complex);
        }
        for (sub, value) in values {
            check_immutable(sub, complex.get(sub.name()), value.as_ref(), place)?;
            match value {
                Some(value) => complex.insert(sub.name().to_owned(), value),
                None => complex.shift_remove(sub.name()),
            };
        }
        reference::settle(attribute, complex, self.registry);
        Ok(())
    }

    /// Ignores a name that no schema defines where that is tolerated, or refuses it.
    pub(crate) fn unknown(&mut self, name: &dyn fmt::Display) -> Result<()> {
        if self.reading.tolerates(Tolerance::UnknownAttributes) {
            return Ok(());
        }
        Err(Error::invalid_syntax(format!(
            "`{}` is not an attribute of {}",
            excerpt(name),
            self.resource_type.name
        )))
    }
}

/// Whether a client may set this sub-attribute.
fn is_given_by_client(
    reading: &mut Reading<'_>,
    attribute: &Attribute,
    sub: &Attribute,
    value: &Value,
) -> bool {
    if reference::is_maintained(attribute, sub) {
        return false;
    }
    sub.mutability != Mutability::ReadOnly
        || (!value.is_null() && tolerance::keeps_reference_display(reading, attribute, sub))
}

/// Refuses to change an immutable sub-attribute that has a value.
fn check_immutable(
    sub: &Attribute,
    old: Option<&Value>,
    new: Option<&Value>,
    place: Place<'_>,
) -> Result<()> {
    if sub.mutability == Mutability::Immutable && old.is_some() && old != new {
        return Err(Error::mutability(format!(
            "`{}` is immutable and cannot be changed",
            place.sub(sub.name())
        )));
    }
    Ok(())
}

/// Whether the value means that the attribute is unassigned: `null` or `[]` (RFC 7643 §2.5).
pub(crate) fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    }
}
