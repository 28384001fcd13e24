//! `groups` of users, and what a group's members are (RFC 7643 §4.1.2, §4.2).

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::Scope;
use super::compute::size_of;
use super::members::MAX_MEMBERS;
use super::related::{MAX_ANSWER_BYTES, MEMBER_BYTES, display, sent_bytes};
use crate::protocol::error::{Error, Result};
use crate::protocol::filter::BoundFilter;
use crate::protocol::resource::relative_reference;
use crate::protocol::schema::ResourceType;
use crate::store::{Member, Membership, Stored};

/// Nested groups are followed so far up; further ones are left out.
const MAX_LEVELS: usize = 10;
/// So many groups inside one are looked through for its members.
const MAX_NESTED: usize = 200;

impl Scope {
    /// The members of a group, unless there are more than the tenant shows inline, or than fit an
    /// answer.
    pub(super) async fn visible_members(&self, group: &Stored) -> Result<Option<Vec<Member>>> {
        if self.has_too_many(group) {
            return Ok(None);
        }
        let (members, more) = self
            .store
            .members()
            .page(group, None, self.inline_cap())
            .await?;
        let bytes: usize = members.iter().map(|member| self.member_bytes(member)).sum();
        Ok((!more && bytes <= MAX_ANSWER_BYTES).then_some(members))
    }

    /// About how many members have to be read to show those of a group.
    pub(super) fn members_to_read(&self, group: &Stored) -> usize {
        let about = group.about_members();
        match self.has_too_many(group) {
            true => 0,
            false => usize::try_from(about).unwrap_or(0).min(self.inline_cap()),
        }
    }

    /// Whether a group counts so many members that they need not be read to know that they are not
    /// shown. The count may be wrong by what dead writers did, so it has to be twice too many.
    fn has_too_many(&self, group: &Stored) -> bool {
        let about = group.about_members();
        usize::try_from(about).is_ok_and(|about| about > 2 * self.inline_cap())
    }

    fn inline_cap(&self) -> usize {
        let cap = self.tenant.rules.switches.inline_member_cap as usize;
        // What a group shows can be put back.
        cap.min(MAX_MEMBERS)
    }

