//! The attribute that a path leads to in a resource type.

use std::fmt;

use super::Extension;
use super::attribute::Attribute;

/// The attribute or sub-attribute that a path leads to in a resource type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributeTarget<'r> {
    /// The extension whose container holds the attribute; `None` for core and common attributes.
    pub(crate) extension: Option<&'r Extension>,
    /// The attribute; `None` when the path is the bare URN of an extension, which means all of it.
    pub(crate) attribute: Option<&'r Attribute>,
    /// The sub-attribute, when the path names one.
    pub(crate) sub_attribute: Option<&'r Attribute>,
}

impl<'r> AttributeTarget<'r> {
    /// The definition of the last name in the path: of the sub-attribute, or else of the attribute.
    pub(crate) fn leaf(&self) -> Option<&'r Attribute> {
        self.sub_attribute.or(self.attribute)
    }
}

impl fmt::Display for AttributeTarget<'_> {
    /// Writes the full name: `urn:…:attribute.sub`, without URN for core attributes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(extension) = self.extension {
            f.write_str(&extension.schema.id)?;
        }
        if let Some(attribute) = self.attribute {
            let separator = if self.extension.is_some() { ":" } else { "" };
            write!(f, "{separator}{}", attribute.name)?;
        }
        match self.sub_attribute {
            Some(sub) => write!(f, ".{}", sub.name),
            None => Ok(()),
        }
    }
}
