//! The filter that plans are made from and that decides what matches.

use super::CompareOp;
use crate::key::Key;
use crate::schema::BoundPath;

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
}
