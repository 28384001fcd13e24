//! The texts of an operation that may be references: the `value` and `$ref` of a complex attribute,
//! attributes that refer to resources, and the constants in a PATCH's paths. A text anywhere else,
//! such as a `title`, is never a reference, even if it looks like one (RFC 7644 §3.7.2).

use serde_json::{Map, Value};

use super::{BulkOperation, Method};
use crate::error::Result;
use crate::json;
use crate::patch_path::PatchPath;
use crate::profile::{Reading, Rules};
use crate::resource::names;
use crate::resource::reference::names_resources;
use crate::resource::tolerance::MANAGER_ID;
use crate::resource::value::ValueReader;
use crate::schema::{Attribute, AttributeTarget, DataType, Extension, Registry, ResourceType};

/// Which part of a text may be a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReferenceForm {
    /// The whole text, as in an id.
    Whole,
    /// The whole text or its last path segment, as in a URI.
    Segment,
}

/// A function that is called with each text that may be a reference.
pub(super) type Visit<'v> = dyn FnMut(&mut String, ReferenceForm) -> Result<()> + 'v;

/// Visits each text of the body that may be a reference, except those in paths.
pub(super) fn visit_texts(
    operation: &mut BulkOperation,
    registry: &Registry,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let Some(resource_type) = registry.at_endpoint(&operation.endpoint) else {
        return Ok(());
    };
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let mut sites = ReferenceSites::of(resource_type, registry, &mut reading);
    if operation.method != Method::Patch {
        return sites.members(&mut operation.data, visit);
    }
    for listed in patch_operations(&mut operation.data) {
        sites.patch_operation(listed, visit)?;
    }
    Ok(())
}

/// The operations of a PATCH.
pub(super) fn patch_operations(
    data: &mut Map<String, Value>,
) -> impl Iterator<Item = &mut Map<String, Value>> {
    let mut members = data.iter_mut();
    let listed = members.find(|(key, _)| key.eq_ignore_ascii_case("Operations"));
    let listed = listed.and_then(|(_, listed)| listed.as_array_mut());
    listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// Finds the places where the bodies of one resource type hold references.
pub(super) struct ReferenceSites<'a, 'r>(ValueReader<'a, 'r>);

impl<'a, 'r> ReferenceSites<'a, 'r> {
    pub(super) fn of(
        resource_type: &'a ResourceType,
        registry: &'a Registry,
        reading: &'a mut Reading<'r>,
    ) -> Self {
        Self(ValueReader {
            resource_type,
            registry,
            reading,
        })
    }

    /// Visits the members of a resource, or of the value of a PATCH operation.
    fn members(&mut self, members: &mut Map<String, Value>, visit: &mut Visit<'_>) -> Result<()> {
        for (key, value) in members {
            self.member(key, value, visit)?;
        }
        Ok(())
    }

    /// Visits the value of one member of a resource.
    pub(super) fn member(
        &mut self,
        key: &str,
        value: &mut Value,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let target = match key.contains('[') {
            true => self.path(key),
            false => names::target(&mut self.0, key),
        };
        match (target, value) {
            (
                Some(AttributeTarget {
                    extension: Some(extension),
                    attribute: None,
                    ..
                }),
                Value::Object(members),
            ) => self.container(extension, members, visit),
            (Some(target), value) => value_of(target, value, visit),
            (None, _) => Ok(()),
        }
    }

    fn container(
        &mut self,
        extension: &Extension,
        members: &mut Map<String, Value>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        for (key, value) in members {
            if let Some(target) = names::target_within(&mut self.0, extension, key) {
                value_of(target, value, visit)?;
            }
        }
        Ok(())
    }

    fn patch_operation(
        &mut self,
        operation: &mut Map<String, Value>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let path = json::present(operation, "path").and_then(Value::as_str);
        let path = path.filter(|path| !path.is_empty()).map(str::to_owned);
        let mut members = operation.iter_mut();
        let value = members.find(|(key, _)| key.eq_ignore_ascii_case("value"));
        match (path, value) {
            (Some(path), Some((_, value))) => self.member(&path, value, visit),
            (None, Some((_, Value::Object(value)))) => self.members(value, visit),
            _ => Ok(()),
        }
    }

    /// The attribute that a path with a filter leads to.
    fn path(&mut self, text: &str) -> Option<AttributeTarget<'a>> {
        let path = PatchPath::parse(text, self.0.reading).ok()?;
        let target = path
            .attribute
            .resolve(self.0.resource_type, self.0.reading)?;
        let sub_attribute = match &path.sub_attribute {
            Some(name) => Some(target.attribute?.sub_attribute(name.as_str())?),
            None => target.sub_attribute,
        };
        Some(AttributeTarget {
            sub_attribute,
            ..target
        })
    }
}

/// Visits the value of an attribute or sub-attribute.
fn value_of(target: AttributeTarget<'_>, value: &mut Value, visit: &mut Visit<'_>) -> Result<()> {
    let Some(attribute) = target.attribute else {
        return Ok(());
    };
    match (value, target.sub_attribute) {
        (Value::Array(elements), _) => elements
            .iter_mut()
            .try_for_each(|element| value_of(target, element, visit)),
        (Value::String(text), Some(part)) => visit_form(form(part), text, visit),
        // A string may be sent for a complex attribute; it is the `value`.
        (Value::String(text), None) => {
            let leaf = attribute.sub_attribute("value").unwrap_or(attribute);
            visit_form(form(leaf), text, visit)
        }
        (Value::Object(parts), part) => parts.iter_mut().try_for_each(|(key, value)| {
            let Value::String(text) = value else {
                return Ok(());
            };
            let named = match key.eq_ignore_ascii_case(MANAGER_ID) {
                true => attribute.sub_attribute("value"),
                false => attribute.sub_attribute(key).or(part),
            };
            visit_form(named.and_then(form), text, visit)
        }),
        _ => Ok(()),
    }
}

fn visit_form(
    form: impl Into<Option<ReferenceForm>>,
    text: &mut String,
    visit: &mut Visit<'_>,
) -> Result<()> {
    match form.into() {
        Some(form) => visit(text, form),
        None => Ok(()),
    }
}

/// The form in which an attribute or sub-attribute holds references; `None` if it holds none.
fn form(attribute: &Attribute) -> Option<ReferenceForm> {
    let refers = || {
        attribute
            .reference_types
            .iter()
            .any(|name| names_resources(name))
    };
    match attribute.kind {
        DataType::Reference if refers() => Some(ReferenceForm::Segment),
        DataType::String if attribute.name == "value" => Some(ReferenceForm::Whole),
        _ => None,
    }
}
