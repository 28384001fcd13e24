//! The elements of a multi-valued attribute while the operations of one PATCH change them.
//!
//! Elements keep their positions from the first operation to the last. So the facts about them (where
//! a value is, which are primary, how long their text is) are updated with each change and never
//! computed again for all of them.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::error::Result;
use crate::json;
use crate::resource::repeated::{identity, is_primary, value_identity};
use crate::resource::{MAX_ELEMENTS, too_large, too_many_elements};
use crate::schema::{Attribute, Mutability};

/// The elements of one attribute.
#[derive(Default)]
pub(super) struct ElementList {
    /// The elements by position; null where one was removed.
    slots: Vec<Value>,
    /// The number of elements.
    len: usize,
    /// The positions of the elements whose `primary` is true.
    primaries: BTreeSet<usize>,
    /// Built when an operation first asks for it.
    index: Option<ElementIndex>,
    /// The length of the elements' text, with a comma for each, in bytes.
    bytes: usize,
    /// The length that `bytes` may grow to.
    max_bytes: usize,
}

impl ElementList {
    /// The elements of an attribute's value.
    pub(super) fn of(value: Option<Value>) -> Self {
        let mut list = Self {
            max_bytes: usize::MAX,
            ..Self::default()
        };
        list.slots = match value {
            Some(Value::Array(elements)) => elements,
            _ => Vec::new(),
        };
        list.len = list.slots.iter().filter(|slot| !slot.is_null()).count();
        for (position, slot) in list.slots.iter().enumerate() {
            list.bytes += bytes_of(slot);
            if is_primary(slot) {
                list.primaries.insert(position);
            }
        }
        list
    }

    /// The elements in their order.
    pub(super) fn into_elements(self) -> Vec<Value> {
        let slots = self.slots.into_iter();
        slots.filter(|slot| !slot.is_null()).collect()
    }

    /// Whether there are no elements.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The length of the elements' text, with a comma for each, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the length that [`bytes`](Self::bytes) may grow to.
    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// The number of positions that a scan of all elements visits, including those of removed
    /// elements.
    pub(super) fn positions(&self) -> usize {
        self.slots.len()
    }

    /// The elements with their positions.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Value)> {
        let slots = self.slots.iter().enumerate();
        slots.filter(|(_, slot)| !slot.is_null())
    }

    /// The positions of the primary elements.
    pub(super) fn primaries(&self) -> &BTreeSet<usize> {
        &self.primaries
    }

    /// The element at a position.
    pub(super) fn get(&self, position: usize) -> &Value {
        self.slots.get(position).unwrap_or(&Value::Null)
    }

    /// Takes an element out, to be changed and [put](Self::put) back.
    pub(super) fn take(&mut self, attribute: &Attribute, position: usize) -> Value {
        let Some(slot) = self.slots.get_mut(position) else {
            return Value::Null;
        };
        let element = slot.take();
        if element.is_null() {
            return element;
        }
        self.len -= 1;
        self.bytes -= bytes_of(&element);
        self.primaries.remove(&position);
        if let Some(index) = &mut self.index {
            index.remove(attribute, &element, position);
        }
        element
    }

    /// Puts an element back at its position. An element without sub-attributes is removed.
    ///
    /// # Errors
    /// `PayloadTooLarge` when the resource grows beyond what can be stored.
    pub(super) fn put(
        &mut self,
        attribute: &Attribute,
        position: usize,
        element: Value,
    ) -> Result<()> {
        self.take(attribute, position);
        if is_nothing(&element) {
            return Ok(());
        }
        let Some(slot) = self.slots.get_mut(position) else {
            return Ok(());
        };
        self.len += 1;
        self.bytes += bytes_of(&element);
        if is_primary(&element) {
            self.primaries.insert(position);
        }
        if let Some(index) = &mut self.index {
            index.insert(attribute, &element, position);
        }
        *slot = element;
        if self.bytes > self.max_bytes {
            return Err(too_large());
        }
        Ok(())
    }

    /// Appends an element; returns its position.
    ///
    /// # Errors
    /// `PayloadTooLarge` as for [`put`](Self::put), and for more than [`MAX_ELEMENTS`].
    pub(super) fn push(&mut self, attribute: &Attribute, element: Value) -> Result<usize> {
        if self.len >= MAX_ELEMENTS {
            return Err(too_many_elements(attribute.name()));
        }
        let position = self.slots.len();
        self.slots.push(Value::Null);
        self.put(attribute, position, element).map(|()| position)
    }

    /// Replaces all elements.
    ///
    /// # Errors
    /// `PayloadTooLarge` as for [`put`](Self::put).
    pub(super) fn replace_all(&mut self, elements: Vec<Value>) -> Result<()> {
        let max_bytes = self.max_bytes;
        *self = Self::of(Some(Value::Array(elements)));
        self.max_bytes = max_bytes;
        if self.bytes > self.max_bytes {
            return Err(too_large());
        }
        Ok(())
    }

    /// The steps that the next call of [`index`](Self::index) takes: none once the index is built.
    pub(super) fn steps_to_index(&self) -> u64 {
        match self.index {
            Some(_) => 0,
            None => self.slots.len() as u64 * crate::work::ELEMENT,
        }
    }

    /// The positions of the elements by `value` and `type`.
    pub(super) fn index(&mut self, attribute: &Attribute) -> &ElementIndex {
        let slots = &self.slots;
        self.index.get_or_insert_with(|| {
            let mut index = ElementIndex::default();
            let slots = slots.iter().enumerate();
            for (position, element) in slots.filter(|(_, slot)| !slot.is_null()) {
                index.insert(attribute, element, position);
            }
            index
        })
    }
}

