//! Projection from text to text: a member that is shown whole is copied from the stored body.
//!
//! A page of a hundred resources is projected in one pass over each body. No value is built for
//! members that are copied or left out.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Projection;
use crate::error::{Error, Result};
use crate::json::{self, Name};
use crate::message::push_string;
use crate::schema::{Attribute, Extension, ResourceType};

/// Projects the text of a stored body, with the same result as [`Projection::apply`].
///
/// **Shape**: `body` is a compact JSON object as `serde_json` writes it, and so is the result.
///
/// # Errors
/// `Internal` if the stored body is not a JSON object, which is a fault of the service.
pub fn project_text(projection: &Projection<'_>, body: &str) -> Result<String> {
    let mut out = String::with_capacity(body.len());
    let object = TextProjector {
        resource_type: projection.resource_type,
        kind: ValueKind::Resource,
        visibilities: projection
            .visibilities
            .get_or_init(|| Visibilities::of(projection)),
        opening: "",
        out: &mut out,
    };
    let mut deserializer = serde_json::Deserializer::from_str(body);
    object
        .deserialize(&mut deserializer)
        .and_then(|_| deserializer.end())
        .map_err(Error::internal)?;
    if out.is_empty() {
        out.push_str("{}");
    }
    Ok(out)
}

/// What the projection does to one member of an object.
#[derive(Debug, Clone)]
enum Visibility {
    /// The member is left out.
    Hidden,
    /// The member is copied.
    Whole,
    /// `schemas`: the URNs of schemas that the type has are shown.
    Schemas,
    /// The container of an extension; only some of its members may be shown.
    Container(Visibilities),
    /// A complex attribute; only some of its sub-attributes may be shown.
    Parts(Visibilities),
}

static HIDDEN: Visibility = Visibility::Hidden;

/// What the projection does to the members of an object, by name, in the order of the schema. A member
/// that is not in the list is hidden.
#[derive(Debug, Clone)]
pub(super) struct Visibilities(Vec<(Box<str>, Visibility)>);

impl Visibilities {
    fn of(projection: &Projection<'_>) -> Self {
        let resource_type = projection.resource_type;
        let attributes = resource_type.common.iter();
        let attributes = attributes.chain(&resource_type.schema.attributes);
        let mut visibilities = Self::of_attributes(projection, None, attributes);
        for (name, visibility) in &mut visibilities.0 {
            if **name == *"schemas" && matches!(visibility, Visibility::Whole) {
                *visibility = Visibility::Schemas;
            }
        }
        visibilities
            .0
            .extend(resource_type.extensions.iter().map(|extension| {
                let attributes = extension.schema.attributes.iter();
                let shown = Self::of_attributes(projection, Some(extension), attributes);
                (
                    extension.schema.id.as_str().into(),
                    Visibility::Container(shown),
                )
            }));
        visibilities
    }

    fn of_attributes<'a>(
        projection: &Projection<'_>,
        extension: Option<&Extension>,
        attributes: impl Iterator<Item = &'a Attribute>,
    ) -> Self {
        let visibility = |attribute: &Attribute| match projection.shows(extension, attribute) {
            false => Visibility::Hidden,
            true if !attribute.is_complex() => Visibility::Whole,
            true => {
                let parts = attribute.sub_attributes.iter();
                let shown = parts
                    .filter(|part| projection.shows_part(extension, attribute, part))
                    .map(|part| (part.name().into(), Visibility::Whole));
                Visibility::Parts(Self(shown.collect()))
            }
        };
        let visibilities =
            attributes.map(|attribute| (attribute.name().into(), visibility(attribute)));
        Self(visibilities.collect())
    }

    /// What the projection does to the member of this name, in any case. Members come in the order of
    /// the schema, so the search begins after `next`, where the last one was found.
    fn find(&self, name: &str, next: &mut usize) -> &Visibility {
        let (before, behind) = self.0.split_at_checked(*next).unwrap_or((&self.0, &[]));
        let behind = (*next..).zip(behind);
        let mut known = behind.chain((0..).zip(before));
        let in_any_case = || {
            let mut known = self.0.iter().enumerate();
            known.find(|(_, (known, _))| known.eq_ignore_ascii_case(name))
        };
        match known
            .find(|(_, (known, _))| **known == *name)
            .or_else(in_any_case)
        {
            Some((place, (_, visibility))) => {
                *next = place + 1;
                visibility
            }
            None => &HIDDEN,
        }
    }
}

