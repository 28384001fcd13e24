//! Which attributes an answer holds (RFC 7643 §7 `returned`, RFC 7644 §3.4.2.5 and §3.9).
//!
//! | `returned` | nothing asked | `attributes` | `excludedAttributes` |
//! |---|---|---|---|
//! | `always` | yes | yes | yes |
//! | `default` | yes | if named | unless named |
//! | `request` | if just written | if named | if just written |
//! | `never` | no | no | no |

mod text;

use std::collections::HashSet;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::message::Selection;
use crate::path::AttributePath;
use crate::profile::Reading;
use crate::resource::body::is_outside;
use crate::schema::{Attribute, AttributeTarget, Extension, ResourceType, Returned};

use text::Fates;

pub use text::project_text;

/// The choice of attributes for resources of one type.
#[derive(Debug, Clone)]
pub struct Projection<'r> {
    resource_type: &'r ResourceType,
    mode: Mode,
    /// What the names mean, each attribute once: never more than the type has attributes and parts.
    named: Vec<AttributeTarget<'r>>,
    written: HashSet<String>,
    /// How the attributes that are not returned by default begin in JSON text.
    hidden: Vec<String>,
    /// What all this means for each attribute, once a text is projected.
    fates: OnceLock<Fates>,
}

/// How the name of an extension's container begins in JSON text.
const URN_KEY: &[u8] = b"\"urn:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The request does not choose.
    Default,
    /// `attributes`: the named ones and no others.
    Only,
    /// `excludedAttributes`: all but the named ones.
    Without,
}

impl<'r> Projection<'r> {
    /// Gives the names of a selection their meaning in one resource type.
    ///
    /// **Shape**: `userName`, `name.givenName`, `urn:…:User:manager.value`, the bare URN of the base
    /// schema or of an extension for all of it. Names that no schema defines choose nothing; a filter in brackets is passed over.
    #[must_use]
    pub fn new(
        selection: &Selection,
        resource_type: &'r ResourceType,
        reading: &mut Reading<'_>,
    ) -> Self {
        let (mode, names) = if !selection.attributes.is_empty() {
            (Mode::Only, &selection.attributes)
        } else if !selection.excluded_attributes.is_empty() {
            (Mode::Without, &selection.excluded_attributes)
        } else {
            (Mode::Default, &selection.attributes)
        };
        let resolve = |name: &String| {
            let path = AttributePath::parse(&without_filter(name))?;
            let whole_base = || match resource_type.split_urn(path.as_str()) {
                Some((None, "")) => Some(WHOLE_BASE),
                _ => None,
            };
            path.resolve(resource_type, reading).or_else(whole_base)
        };
        let mut seen = HashSet::new();
        let named = names.iter().filter_map(resolve);
        Self {
            resource_type,
            mode,
            named: named
                .filter(|target| seen.insert(target.to_string()))
                .collect(),
            written: HashSet::new(),
            hidden: hidden_members(resource_type),
            fates: OnceLock::new(),
        }
    }

    /// The same for the answer to a write: what the client has just given is returned although it is
    /// otherwise only on request. Takes [`Draft::written`](crate::resource::Draft::written) or
    /// [`PatchOutcome::written`](crate::patch::PatchOutcome::written).
    #[must_use]
    pub fn after_write(self, written: Vec<String>) -> Self {
        Self {
            written: written.into_iter().collect(),
            fates: OnceLock::new(),
            ..self
        }
    }

    /// Whether the answer to a stored body is its text as it is, so that it can be spliced unparsed.
    ///
    /// The request must not choose, or must leave out only what no body holds (`members`, `groups`),
    /// and the text must not hold what is not returned by default. A name
    /// in a string has its quotes escaped, so what is found is a member; if it is the member of some
    /// other object, the body is parsed for nothing.
    #[must_use]
    pub fn shows_all_of(&self, stored: &str) -> bool {
        let chooses = match self.mode {
            Mode::Default => false,
            Mode::Only => true,
            Mode::Without => !self.named.iter().all(|target| self.is_elsewhere(target)),
        };
        !chooses
            && !self.hidden.iter().any(|member| stored.contains(member))
            && !self.holds_undefined(stored)
    }

