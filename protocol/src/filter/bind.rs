//! Resolves the names and constants of a filter in a resource type (RFC 7644 §3.4.2.2, §3.4.2.1).

use super::bound_filter::{BoundFilter, Comparison};
use super::operand::{check_operator, operand};
use super::{CompareOp, CompareValue, Filter};
use crate::error::{Error, Result, excerpt};
use crate::key::Key;
use crate::path::AttributePath;
use crate::profile::{Reading, UnknownFilterAttributes};
use crate::resource::reference::is_maintained;
use crate::resource::{MAX_ID_BYTES, ResourceId};
use crate::schema::{Attribute, AttributeTarget, BoundPath, Mutability, ResourceType, Returned};
use crate::version::Version;

/// Why a term does not fit a type.
enum BindError {
    /// It names an attribute that the type does not have.
    Unknown(Error),
    /// The attribute does not support the comparison.
    Unfit(Error),
}

fn unfit(detail: String) -> BindError {
    BindError::Unfit(Error::invalid_filter(detail))
}

/// The result of a term in the types so far; `None` while no type was asked about it.
type TermResult = Option<Result<(), BindError>>;

/// See [`Filter::bind_each`].
pub(super) fn bind_each(
    filter: &Filter,
    resource_types: &[&ResourceType],
    reading: &mut Reading<'_>,
) -> Result<Vec<BoundFilter>> {
    let mut outcomes = Vec::new();
    outcomes.resize_with(filter.terms(), || None);
    let bound = resource_types.iter().map(|resource_type| {
        let scope = NameScope::Resource(resource_type);
        Binder::new(scope, &mut outcomes, reading).filter(filter)
    });
    let bound: Vec<_> = bound.collect();
    match into_error(outcomes) {
        None => Ok(bound),
        Some(BindError::Unknown(_)) if is_empty_instead(reading) => {
            Ok(vec![BoundFilter::Constant(false); bound.len()])
        }
        Some(BindError::Unknown(error) | BindError::Unfit(error)) => Err(error),
    }
}

/// See [`Filter::bind_element`].
pub(super) fn bind_element(
    filter: &Filter,
    attribute: &Attribute,
    reading: &mut Reading<'_>,
) -> Result<BoundFilter> {
    let mut outcomes = Vec::new();
    outcomes.resize_with(filter.terms(), || None);
    let scope = NameScope::Element(attribute);
    let mut binder = Binder::new(scope, &mut outcomes, reading);
    binder.references = References::Stored;
    let bound = binder.filter(filter);
    match into_error(outcomes) {
        None => Ok(bound),
        Some(BindError::Unknown(error) | BindError::Unfit(error)) => Err(error),
    }
}

/// The error of a term that no type accepts. An unsupported comparison is reported before an unknown
/// name.
fn into_error(outcomes: Vec<TermResult>) -> Option<BindError> {
    let mut faults = outcomes.into_iter().flatten().filter_map(Result::err);
    let first = faults.next()?;
    match first {
        BindError::Unfit(_) => Some(first),
        BindError::Unknown(_) => faults
            .find(|fault| matches!(fault, BindError::Unfit(_)))
            .or(Some(first)),
    }
}

fn is_empty_instead(reading: &Reading<'_>) -> bool {
    reading.rules.switches.unknown_filter_attributes == UnknownFilterAttributes::Empty
}

/// The scope in which the names of a filter are resolved.
#[derive(Clone, Copy)]
enum NameScope<'s> {
    Resource(&'s ResourceType),
    Element(&'s Attribute),
}

/// The form that the service's own references have in the data that the filter is evaluated on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum References {
    /// Absolute, as answers show them.
    Shown,
    /// Relative, as bodies are stored: `Users/2819c223`.
    Stored,
}

/// Binds one filter in one scope, and records the result of each term by its position.
struct Binder<'s, 'o, 'p, 'r> {
    scope: NameScope<'s>,
    /// The full name of the attribute whose elements are the scope; empty for a resource.
    parent: Box<str>,
    references: References,
    /// Whether these elements are stored as items of their own.
    is_detached: bool,
    position: usize,
    outcomes: &'o mut [TermResult],
    reading: &'p mut Reading<'r>,
}

