//! Attribute names, which compare without case everywhere (RFC 7643 §2.1).

use std::fmt;
use std::hash::{Hash, Hasher};

/// An attribute or sub-attribute name, equal to every spelling that differs only in ASCII case.
///
/// **Shape**: `ATTRNAME = ALPHA *("$" / "-" / "_" / DIGIT / ALPHA)` (RFC 7643 §2.1), and `$ref`,
/// the one published name that begins with `$`.
#[derive(Clone)]
pub struct AttributeName(Box<str>);

impl AttributeName {
    /// Reads a name and keeps its spelling; `None` if the text is not an `ATTRNAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_attribute_name(text).then(|| Self(text.into()))
    }

    /// The name in its original spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` has the form of an attribute name.
pub(crate) fn is_attribute_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'$');
    first && text.len() > usize::from(text.starts_with('$')) && bytes.all(is_name_byte)
}

/// Whether a byte may appear in an attribute name after its first character.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'-' | b'_')
}

impl PartialEq for AttributeName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for AttributeName {}

impl PartialEq<str> for AttributeName {
    fn eq(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

impl PartialEq<&str> for AttributeName {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl Hash for AttributeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for good in ["userName", "a", "x-1_$", "$ref"] {
            assert!(is_attribute_name(good), "{good}");
        }
        for bad in ["", "$", "1a", "-a", "a.b", "a b", "naïve", "a:b"] {
            assert!(!is_attribute_name(bad), "{bad}");
        }
    }

    #[test]
    fn names_compare_without_case() {
        assert_eq!(
            AttributeName::parse("userName"),
            AttributeName::parse("USERNAME")
        );
        assert!(AttributeName::parse("emails").is_some_and(|name| name == "eMails"));
    }
}
