//! Filters with resolved names. This is the only semantics of filters: query plans are made from it,
//! and it decides what matches in queries and in PATCH paths (RFC 7644 §3.4.2.2).
//!
//! - A multi-valued attribute matches when any of its values does; inside brackets all terms are about
//!   the same element.
//! - Without a value every comparison is false except `ne`, which is true. `not` inverts either.
//! - `primary` that is missing from an element is false (RFC 7643 §2.4).
//! - `null`, `[]` and `""` are not present, and neither is a complex value that holds nothing else
//!   (RFC 7643 §2.5).

use serde_json::{Map, Value};

use super::CompareOp;
use crate::error::Result;
use crate::key::Key;
use crate::schema::{BoundPath, PathRoot};
use crate::work::{Steps, WorkBudget, check_filtering, steps_to_compare};

/// A filter over one resource type: every path names an attribute, every constant is a key.
///
/// `And` and `Or` hold at least two parts. No part of an `And` is an `And`, no part of an `Or` is an
/// `Or`, and only the filter as a whole can be a `Constant`. So a planner finds `userName eq "x"` at
/// the top or directly below an `And`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundFilter {
    /// Matches every resource, or none.
    Constant(bool),
    /// Some value satisfies the comparison.
    Compare(Comparison),
    /// Some value is not empty.
    Present(BoundPath),
    /// One element satisfies the inner filter, whose paths start at the element.
    ValuePath {
        /// The attribute with these elements.
        path: BoundPath,
        /// The inner filter.
        filter: Box<BoundFilter>,
    },
    /// Every part holds.
    And(Vec<BoundFilter>),
    /// At least one part holds.
    Or(Vec<BoundFilter>),
    /// The part does not hold.
    Not(Box<BoundFilter>),
}

/// `path op operand`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The attribute; for a complex one, its `value`.
    pub path: BoundPath,
    /// The operator.
    pub op: CompareOp,
    /// The constant.
    pub operand: Key<'static>,
}

impl BoundFilter {
    /// The conjunction of the parts.
    #[must_use]
    pub fn all_of(parts: Vec<Self>) -> Self {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Constant(true) => {}
                Self::Constant(false) => return part,
                Self::And(inner) => kept.extend(inner),
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Constant(true),
            1 => kept.remove(0),
            _ => Self::And(kept),
        }
    }

    /// The disjunction of the parts.
    #[must_use]
    pub fn any_of(parts: Vec<Self>) -> Self {
        let mut kept = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Constant(false) => {}
                Self::Constant(true) => return part,
                Self::Or(inner) => kept.extend(inner),
                part => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Constant(false),
            1 => kept.remove(0),
            _ => Self::Or(kept),
        }
    }

    /// The negation of the filter.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Constant(constant) => Self::Constant(!constant),
            filter => Self::Not(Box::new(filter)),
        }
    }

    /// The members of a resource that [`reads`](Self::reads) is true for. One may appear several
    /// times.
    #[must_use]
    pub fn members(&self) -> Vec<&str> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Compare(comparison) => vec![comparison.path.member()],
            Self::Present(path) | Self::ValuePath { path, .. } => vec![path.member()],
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::members).collect(),
            Self::Not(part) => part.members(),
        }
    }

    /// Whether the result of the filter depends on this member of the resource: an attribute, or the
    /// URN of an extension, in the spelling of the schema.
    #[must_use]
    pub fn reads(&self, member: &str) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Compare(comparison) => comparison.path.member() == member,
            Self::Present(path) | Self::ValuePath { path, .. } => path.member() == member,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.reads(member)),
            Self::Not(part) => part.reads(member),
        }
    }

    /// Whether a resource matches. It must be complete and in the spelling of the schema. It must have
    /// `id`, `meta`, and those attributes stored elsewhere that the filter [reads](Self::reads).
    #[must_use]
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        self.holds(PathRoot::Resource(resource), &Steps::unlimited())
    }

    /// Whether a resource matches. Each comparison takes steps from those that the request has left. When
    /// they are used up, the remaining comparisons are skipped and the result is an error.
    ///
    /// # Errors
    /// `TooMany` when the request has used up its steps.
    pub fn matches_within(&self, resource: &Map<String, Value>, work: &WorkBudget) -> Result<bool> {
        self.decide(PathRoot::Resource(resource), work)
    }

    /// Whether one element matches a filter from [`bind_element`](super::Filter::bind_element).
    pub(crate) fn matches_element(&self, element: &Value) -> bool {
        self.holds_in(element, &Steps::unlimited())
    }

    /// Whether one element matches; the steps are taken from those of the request.
    ///
    /// # Errors
    /// As [`matches_within`](Self::matches_within).
    pub fn matches_element_within(&self, element: &Value, work: &WorkBudget) -> Result<bool> {
        self.decide(PathRoot::Element(element), work)
    }

    fn decide(&self, start: PathRoot<'_>, work: &WorkBudget) -> Result<bool> {
        let steps = Steps::of(work);
        let holds = self.holds(start, &steps);
        work.takes(steps.taken());
        check_filtering(work).map(|()| holds)
    }

    /// Whether one element matches. The result is meaningless once the steps are used up.
    pub(crate) fn holds_in(&self, element: &Value, steps: &Steps) -> bool {
        self.holds(PathRoot::Element(element), steps)
    }

    fn holds(&self, start: PathRoot<'_>, steps: &Steps) -> bool {
        match self {
            Self::Constant(constant) => *constant,
            Self::Compare(comparison) => comparison.holds(start, steps),
            Self::Present(path) => path.any(start, &mut |value| {
                steps.takes(1) && value.is_some_and(is_assigned)
            }),
            Self::ValuePath { path, filter } => path.any(start, &mut |element| {
                steps.takes(1) && element.is_some_and(|element| filter.holds_in(element, steps))
            }),
            Self::And(parts) => parts.iter().all(|part| part.holds(start, steps)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(start, steps)),
            Self::Not(part) => !part.holds(start, steps),
        }
    }
}

impl Comparison {
    fn holds(&self, start: PathRoot<'_>, steps: &Steps) -> bool {
        self.path.any_or_default(start, &mut |value| {
            if !steps.takes(steps_to_compare(value)) {
                return false;
            }
            let key = value.and_then(|value| Key::of(value, self.path.collation()));
            self.op.holds(key.as_ref(), &self.operand)
        })
    }
}

/// Whether a value counts as present for `pr`.
fn is_assigned(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_assigned),
        Value::Object(members) => members.values().any(is_assigned),
    }
}
