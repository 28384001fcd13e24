//! What is shown of resources and is not in their bodies: members and groups, and for filters `meta`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::Scope;
use super::compute::size_of;
use crate::protocol::error::Result;
use crate::protocol::projection::Projection;
use crate::protocol::resource::{Resource, relative_reference};
use crate::protocol::schema::{Membership, ResourceType};
use crate::store::{Member, Stored};

/// The most that an answer holds of resources or of members, in bytes as [`sent_bytes`] counts them;
/// Lambda sends at most 6 MB.
pub(super) const MAX_ANSWER_BYTES: usize = 4_000_000;

/// The length of a text in the form in which Lambda hands an answer to the gateway, in bytes: inside a
/// JSON string, where `"`, `\` and some control characters take two bytes, and the others six.
pub(super) fn sent_bytes(text: &[u8]) -> usize {
    let sent = |byte: &u8| match *byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.iter().map(sent).sum()
}

/// `display` of members is looked up for so many of them, and left out of larger groups.
pub(super) const MAX_DISPLAYS: usize = 100;

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

impl Scope {
    /// The value of the attribute that is kept outside the bodies.
    pub(super) async fn related(
        &self,
        resource_type: &ResourceType,
        resources: &[Stored],
        projection: &Projection<'_>,
    ) -> Result<ById> {
        match resource_type.membership {
            Some(membership) if !projection.wants(membership.attribute()) => Ok(HashMap::new()),
            Some(Membership::Members) => self.members_values(resources, projection).await,
            Some(Membership::MemberOf) => {
                let groups = self.groups_values(resources).await?.into_iter();
                let groups = groups.map(|(id, groups)| (id, Related::Value(groups)));
                Ok(groups.collect())
            }
            None => Ok(HashMap::new()),
        }
    }

    /// `members` of each group, `[]` where it has none, unless there are more than the tenant shows
    /// inline. The names of all their members are looked up together.
    async fn members_values(&self, groups: &[Stored], projection: &Projection<'_>) -> Result<ById> {
        let reads = groups.iter().map(|group| self.visible_members(group));
        let visible = try_join_all(reads).await?;
        let has_names = |members: &[Member]| members.len() <= MAX_DISPLAYS;
        let displays = match projection.wants_part("members", "display") {
            true => {
                let members = visible.iter().flatten();
                let members = members.filter(|members| has_names(members));
                let members: Vec<&Member> = members.flatten().collect();
                self.displays(&members).await?
            }
            false => HashMap::new(),
        };
        let value = |members: Vec<Member>| -> Value {
            let displays = Some(&displays).filter(|_| has_names(&members));
            let display = |member: &Member| displays?.get(&member.id);
            members
                .iter()
                .map(|member| self.member_value(member, display(member)))
                .collect()
        };
        let read: usize = visible.iter().flatten().map(Vec::len).sum();
        // An empty group shows `[]`: there are clients that add nobody to a group without `members`.
        let ids = groups.iter().map(|group| group.id.clone());
        let shown = ids.zip(visible);
        let related = |members: Option<Vec<Member>>| match members {
            Some(members) => Related::Value(value(members)),
            None => Related::TooMany,
        };
        let values = || {
            let values = shown.map(|(id, members)| (id, related(members)));
            values.collect()
        };
        self.compute.run(read * MEMBER_BYTES, values).await
    }

    /// One member as clients read it.
    pub(super) fn member_value(&self, member: &Member, display: Option<&String>) -> Value {
        let mut value = Map::new();
        value.insert("value".to_owned(), json!(member.id));
        if let Some(resource_type) = self.tenant.registry.resource_type(&member.kind) {
            value.insert(
                "$ref".to_owned(),
                json!(relative_reference(&resource_type.endpoint, &member.id)),
            );
        }
        value.insert("type".to_owned(), json!(member.kind));
        if let Some(display) = member.display.as_ref().or(display) {
            value.insert("display".to_owned(), json!(display));
        }
        Value::Object(value)
    }

    /// The names for people of members that the client gave none, by id.
    pub(super) async fn displays(&self, members: &[&Member]) -> Result<HashMap<String, String>> {
        let mut by_kind = BTreeMap::<&str, BTreeSet<&str>>::new();
        for member in members.iter().filter(|member| member.display.is_none()) {
            by_kind.entry(&member.kind).or_default().insert(&member.id);
        }
        let mut displays = HashMap::new();
        for (kind, ids) in by_kind {
            let Some(resource_type) = self.tenant.registry.resource_type(kind) else {
                continue;
            };
            let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
            let found = self.store.resources().get_many(resource_type, &ids).await?;
            let name = |stored: &Stored| {
                self.compute.check_time()?;
                Ok(display(stored)?.map(|display| (stored.id.clone(), display)))
            };
            let names = || found.iter().filter_map(|stored| name(stored).transpose());
            let names = || names().collect::<Result<Vec<_>>>();
            displays.extend(self.compute.run(size_of(&found), names).await??);
        }
        Ok(displays)
    }
}

/// A resource's name for people: `displayName`, else the first of the names it must have.
pub(super) fn display(stored: &Stored) -> Result<Option<String>> {
    let body = Resource::from_text(&stored.body)?.into_body();
    let name = ["displayName", "userName", "name"]
        .iter()
        .find_map(|name| body.get(*name).and_then(Value::as_str));
    Ok(name.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_as_the_json_string_that_it_is_sent_in() {
        let every_character: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "{\"a\":\"b\\\"c\"}", "\u{1f600}", &every_character] {
            let sent = Value::from(text).to_string();
            assert_eq!(sent_bytes(text.as_bytes()), sent.len() - 2, "{text:?}");
        }
    }
}