    /// Whether a stored body holds the container of a schema that the type does not have any more.
    fn holds_undefined(&self, stored: &str) -> bool {
        let mut starts = memchr::memmem::find_iter(stored.as_bytes(), URN_KEY);
        starts.any(|start| {
            let text = stored.get(start + 1..).unwrap_or_default();
            let name = text.split_once("\":").map(|(name, _)| name);
            // Where the next quote is not the end of a name, the URN is a value.
            let name = name.filter(|name| !name.contains('"'));
            name.is_some_and(|name| self.resource_type.extension(name).is_none())
        })
    }

    /// Whether the target is all of the attribute that is kept outside the bodies.
    fn is_elsewhere(&self, target: &AttributeTarget<'_>) -> bool {
        let is_whole = target.sub_attribute.is_none() && target.extension.is_none();
        let attribute = target.attribute.filter(|_| is_whole);
        attribute.is_some_and(|attribute| self.resource_type.is_detached(attribute))
    }

    /// Whether the answer holds anything of this core attribute: `members`, `groups`, `meta`.
    #[must_use]
    pub fn wants(&self, attribute: &str) -> bool {
        self.resource_type
            .attribute(attribute)
            .is_some_and(|attribute| self.shows(None, attribute))
    }

    /// Whether the answer holds this sub-attribute of a core attribute: `display` of `members`.
    #[must_use]
    pub fn wants_part(&self, attribute: &str, sub: &str) -> bool {
        let attribute = self.resource_type.attribute(attribute);
        let parts =
            attribute.and_then(|attribute| Some((attribute, attribute.sub_attribute(sub)?)));
        parts.is_some_and(|(attribute, sub)| {
            self.shows(None, attribute) && self.shows_part(None, attribute, sub)
        })
    }

    /// What the answer holds of a body, which may have `meta`, `members` and `groups` added to it.
    #[must_use]
    pub fn apply(&self, body: Map<String, Value>) -> Map<String, Value> {
        let mut shown = Map::with_capacity(body.len());
        for (key, value) in body {
            let value = match self.resource_type.attribute(&key) {
                Some(attribute) if attribute.name == "schemas" => self.schemas(attribute, value),
                Some(attribute) => self.project(None, attribute, value),
                None => self.container(&key, value),
            };
            if let Some(value) = value {
                shown.insert(key, value);
            }
        }
        shown
    }

    /// The URNs of schemas that the type has.
    fn schemas(&self, attribute: &Attribute, value: Value) -> Option<Value> {
        let value = match value {
            Value::Array(mut urns) => {
                urns.retain(|urn| {
                    urn.as_str()
                        .is_some_and(|urn| self.resource_type.has_schema(urn))
                });
                Value::Array(urns)
            }
            value => value,
        };
        self.project(None, attribute, value)
    }

    fn container(&self, urn: &str, value: Value) -> Option<Value> {
        let extension = self.resource_type.extension(urn)?;
        let Value::Object(members) = value else {
            return None;
        };
        let shown: Map<_, _> = members
            .into_iter()
            .filter_map(|(name, value)| {
                let attribute = extension.schema.attribute(&name)?;
                Some((name, self.project(Some(extension), attribute, value)?))
            })
            .collect();
        (!shown.is_empty()).then_some(Value::Object(shown))
    }

    fn project(
        &self,
        extension: Option<&Extension>,
        attribute: &Attribute,
        value: Value,
    ) -> Option<Value> {
        if !self.shows(extension, attribute) {
            return None;
        }
        if !attribute.is_complex() {
            return Some(value);
        }
        // Decided once for all elements.
        let subs = attribute.sub_attributes.iter();
        let shown: Vec<_> = subs
            .filter(|sub| self.shows_part(extension, attribute, sub))
            .collect();
        let parts = |value: Value| match value {
            Value::Object(mut parts) => {
                parts.retain(|name, _| shown.iter().any(|sub| sub.name == *name.as_str()));
                (!parts.is_empty()).then_some(Value::Object(parts))
            }
            _ => None,
        };
        match value {
            Value::Array(elements) => {
                // An empty array is an answer: a group without members shows it.
                let was_empty = elements.is_empty();
                let elements: Vec<_> = elements.into_iter().filter_map(parts).collect();
                (was_empty || !elements.is_empty()).then_some(Value::Array(elements))
            }
            value => parts(value),
        }
    }