impl<'s, 'o, 'p, 'r> Binder<'s, 'o, 'p, 'r> {
    fn new(
        scope: NameScope<'s>,
        outcomes: &'o mut [TermResult],
        reading: &'p mut Reading<'r>,
    ) -> Self {
        let parent = match scope {
            NameScope::Resource(_) => "",
            NameScope::Element(attribute) => attribute.name(),
        };
        Self {
            scope,
            parent: parent.into(),
            is_detached: false,
            references: References::Shown,
            position: 0,
            outcomes,
            reading,
        }
    }

    fn filter(&mut self, filter: &Filter) -> BoundFilter {
        match filter {
            Filter::Compare { path, op, value } => {
                let bound = self.compare(path, *op, value);
                self.note(bound).unwrap_or(BoundFilter::Constant(false))
            }
            Filter::Present(path) => {
                let bound = self.present(path);
                self.note(bound).unwrap_or(BoundFilter::Constant(false))
            }
            Filter::ValuePath { path, filter } => self.value_path(path, filter),
            Filter::And(parts) => BoundFilter::all_of(self.all(parts)),
            Filter::Or(parts) => BoundFilter::any_of(self.all(parts)),
            Filter::Not(part) => self.filter(part).negated(),
        }
    }

    fn all(&mut self, parts: &[Filter]) -> Vec<BoundFilter> {
        parts.iter().map(|part| self.filter(part)).collect()
    }

    /// Keeps the best result of the current term and goes on to the next.
    fn note<T>(&mut self, bound: Result<T, BindError>) -> Option<T> {
        let outcome = self.outcomes.get_mut(self.position);
        self.position += 1;
        let (bound, noted) = match bound {
            Ok(bound) => (Some(bound), Ok(())),
            Err(fault) => (None, Err(fault)),
        };
        if let Some(outcome) = outcome
            && !matches!((&outcome, &noted), (Some(Ok(())), _) | (Some(_), Err(_)))
        {
            *outcome = Some(noted);
        }
        bound
    }

    fn value_path(&mut self, path: &AttributePath, filter: &Filter) -> BoundFilter {
        let Some((bound, attribute)) = self.elements(path) else {
            self.position += filter.terms();
            return BoundFilter::Constant(false);
        };
        let target = AttributeTarget {
            extension: None,
            attribute: Some(attribute),
            sub_attribute: None,
        };
        let is_detached = self.keeps_elsewhere(&target);
        let scope = std::mem::replace(&mut self.scope, NameScope::Element(attribute));
        let parent = std::mem::replace(&mut self.parent, bound.index_path().into());
        self.is_detached = is_detached;
        let filter = self.filter(filter);
        self.is_detached = false;
        (self.scope, self.parent) = (scope, parent);
        match filter {
            BoundFilter::Constant(false) => filter,
            filter => BoundFilter::ValuePath {
                path: bound,
                filter: Box::new(filter),
            },
        }
    }

    /// The attribute before a bracket. It must be multi-valued, or at least complex.
    fn elements(&mut self, path: &AttributePath) -> Option<(BoundPath, &'s Attribute)> {
        let found = self.target(path).and_then(|(bound, target)| {
            let attribute = match target.attribute {
                Some(attribute) if target.sub_attribute.is_none() => attribute,
                _ => return Err(unfit(format!("`{path}` has no elements to select"))),
            };
            if attribute.multi_valued || attribute.is_complex() {
                return Ok((bound, attribute));
            }
            Err(unfit(format!(
                "`{path}` is a single {} and has no elements to select",
                attribute.kind.name()
            )))
        });
        self.note(found)
    }

    /// The attribute that a path leads to. An attribute that must not be filtered on is refused.
    fn target(
        &mut self,
        path: &AttributePath,
    ) -> Result<(BoundPath, AttributeTarget<'s>), BindError> {
        let found = match self.scope {
            NameScope::Resource(resource_type) => {
                let target = path.resolve(resource_type, self.reading);
                target.map(|target| (BoundPath::of(&target), target))
            }
            NameScope::Element(attribute) => element_target(attribute, &self.parent, path),
        };
        let (bound, target) = found.ok_or_else(|| self.unknown(path))?;
        let hidden = |attribute: &Attribute| {
            attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly
        };
        if target.attribute.is_some_and(hidden) || target.sub_attribute.is_some_and(hidden) {
            return Err(unfit(format!(
                "`{path}` is never returned and cannot be filtered on"
            )));
        }
        Ok((bound, target))
    }

