//! Filters: from the text to a tree, and from the tree to the text (RFC 7644 §3.4.2.2).
//!
//! [`Filter::parse`] knows the grammar and no schema. [`Filter::bind`] resolves the names in one
//! resource type. The result is a [`BoundFilter`], from which query plans are made. It alone decides,
//! in the whole project, whether a resource matches.

mod bind;
mod bound_filter;
mod operand;
mod parse;
mod sensitive;

use std::fmt;

use serde_json::{Number, Value};

use crate::error::Result;
use crate::path::AttributePath;
use crate::profile::Reading;
use crate::schema::{Attribute, ResourceType};

pub use crate::key::CompareOp;
pub use bound_filter::{BoundFilter, Comparison};
pub use parse::{MAX_DEPTH, MAX_LENGTH, MAX_TERMS};
pub(crate) use parse::{Parser, check_size};

/// A filter as it was written.
///
/// `And` and `Or` hold at least two parts, in the order of the text: `a and b and c` is one `And` of
/// three.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// `userName eq "bjensen"`.
    Compare {
        /// The attribute.
        path: AttributePath,
        /// The operator.
        op: CompareOp,
        /// The constant.
        value: CompareValue,
    },
    /// `title pr`.
    Present(AttributePath),
    /// `emails[type eq "work"]`: one element satisfies the inner filter, in which names are
    /// sub-attributes of `path`.
    ValuePath {
        /// The attribute with these elements.
        path: AttributePath,
        /// The inner filter. It holds no further value path.
        filter: Box<Filter>,
    },
    /// Every part holds.
    And(Vec<Filter>),
    /// At least one part holds.
    Or(Vec<Filter>),
    /// The part does not hold.
    Not(Box<Filter>),
}

/// The constant of a comparison (`compValue`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CompareValue {
    /// `null`: no value.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A JSON number.
    Number(Number),
    /// A JSON string, unescaped.
    String(String),
}

impl CompareValue {
    /// The constant as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(boolean) => Value::Bool(*boolean),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.clone()),
        }
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// **Shape**: `userName eq "bjensen" and emails[type eq "work" and primary eq true]`; at most
    /// [`MAX_LENGTH`] bytes, [`MAX_DEPTH`] levels of brackets and [`MAX_TERMS`] expressions.
    ///
    /// # Errors
    /// `InvalidFilter` with the byte offset, and what was expected there.
    pub fn parse(text: &str, reading: &mut Reading<'_>) -> Result<Self> {
        parse::filter(text, reading)
    }

    /// Resolves the names in one resource type.
    ///
    /// Where the tenant's `unknownFilterAttributes` says `empty`, a filter that names an unknown
    /// attribute matches nothing.
    ///
    /// # Errors
    /// `InvalidFilter` naming the attribute that is unknown, cannot be filtered on, or does not fit
    /// the operator or the constant.
    pub fn bind(
        &self,
        resource_type: &ResourceType,
        reading: &mut Reading<'_>,
    ) -> Result<BoundFilter> {
        let bound = bind::bind_each(self, &[resource_type], reading)?;
        Ok(BoundFilter::any_of(bound))
    }

    /// Resolves the names in each of several types, in order, for a query across them (RFC 7644
    /// §3.4.2.1).
    ///
    /// An attribute that one of the types does not have has no value there: every comparison with it
    /// is false, including `ne`, and `not` of such a comparison is true. An attribute that none of the
    /// types has is an error, as in [`bind`](Self::bind).
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_each(
        &self,
        resource_types: &[&ResourceType],
        reading: &mut Reading<'_>,
    ) -> Result<Vec<BoundFilter>> {
        bind::bind_each(self, resource_types, reading)
    }

    /// Checks that the filter may appear in a URL: it names no sensitive attribute of these types.
    ///
    /// # Errors
    /// `Sensitive`, naming the attribute.
    pub fn check_exposable(
        &self,
        resource_types: &[&ResourceType],
        reading: &mut Reading<'_>,
    ) -> Result<()> {
        sensitive::check_exposable(self, resource_types, reading)
    }

    /// Resolves the names inside the elements of one attribute, for the filter of a PATCH path.
    ///
    /// The elements of an attribute that is not complex are called `value`: `[value eq "x"]`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind) without the switch `unknownFilterAttributes`, which has no effect here.
    pub(crate) fn bind_element(
        &self,
        attribute: &Attribute,
        reading: &mut Reading<'_>,
    ) -> Result<BoundFilter> {
        bind::bind_element(self, attribute, reading)
    }

    /// The number of attribute expressions and value paths.
    fn terms(&self) -> usize {
        match self {
            Self::Compare { .. } | Self::Present(_) => 1,
            Self::ValuePath { filter, .. } => 1 + filter.terms(),
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::terms).sum(),
            Self::Not(part) => part.terms(),
        }
    }

    /// The terms of a filter that is one `eq` or a conjunction of them, in order: these are the values
    /// that an element must have to match. `None` for every other filter.
    pub(crate) fn equalities(&self) -> Option<Vec<(&AttributePath, &CompareValue)>> {
        match self {
            Self::Compare {
                path,
                op: CompareOp::Eq,
                value,
            } => Some(vec![(path, value)]),
            Self::And(parts) => {
                let terms: Option<Vec<_>> = parts.iter().map(Self::equalities).collect();
                terms.map(|terms| terms.into_iter().flatten().collect())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare { path, op, value } => write!(f, "{path} {op} {value}"),
            Self::Present(path) => write!(f, "{path} pr"),
            Self::ValuePath { path, filter } => write!(f, "{path}[{filter}]"),
            Self::And(parts) => write_parts(f, parts, " and "),
            Self::Or(parts) => write_parts(f, parts, " or "),
            Self::Not(part) => write!(f, "not ({part})"),
        }
    }
}

/// Writes the parts of an `And` or `Or`. A part that is itself an `And` or `Or` goes into brackets.
fn write_parts(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            f.write_str(word)?;
        }
        match part {
            Filter::And(_) | Filter::Or(_) => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for CompareValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

#[cfg(test)]
mod tests;
