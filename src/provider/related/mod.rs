//! The attributes that are kept outside the bodies of resources: `members` of groups and `groups` of
//! users.

pub(super) mod groups;
pub(super) mod members;

use std::collections::HashMap;

use serde_json::Value;

use super::RequestScope;
use crate::protocol::error::Result;
use crate::protocol::projection::Projection;
use crate::protocol::resource::pick;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::store::Stored;
use groups::groups_values;
use members::members_values;

/// The largest size of the resources, or of the members, of one answer. It is counted in bytes
/// inside a JSON string ([`length_in_string`](crate::protocol::json::length_in_string)), because
/// Lambda hands an answer to the gateway inside such a string, of at most 6 MB.
pub(super) const MAX_ANSWER_BYTES: usize = 4_000_000;

/// Roughly the bytes of JSON of one member of a group, or of one group of a user.
pub const MEMBER_BYTES: usize = 150;

/// `members` of a group or `groups` of a user, which are not part of the stored body.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Related {
    /// The resource has no such attribute or no value of it, or the client is not shown it.
    #[default]
    Absent,
    /// The group has more members than an answer shows.
    TooMany,
    /// The value; each `$ref` in it is relative to the base URL.
    Value(Value),
}

impl Related {
    /// The value, if there is one to be shown.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::TooMany => None,
        }
    }

    /// Roughly the size of the value, in bytes of JSON.
    pub(super) fn size(&self) -> usize {
        let elements = self.value().and_then(Value::as_array);
        elements.map_or(0, Vec::len) * MEMBER_BYTES
    }
}

/// The values that are kept outside the bodies, by resource id, for the resources that show one.
pub(super) type ById = HashMap<String, Related>;

/// Reads the attribute that is kept outside the bodies, if the projection shows it.
pub(super) async fn related(
    scope: &RequestScope,
    resource_type: &ResourceType,
    resources: &[Stored],
    projection: &Projection<'_>,
) -> Result<ById> {
    match resource_type.membership {
        Some(membership) if !projection.wants(membership.attribute()) => Ok(HashMap::new()),
        Some(MembershipAttribute::Members) => members_values(scope, resources, projection).await,
        Some(MembershipAttribute::MemberOf) => {
            let ids = resources.iter().map(|stored| stored.id.as_str());
            let groups = groups_values(scope, ids).await?.into_iter();
            let groups = groups.map(|(id, groups)| (id, Related::Value(groups)));
            Ok(groups.collect())
        }
        None => Ok(HashMap::new()),
    }
}

/// A resource's name for people: the first that it has of `displayName`, `userName` and `name`.
pub(super) fn display(stored: &Stored) -> Result<Option<String>> {
    let names = ["displayName", "userName", "name"];
    let body = pick(&stored.body, |name| names.contains(&name))?;
    let texts = names
        .iter()
        .filter_map(|name| body.get(*name).and_then(Value::as_str));
    Ok(texts.map(str::to_owned).next())
}
