//! Which events a reader wants.

use std::collections::BTreeSet;

use super::event::{EventType, EventVerb};
use crate::protocol::error::{Error, Result, excerpt};
use crate::protocol::schema::Registry;

/// The largest number of types and patterns in one list.
const MAX_PATTERNS: usize = 50;

/// The types that are about no type of resource. Readers get those of the feed itself whatever else they
/// want: without them they would not notice that changes are missing.
const ABOUT_THE_TENANT: [&str; 4] = [
    EventType::FEED_STARTED,
    EventType::FEED_GAP,
    EventType::FEED_IDLE,
    EventType::TENANT_BRAKE,
];

/// The events that a reader wants: all, or those of some types.
///
/// **Shape**: types such as `user.created`, and patterns such as `user.*`, `group.member.*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The names of the types; `None` for every one.
    types: Option<BTreeSet<String>>,
}

impl Wanted {
    /// Reads the types and patterns that a reader lists. An empty list stands for all types.
    ///
    /// Who wants to know the members of groups also gets the deletions of groups, which end memberships
    /// without an event for each.
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
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let known = types_of(registry);
        let mut types = BTreeSet::new();
        for pattern in patterns {
            let mut matching = known.iter().filter(|name| is_match(pattern, name));
            let first = matching
                .next()
                .ok_or_else(|| no_such_type(pattern, &known))?;
            types.insert(first.clone());
            types.extend(matching.cloned());
        }
        let endings: Vec<_> = types.iter().filter_map(|name| deletion_of(name)).collect();
        types.extend(endings);
        Ok(Self { types: Some(types) })
    }

    /// Whether the reader gets events of this type.
    #[must_use]
    pub fn takes(&self, event_type: &EventType) -> bool {
        let types = self.types.as_ref();
        event_type.is_of_feed() || types.is_none_or(|types| types.contains(event_type.as_str()))
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

/// The type of the event that ends all memberships in a group, from that of a change of one of them.
fn deletion_of(name: &str) -> Option<String> {
    let (group, _) = name.split_once(".member.")?;
    Some(format!("{group}.deleted"))
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
