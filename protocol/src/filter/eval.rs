//! Decides whether a resource matches: the one semantics of filters, in queries and in PATCH paths
//! (RFC 7644 §3.4.2.2).
//!
//! - A multi-valued attribute matches when any of its values does; inside brackets all parts are
//!   about the same element.
//! - Without a value every comparison is false but `ne`, which is true. `not` turns either round.
//! - `primary` that is missing from an element is false (RFC 7643 §2.4).
//! - `null`, `[]`, `""`, and complex values of nothing else, are not present (RFC 7643 §2.5).

use serde_json::{Map, Value};

use super::CompareOp;
use super::bound_filter::{BoundFilter, Comparison};
use super::bound_path::Scope;
use crate::key::Key;

impl BoundFilter {
    /// Whether a resource matches. It must be complete and in the schema's spelling, with `id`,
    /// `meta` and whatever [`reads`](Self::reads) says of attributes that are kept elsewhere.
    #[must_use]
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        self.holds(Scope::Resource(resource))
    }

    /// Whether one element matches a filter from [`bind_element`](super::Filter::bind_element).
    #[must_use]
    pub fn matches_element(&self, element: &Value) -> bool {
        self.holds(Scope::Element(element))
    }

    fn holds(&self, scope: Scope<'_>) -> bool {
        match self {
            Self::Constant(constant) => *constant,
            Self::Compare(comparison) => comparison.holds(scope),
            Self::Present(path) => path.any(scope, &mut |value| value.is_some_and(is_assigned)),
            Self::ValuePath { path, filter } => path.any(scope, &mut |element| {
                element.is_some_and(|element| filter.matches_element(element))
            }),
            Self::And(parts) => parts.iter().all(|part| part.holds(scope)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(scope)),
            Self::Not(part) => !part.holds(scope),
        }
    }
}

impl Comparison {
    fn holds(&self, scope: Scope<'_>) -> bool {
        self.path.any_or_default(scope, &mut |value| {
            let key = value.and_then(|value| Key::of(value, self.path.collation()));
            self.op.holds(key.as_ref(), &self.operand)
        })
    }
}

impl CompareOp {
    /// Whether a value, or the lack of one, compares so with an operand.
    #[must_use]
    pub fn holds(self, value: Option<&Key<'_>>, operand: &Key<'_>) -> bool {
        let Some(value) = value.map(Key::as_str) else {
            return self == Self::Ne;
        };
        let operand = operand.as_str();
        match self {
            Self::Eq => value == operand,
            Self::Ne => value != operand,
            Self::Co => value.contains(operand),
            Self::Sw => value.starts_with(operand),
            Self::Ew => value.ends_with(operand),
            Self::Gt => value > operand,
            Self::Ge => value >= operand,
            Self::Lt => value < operand,
            Self::Le => value <= operand,
        }
    }

    /// Whether it is `eq` or `ne`, which every type has.
    #[must_use]
    pub fn is_equality(self) -> bool {
        matches!(self, Self::Eq | Self::Ne)
    }

    /// Whether it asks for an order.
    #[must_use]
    pub fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
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
