//! The order of a sorted list (RFC 7644 §3.4.2.3).
//!
//! Resources are ordered by the comparison key of one attribute, then by id. So no two of them are
//! equal, and pages do not overlap. In ascending order, resources without a value come last.
//! Descending order is exactly the reverse, with these first, so that one index serves both
//! directions.

mod border;

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::error::{Error, Result, excerpt};
use crate::key::Key;
use crate::path::AttributePath;
use crate::profile::Reading;
use crate::schema::{Attribute, BoundPath, Mutability, ResourceType, Returned};
use crate::work::{WorkBudget, steps_to_compare};

pub use border::Border;

/// Which end of a sorted list comes first (RFC 7644 §3.4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SortOrder {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// How the resources of one type are sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortBy {
    path: Option<BoundPath>,
    order: SortOrder,
}

/// The position of one resource in a sorted list. Smaller ones come first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// The key of the value that the list is sorted by, if the resource has one.
    pub key: Option<Key<'static>>,
    /// The resource's id.
    pub id: Box<str>,
    /// Which end comes first; the same for all keys of a list.
    pub order: SortOrder,
}

impl SortBy {
    /// Reads `sortBy` for one resource type.
    ///
    /// **Shape**: `userName`, `name.familyName`, `emails` for `emails.value`, `urn:…:User:department`.
    ///
    /// # Errors
    /// `InvalidValue` when the type has no such attribute, or the attribute is never returned, or is
    /// complex and has no `value`.
    pub fn bind(
        text: &str,
        order: SortOrder,
        resource_type: &ResourceType,
        reading: &mut Reading<'_>,
    ) -> Result<Self> {
        let path = Some(bind(text, resource_type, reading)?);
        Ok(Self { path, order })
    }

    /// The order by an attribute whose path is resolved.
    #[must_use]
    pub fn of_path(path: BoundPath, order: SortOrder) -> Self {
        let path = Some(path);
        Self { path, order }
    }

