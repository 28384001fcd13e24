//! Checks types and patterns of a reader that follows the feeds of many tenants.
//!
//! Such a reader may name types of resources that some tenant registers later, so only their form is known. What
//! can happen to a resource is the same for all types: a mistake in that part is found.

use std::collections::BTreeSet;

use super::event::{EventType, EventVerb};
use super::wanted::{ABOUT_THE_TENANT, MAX_PATTERNS};
use crate::protocol::error::{Error, Result, excerpt};
use crate::protocol::schema::Registry;

/// The pattern of every type.
pub const EVERY_TYPE: &str = "*";
/// The longest type or pattern, in bytes.
const MAX_BYTES: usize = 128;

/// Checks the types and patterns that a reader lists, and returns the names of resource types in them that are
/// not built in.
///
/// # Errors
/// `InvalidValue` for more than 50, and for one that no event of any tenant can match.
pub fn check(patterns: &[String]) -> Result<BTreeSet<&str>> {
    if patterns.len() > MAX_PATTERNS {
        return Err(Error::invalid_value(format!(
            "At most {MAX_PATTERNS} types of events can be named, not {}",
            patterns.len()
        )));
    }
    let mut registered = BTreeSet::new();
    for pattern in patterns {
        let subject = subject_of(pattern).ok_or_else(|| no_such_pattern(pattern))?;
        registered.extend(subject.filter(|name| !is_built_in(name)));
    }
    Ok(registered)
}

/// The resource type that a pattern names, if it names one. `None` for what is no pattern.
fn subject_of(pattern: &str) -> Option<Option<&str>> {
    if pattern == EVERY_TYPE || ABOUT_THE_TENANT.iter().any(|name| is_match(pattern, name)) {
        return Some(None);
    }
    let (subject, rest) = pattern.split_once('.')?;
    let fits =
        |c: char| !c.is_whitespace() && !c.is_control() && !c.is_uppercase() && !"*,".contains(c);
    let is_subject = !subject.is_empty() && subject.chars().all(fits) && pattern.len() <= MAX_BYTES;
    let mut verbs = EventVerb::ALL
        .into_iter()
        .map(|verb| EventType::of("", verb));
    let is_verb = rest == "*" || verbs.any(|verb| is_match(&format!(".{rest}"), verb.as_str()));
    (is_subject && is_verb).then_some(Some(subject))
}

/// Whether a pattern is this type, or a part of it up to a dot and a star.
fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(beginning) => name
            .strip_prefix(beginning)
            .is_some_and(|rest| rest.starts_with('.')),
        None => pattern == name,
    }
}

fn is_built_in(subject: &str) -> bool {
    let mut types = Registry::builtin().resource_types().iter();
    types.any(|resource_type| resource_type.name.to_lowercase() == subject)
}

fn no_such_pattern(pattern: &str) -> Error {
    let verbs = EventVerb::ALL
        .into_iter()
        .map(|verb| EventType::of("", verb));
    let verbs: Vec<String> = verbs.map(|verb| verb.as_str()[1..].to_owned()).collect();
    Error::invalid_value(format!(
        "`{}` is no type of event. A type is that of a resource in lower case, a dot, and one of {}, or one of {}. \
         A pattern has `*` for what follows a dot, as in `user.*` and `group.member.*`; `*` alone stands for all",
        excerpt(pattern),
        verbs.join(", "),
        ABOUT_THE_TENANT.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(list: &[&str]) -> Result<Vec<String>> {
        let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
        check(&list).map(|names| names.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn types_and_patterns_of_any_tenant_are_taken() {
        let built_in = [
            "*",
            "user.*",
            "user.created",
            "group.member.*",
            "group.member.added",
            "feed.gap",
            "feed.*",
            "tenant.brake",
            "tenant.*",
            "tenant.suspended",
        ];
        assert_eq!(checked(&built_in).unwrap(), [""; 0]);
        assert_eq!(
            checked(&["badge.*", "badge.deleted", "größe.created"]).unwrap(),
            ["badge", "größe"]
        );
    }

    #[test]
    fn what_can_match_no_event_is_refused_with_what_can() {
        for pattern in [
            "",
            "user",
            "user*",
            "user.creatd",
            "User.*",
            ".*",
            ".created",
            "user.member",
            "user.cr*",
            "us er.*",
            "**",
            "*.created",
            "a,b.*",
            "user.created.*",
        ] {
            let error = checked(&["user.*", pattern]).unwrap_err();
            let detail = error.detail();
            assert!(
                detail.starts_with(&format!("`{pattern}` is no type")),
                "{detail}"
            );
            assert!(detail.contains("created, updated"), "{detail}");
        }
        let long = format!("{}.*", "a".repeat(MAX_BYTES));
        assert!(checked(&[&long]).is_err());
        let many = vec!["user.*"; MAX_PATTERNS + 1];
        assert!(checked(&many).unwrap_err().detail().contains("not 51"));
    }
}