    fn unknown(&self, path: &AttributePath) -> BindError {
        let path = path.as_str();
        let path = excerpt(path);
        BindError::Unknown(Error::invalid_filter(match self.scope {
            NameScope::Resource(kind) => format!("{} has no attribute `{path}`", kind.name),
            NameScope::Element(attribute) if attribute.is_complex() => format!(
                "`{}` has no sub-attribute `{path}`; it has {}",
                self.parent,
                names(attribute)
            ),
            NameScope::Element(_) => format!(
                "`{}` has plain values, which are called `value` in brackets, not `{path}`",
                self.parent
            ),
        }))
    }

    /// The constant to compare with the `$ref` of a stored body. A client writes the reference as
    /// answers show it.
    fn stored_reference(
        &self,
        target: &AttributeTarget<'_>,
        op: CompareOp,
        value: &CompareValue,
    ) -> Option<CompareValue> {
        let (attribute, sub) = target.attribute.zip(target.sub_attribute)?;
        let CompareValue::String(shown) = value else {
            return None;
        };
        let is_stored = self.references == References::Stored && op.is_equality();
        if !is_stored || !is_maintained(attribute, sub) {
            return None;
        }
        relative(shown).map(|stored| CompareValue::String(stored.to_owned()))
    }

    /// The constant to compare with `meta.version`. A client writes the version as answers show it;
    /// the filter is evaluated on the version of the stored resource, which has no suffix.
    fn stored_version(
        bound: &BoundPath,
        op: CompareOp,
        value: &CompareValue,
    ) -> Option<CompareValue> {
        let CompareValue::String(shown) = value else {
            return None;
        };
        let is_version = bound.index_path() == "meta.version" && op.is_equality();
        let is_tag = shown.starts_with("W/\"") && shown.ends_with('"');
        (is_version && is_tag)
            .then(|| CompareValue::String(Version::of_tag(shown).stored().to_string()))
    }

    /// Whether the target is `members` or `groups`, whose values are stored as items of their own.
    fn keeps_elsewhere(&self, target: &AttributeTarget<'_>) -> bool {
        let NameScope::Resource(resource_type) = self.scope else {
            return false;
        };
        let attribute = target.attribute.filter(|_| target.extension.is_none());
        attribute.is_some_and(|attribute| resource_type.is_detached(attribute))
    }

    fn present(&mut self, path: &AttributePath) -> Result<BoundFilter, BindError> {
        let (bound, _) = self.target(path)?;
        Ok(BoundFilter::Present(bound))
    }

    fn compare(
        &mut self,
        path: &AttributePath,
        op: CompareOp,
        value: &CompareValue,
    ) -> Result<BoundFilter, BindError> {
        let (mut bound, mut target) = self.target(path)?;
        if *value == CompareValue::Null {
            return compare_null(path, op, bound);
        }
        if let Some(value) = implied_value(&target) {
            target.sub_attribute = Some(value);
            bound = match self.scope {
                NameScope::Resource(_) => BoundPath::of(&target),
                NameScope::Element(attribute) => {
                    BoundPath::in_element(attribute, &self.parent, Some(value))
                }
            };
        }
        let leaf = target.leaf().filter(|leaf| !leaf.is_complex());
        let leaf = leaf.ok_or_else(|| needs_sub_attribute(path, &target))?;
        check_operator(path, op, leaf).map_err(BindError::Unfit)?;
        let stored = self
            .stored_reference(&target, op, value)
            .or_else(|| Self::stored_version(&bound, op, value));
        let value = stored.as_ref().unwrap_or(value);
        let is_member = self.is_detached || self.keeps_elsewhere(&target);
        if op == CompareOp::Eq && is_member {
            check_id(path, leaf, value)?;
        }
        let is_id = bound.index_path() == "id" || (is_member && leaf.name == "value");
        if op == CompareOp::Eq && is_id && !can_be_id(value) {
            return Ok(BoundFilter::Constant(false));
        }
        let operand = operand(path, value, leaf, self.reading).map_err(BindError::Unfit)?;
        if let NameScope::Resource(resource_type) = self.scope
            && bound.index_path() == "meta.resourceType"
        {
            let name = Key::of_text(&resource_type.name, leaf.into());
            return Ok(BoundFilter::Constant(op.holds(name.as_ref(), &operand)));
        }
        Ok(BoundFilter::Compare(Comparison {
            path: bound,
            op,
            operand,
        }))
    }
}

