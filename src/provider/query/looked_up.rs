//! Looks up attributes that are kept outside the bodies, for filters and sorting: `members` of
//! groups, `groups` of users.
//!
//! A comparison of `members.value` by `eq` is answered by the memberships of the member, however
//! large the groups are. Any other use of members reads them, within the budget.

use std::collections::HashMap;

use serde_json::Value;

use super::super::RequestScope;
use super::super::related::groups::groups_values;
use super::super::related::members::MAX_DISPLAYS;
use super::super::related::members::{displays, member_value};
use super::budget::ReadBudget;
use super::reader::{Reader, is_in};
use super::search::SearchBranch;
use crate::protocol::error::{Error, Result};
use crate::protocol::filter::{BoundFilter, CompareOp};
use crate::protocol::schema::MembershipAttribute;
use crate::store::Stored;

/// What was looked up for one resource: the attribute's value, and the filter that is left if
/// lookups have answered a part of it.
#[derive(Default)]
pub(super) struct LookedUp {
    pub(super) value: Option<Value>,
    pub(super) residual: Option<BoundFilter>,
}

/// Looks up what the filter and the order of a branch need of a batch, by the resource's id.
pub(super) async fn look_up(
    reader: &mut Reader<'_>,
    budget: &mut ReadBudget,
    branch: &SearchBranch<'_>,
    found: &[(String, Stored)],
) -> Result<HashMap<String, LookedUp>> {
    let Some(membership) = branch.resource_type.membership else {
        return Ok(HashMap::new());
    };
    let attribute = membership.attribute();
    let sorts = branch.sort.as_ref().and_then(|sort| sort.path());
    let sorts = sorts.is_some_and(|path| path.member() == attribute);
    if !sorts && !branch.residual.reads(attribute) {
        return Ok(HashMap::new());
    }
    match membership {
        MembershipAttribute::MemberOf => groups(reader.scope, found).await,
        MembershipAttribute::Members => members(reader, budget, branch, found, sorts).await,
    }
}

async fn groups(
    scope: &RequestScope,
    found: &[(String, Stored)],
) -> Result<HashMap<String, LookedUp>> {
    let ids = found.iter().map(|(_, stored)| stored.id.as_str());
    let values = groups_values(scope, ids).await?;
    let looked_up = |value| LookedUp {
        value: Some(value),
        residual: None,
    };
    Ok(values
        .into_iter()
        .map(|(id, value)| (id, looked_up(value)))
        .collect())
}

async fn members(
    reader: &mut Reader<'_>,
    budget: &mut ReadBudget,
    branch: &SearchBranch<'_>,
    found: &[(String, Stored)],
    sorts: bool,
) -> Result<HashMap<String, LookedUp>> {
    let mut wanted = Vec::new();
    collect_members(&branch.residual, &mut wanted);
    for member in &wanted {
        reader.memberships(member).await?;
    }
    let mut looked_up = HashMap::new();
    for (_, group) in found {
        let mut residual = branch.residual.clone();
        for member in &wanted {
            let is_member = is_in(reader.memberships(member).await?, group);
            residual = decide(&residual, member, is_member);
        }
        let value = match sorts || residual.reads("members") {
            true => Some(members_value(reader.scope, budget, group).await?),
            false => None,
        };
        let residual = Some(residual);
        looked_up.insert(group.id.clone(), LookedUp { value, residual });
    }
    Ok(looked_up)
}

async fn members_value(
    scope: &RequestScope,
    budget: &mut ReadBudget,
    group: &Stored,
) -> Result<Value> {
    let limit = usize::try_from(budget.keys()).unwrap_or(usize::MAX);
    // The group has the approximate number of its members. If it is more than twice the limit, no
    // member is read.
    let about = group.about_members();
    if usize::try_from(about).is_ok_and(|about| about / 2 > limit) {
        return Err(too_many_members());
    }
    let (members, more) = scope.store.members().page(group, None, limit).await?;
    if more {
        return Err(too_many_members());
    }
    budget.spend_items(members.len());
    let displays = match members.len() <= MAX_DISPLAYS {
        true => displays(scope, &members.iter().collect::<Vec<_>>()).await?,
        false => HashMap::new(),
    };
    let values = members
        .iter()
        .map(|member| member_value(&scope.tenant.registry, member, displays.get(&member.id)));
    Ok(values.collect())
}

/// The error of a filter that would read the members of too large groups.
fn too_many_members() -> Error {
    Error::too_many(
        "The filter would read too many members; compare `members.value` with `eq` only, or \
         narrow the groups by an attribute with an index",
    )
}

/// The id of the member, if this part of a filter asks only whether that resource is a member.
fn asked_member(filter: &BoundFilter) -> Option<&str> {
    match filter {
        BoundFilter::Compare(comparison) => {
            let is_lookup = comparison.path.index_path() == "members.value";
            (is_lookup && comparison.op == CompareOp::Eq).then(|| comparison.operand.as_str())
        }
        BoundFilter::ValuePath { path, filter } if path.index_path() == "members" => {
            asked_member(filter)
        }
        _ => None,
    }
}

fn collect_members(filter: &BoundFilter, members: &mut Vec<String>) {
    match filter {
        BoundFilter::And(parts) | BoundFilter::Or(parts) => {
            parts.iter().for_each(|part| collect_members(part, members));
        }
        BoundFilter::Not(part) => collect_members(part, members),
        part => members.extend(asked_member(part).map(str::to_owned)),
    }
}

/// The filter, with each part that asks for this member replaced by the answer.
fn decide(filter: &BoundFilter, member: &str, is_member: bool) -> BoundFilter {
    let parts = |parts: &[BoundFilter]| {
        let parts = parts.iter().map(|part| decide(part, member, is_member));
        parts.collect::<Vec<_>>()
    };
    match filter {
        BoundFilter::And(all) => BoundFilter::all_of(parts(all)),
        BoundFilter::Or(any) => BoundFilter::any_of(parts(any)),
        BoundFilter::Not(part) => decide(part, member, is_member).negated(),
        part if asked_member(part) == Some(member) => BoundFilter::Constant(is_member),
        part => part.clone(),
    }
}
