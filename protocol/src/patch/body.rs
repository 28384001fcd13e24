//! The body of a resource while the operations of one PATCH change it.
//!
//! The length of its text is known at every moment, so an operation that makes the body too long is
//! refused at the element that does so.

use serde_json::{Map, Value};

use super::list::ElementList;
use crate::error::{Error, Result};
use crate::json;
use crate::resource::{MAX_BYTES, body, too_large};
use crate::schema::{Attribute, Extension, Mutability, ResourceType};

/// A body while operations change it.
pub(super) struct EditedBody<'a> {
    resource_type: &'a ResourceType,
    body: Map<String, Value>,
    /// The multi-valued attributes that operations have changed so far. They are not in the body until
    /// the lists are closed.
    lists: Vec<OpenList<'a>>,
    size: BodySize,
}

/// A multi-valued attribute whose elements operations change.
struct OpenList<'a> {
    extension: Option<&'a Extension>,
    attribute: &'a Attribute,
    list: ElementList,
}

impl<'a> EditedBody<'a> {
    /// A body whose text has this length.
    pub(super) fn new(
        body: Map<String, Value>,
        length: usize,
        resource_type: &'a ResourceType,
    ) -> Self {
        Self {
            resource_type,
            body,
            lists: Vec::new(),
            size: BodySize::of(length),
        }
    }

    /// The body as a whole, with every list closed.
    pub(super) fn whole(&mut self) -> &Map<String, Value> {
        self.close_lists();
        &self.body
    }

    /// The body after the last operation.
    pub(super) fn into_body(mut self) -> Map<String, Value> {
        self.close_lists();
        self.body
    }

    /// Replaces the value of a single-valued attribute. `edit` gets the old value and the length of
    /// its text.
    ///
    /// # Errors
    /// Those of `edit`, and `PayloadTooLarge` when the resource grows beyond what can be stored.
    pub(super) fn edit_value(
        &mut self,
        extension: Option<&Extension>,
        attribute: &Attribute,
        edit: impl FnOnce(Option<Value>, usize) -> Result<Option<Value>>,
    ) -> Result<()> {
        let old = body::take(&mut self.body, extension, attribute);
        let before = old.as_ref().map_or(0, json::text_length);
        let new = edit(old, before)?;
        self.size
            .change(before, new.as_ref().map_or(0, json::text_length))?;
        body::set(&mut self.body, extension, attribute, new);
        Ok(())
    }

    /// Changes the elements of a multi-valued attribute.
    ///
    /// # Errors
    /// Those of `edit`, and `PayloadTooLarge` when the resource grows beyond what can be stored.
    pub(super) fn edit_elements(
        &mut self,
        attribute: &Attribute,
        edit: impl FnOnce(&mut ElementList) -> Result<()>,
    ) -> Result<()> {
        let position = self.open_list(attribute);
        let Some(OpenList { list, .. }) = position.and_then(|at| self.lists.get_mut(at)) else {
            return Ok(());
        };
        let before = list.bytes();
        list.set_max_bytes(self.size.max_bytes_of(before));
        edit(list)?;
        self.size.change(before, list.bytes())
    }

    /// Moves a multi-valued attribute from the body to the lists, unless an earlier operation did;
    /// returns its position there.
    fn open_list(&mut self, attribute: &Attribute) -> Option<usize> {
        let mut open = self.lists.iter();
        if let Some(found) = open.position(|open| std::ptr::eq(open.attribute, attribute)) {
            return Some(found);
        }
        let mut attributes = self.resource_type.attributes();
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

    /// Puts all lists back into the body, for code that looks at the whole body.
    fn close_lists(&mut self) {
        for open in std::mem::take(&mut self.lists) {
            let elements = open.list.into_elements();
            let value = (!elements.is_empty()).then_some(Value::Array(elements));
            body::set(&mut self.body, open.extension, open.attribute, value);
        }
    }

    /// Removes an extension's data, unless the schema forbids it.
    ///
    /// # Errors
    /// `Mutability` when the extension is required or holds an immutable value.
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
}

/// The length of a body's text while operations change it.
struct BodySize {
    bytes: usize,
    most: usize,
}

impl BodySize {
    /// Begins with this length. The text may grow to [`MAX_BYTES`]; a resource that is already longer
    /// may not grow at all.
    fn of(bytes: usize) -> Self {
        Self {
            bytes,
            most: bytes.max(MAX_BYTES),
        }
    }

    /// The length that a part, now of this length, may grow to.
    fn max_bytes_of(&self, part: usize) -> usize {
        let others = self.bytes.saturating_sub(part);
        self.most.saturating_sub(others)
    }

    /// Records that a part has changed its length.
    ///
    /// # Errors
    /// `PayloadTooLarge` when the part has grown and the whole is too long.
    fn change(&mut self, before: usize, after: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        if after > before && self.bytes > self.most {
            return Err(too_large());
        }
        Ok(())
    }
}
