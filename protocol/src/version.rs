//! Entity tags and the conditions that name them (RFC 7644 §3.14, RFC 9110 §8.8.3 and §13.1).
//!
//! Every tag is weak, because one version of a resource has a different body for each projection. By
//! the letter of RFC 9110 a weak tag never satisfies `If-Match`, yet in the examples of RFC 7644 it
//! does. So only the text between the quotes is compared.
//!
//! An answer may show more than the stored resource: the groups of a user, or the names of a group's
//! members. Then the tag has a suffix, which is a hash of those additions. `If-None-Match` of a read
//! compares the whole tag, because 304 promises the client that nothing in the answer has changed.
//! Every condition of a write, and `If-Match` of a read, compares the first part only: it asks whether
//! the stored resource itself has changed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Separates the two parts of a tag. The first part never holds it.
const SUFFIX: char = '-';

/// The number of bytes of the hash that becomes the suffix of a tag.
const HASH_BYTES: usize = 9;

/// The version of a resource; displays as the weak tag `W/"…"` of `meta.version` and `ETag`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// The version of the stored resource.
    stored: String,
    /// A hash of what the answer shows beside it, if it shows anything.
    shown: Option<String>,
}

impl Version {
    /// The version of a stored resource. `opaque` holds no quote, no `-` and no control character.
    #[must_use]
    pub fn new(opaque: impl Into<String>) -> Self {
        let stored = opaque.into();
        debug_assert!(
            stored.bytes().all(is_tag_byte) && !stored.contains(SUFFIX),
            "{stored:?} cannot be the first part of a tag"
        );
        Self {
            stored,
            shown: None,
        }
    }

    /// The version that a tag names, such as the `meta.version` of an answer: `W/"3-x"`, `"3"` or `3`.
    #[must_use]
    pub fn of_tag(tag: &str) -> Self {
        let (opaque, _) = split_tag(tag);
        match opaque.split_once(SUFFIX) {
            Some((stored, shown)) => Self {
                stored: stored.to_owned(),
                shown: Some(shown.to_owned()),
            },
            None => Self {
                stored: opaque.to_owned(),
                shown: None,
            },
        }
    }

    /// The version of an answer that shows `text` beside the stored resource.
    #[must_use]
    pub fn showing(&self, text: &str) -> Self {
        let mut hash = Sha256::new();
        if let Some(shown) = &self.shown {
            hash.update(shown);
        }
        hash.update(text);
        let hash = hash.finalize();
        let short = hash.get(..HASH_BYTES).unwrap_or(&hash);
        Self {
            stored: self.stored.clone(),
            shown: Some(URL_SAFE_NO_PAD.encode(short)),
        }
    }

    /// The version of the stored resource alone.
    #[must_use]
    pub fn stored(&self) -> Self {
        Self {
            stored: self.stored.clone(),
            shown: None,
        }
    }

    /// Whether a tag's opaque part names the stored resource in this version, whatever its suffix is.
    fn is_stored(&self, opaque: &str) -> bool {
        opaque.split(SUFFIX).next() == Some(&self.stored)
    }

    /// Whether a tag's opaque part names exactly this version.
    fn is_whole(&self, opaque: &str) -> bool {
        let (stored, shown) = match opaque.split_once(SUFFIX) {
            Some((stored, shown)) => (stored, Some(shown)),
            None => (opaque, None),
        };
        stored == self.stored && shown == self.shown.as_deref()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(shown) => write!(f, "W/\"{}{SUFFIX}{shown}\"", self.stored),
            None => write!(f, "W/\"{}\"", self.stored),
        }
    }
}

/// The conditions of a request: it is carried out only if they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// How a read continues after its condition was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadDecision {
    /// Answer with the representation.
    Representation,
    /// The client's copy is current: answer 304 without a body.
    NotModified,
}

/// The field value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Listed(Vec<String>),
}

impl Precondition {
    /// Reads the two header values; several lines of one header are joined by commas.
    ///
    /// **Shape**: `*`, or a list of `W/"x"`, `"x"` or, because clients forget the quotes, `x`. Any
    /// other text is read as a tag that no version has.
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

    /// Whether the request has `If-Match`. Then a version conflict is an error, and the write must not
    /// be tried again.
    #[must_use]
    pub fn has_if_match(&self) -> bool {
        self.if_match.is_some()
    }

