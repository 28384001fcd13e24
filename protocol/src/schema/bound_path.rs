//! Resolved paths: the names of the members that lead from a resource to a value.

use std::fmt;

use serde_json::{Map, Value};

use super::attribute::{Attribute, Collation, DataType};
use super::target::AttributeTarget;

/// A path from a resource, or from an element of a multi-valued attribute, to the values of one
/// attribute, in the schema's spelling. An array on the path means each of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundPath {
    /// The names of the members: an extension's URN, the attribute, the sub-attribute. Empty for an
    /// element that is the value itself.
    steps: Vec<Box<str>>,
    /// Whether the last name is that of a sub-attribute.
    ends_below: bool,
    /// The full name.
    index_path: Box<str>,
    /// How the values at the end are compared.
    collation: Collation,
    /// Whether a missing value counts as `false`: `primary` (RFC 7643 §2.4).
    false_if_missing: bool,
}

impl BoundPath {
    /// The path of a target.
    pub(crate) fn of(target: &AttributeTarget<'_>) -> Self {
        let urn = target.extension.map(|extension| &*extension.schema.id);
        let attribute = target.attribute.map(Attribute::name);
        let sub_attribute = target.sub_attribute.map(Attribute::name);
        let names = [attribute, sub_attribute].into_iter().flatten();
        let notation = names.clone().collect::<Vec<_>>().join(".");
        let index_path = match urn {
            Some(urn) if notation.is_empty() => urn.into(),
            Some(urn) => format!("{urn}:{notation}").into(),
            None => notation.into(),
        };
        let is_primary = target.attribute.is_some_and(|parent| parent.multi_valued);
        Self {
            steps: urn.into_iter().chain(names).map(Into::into).collect(),
            ends_below: target.sub_attribute.is_some(),
            index_path,
            collation: target.leaf().map_or(WHOLE, Collation::from),
            false_if_missing: is_primary && target.sub_attribute.is_some_and(is_primary_flag),
        }
    }

    /// The path inside an element of an attribute whose full name is `parent`: to the sub-attribute,
    /// or to the element itself if it is not an object.
    pub(crate) fn in_element(
        attribute: &Attribute,
        parent: &str,
        sub_attribute: Option<&Attribute>,
    ) -> Self {
        let index_path = match sub_attribute {
            Some(sub_attribute) => format!("{parent}.{}", sub_attribute.name()),
            None => parent.to_owned(),
        };
        let is_primary = sub_attribute.is_some_and(is_primary_flag);
        Self {
            steps: sub_attribute.iter().map(|sub| sub.name().into()).collect(),
            ends_below: sub_attribute.is_some(),
            index_path: index_path.into(),
            collation: sub_attribute.unwrap_or(attribute).into(),
            false_if_missing: attribute.multi_valued && is_primary,
        }
    }

    /// The full name of the attribute: `userName`, `emails.value`, `urn:…:User:employeeNumber`. If it
    /// has an [`Index`](super::Index), the index has the same `path`.
    #[must_use]
    pub fn index_path(&self) -> &str {
        &self.index_path
    }

    /// The member of the resource that the path begins with: an attribute, or an extension's URN.
    #[must_use]
    pub fn member(&self) -> &str {
        self.steps.first().map_or("", |step| step)
    }

    /// The sub-attribute that the path ends in; `None` if it ends in an attribute or an extension.
    #[must_use]
    pub fn sub_attribute(&self) -> Option<&str> {
        self.steps
            .last()
            .filter(|_| self.ends_below)
            .map(AsRef::as_ref)
    }

    /// How the values are compared.
    pub(crate) fn collation(&self) -> Collation {
        self.collation
    }

    /// The value that a list is sorted by: at every array on the path, that of the element whose
    /// `primary` is true, or else of the first element.
    pub(crate) fn first<'v>(&self, resource: &'v Map<String, Value>) -> Option<&'v Value> {
        let (step, rest) = self.steps.split_first()?;
        let mut value = preferred(resource.get(&**step)?)?;
        for step in rest {
            value = preferred(value.get(&**step)?)?;
        }
        Some(value)
    }

    /// Whether a test is true for any value at the end of the path. If there is no value, because a
    /// parent, the member or all elements are missing, the test is called with `None`.
    pub(crate) fn any<'v>(&self, start: PathRoot<'v>, test: &mut Test<'v, '_>) -> bool {
        any_from(start, &self.steps, test)
    }

    /// As [`any`](Self::any), but a missing `primary` counts as `false`.
    pub(crate) fn any_or_default<'v>(&self, start: PathRoot<'v>, test: &mut Test<'v, '_>) -> bool {
        let (false_if_missing, steps) = (self.false_if_missing, self.steps.split_last());
        let (true, Some((last, parents))) = (false_if_missing, steps) else {
            return self.any(start, test);
        };
        any_from(start, parents, &mut |parent| match parent {
            Some(Value::Object(parent)) => match parent.get(&**last) {
                None | Some(Value::Null) => test(Some(&Value::Bool(false))),
                value => test(value),
            },
            _ => test(None),
        })
    }
}

/// The value that a path starts from.
#[derive(Clone, Copy)]
pub(crate) enum PathRoot<'v> {
    /// A resource.
    Resource(&'v Map<String, Value>),
    /// One element of a multi-valued attribute.
    Element(&'v Value),
}

/// A test of a value, or of its absence.
pub(crate) type Test<'v, 't> = dyn FnMut(Option<&'v Value>) -> bool + 't;

fn any_from<'v>(start: PathRoot<'v>, steps: &[Box<str>], test: &mut Test<'v, '_>) -> bool {
    match (start, steps.split_first()) {
        (PathRoot::Element(value), _) => any(Some(value), steps, test),
        (PathRoot::Resource(resource), Some((step, rest))) => {
            any(resource.get(&**step), rest, test)
        }
        (PathRoot::Resource(_), None) => test(None),
    }
}

fn any<'v>(value: Option<&'v Value>, steps: &[Box<str>], test: &mut Test<'v, '_>) -> bool {
    match (value, steps.split_first()) {
        (Some(Value::Array(elements)), _) if !elements.is_empty() => elements
            .iter()
            .any(|element| any(Some(element), steps, test)),
        (None | Some(Value::Null | Value::Array(_)), _) => test(None),
        (Some(value), None) => test(Some(value)),
        (Some(Value::Object(parent)), Some((step, rest))) => any(parent.get(&**step), rest, test),
        (Some(_), Some(_)) => test(None),
    }
}

/// The collation of an extension as a whole, which has no key.
const WHOLE: Collation = Collation {
    kind: DataType::Complex,
    case_exact: false,
};

/// The element of an array to sort by; any other value itself.
fn preferred(value: &Value) -> Option<&Value> {
    let Value::Array(elements) = value else {
        return Some(value);
    };
    let is_primary = |element: &&Value| element.get("primary") == Some(&Value::Bool(true));
    let primary = elements.iter().find(is_primary);
    primary.or_else(|| elements.first())
}

fn is_primary_flag(sub_attribute: &Attribute) -> bool {
    sub_attribute.kind == DataType::Boolean && sub_attribute.name == "primary"
}

impl fmt::Display for BoundPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.index_path)
    }
}
