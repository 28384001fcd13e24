//! Decides whether a resource matches: the one semantics of filters, in queries and in PATCH paths
//! (RFC 7644 §3.4.2.2).
//!
//! - A multi-valued attribute matches when any of its values does; inside brackets all parts are
//!   about the same element.
//! - Without a value every comparison is false but `ne`, which is true. `not` turns either round.
//! - `primary` that is missing from an element is false (RFC 7643 §2.4).
//! - `null`, `[]`, `""`, and complex values of nothing else, are not present (RFC 7643 §2.5).

use serde_json::{Map, Value};

use super::bound_filter::{BoundFilter, Comparison};
use crate::error::Result;
use crate::key::Key;
use crate::schema::PathRoot;
use crate::work::{Steps, Work, check_filtering, steps_to_compare};

impl BoundFilter {
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