    /// The same conditions without `If-None-Match`, for a read that does not know its whole answer
    /// yet.
    #[must_use]
    pub fn without_if_none_match(&self) -> Self {
        Self {
            if_match: self.if_match.clone(),
            if_none_match: None,
        }
    }

    /// Checks a read whose answer has this version. `If-None-Match` compares the whole tag, `If-Match`
    /// the part of the stored resource.
    ///
    /// # Errors
    /// `VersionMismatch` when `If-Match` does not hold.
    pub fn check_read(&self, current: &Version) -> Result<ReadDecision> {
        self.check_if_match(current)?;
        let known = self
            .if_none_match
            .as_ref()
            .is_some_and(|tags| tags.any(|tag| current.is_whole(tag)));
        Ok(if known {
            ReadDecision::NotModified
        } else {
            ReadDecision::Representation
        })
    }

    /// Checks a PUT, PATCH or DELETE of a resource whose version is now `current`. Only the part of
    /// the stored resource is compared.
    ///
    /// # Errors
    /// `VersionMismatch` when `If-Match` or `If-None-Match` does not hold.
    pub fn check_write(&self, current: &Version) -> Result<()> {
        self.check_if_match(current)?;
        match &self.if_none_match {
            Some(tags) if tags.any(|tag| current.is_stored(tag)) => {
                Err(Error::version_mismatch(format!(
                    "The resource exists with version {current}, which `If-None-Match` excludes"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Checks `If-Match` alone.
    ///
    /// # Errors
    /// `VersionMismatch`.
    pub fn check_if_match(&self, current: &Version) -> Result<()> {
        match &self.if_match {
            Some(tags) if !tags.any(|tag| current.is_stored(tag)) => Err(Error::version_mismatch(
                format!("The resource has version {current}, which `If-Match` does not name"),
            )),
            _ => Ok(()),
        }
    }
}

/// The error of a write whose `If-Match` held when the resource was read, but not when it was written,
/// because another request had changed the resource in between.
#[must_use]
pub fn changed_since_read() -> Error {
    Error::version_mismatch("The resource has changed since it was read")
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

    /// Whether `is_such` holds for one of the opaque parts. For `*` it holds always.
    fn any(&self, is_such: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| is_such(tag)),
        }
    }
}

/// Splits the first tag's opaque part from a non-empty list. A comma inside quotes does not separate.
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
        assert_eq!(Version::new("7.2").to_string(), "W/\"7.2\"");
    }

    #[test]
    fn attributes_beside_the_stored_resource_give_a_suffix() {
        let stored = Version::new("7.2");
        let (one, other) = (stored.showing("one"), stored.showing("other"));
        assert_eq!(one.to_string(), "W/\"7.2-dpLDrTVAu4A8\"");
        assert_eq!(Version::of_tag(&one.to_string()), one);
        assert_eq!(Version::of_tag("7.2"), stored);
        assert_eq!(
            (one.stored(), one.showing("other") == other),
            (stored, false)
        );
    }

    #[test]
    fn only_if_none_match_of_a_read_compares_the_suffix() {
        let stored = Version::new("7");
        let (shown, changed) = (stored.showing("one"), stored.showing("other"));
        let newer = Version::new("8").showing("one");
        let check = |tag: &Version, current: &Version, is_known: bool, is_stored: bool| {
            let tag = format!("\"x\", {tag}");
            let condition = Precondition::parse(None, Some(&tag));
            let read = condition.check_read(current).unwrap() == ReadDecision::NotModified;
            assert_eq!(read, is_known, "{tag} of {current}");
            assert_eq!(condition.check_write(current).is_err(), is_stored);
            let condition = Precondition::parse(Some(&tag), None);
            assert_eq!(condition.check_read(current).is_ok(), is_stored);
            assert_eq!(condition.check_write(current).is_ok(), is_stored);
        };
        check(&shown, &shown, true, true);
        check(&shown, &changed, false, true);
        check(&shown, &stored, false, true);
        check(&stored, &shown, false, true);
        check(&shown, &newer, false, false);
        // A first part that only begins alike is another version.
        check(&Version::new("7.1"), &stored, false, false);
    }

    #[test]
    fn if_match_compares_the_text_between_the_quotes() {
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
                ReadDecision::NotModified
            } else {
                ReadDecision::Representation
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
