//! `members` of groups, as clients read them (RFC 7643 §4.2).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::super::RequestScope;
use super::super::compute::size_of;
use super::{ById, MAX_ANSWER_BYTES, MEMBER_BYTES, Related, display};
use crate::protocol::error::{Error, Result};
use crate::protocol::filter::BoundFilter;
use crate::protocol::json::length_in_string;
use crate::protocol::projection::Projection;
use crate::protocol::resource::relative_reference;
use crate::protocol::schema::Registry;
use crate::store::{Member, Stored};

/// The largest number of members that one request may name.
pub(in crate::provider) const MAX_MEMBERS: usize = 20_000;

/// The largest number of members of a group that are shown with a `display` that is looked up. In
/// larger groups it is left out.
pub(in crate::provider) const MAX_DISPLAYS: usize = 100;

/// `members` of each group, unless it has more than the tenant's switch allows inline. An empty
/// group has `[]`. The names of all members are looked up together.
pub(super) async fn members_values(
    scope: &RequestScope,
    groups: &[Stored],
    projection: &Projection<'_>,
) -> Result<ById> {
    let reads = groups.iter().map(|group| visible_members(scope, group));
    let visible = try_join_all(reads).await?;
    let has_names = |members: &[Member]| members.len() <= MAX_DISPLAYS;
    let displays = match projection.wants_part("members", "display") {
        true => {
            let members = visible.iter().flatten();
            let members = members.filter(|members| has_names(members));
            let members: Vec<&Member> = members.flatten().collect();
            displays(scope, &members).await?
        }
        false => HashMap::new(),
    };
    let value = |members: Vec<Member>| -> Value {
        let displays = Some(&displays).filter(|_| has_names(&members));
        let display = |member: &Member| displays?.get(&member.id);
        members
            .iter()
            .map(|member| member_value(&scope.tenant.registry, member, display(member)))
            .collect()
    };
    let read: usize = visible.iter().flatten().map(Vec::len).sum();
    // An empty group shows `[]`: some clients add no member to a group that is shown without `members`.
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
    scope.compute.run(read * MEMBER_BYTES, values).await
}

/// The members of a group; `None` if there are more than the tenant's switch allows inline, or than
/// fit into an answer.
pub(in crate::provider) async fn visible_members(
    scope: &RequestScope,
    group: &Stored,
) -> Result<Option<Vec<Member>>> {
    if has_too_many(scope, group) {
        return Ok(None);
    }
    let (members, more) = scope
        .store
        .members()
        .page(group, None, inline_cap(scope))
        .await?;
    let bytes: usize = members
        .iter()
        .map(|member| member_bytes(scope, member))
        .sum();
    Ok((!more && bytes <= MAX_ANSWER_BYTES).then_some(members))
}

/// Roughly the number of members that have to be read to show those of a group.
pub(in crate::provider) fn members_to_read(scope: &RequestScope, group: &Stored) -> usize {
    let about = group.about_members();
    match has_too_many(scope, group) {
        true => 0,
        false => usize::try_from(about).unwrap_or(0).min(inline_cap(scope)),
    }
}

/// Whether a group has too many members to be shown, by the number in its own item, so that they
/// need not be read. The number may be wrong after a writer has died, so only more than twice the
/// limit is taken for too many.
fn has_too_many(scope: &RequestScope, group: &Stored) -> bool {
    let about = group.about_members();
    usize::try_from(about).is_ok_and(|about| about > 2 * inline_cap(scope))
}

fn inline_cap(scope: &RequestScope) -> usize {
    let cap = scope.tenant.rules.switches.inline_member_cap as usize;
    // A client must be able to send back, in one PUT, all members that it has been shown.
    cap.min(MAX_MEMBERS)
}

/// Roughly the length of a member in an answer, in bytes as [`length_in_string`] counts them.
fn member_bytes(scope: &RequestScope, member: &Member) -> usize {
    let display = member.display.as_deref().map_or(0, |display| {
        length_in_string(format!(r#","display":{}"#, Value::from(display)).as_bytes())
    });
    scope.base_url.len() + 2 * member.id.len() + 2 * member.type_name.len() + display + 52
}

/// The ids of the members that match a filter over `value`, `type` and `display`.
pub(in crate::provider) async fn matching_members(
    scope: &RequestScope,
    group: &Stored,
    filter: &BoundFilter,
) -> Result<Vec<String>> {
    let Some(members) = visible_members(scope, group).await? else {
        let cap = inline_cap(scope);
        let detail = format!(
            "The members of a group can be filtered if it has at most {cap} and they fit into one \
             answer; name the members by `value`"
        );
        return Err(Error::too_many(detail));
    };
    let displays = if filter.reads("display") {
        displays(scope, &members.iter().collect::<Vec<_>>()).await?
    } else {
        HashMap::new()
    };
    let matching = || {
        let mut matching = Vec::new();
        for member in &members {
            let element = member_value(&scope.tenant.registry, member, displays.get(&member.id));
            if filter.matches_element_within(&element, &scope.work)? {
                matching.push(member.id.clone());
            }
        }
        Ok::<_, Error>(matching)
    };
    let size = members.len() * MEMBER_BYTES;
    scope.compute.run(size, matching).await?
}

/// One member as clients read it.
pub(in crate::provider) fn member_value(
    registry: &Registry,
    member: &Member,
    display: Option<&String>,
) -> Value {
    let mut value = Map::new();
    value.insert("value".to_owned(), json!(member.id));
    if let Some(resource_type) = registry.resource_type(&member.type_name) {
        value.insert(
            "$ref".to_owned(),
            json!(relative_reference(&resource_type.endpoint, &member.id)),
        );
    }
    value.insert("type".to_owned(), json!(member.type_name));
    if let Some(display) = member.display.as_ref().or(display) {
        value.insert("display".to_owned(), json!(display));
    }
    Value::Object(value)
}

/// The display names, by id, of those members to which the client gave no `display`.
pub(in crate::provider) async fn displays(
    scope: &RequestScope,
    members: &[&Member],
) -> Result<HashMap<String, String>> {
    let mut by_kind = BTreeMap::<&str, BTreeSet<&str>>::new();
    for member in members.iter().filter(|member| member.display.is_none()) {
        by_kind
            .entry(&member.type_name)
            .or_default()
            .insert(&member.id);
    }
    let mut displays = HashMap::new();
    for (kind, ids) in by_kind {
        let Some(resource_type) = scope.tenant.registry.resource_type(kind) else {
            continue;
        };
        let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let found = scope
            .store
            .resources()
            .get_many(resource_type, &ids)
            .await?;
        let name = |stored: &Stored| {
            scope.compute.check_time()?;
            Ok(display(stored)?.map(|display| (stored.id.clone(), display)))
        };
        let names = || found.iter().filter_map(|stored| name(stored).transpose());
        let names = || names().collect::<Result<Vec<_>>>();
        displays.extend(scope.compute.run(size_of(&found), names).await??);
    }
    Ok(displays)
}
