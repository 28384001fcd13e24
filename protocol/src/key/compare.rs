//! The operators that compare values by their keys (RFC 7644 §3.4.2.2, Table 3).

use std::fmt;

use super::Key;

/// A comparison operator (RFC 7644 §3.4.2.2, Table 3, without `pr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

impl CompareOp {
    /// Every operator with its name in filters.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Eq, "eq"),
        (Self::Ne, "ne"),
        (Self::Co, "co"),
        (Self::Sw, "sw"),
        (Self::Ew, "ew"),
        (Self::Gt, "gt"),
        (Self::Ge, "ge"),
        (Self::Lt, "lt"),
        (Self::Le, "le"),
    ];

    /// The name in filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether the comparison of a value, or of no value, with an operand is true.
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
    pub(crate) fn is_equality(self) -> bool {
        matches!(self, Self::Eq | Self::Ne)
    }

    /// Whether it compares by order.
    pub(crate) fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }
}

impl fmt::Display for CompareOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
