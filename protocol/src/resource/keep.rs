//! The parts of a resource that a PUT keeps (RFC 7644 §3.5.1).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::body::is_outside;
use super::place::Place;
use super::{body, repeated, schemas};
use crate::error::{Error, Result};
use crate::schema::{Attribute, Extension, Mutability, ResourceType};

/// A PUT, and the body that it replaces.
pub(super) struct Replacing<'a> {
    /// The body as it is stored now.
    pub(super) existing: &'a Map<String, Value>,
    /// The attributes that the request names.
    pub(super) given: &'a [&'a Attribute],
    /// The extensions that the request lists, if only listed extensions are replaced
    /// ([`put_keeps_unnamed_extensions`](crate::profile::Switches::put_keeps_unnamed_extensions)).
    pub(super) named: Option<&'a [&'a Extension]>,
}

impl Replacing<'_> {
    /// Carries over the parts that a PUT does not replace: read-only and immutable values, values that
    /// answers do not show by default (write-only, `returned` `never` or `request`), extensions that
    /// the client may not know, and members that the type does not define.
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
        self.keep_undefined(replacement, resource_type);
        Ok(())
    }

    /// Carries over the members that the type no longer defines. The client cannot have read them, and
    /// they become visible again when the schema is registered again.
    fn keep_undefined(&self, replacement: &mut Map<String, Value>, resource_type: &ResourceType) {
        for (name, value) in self.existing {
            match (resource_type.extension(name), value) {
                (Some(extension), Value::Object(members)) => {
                    let undefined = |name: &String| extension.schema.attribute(name).is_none();
                    let members = members.iter().filter(|(name, _)| undefined(name));
                    for (name, value) in members {
                        body::scope_mut(replacement, Some(extension))
                            .insert(name.clone(), value.clone());
                    }
                }
                (None, value) if resource_type.attribute(name).is_none() => {
                    replacement.insert(name.clone(), value.clone());
                }
                _ => {}
            }
        }
    }

    /// The value that is stored instead of the new one; `None` if the new one is stored.
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
            _ if !is_given && (!attribute.is_shown_by_default() || self.is_unnamed(extension)) => {
                Ok(Some(old.clone()))
            }
            _ if !is_given => Ok(unseen(attribute, old)),
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

/// Whether answers show nothing of a complex value by default.
fn is_unseen(attribute: &Attribute, value: &Value) -> bool {
    let parts = value.as_object().filter(|_| attribute.is_complex());
    parts.is_some_and(|parts| {
        let mut subs = parts.keys().map(|name| attribute.sub_attribute(name));
        subs.all(|sub| sub.is_none_or(|sub| !sub.is_shown_by_default()))
    })
}

/// The elements of which answers show nothing.
fn unseen_elements(attribute: &Attribute, old: &[Value]) -> impl Iterator<Item = Value> {
    let elements = old.iter();
    elements
        .filter(|element| is_unseen(attribute, element))
        .cloned()
}

/// The part of the old value that stays when a PUT leaves the attribute out.
fn unseen(attribute: &Attribute, old: &Value) -> Option<Value> {
    match old {
        Value::Array(elements) => {
            let kept: Vec<_> = unseen_elements(attribute, elements).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        old => is_unseen(attribute, old).then(|| old.clone()),
    }
}

fn unchanged(old: &Value, new: Option<&Value>, place: Place<'_>) -> Result<()> {
    if new == Some(old) {
        return Ok(());
    }
    Err(Error::mutability(format!(
        "`{place}` is immutable and cannot be changed"
    )))
}

/// The new complex value, with the sub-attributes that it keeps of the old one; `None` if it is empty.
fn kept_parts(
    attribute: &Attribute,
    old: &Value,
    new: &Value,
    place: Place<'_>,
) -> Result<Option<Value>> {
    match (old, new) {
        (Value::Array(old), Value::Array(new)) => {
            let known: Vec<_> = old.iter().collect();
            let mut all = kept_elements(attribute, &known, new.clone(), place)?;
            all.extend(unseen_elements(attribute, old));
            Ok(Some(Value::Array(all)))
        }
        // A single value that refers to another resource keeps nothing of the old one.
        _ if old.get("value") != new.get("value") => Ok(None),
        _ => kept_element(attribute, old, new.clone(), place).map(Some),
    }
}

/// New elements, each with the sub-attributes that it keeps of its old element.
///
/// New elements that are the same element are joined first, so that each old value is copied at most
/// once.
pub(crate) fn kept_elements(
    attribute: &Attribute,
    old: &[&Value],
    new: Vec<Value>,
    place: Place<'_>,
) -> Result<Vec<Value>> {
    if !attribute.sub_attributes.iter().any(keeps) {
        return Ok(new);
    }
    let old: HashMap<_, _> = old
        .iter()
        .map(|old| (repeated::identity(attribute, old), *old))
        .collect();
    let elements = repeated::collapse(attribute, new).into_iter().map(|new| {
        match old.get(&repeated::identity(attribute, &new)) {
            Some(old) => kept_element(attribute, old, new, place),
            None => Ok(new),
        }
    });
    elements.collect()
}

/// Whether a sub-attribute that a client leaves out stays: the client may not know it, or may not
/// change it.
fn keeps(sub: &Attribute) -> bool {
    sub.mutability != Mutability::ReadWrite || !sub.is_shown_by_default()
}

/// A new element in place of an old one, with the sub-attributes that it keeps.
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