/// The kind of a value whose members are shown or hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    /// A resource.
    Resource,
    /// The container of an extension.
    Container,
    /// A complex attribute: an object, or an array of objects.
    Complex,
    /// An element of such an array.
    Element,
}

/// Writes the shown part of one value. The result says whether anything was written.
struct TextProjector<'p, 'o> {
    resource_type: &'p ResourceType,
    kind: ValueKind,
    /// What the projection does to its members.
    visibilities: &'p Visibilities,
    /// The text that is written before the first shown member.
    opening: &'static str,
    out: &'o mut String,
}

impl<'p> TextProjector<'p, '_> {
    /// The projector of a value inside this one.
    fn inner(&mut self, kind: ValueKind, visibilities: &'p Visibilities) -> TextProjector<'p, '_> {
        TextProjector {
            resource_type: self.resource_type,
            kind,
            visibilities,
            opening: "",
            out: self.out,
        }
    }

    /// Writes the name of a member.
    fn begin(&mut self, start: usize, name: &str) {
        match self.out.len() == start {
            true => self.out.extend([self.opening, "{"]),
            false => self.out.push(','),
        }
        push_string(self.out, name);
        self.out.push(':');
    }

    /// Writes a member that may be shown in part.
    fn inside<'de, A: MapAccess<'de>>(
        &mut self,
        (start, name): (usize, &str),
        (kind, visibilities): (ValueKind, &'p Visibilities),
        members: &mut A,
    ) -> Result<(), A::Error> {
        let before = self.out.len();
        self.begin(start, name);
        if !members.next_value_seed(self.inner(kind, visibilities))? {
            self.out.truncate(before);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for TextProjector<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.kind {
            ValueKind::Resource => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for TextProjector<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<bool, A::Error> {
        let (start, mut next) = (self.out.len(), 0);
        while let Some(name) = members.next_key_seed(Name)? {
            match self.visibilities.find(&name, &mut next) {
                Visibility::Hidden => {
                    members.next_value::<IgnoredAny>()?;
                }
                Visibility::Whole => {
                    self.begin(start, &name);
                    self.out.push_str(members.next_value::<&RawValue>()?.get());
                }
                Visibility::Schemas => {
                    self.begin(start, &name);
                    push_schemas(members.next_value()?, self.resource_type, self.out);
                }
                Visibility::Container(visibilities) => {
                    let inner = (ValueKind::Container, visibilities);
                    self.inside((start, &name), inner, &mut members)?;
                }
                Visibility::Parts(visibilities) => {
                    let inner = (ValueKind::Complex, visibilities);
                    self.inside((start, &name), inner, &mut members)?;
                }
            }
        }
        let is_shown = self.out.len() > start;
        if is_shown {
            self.out.push('}');
        }
        Ok(is_shown)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<bool, A::Error> {
        let (start, mut is_empty) = (self.out.len(), true);
        if self.kind != ValueKind::Complex {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(false);
        }
        loop {
            let opening = if self.out.len() == start { "[" } else { "," };
            let element = TextProjector {
                opening,
                ..self.inner(ValueKind::Element, self.visibilities)
            };
            if elements.next_element_seed(element)?.is_none() {
                break;
            }
            is_empty = false;
        }
        match (self.out.len() > start, is_empty) {
            (true, _) => self.out.push(']'),
            // An empty array is shown: a group without members has one.
            (false, true) => self.out.push_str("[]"),
            (false, false) => return Ok(false),
        }
        Ok(true)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// Writes the URNs of schemas that the type has.
fn push_schemas(schemas: &RawValue, resource_type: &ResourceType, out: &mut String) {
    let Ok(urns) = serde_json::from_str::<Vec<&RawValue>>(schemas.get()) else {
        // It is not an array of URNs, so nothing can be left out.
        out.push_str(schemas.get());
        return;
    };
    let has = |urn: &&RawValue| {
        let is_text = urn.get().starts_with('"');
        is_text && resource_type.has_schema(&json::string_of(urn))
    };
    out.push('[');
    for (position, urn) in urns.into_iter().filter(has).enumerate() {
        out.extend([if position == 0 { "" } else { "," }, urn.get()]);
    }
    out.push(']');
}
