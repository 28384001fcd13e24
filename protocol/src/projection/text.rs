//! Projection from text to text: what an answer shows whole is copied as it stands in the stored body.
//!
//! A page of a hundred resources is projected in one pass over each body. No value is built of what is
//! copied or left out.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Projection;
use crate::error::{Error, Result};
use crate::json;
use crate::schema::{Attribute, Extension};

/// What an answer holds of a stored body, as [`Projection::apply`] says it, from text to text.
///
/// **Shape**: `body` is a compact JSON object as `serde_json` writes it, and so is the result.
///
/// # Errors
/// `Internal`: a stored body that is no JSON object is a fault of ours.
pub fn project_text(projection: &Projection<'_>, body: &str) -> Result<String> {
    let mut out = String::with_capacity(body.len());
    let object = TextProjector {
        projection,
        within: MembersOf::Resource,
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

/// Whose members an object has.
#[derive(Clone, Copy)]
enum MembersOf<'p> {
    /// A resource.
    Resource,
    /// The container of an extension.
    Container(&'p Extension),
    /// A complex attribute, or each of its elements. These parts are shown.
    Parts(&'p [&'p Attribute]),
}

/// What becomes of one member of an object.
enum Fate<'p> {
    /// It is left out.
    Hidden,
    /// It is shown as it is.
    Whole,
    /// `schemas`: the URNs of schemas that the type has are shown.
    Schemas,
    /// What the extension shows.
    Container(&'p Extension),
    /// These parts of a complex attribute are shown.
    Parts(Vec<&'p Attribute>),
}

/// Writes what is shown of one value, and tells whether that is anything.
struct TextProjector<'p, 'o> {
    projection: &'p Projection<'p>,
    within: MembersOf<'p>,
    /// What is written before an element of an array, if anything of it is shown; empty for a value that
    /// is none.
    opening: &'static str,
    out: &'o mut String,
}

impl<'p> TextProjector<'p, '_> {
    fn fate(&self, name: &str) -> Fate<'p> {
        let resource_type = self.projection.resource_type;
        let of = |extension: Option<&'p Extension>, attribute: &'p Attribute| {
            if !self.projection.shows(extension, attribute) {
                return Fate::Hidden;
            }
            if !attribute.is_complex() {
                return Fate::Whole;
            }
            let parts = attribute.sub_attributes.iter();
            let shown = parts.filter(|part| self.projection.shows_part(extension, attribute, part));
            Fate::Parts(shown.collect())
        };
        match self.within {
            MembersOf::Resource => match resource_type.attribute(name) {
                Some(attribute) => match of(None, attribute) {
                    Fate::Whole if attribute.name == "schemas" => Fate::Schemas,
                    fate => fate,
                },
                None => resource_type
                    .extension(name)
                    .map_or(Fate::Hidden, Fate::Container),
            },
            MembersOf::Container(extension) => extension
                .schema
                .attribute(name)
                .map_or(Fate::Hidden, |attribute| of(Some(extension), attribute)),
            MembersOf::Parts(shown) => match shown.iter().any(|part| part.name == *name) {
                true => Fate::Whole,
                false => Fate::Hidden,
            },
        }
    }

    /// The same for a value inside this one.
    fn inner<'s>(
        &'s mut self,
        within: MembersOf<'s>,
        opening: &'static str,
    ) -> TextProjector<'s, 's> {
        TextProjector {
            projection: self.projection,
            within,
            opening,
            out: self.out,
        }
    }

    /// Writes the name of a member.
    fn begin(&mut self, start: usize, name: &RawValue) {
        match self.out.len() == start {
            true => self.out.extend([self.opening, "{"]),
            false => self.out.push(','),
        }
        self.out.extend([name.get(), ":"]);
    }

    /// Writes a member of which something may be shown.
    fn inside<'de, A: MapAccess<'de>>(
        &mut self,
        (start, name): (usize, &RawValue),
        within: MembersOf<'_>,
        members: &mut A,
    ) -> Result<(), A::Error> {
        let before = self.out.len();
        self.begin(start, name);
        if !members.next_value_seed(self.inner(within, ""))? {
            self.out.truncate(before);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for TextProjector<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.within {
            MembersOf::Resource => deserializer.deserialize_map(self),
            MembersOf::Container(_) | MembersOf::Parts(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for TextProjector<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<bool, A::Error> {
        let start = self.out.len();
        while let Some(name) = members.next_key::<&RawValue>()? {
            match self.fate(&json::string_of(name)) {
                Fate::Hidden => {
                    members.next_value::<IgnoredAny>()?;
                }
                Fate::Whole => {
                    self.begin(start, name);
                    self.out.push_str(members.next_value::<&RawValue>()?.get());
                }
                Fate::Schemas => {
                    self.begin(start, name);
                    push_schemas(members.next_value()?, self.projection, self.out);
                }
                Fate::Container(extension) => {
                    let within = MembersOf::Container(extension);
                    self.inside((start, name), within, &mut members)?;
                }
                Fate::Parts(shown) => {
                    self.inside((start, name), MembersOf::Parts(&shown), &mut members)?;
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
        let is_element = !self.opening.is_empty();
        let parts = match self.within {
            MembersOf::Parts(parts) if !is_element => parts,
            _ => {
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(false);
            }
        };
        loop {
            let opening = if self.out.len() == start { "[" } else { "," };
            let element = self.inner(MembersOf::Parts(parts), opening);
            if elements.next_element_seed(element)?.is_none() {
                break;
            }
            is_empty = false;
        }
        match (self.out.len() > start, is_empty) {
            (true, _) => self.out.push(']'),
            // An empty array is an answer: a group without members shows it.
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
fn push_schemas(schemas: &RawValue, projection: &Projection<'_>, out: &mut String) {
    let Ok(urns) = serde_json::from_str::<Vec<&RawValue>>(schemas.get()) else {
        // It is no array, so there is nothing to choose from.
        out.push_str(schemas.get());
        return;
    };
    let has = |urn: &&RawValue| {
        let is_text = urn.get().starts_with('"');
        is_text && projection.resource_type.has_schema(&json::string_of(urn))
    };
    out.push('[');
    for (position, urn) in urns.into_iter().filter(has).enumerate() {
        out.extend([if position == 0 { "" } else { "," }, urn.get()]);
    }
    out.push(']');
}
