//! The `path` of a PATCH operation (RFC 7644 §3.5.2, Figure 7).
//!
//! ```abnf
//! PATH = attrPath / valuePath [subAttr]
//! ```
//!
//! Like a filter, a path is read here without a schema. What its names mean is decided where the
//! operation is applied.

use std::fmt;

use crate::error::{Error, Result};
use crate::filter::{Filter, Parser};
use crate::name::{AttributeName, is_name_byte};
use crate::path::{AttributePath, is_path_byte};
use crate::profile::Reading;

/// What a PATCH operation points at.
///
/// **Shape**: `name.familyName`, `emails[type eq "work"].value`, `urn:…:User:manager.value`.
/// Without brackets, `attribute` includes the sub-attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PatchPath {
    /// The attribute.
    pub attribute: AttributePath,
    /// Which of its values, in brackets.
    pub value_filter: Option<Filter>,
    /// Which part of those values, after the brackets.
    pub sub_attribute: Option<AttributeName>,
}

impl PatchPath {
    /// Reads a path; blanks around it are ignored.
    ///
    /// # Errors
    /// `InvalidPath` with the byte offset when the text is not a path, such as one with an array
    /// position (`[0]`); `InvalidFilter` when the brackets of a path hold something that is not a
    /// filter.
    pub fn parse(text: &str, reading: &mut Reading<'_>) -> Result<Self> {
        let mut parser = Parser::new(text, "path", reading);
        parser
            .check_length()
            .map_err(|error| Error::invalid_path(error.detail()))?;
        parser.skip_blanks();
        let attribute = parser
            .take_as(is_path_byte, AttributePath::parse)
            .ok_or_else(|| {
                Error::invalid_path(parser.explain("an attribute path such as `name.familyName`"))
            })?;
        let value_filter = if parser.peek() == Some(b'[') {
            check_brackets(text, &parser)?;
            Some(parser.value_filter()?)
        } else {
            None
        };
        let sub_attribute = if value_filter.is_some() && parser.takes(b'.') {
            let name = parser.take_as(is_name_byte, AttributeName::parse);
            Some(name.ok_or_else(|| Error::invalid_path(parser.explain("a sub-attribute")))?)
        } else {
            None
        };
        parser.skip_blanks();
        match parser.peek() {
            None => Ok(Self {
                attribute,
                value_filter,
                sub_attribute,
            }),
            Some(_) => Err(Error::invalid_path(
                parser.explain("the end, or `.` and a sub-attribute after `]`"),
            )),
        }
    }
}

/// Refuses brackets that cannot hold a filter: empty, with an array position, or never closed.
fn check_brackets(text: &str, parser: &Parser<'_, '_, '_>) -> Result<()> {
    let inner = text.split_once('[').map_or("", |(_, rest)| rest);
    let closed = inner.split_once(']').map(|(content, _)| content.trim());
    let is_position = |content: &str| content.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    match closed {
        Some(content) if !is_position(content) => Ok(()),
        _ => Err(Error::invalid_path(
            parser.explain("a filter in brackets, such as `[type eq \"work\"]`"),
        )),
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attribute)?;
        if let Some(filter) = &self.value_filter {
            write!(f, "[{filter}]")?;
        }
        match &self.sub_attribute {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::profile::{Profile, Rules};

    fn parse(text: &str) -> Result<PatchPath> {
        let rules = Rules {
            profile: Profile::Strict,
            ..Rules::default()
        };
        PatchPath::parse(text, &mut Reading::new(&rules))
    }

    #[test]
    fn paths_split_into_attribute_filter_and_sub_attribute() {
        let check = |text: &str, attribute: &str, filter: Option<&str>, sub: Option<&str>| {
            let path = parse(text).unwrap();
            assert_eq!(path.attribute.as_str(), attribute, "{text}");
            let found = path.value_filter.as_ref().map(ToString::to_string);
            assert_eq!(found.as_deref(), filter, "{text}");
            let found = path.sub_attribute.as_ref().map(AttributeName::as_str);
            assert_eq!(found, sub, "{text}");
            assert_eq!(parse(&path.to_string()).unwrap(), path);
        };
        check("userName", "userName", None, None);
        check(" name.familyName ", "name.familyName", None, None);
        check(
            r#"emails[type eq "work"]"#,
            "emails",
            Some(r#"type eq "work""#),
            None,
        );
        check(
            r#"emails[type eq "work" and value co "]"].value"#,
            "emails",
            Some(r#"type eq "work" and value co "]""#),
            Some("value"),
        );
        check(
            r#"members[value eq"2819"]"#,
            "members",
            Some(r#"value eq "2819""#),
            None,
        );
        check(
            "addresses[ primary eq true ].$ref",
            "addresses",
            Some("primary eq true"),
            Some("$ref"),
        );
        let user = "urn:ietf:params:scim:schemas:core:2.0:User";
        check(
            &format!(r#"{user}:emails[type eq "work"].value"#),
            &format!("{user}:emails"),
            Some(r#"type eq "work""#),
            Some("value"),
        );
        check(user, user, None, None);
    }

    #[test]
    fn texts_that_are_not_paths_are_invalid_paths() {
        for text in [
            "",
            " ",
            "a..b",
            "a.b.c",
            "a.",
            ".a",
            "1a",
            "/emails/0/value",
            "emails[0]",
            "emails[0].value",
            "emails[-1]",
            "emails[]",
            "emails[ ]",
            r#"emails[type eq "work""#,
            r#"emails[type eq "work"].""#,
            r#"emails[type eq "work"].a.b"#,
            r#"emails[type eq "work"]value"#,
            r#"emails[type eq "work"] .value"#,
            r#"emails[type eq "work"][type eq "home"]"#,
            "name familyName",
            "naïve",
            &"a".repeat(9_000),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidPath, "{text}: {error}");
        }
    }

    #[test]
    fn a_bad_filter_in_brackets_is_an_invalid_filter() {
        for text in [
            "emails[type]",
            "emails[type eq]",
            "emails[type eq work]",
            r#"emails[type is "work"]"#,
            r#"emails[a[b eq 1]]"#,
            r#"emails[type eq "work" and].value"#,
            r#"emails[(type eq "work"].value"#,
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidFilter, "{text}: {error}");
        }
        assert_eq!(
            parse("emails[type is 1]").unwrap_err().detail(),
            "At byte 12 of the path: expected an operator (eq, ne, co, sw, ew, gt, ge, lt, le or pr), \
             found `is 1]`"
        );
    }

    #[test]
    fn bare_words_need_the_default_profile() {
        let rules = Rules::default();
        let path = PatchPath::parse("emails[type eq work].value", &mut Reading::new(&rules));
        assert_eq!(path.unwrap().to_string(), r#"emails[type eq "work"].value"#);
    }
}
