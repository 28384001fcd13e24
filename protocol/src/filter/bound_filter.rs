//! The filter that plans are made from and that decides what matches: the one semantics of filters, in
//! queries and in PATCH paths (RFC 7644 §3.4.2.2).
//!
//! - A multi-valued attribute matches when any of its values does; inside brackets all parts are
//!   about the same element.
//! - Without a value every comparison is false but `ne`, which is true. `not` turns either round.
//! - `primary` that is missing from an element is false (RFC 7643 §2.4).
//! - `null`, `[]`, `""`, and complex values of nothing else, are not present (RFC 7643 §2.5).

use serde_json::{Map, Value};

use super::CompareOp;
use crate::error::Result;
use crate::key::Key;
use crate::schema::{BoundPath, PathRoot};
use crate::work::{Steps, Work, check_filtering, steps_to_compare};

/// A filter over one resource type: every path leads somewhere, every constant is a key.
///
/// `And` and `Or` hold at least two parts, none of them an `And` or `Or` again, respectively, and no
/// part but the whole is a `Constant`; so a plan finds `userName eq "x"` at the top or directly below
/// an `And`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundFilter {
    /// Every resource, or none.
    Constant(bool),
    /// Some value compares so.
    Compare(Comparison),
    /// There is a value that is not empty.
    Present(BoundPath),
    /// One element satisfies all of the filter, whose paths start at the element.
    ValuePath {
        /// The attribute whose elements are looked at.
        path: BoundPath,
        /// What one element must satisfy.
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
    /// The attribute; of a complex one its `value`.
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

    /// The members of a resource that an answer to the filter depends on, as [`reads`](Self::reads)
    /// says; one can come several times.
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

    /// Whether an answer to the filter depends on this member of the resource: an attribute, or an
    /// extension's URN, in the schema's spelling.
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

    /// Whether a resource matches. It must be complete and in the schema's spelling, with `id`,
    /// `meta` and whatever [`reads`](Self::reads) says of attributes that are kept elsewhere.
    #[must_use]
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        self.holds(PathRoot::Resource(resource), &Steps::unlimited())
    }

    /// The same, counted as work of a request. The steps are known only afterwards, so one resource may
    /// use up what is left; then every further comparison is skipped.
    ///
    /// # Errors
    /// `TooMany` when the request has used up its steps.
    pub fn matches_within(&self, resource: &Map<String, Value>, work: &Work) -> Result<bool> {
        self.decide(PathRoot::Resource(resource), work)
    }

    /// Whether one element matches a filter from [`bind_element`](super::Filter::bind_element).
    pub(crate) fn matches_element(&self, element: &Value) -> bool {
        self.holds_in(element, &Steps::unlimited())
    }

    /// The same for one element, counted as work of a request.
    ///
    /// # Errors
    /// As [`matches_within`](Self::matches_within).
    pub fn matches_element_within(&self, element: &Value, work: &Work) -> Result<bool> {
        self.decide(PathRoot::Element(element), work)
    }

    fn decide(&self, start: PathRoot<'_>, work: &Work) -> Result<bool> {
        let steps = Steps::of(work);
        let holds = self.holds(start, &steps);
        work.takes(steps.taken());
        check_filtering(work).map(|()| holds)
    }

    /// Whether one element matches. When the steps are used up the answer means nothing.
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

/// Whether a value is one that `pr` sees.
fn is_assigned(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_assigned),
        Value::Object(members) => members.values().any(is_assigned),
    }
}