    /// Reads `sortBy` for a query across several types, in order. In a type that cannot be sorted by
    /// this attribute, the resources count as having no value.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), when no type can be sorted by it.
    pub fn bind_each(
        text: &str,
        order: SortOrder,
        resource_types: &[&ResourceType],
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Self>> {
        let mut paths: Vec<_> = resource_types
            .iter()
            .map(|resource_type| bind(text, resource_type, reading))
            .collect();
        if paths.iter().all(Result::is_err)
            && let Some(Err(error)) = paths.pop()
        {
            return Err(error);
        }
        let sorts = paths.into_iter().map(|path| Self {
            path: path.ok(),
            order,
        });
        Ok(sorts.collect())
    }

    /// The path of the attribute; `None` if the type has no attribute of this name.
    #[must_use]
    pub fn path(&self) -> Option<&BoundPath> {
        self.path.as_ref()
    }

    /// Which end comes first.
    #[must_use]
    pub fn order(&self) -> SortOrder {
        self.order
    }

    /// The position of a resource; the steps are taken from those of the request.
    ///
    /// # Errors
    /// `TooMany` when the request has used up its steps.
    pub fn key_within(&self, resource: &Map<String, Value>, work: &WorkBudget) -> Result<SortKey> {
        let value = self.path.as_ref().and_then(|path| path.first(resource));
        if !work.takes(steps_to_compare(value)) {
            return Err(Error::too_many(
                "The list would be sorted by too much text; sort by an attribute with shorter values, \
                 or narrow the resources by an attribute with an index",
            ));
        }
        Ok(self.key(resource))
    }

    /// The position of a resource. It must be complete and in the spelling of the schema.
    ///
    /// A multi-valued attribute is sorted by its primary element, or by its first if none is primary.
    #[must_use]
    pub fn key(&self, resource: &Map<String, Value>) -> SortKey {
        let key = self
            .path
            .as_ref()
            .and_then(|path| Key::first_of(path, resource));
        let id = resource.get("id").and_then(Value::as_str);
        SortKey {
            key: key.map(Key::into_owned),
            id: id.unwrap_or_default().into(),
            order: self.order,
        }
    }
}

fn bind(text: &str, resource_type: &ResourceType, reading: &mut Reading<'_>) -> Result<BoundPath> {
    let refuse = |why: &str| {
        Error::invalid_value(format!("sortBy `{}` {why}", excerpt(text.escape_debug())))
    };
    let path = AttributePath::parse(text.trim());
    let mut target = path
        .and_then(|path| path.resolve(resource_type, reading))
        .ok_or_else(|| refuse(&format!("is not an attribute of {}", resource_type.name)))?;
    if target.sub_attribute.is_none() {
        target.sub_attribute = target
            .attribute
            .and_then(|attribute| attribute.sub_attribute("value"));
    }
    if target.leaf().is_none_or(Attribute::is_complex) {
        return Err(refuse("has parts; name one of its sub-attributes"));
    }
    let hidden = |attribute: &Attribute| {
        attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly
    };
    if target.attribute.is_some_and(hidden) || target.sub_attribute.is_some_and(hidden) {
        return Err(refuse("is never returned and cannot be sorted by"));
    }
    Ok(BoundPath::of(&target))
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = match (&self.key, &other.key) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let ascending = by_value.then_with(|| self.id.cmp(&other.id));
        match self.order {
            SortOrder::Ascending => ascending,
            SortOrder::Descending => ascending.reverse(),
        }
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;
    use crate::profile::{Profile, Rules};
    use crate::schema::Registry;

    fn strict() -> Rules {
        Rules {
            profile: Profile::Strict,
            ..Rules::default()
        }
    }

    fn sorted(text: &str, order: SortOrder, users: Value) -> String {
        let user = Registry::builtin().resource_type("User").unwrap();
        let sort = SortBy::bind(text, order, user, &mut Reading::new(&strict())).unwrap();
        let users: Vec<Value> = serde_json::from_value(users).unwrap();
        let mut keys: Vec<_> = users
            .iter()
            .map(|user| sort.key(user.as_object().unwrap()))
            .collect();
        keys.sort();
        keys.iter().map(|key| &*key.id).collect::<Vec<_>>().join("")
    }

    #[test]
    fn values_sort_by_their_keys() {
        let check = |text: &str, users: Value, expected: &str| {
            let found = sorted(text, SortOrder::Ascending, users.clone());
            assert_eq!(found, expected, "{text}");
            let reversed: String = expected.chars().rev().collect();
            let found = sorted(text, SortOrder::Descending, users);
            assert_eq!(found, reversed, "{text} descending");
        };
        let named = |attribute: &str| json!([{"id": "1", attribute: "b"}, {"id": "2", attribute: "A"}, {"id": "3", attribute: "C"}]);
        check("userName", named("userName"), "213");
        check("externalId", named("externalId"), "231");
        check(
            "title",
            json!([{"id": "1"}, {"id": "2", "title": "x"}, {"id": "3", "title": null}, {"id": "4", "title": "X"}]),
            "2413",
        );
        check(
            "meta.created",
            json!([
                {"id": "1", "meta": {"created": "2011-05-13T04:42:34Z"}},
                {"id": "2", "meta": {"created": "2011-05-13T04:42:34+02:00"}},
            ]),
            "21",
        );
        check(
            "active",
            json!([{"id": "1", "active": true}, {"id": "2", "active": false}]),
            "21",
        );
    }

    #[test]
    fn lists_are_sorted_by_the_primary_value_else_the_first() {
        let users = json!([
            {"id": "1", "emails": [{"value": "c"}, {"value": "a"}]},
            {"id": "2", "emails": [{"value": "z"}, {"value": "b", "primary": true}]},
            {"id": "3", "emails": []},
        ]);
        for text in ["emails", "emails.value", "EMAILS"] {
            assert_eq!(sorted(text, SortOrder::Ascending, users.clone()), "213");
        }
    }

    #[test]
    fn sorting_by_an_attribute_without_order_is_an_invalid_value() {
        let user = Registry::builtin().resource_type("User").unwrap();
        let enterprise = crate::urn::ENTERPRISE_USER;
        for text in [
            "name",
            "addresses",
            "foo",
            "name.foo",
            "password",
            "user name",
            "",
            enterprise,
        ] {
            let rules = strict();
            let mut reading = Reading::new(&rules);
            let error = SortBy::bind(text, SortOrder::Ascending, user, &mut reading).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{text}");
        }
    }

    #[test]
    fn long_texts_are_sorted_within_bounds() {
        let user = Registry::builtin().resource_type("User").unwrap();
        let rules = strict();
        let mut reading = Reading::new(&rules);
        let sort = SortBy::bind("title", SortOrder::Ascending, user, &mut reading).unwrap();
        let body = json!({"id": "1", "title": "\u{c9}".repeat(50)});
        let work = WorkBudget::of(101);
        assert!(sort.key_within(body.as_object().unwrap(), &work).is_ok());
        let error = sort.key_within(body.as_object().unwrap(), &work);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TooMany);
    }

    #[test]
    fn a_type_without_the_attribute_sorts_as_without_value() {
        let types =
            ["User", "Group"].map(|name| &**Registry::builtin().resource_type(name).unwrap());
        let rules = strict();
        let mut reading = Reading::new(&rules);
        let sorts = SortBy::bind_each("userName", SortOrder::Ascending, &types, &mut reading);
        let [user, group] = sorts.unwrap().try_into().unwrap();
        let user = user.key(json!({"id": "2", "userName": "z"}).as_object().unwrap());
        let group = group.key(json!({"id": "1", "displayName": "a"}).as_object().unwrap());
        assert!(user < group);
        let unknown = SortBy::bind_each("foo", SortOrder::Ascending, &types, &mut reading);
        assert!(unknown.is_err());
    }
}
