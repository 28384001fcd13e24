//! What is kept outside the bodies of resources: `members` of groups and `groups` of users.

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

/// The most that an answer holds of resources or of members, in bytes inside a JSON string, in which
/// Lambda hands an answer to the gateway
/// ([`length_in_string`](crate::protocol::json::length_in_string)). Lambda sends at most 6 MB.
pub(super) const MAX_ANSWER_BYTES: usize = 4_000_000;

/// About as many bytes of JSON is one member or one group of a user.
pub const MEMBER_BYTES: usize = 150;

/// `members` of a group or `groups` of a user, which are not part of the stored body.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Related {
    /// The resource has no such attribute, has no value of it, or the client is not shown it.
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

    /// About how many bytes of JSON the value is.
    pub(super) fn size(&self) -> usize {
        let elements = self.value().and_then(Value::as_array);
        elements.map_or(0, Vec::len) * MEMBER_BYTES
    }
}

/// What is kept outside the bodies, by resource id, for the resources that show any.
pub(super) type ById = HashMap<String, Related>;

/// The value of the attribute that is kept outside the bodies.
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

/// A resource's name for people: `displayName`, else the first of the names it must have.
pub(super) fn display(stored: &Stored) -> Result<Option<String>> {
    let names = ["displayName", "userName", "name"];
    let body = pick(&stored.body, |name| names.contains(&name))?;
    let texts = names
        .iter()
        .filter_map(|name| body.get(*name).and_then(Value::as_str));
    Ok(texts.map(str::to_owned).next())
}