/// The length of an element's text and a comma; 0 for a removed element.
fn bytes_of(element: &Value) -> usize {
    match element {
        Value::Null => 0,
        element => json::text_length(element) + 1,
    }
}

fn is_nothing(element: &Value) -> bool {
    match element {
        Value::Object(object) => object.is_empty(),
        element => element.is_null(),
    }
}

/// The positions of elements by their `value` and `type`, which identify them.
#[derive(Default)]
pub(super) struct ElementIndex {
    by_identity: HashMap<String, BTreeSet<usize>>,
    by_value: HashMap<String, BTreeSet<usize>>,
}

impl ElementIndex {
    fn insert(&mut self, attribute: &Attribute, element: &Value, position: usize) {
        let known = identity(attribute, element);
        self.by_identity.entry(known).or_default().insert(position);
        let known = value_identity(attribute, element);
        self.by_value.entry(known).or_default().insert(position);
    }

    fn remove(&mut self, attribute: &Attribute, element: &Value, position: usize) {
        let maps = [
            (&mut self.by_identity, identity(attribute, element)),
            (&mut self.by_value, value_identity(attribute, element)),
        ];
        for (positions, known) in maps {
            if let Some(found) = positions.get_mut(&known) {
                found.remove(&position);
                if found.is_empty() {
                    positions.remove(&known);
                }
            }
        }
    }

    /// The first element with the `value` and `type` of a given one. A missing `type` equals only a
    /// missing one.
    pub(super) fn find(&self, attribute: &Attribute, given: &Value) -> Option<usize> {
        let found = self.by_identity.get(&identity(attribute, given))?;
        found.first().copied()
    }

    /// All elements with the `value` and `type` of a given one. If it has no `type`, all with its
    /// `value`.
    pub(super) fn all(&self, attribute: &Attribute, given: &Value) -> Vec<usize> {
        let found = match given.get("type") {
            Some(_) => self.by_identity.get(&identity(attribute, given)),
            None => self.by_value.get(&value_identity(attribute, given)),
        };
        found.into_iter().flatten().copied().collect()
    }
}

/// An element updated by a later `add` of the same element. `value`, `type` and what is immutable
/// stay, so that an `add` of an element that exists changes nothing.
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
        // An `add` of null changes nothing.
        if !value.is_null() && (!stays || !old.contains_key(&name)) {
            old.insert(name, value);
        }
    }
    Value::Object(old)
}

/// Whether an element has all the sub-attributes of `part`, with equal values.
pub(super) fn holds(element: &Value, part: &Value) -> bool {
    let part = part.as_object().into_iter().flatten();
    part.into_iter()
        .all(|(name, value)| value.is_null() || element.get(name) == Some(value))
}
