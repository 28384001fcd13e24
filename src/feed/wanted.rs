//! Which events a reader wants.

use std::collections::BTreeSet;

use super::event::{EventType, EventVerb};
use crate::protocol::error::{Error, Result, excerpt};
use crate::protocol::schema::Registry;

/// The largest number of types and patterns in one list.
pub(super) const MAX_PATTERNS: usize = 50;

/// The types that not every type of resource has. Readers get those of the feed itself whatever else they
/// want: without them they would not notice that changes are missing.
pub(super) const ABOUT_THE_TENANT: [&str; 9] = [
    EventType::FEED_STARTED,
    EventType::FEED_GAP,
    EventType::FEED_IDLE,
    EventType::TENANT_BRAKE,
    EventType::TENANT_SUSPENDED,
    EventType::TENANT_RESUMED,
    EventType::CREDENTIAL_EXPIRING,
    EventType::WEBHOOK_FAILED,
    EventType::USER_PROTECTED,
];

/// What happens to the members of a group.
const MEMBER_VERBS: [EventVerb; 2] = [EventVerb::MemberAdded, EventVerb::MemberRemoved];

/// The events that a reader wants: all, or those of some types.
///
/// **Shape**: types such as `user.created`, and patterns such as `user.*`, `group.member.*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The types and patterns; none for every type.
    patterns: Vec<String>,
}

impl Wanted {
    /// Reads the types and patterns that a reader of one tenant's feed lists. An empty list stands for all
    /// types.
    ///
    /// # Errors
    /// `InvalidValue` for more than `MAX_PATTERNS`, and for one that no event of the tenant can match.
    pub fn parse<'t>(list: impl IntoIterator<Item = &'t str>, registry: &Registry) -> Result<Self> {
        let patterns: Vec<&str> = list.into_iter().collect();
        if patterns.len() > MAX_PATTERNS {
            return Err(Error::invalid_value(format!(
                "At most {MAX_PATTERNS} types of events can be named, not {}",
                patterns.len()
            )));
        }
        let known = types_of(registry);
        let mut unknown = patterns
            .iter()
            .filter(|pattern| !known.iter().any(|name| is_match(pattern, name)));
        if let Some(pattern) = unknown.next() {
            return Err(no_such_type(pattern, &known));
        }
        Ok(Self::of(patterns))
    }

    /// The events of types that match one of these patterns. An empty list stands for all types. A pattern
    /// that no type matches brings no events.
    #[must_use]
    pub fn of<T: Into<String>>(patterns: impl IntoIterator<Item = T>) -> Self {
        Self {
            patterns: patterns.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether the reader gets events of this type.
    ///
    /// Readers get those about the feed itself in any case. A reader that wants to know the members of groups
    /// also gets the deletions of groups, which end memberships without an event for each.
    #[must_use]
    pub fn takes(&self, event_type: &EventType) -> bool {
        let name = event_type.as_str();
        let matches = |name: &str| self.patterns.iter().any(|pattern| is_match(pattern, name));
        let ends_wanted_members = || {
            let group = name.strip_suffix(".deleted");
            group.is_some_and(|group| {
                MEMBER_VERBS
                    .iter()
                    .any(|verb| matches(EventType::of(group, *verb).as_str()))
            })
        };
        event_type.is_of_feed()
            || self.patterns.is_empty()
            || matches(name)
            || ends_wanted_members()
    }
}

/// Every type that an event of the tenant can have.
fn types_of(registry: &Registry) -> BTreeSet<String> {
    let of_resources = registry.resource_types().iter().flat_map(|resource_type| {
        let verbs = EventVerb::ALL.into_iter();
        verbs.map(|verb| EventType::of(&resource_type.name, verb).as_str().to_owned())
    });
    let of_tenant = ABOUT_THE_TENANT.into_iter().map(str::to_owned);
    of_resources.chain(of_tenant).collect()
}

fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(beginning) => beginning.ends_with('.') && name.starts_with(beginning),
        None => pattern == name,
    }
}

fn no_such_type(pattern: &str, known: &BTreeSet<String>) -> Error {
    let subjects: BTreeSet<_> = known
        .iter()
        .filter_map(|name| Some(format!("{}.*", name.split_once('.')?.0)))
        .collect();
    let subjects: Vec<_> = subjects.into_iter().take(MAX_PATTERNS).collect();
    Error::invalid_value(format!(
        "`{}` is no type of event and matches none; patterns that match are {}",
        excerpt(pattern),
        subjects.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(list: &[&str]) -> Result<Wanted> {
        Wanted::parse(list.iter().copied(), Registry::builtin())
    }

    fn takes(list: &[&str], name: &str) -> bool {
        wanted(list).unwrap().takes(&EventType::named(name))
    }

    #[test]
    fn patterns_take_what_begins_like_them() {
        let check = |list: &[&str], name: &str, expected: bool| {
            assert_eq!(takes(list, name), expected, "{list:?} {name}");
        };
        for list in [&[] as &[&str], &["*"], &["user.*"], &["user.created"]] {
            check(list, "user.created", true);
            check(list, "feed.gap", true);
            check(list, "feed.started", true);
        }
        check(&[], "thing.created", true);
        check(&["user.*"], "group.created", false);
        check(&["user.*", "group.created"], "group.created", true);
        check(&["user.created"], "user.deleted", false);
        check(&["user.*"], "tenant.brake", false);
        check(&["tenant.brake"], "tenant.brake", true);
    }

    #[test]
    fn who_follows_members_learns_that_a_group_is_gone() {
        for list in [
            "group.member.*",
            "group.member.added",
            "group.member.removed",
        ] {
            assert!(takes(&[list], "group.deleted"), "{list}");
            assert!(!takes(&[list], "group.updated"), "{list}");
        }
        assert!(!takes(&["group.member.added"], "group.member.removed"));
    }

    #[test]
    fn a_pattern_that_matches_nothing_brings_nothing() {
        let wanted = Wanted::of(["badge.*", "room.member.added"]);
        let check = |name: &str, expected: bool| {
            assert_eq!(wanted.takes(&EventType::named(name)), expected, "{name}");
        };
        check("badge.created", true);
        check("badge.deleted", true);
        check("room.member.added", true);
        check("room.deleted", true);
        check("room.member.removed", false);
        check("user.created", false);
        check("group.deleted", false);
        check("feed.started", true);
    }

    #[test]
    fn what_matches_no_event_is_refused_with_what_would() {
        for pattern in [
            "users.*",
            "user",
            "user*",
            "user.creatd",
            "User.*",
            "",
            "us.*",
            ".*",
        ] {
            let error = wanted(&["user.*", pattern]).unwrap_err();
            assert_eq!(error.status(), 400);
            let detail = error.detail();
            assert!(detail.starts_with(&format!("`{pattern}` is")), "{detail}");
            assert!(detail.contains("feed.*, group.*, role.*"), "{detail}");
        }
        let many = vec!["user.*"; MAX_PATTERNS + 1];
        let error = wanted(&many).unwrap_err();
        assert!(error.detail().contains("not 51"), "{error}");
    }
}
