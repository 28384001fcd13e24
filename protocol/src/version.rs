//! Entity tags and the conditions that name them (RFC 7644 §3.14, RFC 9110 §8.8.3 and §13.1).
//!
//! Every tag is weak: one version of a resource has as many bodies as there are projections. A weak
//! tag never satisfies `If-Match` by the letter of RFC 9110, yet RFC 7644 shows exactly that, so
//! only what stands between the quotes is compared.

use std::fmt;

use crate::error::{Error, Result};

/// The version of a resource; displays as the weak tag `W/"…"` of `meta.version` and `ETag`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

impl Version {
    /// The version with this opaque part, which holds no quote and no control character.
    #[must_use]
    pub fn new(opaque: impl Into<String>) -> Self {
        let opaque = opaque.into();
        debug_assert!(
            opaque.bytes().all(is_tag_byte),
            "{opaque:?} breaks out of its quotes"
        );
        Self(opaque)
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W/\"{}\"", self.0)
    }
}

/// The conditions under which a request is to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// How a read goes on once its condition is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Answer with the representation.
    Representation,
    /// The client has it already: 304 without a body.
    NotModified,
}

/// The field value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Listed(Vec<String>),
}

impl Precondition {
    /// Takes the two header values as they came; several lines of one header are joined by commas.
    ///
    /// **Shape**: `*`, or a list of `W/"x"`, `"x"` or, because clients forget the quotes, `x`.
    /// Whatever else stands there is a tag that no version has.
    #[must_use]
    pub fn parse(if_match: Option<&str>, if_none_match: Option<&str>) -> Self {
        Self {
            if_match: if_match.map(Tags::parse),
            if_none_match: if_none_match.map(Tags::parse),
        }
    }

    /// Whether the request names no condition.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Whether `If-Match` is there, so that a version conflict must not be resolved by trying again.
    #[must_use]
    pub fn has_if_match(&self) -> bool {
        self.if_match.is_some()
    }

    /// Checks a read of a resource that has this version now.
    ///
    /// # Errors
    /// `VersionMismatch` when `If-Match` does not hold.
    pub fn check_read(&self, current: &Version) -> Result<Read> {
        self.check_if_match(current)?;
        let known = self
            .if_none_match
            .as_ref()
            .is_some_and(|tags| tags.contain(current));
        Ok(if known {
            Read::NotModified
        } else {
            Read::Representation
        })
    }

    /// Checks a PUT, PATCH or DELETE of a resource that has this version now.
    ///
    /// # Errors
    /// `VersionMismatch` when `If-Match` or `If-None-Match` does not hold.
    pub fn check_write(&self, current: &Version) -> Result<()> {
        self.check_if_match(current)?;
        match &self.if_none_match {
            Some(tags) if tags.contain(current) => Err(Error::version_mismatch(format!(
                "The resource exists with version {current}, which `If-None-Match` excludes"
            ))),
            _ => Ok(()),
        }
    }

    fn check_if_match(&self, current: &Version) -> Result<()> {
        match &self.if_match {
            Some(tags) if !tags.contain(current) => Err(Error::version_mismatch(format!(
                "The resource has version {current}, which `If-Match` does not name"
            ))),
            _ => Ok(()),
        }
    }
}

impl Tags {
    fn parse(text: &str) -> Self {
        let text = text.trim_ascii();
        if text == "*" {
            return Self::Any;
        }
        let mut tags = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (tag, after) = split_tag(rest);
            tags.extend((!tag.is_empty()).then(|| tag.to_owned()));
            rest = after;
        }
        Self::Listed(tags)
    }

    fn contain(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.contains(&version.0),
        }
    }
}

/// Splits the first tag's opaque part from a non-empty list; a comma inside quotes does not separate.
fn split_tag(list: &str) -> (&str, &str) {
    let list = list.trim_ascii_start();
    let tag = list
        .strip_prefix("W/")
        .or_else(|| list.strip_prefix("w/"))
        .unwrap_or(list);
    let quoted = tag.strip_prefix('"').and_then(|tag| tag.split_once('"'));
    if let Some((opaque, after)) = quoted {
        let after = after.split_once(',').map_or("", |(_, after)| after);
        return (opaque, after);
    }
    let (opaque, after) = tag.split_once(',').unwrap_or((tag, ""));
    (opaque.trim_ascii(), after)
}

/// `etagc` of RFC 9110 §8.8.3 without the obsolete bytes above ASCII.
fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_weak_tag() {
        assert_eq!(Version::new("7-2").to_string(), "W/\"7-2\"");
    }

    #[test]
    fn if_match_compares_what_stands_between_the_quotes() {
        let current = Version::new("a");
        let check = |header: &str, holds: bool| {
            let condition = Precondition::parse(Some(header), None);
            assert_eq!(condition.check_write(&current).is_ok(), holds, "{header}");
            assert_eq!(condition.check_read(&current).is_ok(), holds, "{header}");
        };
        check("*", true);
        check("W/\"a\"", true);
        check("\"a\"", true);
        check("w/\"a\"", true);
        check("a", true);
        check("\"x\", W/\"a\"", true);
        check("\"x\",,\"a\"", true);
        check("x, a", true);
        check("\"A\"", false);
        check("\"x,a\"", false);
        check("\"x", false);
        check("", false);
        check("W/", false);
    }

    #[test]
    fn if_none_match_answers_304_to_reads_and_412_to_writes() {
        let current = Version::new("a");
        let check = |header: &str, known: bool| {
            let condition = Precondition::parse(None, Some(header));
            let read = if known {
                Read::NotModified
            } else {
                Read::Representation
            };
            assert_eq!(condition.check_read(&current).unwrap(), read, "{header}");
            assert_eq!(condition.check_write(&current).is_err(), known, "{header}");
        };
        check("*", true);
        check("W/\"a\"", true);
        check("\"b\", \"a\"", true);
        check("W/\"b\"", false);
        check("", false);
    }

    #[test]
    fn no_header_is_no_condition() {
        let condition = Precondition::parse(None, None);
        assert!(condition.is_none());
        assert!(condition.check_write(&Version::new("a")).is_ok());
    }
}
