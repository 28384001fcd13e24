//! Elements that a multi-valued attribute has already, and those that an operation means.

use std::collections::HashMap;

use serde_json::Value;

use crate::resource::repeated::identity;
use crate::schema::{Attribute, Mutability};

/// Where elements are, by what they are known by.
#[derive(Default)]
pub(super) struct Known {
    by_identity: HashMap<String, usize>,
}

impl Known {
    /// Adds an element; the first of several that are known alike counts.
    pub(super) fn insert(&mut self, attribute: &Attribute, element: &Value, position: usize) {
        self.by_identity
            .entry(identity(attribute, element))
            .or_insert(position);
    }

    /// The element that a given one means: the one with its `value` and `type`; a missing `type`
    /// differs from a given one.
    pub(super) fn find(&self, attribute: &Attribute, given: &Value) -> Option<usize> {
        self.by_identity.get(&identity(attribute, given)).copied()
    }
}

/// An element with what a later `add` of it says. What it is known by stays as it is, so that an
/// `add` of what is there changes nothing, and so does what must not change.
pub(super) fn joined(attribute: &Attribute, old: Value, new: Value) -> Value {
    let (mut old, new) = match (old, new) {
        (Value::Null, new) => return new,
        (Value::Object(old), Value::Object(new)) => (old, new),
        (old, _) => return old,
    };
    for (name, value) in new {
        let stays = attribute.sub_attribute(&name).is_some_and(|sub| {
            sub.mutability == Mutability::Immutable || sub.name == "value" || sub.name == "type"
        });
        if !stays || !old.contains_key(&name) {
            old.insert(name, value);
        }
    }
    Value::Object(old)
}

/// Whether an element has all that a part of it says.
pub(super) fn holds(element: &Value, part: &Value) -> bool {
    let part = part.as_object().into_iter().flatten();
    part.into_iter()
        .all(|(name, value)| element.get(name) == Some(value))
}
