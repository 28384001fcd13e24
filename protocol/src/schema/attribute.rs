//! An attribute's definition: the characteristics of RFC 7643 §2.2 and §7.

use crate::name::AttributeName;

/// The definition of one attribute or sub-attribute.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// The name in the spelling that answers use.
    pub name: AttributeName,
    /// The data type (RFC 7643 §2.3).
    pub kind: DataType,
    /// Whether the value is an array.
    pub multi_valued: bool,
    /// Whether a resource must have a value.
    pub required: bool,
    /// Suggested values. RFC 7643 §7 allows a provider to restrict values to them; this one does not.
    pub canonical_values: Vec<String>,
    /// Whether comparisons consider case.
    pub case_exact: bool,
    /// Who may write the attribute, and when.
    pub mutability: Mutability,
    /// When answers show the attribute.
    pub returned: Returned,
    /// Whether two resources may share a value.
    pub uniqueness: Uniqueness,
    /// The targets that a reference may have: names of resource types, `external` or `uri`.
    pub reference_types: Vec<String>,
    /// The sub-attributes of a complex attribute; empty for other types.
    pub sub_attributes: Vec<Attribute>,
    /// Whether queries have an index on it (the keyword `indexed` of this service in a registered
    /// schema).
    pub indexed: bool,
    /// Whether a filter on it must not appear in a URL (the keyword `sensitive` of this service; RFC
    /// 7644 §7.5.2).
    pub sensitive: bool,
}

impl Attribute {
    /// The sub-attribute of that name, in any case.
    #[must_use]
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        self.sub_attributes.iter().find(|sub| sub.name == name)
    }

    /// The name in the spelling that answers use.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Whether the value is an object, or an array of objects.
    #[must_use]
    pub fn is_complex(&self) -> bool {
        self.kind == DataType::Complex
    }

    /// Whether answers show the value if the request does not name the attribute. A client does not
    /// know a value that is not shown, so a PUT that leaves it out does not clear it.
    pub(crate) fn is_shown_by_default(&self) -> bool {
        self.mutability != Mutability::WriteOnly
            && matches!(self.returned, Returned::Always | Returned::Default)
    }
}

/// A data type (RFC 7643 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Unicode text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A JSON number.
    Decimal,
    /// A JSON number without fraction and exponent.
    Integer,
    /// An `xsd:dateTime`.
    DateTime,
    /// Base64 text.
    Binary,
    /// A URI.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

impl DataType {
    pub(super) const ALL: [(&'static str, Self); 9] = [
        ("string", Self::String),
        ("boolean", Self::Boolean),
        ("decimal", Self::Decimal),
        ("integer", Self::Integer),
        ("dateTime", Self::DateTime),
        ("binary", Self::Binary),
        ("reference", Self::Reference),
        ("complex", Self::Complex),
        // The name in the schemas of RFC 9944.
        ("bool", Self::Boolean),
    ];

    /// The name in schemas, such as `dateTime`.
    #[must_use]
    pub fn name(self) -> &'static str {
        keyword(&Self::ALL, self)
    }
}

/// How the values of an attribute are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Collation {
    /// The data type.
    pub(crate) kind: DataType,
    /// Whether case counts; it matters for strings only.
    pub(crate) case_exact: bool,
}

impl From<&Attribute> for Collation {
    fn from(attribute: &Attribute) -> Self {
        Self {
            kind: attribute.kind,
            case_exact: attribute.case_exact,
        }
    }
}

/// Who may write an attribute, and when (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutability {
    /// Only the service.
    ReadOnly,
    /// The client, at any time.
    ReadWrite,
    /// The client, once.
    Immutable,
    /// The client, at any time; it is never read.
    WriteOnly,
}

impl Mutability {
    pub(super) const ALL: [(&'static str, Self); 4] = [
        ("readOnly", Self::ReadOnly),
        ("readWrite", Self::ReadWrite),
        ("immutable", Self::Immutable),
        ("writeOnly", Self::WriteOnly),
    ];

    /// The name in schemas, such as `readWrite`.
    #[must_use]
    pub fn name(self) -> &'static str {
        keyword(&Self::ALL, self)
    }
}

/// When answers show an attribute (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Returned {
    /// In every answer, whatever the request names.
    Always,
    /// In no answer.
    Never,
    /// Unless the request excludes it or names others.
    Default,
    /// Only when the request names it, or has just written it.
    Request,
}

impl Returned {
    pub(super) const ALL: [(&'static str, Self); 4] = [
        ("always", Self::Always),
        ("never", Self::Never),
        ("default", Self::Default),
        ("request", Self::Request),
    ];
}

/// Whether two resources may share a value (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Uniqueness {
    /// They may.
    None,
    /// Not inside one tenant.
    Server,
    /// Nowhere. It is enforced inside one tenant, since this service knows no other provider's values.
    Global,
}

impl Uniqueness {
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("server", Self::Server),
        ("global", Self::Global),
        // RFC 9944: unique for one maker or one enterprise, which this service does not know.
        ("manufacturer", Self::None),
        ("enterprise", Self::None),
    ];
}

/// The first keyword of a value in one of the tables above.
pub(super) fn keyword<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table
        .iter()
        .find(|(_, entry)| *entry == value)
        .map_or("", |(name, _)| name)
}
