//! A resource as filters, sorting and indexes see it: only the members that they read.
//!
//! A scan reads many resources and shows few of them. So values are built only for the members that
//! are read, `meta` only if it is one of them, and nothing is rendered.

use serde_json::{Map, Value};

use super::super::RequestScope;
use super::super::times::Times;
use super::search::SearchBranch;
use crate::protocol::error::Result;
use crate::protocol::message::{Meta, make_absolute};
use crate::protocol::resource::{location, pick};
use crate::protocol::schema::{BoundPath, Index, ResourceType};
use crate::protocol::sort::SortBy;
use crate::store::{Access, Stored};

/// The members of resources that are read: attributes and URNs of extensions, in the schema's
/// spelling.
pub(super) struct ReadMembers<'p>(Vec<&'p str>);

impl<'p> ReadMembers<'p> {
    /// The members that decide whether a resource matches in this branch, whether an earlier branch
    /// has found it, and where it is in the list.
    pub(super) fn of(branch: &'p SearchBranch<'_>, earlier: &'p [SearchBranch<'_>]) -> Self {
        let by_key = std::iter::once(branch).chain(earlier);
        let by_key = by_key.filter_map(|branch| key_member(&branch.access));
        let sorted_by = branch.sort.as_ref().map(sorting_members);
        let filtered = branch.residual.members().into_iter();
        Self::named(
            filtered
                .chain(by_key)
                .chain(sorted_by.into_iter().flatten()),
        )
    }

    /// The members that decide where a resource is in a sorted list.
    pub(super) fn of_sort(sort: &'p SortBy) -> Self {
        Self::named(sorting_members(sort))
    }

    /// The members that decide where a resource is in the order of an index.
    pub(super) fn of_index(index: &'p Index) -> Self {
        Self::named([index.values.member(), "id"].into_iter())
    }

    fn named(names: impl Iterator<Item = &'p str>) -> Self {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    fn has(&self, name: &str) -> bool {
        self.0.binary_search(&name).is_ok()
    }
}

/// The member with the value to sort by, and `id`, which decides between equal values.
fn sorting_members(sort: &SortBy) -> impl Iterator<Item = &str> {
    sort.path().map(BoundPath::member).into_iter().chain(["id"])
}

/// The member whose values are the keys of an access, if they are in the body.
fn key_member(access: &Access) -> Option<&str> {
    match access {
        Access::Claims { index, .. } | Access::Values { index, .. } | Access::Without(index, _) => {
            Some(index.values.member())
        }
        Access::Range(range) => Some(range.index.values.member()),
        Access::Ids(_)
        | Access::GroupsOf { .. }
        | Access::MembersOf { .. }
        | Access::GroupWith { .. }
        | Access::All => None,
    }
}

/// The members of a resource that are read. If the attribute that is kept outside the body was
/// looked up, it is one of them. References are absolute, as in an answer.
///
/// # Errors
/// `Internal` if the stored text is no resource.
pub(super) fn candidate(
    scope: &RequestScope,
    (resource_type, stored): (&ResourceType, &Stored),
    looked_up: Option<Value>,
    members: &ReadMembers<'_>,
) -> Result<Map<String, Value>> {
    let mut read = pick(&stored.body, |name| members.has(name))?;
    if let (Some(value), Some(membership)) = (looked_up, resource_type.membership) {
        read.insert(membership.attribute().to_owned(), value);
    }
    make_absolute(&mut read, &scope.base_url);
    if members.has("meta") {
        read.insert("meta".to_owned(), meta(scope, resource_type, stored)?);
    }
    Ok(read)
}

fn meta(scope: &RequestScope, resource_type: &ResourceType, stored: &Stored) -> Result<Value> {
    let times = Times::of(stored)?;
    let meta = Meta {
        resource_type: &resource_type.name,
        created: &times.created,
        last_modified: &times.last_modified,
        location: &location(&scope.base_url, &resource_type.endpoint, &stored.id),
        version: &stored.version().to_string(),
    };
    Ok(Value::Object(meta.object()))
}
