//! The ids of resources (RFC 7643 §3.1).

use std::fmt;

/// A text that can be the `id` of a resource: 1 to 256 bytes.
///
/// A key can be made of it. Whether such a resource exists is not known here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    const MAX_BYTES: usize = 256;

    /// Reads an id; `None` if no resource can have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text.to_owned()).ok()
    }

    /// Takes an id, or returns the text if no resource can have it.
    ///
    /// # Errors
    /// The text.
    pub fn of(text: String) -> Result<Self, String> {
        match (1..=Self::MAX_BYTES).contains(&text.len()) {
            true => Ok(Self(text)),
            false => Err(text),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_up_to_256_bytes() {
        let check = |text: &str, expected: bool| {
            let id = ResourceId::parse(text);
            assert_eq!(id.is_some(), expected, "{text}");
            assert!(id.is_none_or(|id| id.as_str() == text && id.to_string() == text));
        };
        check("2819c223-7f76-453a-919d-413861904646", true);
        check("a", true);
        check("", false);
        check(&"é".repeat(128), true);
        check(&format!("{}a", "é".repeat(128)), false);
    }
}