    /// About how long a member is in an answer, in bytes as [`sent_bytes`] counts them.
    fn member_bytes(&self, member: &Member) -> usize {
        let display = member.display.as_deref().map_or(0, |display| {
            sent_bytes(format!(r#","display":{}"#, Value::from(display)).as_bytes())
        });
        self.base_url.len() + 2 * member.id.len() + 2 * member.kind.len() + display + 52
    }

    /// The ids of the members that match a filter over `value`, `type` and `display`.
    pub(super) async fn matching_members(
        &self,
        group: &Stored,
        filter: &BoundFilter,
    ) -> Result<Vec<String>> {
        let Some(members) = self.visible_members(group).await? else {
            let cap = self.inline_cap();
            let detail = format!(
                "A filter over the members of a group with more than {cap}, or with more than fit \
                 an answer, is not supported; name them by `value`"
            );
            return Err(Error::too_many(detail));
        };
        let displays = if filter.reads("display") {
            self.displays(&members.iter().collect::<Vec<_>>()).await?
        } else {
            HashMap::new()
        };
        let matching = || {
            let mut matching = Vec::new();
            for member in &members {
                let element = self.member_value(member, displays.get(&member.id));
                if filter.matches_element_within(&element, &self.work)? {
                    matching.push(member.id.clone());
                }
            }
            Ok::<_, Error>(matching)
        };
        let size = members.len() * MEMBER_BYTES;
        self.compute.run(size, matching).await?
    }

    /// `groups` of each resource that is in any, by resource id.
    pub(super) async fn groups_values(
        &self,
        resources: &[Stored],
    ) -> Result<HashMap<String, Value>> {
        let ids = resources.iter().map(|stored| stored.id.as_str());
        let memberships = self.store.memberships().of_all(ids).await?;
        self.groups_of(memberships).await
    }

    /// `groups` of each member, by its id.
    pub(super) async fn groups_of(
        &self,
        memberships: Vec<Membership>,
    ) -> Result<HashMap<String, Value>> {
        if memberships.is_empty() {
            return Ok(HashMap::new());
        }
        let Some(group_type) = self.tenant.registry.group_type() else {
            return Ok(HashMap::new());
        };
        let known = self.closure(group_type, &memberships).await?;
        let mut direct = HashMap::<&str, Vec<&str>>::new();
        for membership in memberships
            .iter()
            .filter(|membership| known.counts(membership))
        {
            direct
                .entry(&membership.member)
                .or_default()
                .push(&membership.group);
        }
        // A group's name is read out of its body, once for each resource that is in it.
        let groups = direct.values().flatten();
        let size = size_of(groups.filter_map(|group| known.groups.get(*group)));
        let value = |(member, groups): (&str, Vec<&str>)| {
            self.compute.check_time()?;
            Ok((member.to_owned(), known.value(group_type, &groups)?))
        };
        let values = || direct.into_iter().map(value).collect();
        self.compute.run(size, values).await?
    }

    /// A group, if it exists, and the groups that are in it, directly or through others, each once.
    ///
    /// # Errors
    /// `TooMany` when there are more than can be looked through.
    pub(super) async fn nested_groups(
        &self,
        group_type: &ResourceType,
        group: &str,
    ) -> Result<Vec<Stored>> {
        let (outer, has_nested) = self.store.nesting().outer(group_type, group).await?;
        let mut found: Vec<Stored> = outer.into_iter().collect();
        let mut level = 0..found.len();
        for _ in 1..MAX_LEVELS {
            if !has_nested || level.is_empty() {
                break;
            }
            let outer = found.get(level.clone()).unwrap_or_default();
            let inner =
                try_join_all(outer.iter().map(|group| self.store.nesting().inner(group))).await?;
            let mut ids: Vec<String> = inner.into_iter().flatten().collect();
            ids.retain(|id| found.iter().all(|known| known.id != *id));
            ids.sort_unstable();
            ids.dedup();
            if found.len() + ids.len() > MAX_NESTED {
                return Err(Error::too_many(format!(
                    "The group has more than {MAX_NESTED} groups inside it; ask for them one by one"
                )));
            }
            let begin = found.len();
            found.extend(self.store.resources().get_many(group_type, &ids).await?);
            level = begin..found.len();
        }
        Ok(found)
    }

    /// The groups that the memberships lead to, directly and, where groups are in groups, through
    /// them: one round a level.
    async fn closure(
        &self,
        group_type: &ResourceType,
        memberships: &[Membership],
    ) -> Result<Known> {
        let mut known = Known::default();
        let mut wanted: HashSet<String> = memberships
            .iter()
            .map(|membership| membership.group.clone())
            .collect();
        for _ in 0..MAX_LEVELS {
            let ids: Vec<String> = wanted.drain().collect();
            let groups = self.store.resources().get_many(group_type, &ids).await?;
            let inner = groups.iter().filter(|group| group.is_inner());
            let inner: Vec<String> = inner.map(|group| group.id.clone()).collect();
            known
                .groups
                .extend(groups.into_iter().map(|group| (group.id.clone(), group)));
            if inner.is_empty() {
                break;
            }
            for parent in self
                .store
                .memberships()
                .of_all(inner.iter().map(String::as_str))
                .await?
            {
                if !known.groups.contains_key(&parent.group) {
                    wanted.insert(parent.group.clone());
                }
                let parents = known.parents.entry(parent.member.clone());
                parents.or_default().push(parent);
            }
            if wanted.is_empty() {
                break;
            }
        }
        Ok(known)
    }
}

/// Groups that were read, and the groups they are members of, by the inner group.
#[derive(Default)]
struct Known {
    groups: HashMap<String, Stored>,
    parents: HashMap<String, Vec<Membership>>,
}

impl Known {
    /// Whether the membership is in the group's current set.
    fn counts(&self, membership: &Membership) -> bool {
        let group = self.groups.get(&membership.group);
        group.is_some_and(|group| membership.counts_in(group))
    }

    /// `groups` of a resource that is directly in these.
    fn value(&self, group_type: &ResourceType, direct: &[&str]) -> Result<Value> {
        let mut seen: HashSet<&str> = direct.iter().copied().collect();
        let mut values = Vec::new();
        let mut level: Vec<&str> = direct.to_vec();
        level.sort_unstable();
        let mut kind = "direct";
        while !level.is_empty() {
            for id in &level {
                values.extend(self.group_value(group_type, id, kind)?);
            }
            let parents = level
                .iter()
                .filter_map(|id| self.parents.get(*id))
                .flatten();
            let parents = parents.filter(|parent| self.counts(parent));
            let mut next: Vec<&str> = parents.map(|parent| parent.group.as_str()).collect();
            next.sort_unstable();
            next.retain(|id| seen.insert(id));
            (level, kind) = (next, "indirect");
        }
        Ok(Value::Array(values))
    }

    fn group_value(
        &self,
        group_type: &ResourceType,
        id: &str,
        kind: &str,
    ) -> Result<Option<Value>> {
        let Some(group) = self.groups.get(id) else {
            return Ok(None);
        };
        let mut value = Map::new();
        value.insert("value".to_owned(), json!(id));
        value.insert(
            "$ref".to_owned(),
            json!(relative_reference(&group_type.endpoint, id)),
        );
        if let Some(display) = display(group)? {
            value.insert("display".to_owned(), json!(display));
        }
        value.insert("type".to_owned(), json!(kind));
        Ok(Some(Value::Object(value)))
    }
}