    fn shows(&self, extension: Option<&Extension>, attribute: &Attribute) -> bool {
        let named = |parts: bool| {
            self.named.iter().any(|target| {
                is_within(target, extension, attribute) && (parts || target.sub_attribute.is_none())
            })
        };
        match (attribute.returned, self.mode) {
            (Returned::Always, _) | (Returned::Default, Mode::Default) => true,
            (Returned::Never, _) => false,
            (Returned::Default, Mode::Without) => !named(false),
            (Returned::Default, Mode::Only) => named(true),
            // Naming all of an extension asks for what it shows by default.
            (Returned::Request, Mode::Only) => self
                .named
                .iter()
                .any(|target| target.attribute.is_some_and(|a| std::ptr::eq(a, attribute))),
            (Returned::Request, Mode::Default | Mode::Without) => {
                self.was_written(extension, attribute, None)
            }
        }
    }

    /// Whether a sub-attribute is shown, given that its attribute is.
    fn shows_part(
        &self,
        extension: Option<&Extension>,
        attribute: &Attribute,
        sub: &Attribute,
    ) -> bool {
        let by_name = self.named.iter().any(|target| {
            is_within(target, extension, attribute)
                && target
                    .sub_attribute
                    .is_some_and(|named| std::ptr::eq(named, sub))
        });
        match (sub.returned, self.mode) {
            (Returned::Always, _) | (Returned::Default, Mode::Default) => true,
            (Returned::Never, _) => false,
            (Returned::Default, Mode::Without) => !by_name,
            (Returned::Default, Mode::Only) => by_name || self.shows_whole(extension, attribute),
            (Returned::Request, Mode::Only) => by_name,
            (Returned::Request, Mode::Default | Mode::Without) => {
                self.was_written(extension, attribute, Some(sub))
            }
        }
    }

    /// Whether `attributes` means all of the attribute: named whole, or there without being named.
    fn shows_whole(&self, extension: Option<&Extension>, attribute: &Attribute) -> bool {
        let mut named = self
            .named
            .iter()
            .filter(|target| is_within(target, extension, attribute))
            .peekable();
        named.peek().is_none() || named.any(|target| target.sub_attribute.is_none())
    }

    fn was_written(
        &self,
        extension: Option<&Extension>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
    ) -> bool {
        if self.written.is_empty() {
            return false;
        }
        let target = AttributeTarget {
            extension,
            attribute: Some(attribute),
            sub_attribute: sub,
        };
        self.written.contains(&target.to_string())
    }
}

/// What the bare URN of the base schema names: all attributes that are in no extension.
const WHOLE_BASE: AttributeTarget<'static> = AttributeTarget {
    extension: None,
    attribute: None,
    sub_attribute: None,
};

/// Whether the target is this attribute, a part of it, or all of its extension.
fn is_within(
    target: &AttributeTarget<'_>,
    extension: Option<&Extension>,
    attribute: &Attribute,
) -> bool {
    match target.attribute {
        Some(named) => std::ptr::eq(named, attribute),
        None => match (target.extension, extension) {
            (Some(named), Some(extension)) => std::ptr::eq(named, extension),
            (None, None) => true,
            _ => false,
        },
    }
}

/// How the attributes that a body can hold and an answer does not show by default begin.
fn hidden_members(resource_type: &ResourceType) -> Vec<String> {
    let is_hidden =
        |attribute: &&Attribute| matches!(attribute.returned, Returned::Never | Returned::Request);
    let attributes = resource_type.attributes().map(|(_, attribute)| attribute);
    attributes
        .filter(|attribute| !is_outside(resource_type, attribute))
        .flat_map(|attribute| std::iter::once(attribute).chain(&attribute.sub_attributes))
        .filter(is_hidden)
        .map(|attribute| format!("\"{}\":", attribute.name))
        .collect()
}

/// The name without a value filter: `emails[type eq "work"].value` chooses `emails.value`.
fn without_filter(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", &name[..open], &name[close + 1..])
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "literals read best by value")]
mod tests;
