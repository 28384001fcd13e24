//! The attributes that an answer shows (RFC 7643 §7 `returned`, RFC 7644 §3.4.2.5 and §3.9).
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

use text::Visibilities;

pub use text::project_text;

/// The attributes that answers show of resources of one type.
#[derive(Debug, Clone)]
pub struct Projection<'r> {
    resource_type: &'r ResourceType,
    mode: ProjectionMode,
    /// The attributes that the names mean, each once: never more than the type has attributes and
    /// sub-attributes.
    named: Vec<AttributeTarget<'r>>,
    written: HashSet<String>,
    /// The first bytes, in JSON text, of the attributes that are not returned by default.
    hidden: Vec<String>,
    /// What the projection does to each attribute. It is computed when the first text is projected.
    visibilities: OnceLock<Visibilities>,
}

/// The first bytes, in JSON text, of the name of an extension's container.
const URN_KEY: &[u8] = b"\"urn:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProjectionMode {
    /// The request names no attributes.
    Default,
    /// `attributes`: only the named ones are shown.
    Only,
    /// `excludedAttributes`: all but the named ones are shown.
    Without,
}

impl<'r> Projection<'r> {
    /// Resolves the names of a selection in one resource type.
    ///
    /// **Shape**: `userName`, `name.givenName`, `urn:…:User:manager.value`, or the bare URN of the
    /// base schema or of an extension for all of it. A name that no schema defines selects nothing. A
    /// filter in brackets is ignored.
    #[must_use]
    pub fn new(
        selection: &Selection,
        resource_type: &'r ResourceType,
        reading: &mut Reading<'_>,
    ) -> Self {
        let (mode, names) = if !selection.attributes.is_empty() {
            (ProjectionMode::Only, &selection.attributes)
        } else if !selection.excluded_attributes.is_empty() {
            (ProjectionMode::Without, &selection.excluded_attributes)
        } else {
            (ProjectionMode::Default, &selection.attributes)
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
            visibilities: OnceLock::new(),
        }
    }

    /// The projection for the answer to a write. It also shows the attributes with `returned: request`
    /// that the client has just written. Takes [`Draft::written`](crate::resource::Draft::written) or
    /// [`PatchOutcome::written`](crate::patch::PatchOutcome::written).
    #[must_use]
    pub fn after_write(self, written: Vec<String>) -> Self {
        Self {
            written: written.into_iter().collect(),
            visibilities: OnceLock::new(),
            ..self
        }
    }

    /// Whether the answer shows all of a stored body, so that its text can be spliced without parsing.
    ///
    /// The request must name no attributes, or exclude only those that no body holds (`members`,
    /// `groups`). And the text must hold no attribute that is not returned by default. The search in
    /// the text finds only names of members, because quotes inside a string are escaped. If the name
    /// belongs to a member of some inner object, the result is `false` although the text could have
    /// been spliced.
    #[must_use]
    pub fn shows_all_of(&self, stored: &str) -> bool {
        let chooses = match self.mode {
            ProjectionMode::Default => false,
            ProjectionMode::Only => true,
            ProjectionMode::Without => !self.named.iter().all(|target| self.is_elsewhere(target)),
        };
        !chooses
            && !self.hidden.iter().any(|member| stored.contains(member))
            && !self.holds_undefined(stored)
    }

    /// Whether a stored body holds the container of a schema that the type no longer has.
    fn holds_undefined(&self, stored: &str) -> bool {
        let mut starts = memchr::memmem::find_iter(stored.as_bytes(), URN_KEY);
        starts.any(|start| {
            let text = stored.get(start + 1..).unwrap_or_default();
            let name = text.split_once("\":").map(|(name, _)| name);
            // A URN that is not followed by a quote and a colon is a value, not a name.
            let name = name.filter(|name| !name.contains('"'));
            name.is_some_and(|name| self.resource_type.extension(name).is_none())
        })
    }

    /// Whether the target is the whole attribute that is stored outside the body.
    fn is_elsewhere(&self, target: &AttributeTarget<'_>) -> bool {
        let is_whole = target.sub_attribute.is_none() && target.extension.is_none();
        let attribute = target.attribute.filter(|_| is_whole);
        attribute.is_some_and(|attribute| self.resource_type.is_detached(attribute))
    }

    /// Whether the answer shows any part of this core attribute: `members`, `groups`, `meta`.
    #[must_use]
    pub fn wants(&self, attribute: &str) -> bool {
        self.resource_type
            .attribute(attribute)
            .is_some_and(|attribute| self.shows(None, attribute))
    }

    /// Whether the answer shows this sub-attribute of a core attribute: `display` of `members`.
    #[must_use]
    pub fn wants_part(&self, attribute: &str, sub: &str) -> bool {
        let attribute = self.resource_type.attribute(attribute);
        let parts =
            attribute.and_then(|attribute| Some((attribute, attribute.sub_attribute(sub)?)));
        parts.is_some_and(|(attribute, sub)| {
            self.shows(None, attribute) && self.shows_part(None, attribute, sub)
        })
    }

    /// The part of a body that the answer shows. The body may have `meta`, `members` and `groups`
    /// added to it.
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

    /// The URNs in `schemas` that the type has.
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
                // An empty array is shown: a group without members has one.
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
            (Returned::Always, _) | (Returned::Default, ProjectionMode::Default) => true,
            (Returned::Never, _) => false,
            (Returned::Default, ProjectionMode::Without) => !named(false),
            (Returned::Default, ProjectionMode::Only) => named(true),
            // The URN of an extension selects the attributes of it that are shown by default.
            (Returned::Request, ProjectionMode::Only) => self
                .named
                .iter()
                .any(|target| target.attribute.is_some_and(|a| std::ptr::eq(a, attribute))),
            (Returned::Request, ProjectionMode::Default | ProjectionMode::Without) => {
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
            (Returned::Always, _) | (Returned::Default, ProjectionMode::Default) => true,
            (Returned::Never, _) => false,
            (Returned::Default, ProjectionMode::Without) => !by_name,
            (Returned::Default, ProjectionMode::Only) => {
                by_name || self.shows_whole(extension, attribute)
            }
            (Returned::Request, ProjectionMode::Only) => by_name,
            (Returned::Request, ProjectionMode::Default | ProjectionMode::Without) => {
                self.was_written(extension, attribute, Some(sub))
            }
        }
    }

    /// Whether all of the attribute is shown under `attributes`: it was named itself, or is always
    /// shown.
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

/// The target of the base schema's bare URN: all attributes that belong to no extension.
const WHOLE_BASE: AttributeTarget<'static> = AttributeTarget {
    extension: None,
    attribute: None,
    sub_attribute: None,
};

/// Whether the target is this attribute, a sub-attribute of it, or all of its extension.
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

/// The first bytes of each attribute that a body can hold but an answer does not show by default.
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

/// The name without a value filter: `emails[type eq "work"].value` selects `emails.value`.
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
