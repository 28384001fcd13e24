//! What a PUT leaves as it was (RFC 7644 §3.5.1).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::finish::is_outside;
use super::value::Place;
use super::{body, repeated, schemas};
use crate::error::{Error, Result};
use crate::schema::{Attribute, Extension, Mutability, ResourceType, Returned};

/// A PUT as seen by what was there before.
pub(super) struct Replacing<'a> {
    /// The present body.
    pub(super) existing: &'a Map<String, Value>,
    /// The attributes that the request speaks of.
    pub(super) given: &'a [&'a Attribute],
    /// The extensions whose URN the request lists, where naming one decides whether it is replaced
    /// ([`put_keeps_unnamed_extensions`](crate::profile::Switches::put_keeps_unnamed_extensions)).
    pub(super) named: Option<&'a [&'a Extension]>,
}

impl Replacing<'_> {
    /// Carries over what a PUT does not replace: read-only values, immutable ones, write-only ones that
    /// the client cannot have read, and extensions that it may not know.
    ///
    /// # Errors
    /// `Mutability` when the new body differs in an immutable value.
    pub(super) fn keep(
        &self,
        replacement: &mut Map<String, Value>,
        resource_type: &ResourceType,
    ) -> Result<()> {
        for (extension, attribute) in resource_type.attributes() {
            let Some(old) = body::get(self.existing, extension, attribute) else {
                continue;
            };
            if attribute.name == "schemas" || is_outside(resource_type, attribute) {
                continue;
            }
            let new = body::get(replacement, extension, attribute);
            if let Some(kept) = self.kept(extension, attribute, old, new)? {
                body::set(replacement, extension, attribute, Some(kept));
            }
        }
        Ok(())
    }

    /// The value that stands in place of the new one, if another does.
    fn kept(
        &self,
        extension: Option<&Extension>,
        attribute: &Attribute,
        old: &Value,
        new: Option<&Value>,
    ) -> Result<Option<Value>> {
        let urn = extension.map(|extension| extension.schema.id.as_str());
        let place = Place::new(urn, attribute);
        let is_given = self
            .given
            .iter()
            .any(|given| std::ptr::eq(*given, attribute));
        match attribute.mutability {
            Mutability::ReadOnly => Ok(Some(old.clone())),
            Mutability::Immutable if is_given => unchanged(old, new, place).map(|()| None),
            Mutability::Immutable => Ok(Some(old.clone())),
            _ if !is_given && (is_unread(attribute) || self.is_unnamed(extension)) => {
                Ok(Some(old.clone()))
            }
            _ => new.map_or(Ok(None), |new| kept_parts(attribute, old, new, place)),
        }
    }

    fn is_unnamed(&self, extension: Option<&Extension>) -> bool {
        let Some((extension, named)) = extension.zip(self.named) else {
            return false;
        };
        let is_given = self.given.iter().any(|given| {
            extension
                .schema
                .attributes
                .iter()
                .any(|a| std::ptr::eq(a, *given))
        });
        !is_given && !schemas::lists(named, extension)
    }
}

/// Whether no client can have read the value, so that leaving it out does not mean to clear it.
fn is_unread(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::WriteOnly || attribute.returned == Returned::Never
}

fn unchanged(old: &Value, new: Option<&Value>, place: Place<'_>) -> Result<()> {
    if new == Some(old) {
        return Ok(());
    }
    Err(Error::mutability(format!(
        "`{place}` is immutable and cannot be changed"
    )))
}

/// The new complex value with what it keeps of the old one; nothing if that is nothing.
fn kept_parts(
    attribute: &Attribute,
    old: &Value,
    new: &Value,
    place: Place<'_>,
) -> Result<Option<Value>> {
    match (old, new) {
        (Value::Array(old), Value::Array(new)) => {
            kept_elements(attribute, old, new.clone(), place).map(|all| Some(Value::Array(all)))
        }
        // A single value that names another resource is another value.
        _ if old.get("value") != new.get("value") => Ok(None),
        _ => kept_element(attribute, old, new.clone(), place).map(Some),
    }
}

/// New elements with what they keep of the old ones that they mean.
pub(crate) fn kept_elements(
    attribute: &Attribute,
    old: &[Value],
    new: Vec<Value>,
    place: Place<'_>,
) -> Result<Vec<Value>> {
    if !attribute.sub_attributes.iter().any(keeps) {
        return Ok(new);
    }
    let old: HashMap<_, _> = old
        .iter()
        .map(|old| (repeated::identity(attribute, old), old))
        .collect();
    let elements = new
        .into_iter()
        .map(|new| match old.get(&repeated::identity(attribute, &new)) {
            Some(old) => kept_element(attribute, old, new, place),
            None => Ok(new),
        });
    elements.collect()
}

/// Whether a part that a client leaves out stays: it could not know it, or must not change it.
fn keeps(sub: &Attribute) -> bool {
    sub.mutability != Mutability::ReadWrite || sub.returned == Returned::Never
}

/// A new element in place of an old one, with what it keeps of it.
pub(crate) fn kept_element(
    attribute: &Attribute,
    old: &Value,
    mut new: Value,
    place: Place<'_>,
) -> Result<Value> {
    let Some(element) = new.as_object_mut() else {
        return Ok(new);
    };
    for sub in attribute.sub_attributes.iter().filter(|sub| keeps(sub)) {
        let Some(value) = old.get(sub.name()) else {
            continue;
        };
        match element.get(sub.name()) {
            Some(given) if sub.mutability == Mutability::Immutable => {
                unchanged(value, Some(given), place.sub(sub.name()))?;
            }
            Some(_) => {}
            None => {
                element.insert(sub.name().to_owned(), value.clone());
            }
        }
    }
    Ok(new)
}