/// Refuses to look for a member by a text that cannot be an id.
fn check_id(path: &AttributePath, leaf: &Attribute, value: &CompareValue) -> Result<(), BindError> {
    let CompareValue::String(id) = value else {
        return Ok(());
    };
    if leaf.name != "value" || (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(());
    }
    Err(unfit(format!(
        "`{path}` is compared with a text of {} bytes; ids have 1 to {MAX_ID_BYTES}",
        id.len()
    )))
}

/// Whether a resource can have this id. A comparison with any other text matches nothing, and the text
/// must not become part of a key.
fn can_be_id(value: &CompareValue) -> bool {
    match value {
        CompareValue::String(id) => ResourceId::parse(id).is_some(),
        CompareValue::Null | CompareValue::Boolean(_) | CompareValue::Number(_) => true,
    }
}

/// The stored form of a reference that an answer showed: its last two path segments.
fn relative(reference: &str) -> Option<&str> {
    let mut segments = reference.rmatch_indices('/').map(|(position, _)| position);
    let (_, before_endpoint) = (segments.next()?, segments.next());
    reference.get(before_endpoint.map_or(0, |position| position + 1)..)
}

/// The attribute that a name leads to inside an element of the attribute that is written `parent`.
fn element_target<'s>(
    attribute: &'s Attribute,
    parent: &str,
    path: &AttributePath,
) -> Option<(BoundPath, AttributeTarget<'s>)> {
    let sub_attribute = attribute.sub_attribute(path.as_str());
    let is_itself = !attribute.is_complex() && path.as_str().eq_ignore_ascii_case("value");
    if sub_attribute.is_none() && !is_itself {
        return None;
    }
    let target = AttributeTarget {
        extension: None,
        attribute: Some(attribute),
        sub_attribute,
    };
    let bound = BoundPath::in_element(attribute, parent, sub_attribute);
    Some((bound, target))
}

/// `eq null` selects an unassigned attribute, `ne null` an assigned one (RFC 7643 §2.5).
fn compare_null(
    path: &AttributePath,
    op: CompareOp,
    bound: BoundPath,
) -> Result<BoundFilter, BindError> {
    match op {
        CompareOp::Eq => Ok(BoundFilter::Present(bound).negated()),
        CompareOp::Ne => Ok(BoundFilter::Present(bound)),
        _ => Err(unfit(format!(
            "`{path} {op} null` has no meaning; null goes with eq and ne"
        ))),
    }
}

/// The `value` that a comparison with a complex attribute is about: `emails co "x"`, `members eq
/// "id"`, `manager eq "id"`.
fn implied_value<'s>(target: &AttributeTarget<'s>) -> Option<&'s Attribute> {
    match (target.attribute, target.sub_attribute) {
        (Some(attribute), None) => attribute.sub_attribute("value"),
        _ => None,
    }
}

fn needs_sub_attribute(path: &AttributePath, target: &AttributeTarget<'_>) -> BindError {
    let Some(attribute) = target.leaf() else {
        return unfit(format!(
            "`{path}` is an extension; name one of its attributes"
        ));
    };
    unfit(format!(
        "`{path}` is complex; name one of its sub-attributes: {}",
        names(attribute)
    ))
}

/// The names of the sub-attributes, for an error.
fn names(attribute: &Attribute) -> String {
    let subs = attribute.sub_attributes.iter();
    subs.map(Attribute::name).collect::<Vec<_>>().join(", ")
}
