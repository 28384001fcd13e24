//! Makes a plan of what a request asks of a group's members, given the group as it was read.

use super::super::RequestScope;
use super::super::related::members::{MAX_MEMBERS, matching_members, visible_members};
use super::request::MemberRequest;
use super::types::MemberTypes;
use crate::protocol::error::{Error, Result};
use crate::protocol::patch::MemberOp;
use crate::store::{MemberChange, MemberPlan, Stored};

/// The plan for the group as it was read.
///
/// # Errors
/// `InvalidValue` for a resource that cannot be a member, `PayloadTooLarge` for more than
/// [`MAX_MEMBERS`], `TooMany` for a filter over more members than a group shows.
pub(in crate::provider) async fn plan(
    scope: &RequestScope,
    group: &Stored,
    request: &MemberRequest,
    types: &MemberTypes,
) -> Result<MemberPlan> {
    match request {
        MemberRequest::Keep => Ok(MemberPlan::Keep),
        MemberRequest::ClearVisible => match visible_members(scope, group).await? {
            Some(members) if !members.is_empty() || group.members_are_changing() => {
                Ok(MemberPlan::Clear)
            }
            _ => Ok(MemberPlan::Keep),
        },
        MemberRequest::Exactly(members) => {
            let wanted = types.additions(scope, &group.id, members)?;
            Ok(MemberPlan::Replace(wanted))
        }
        MemberRequest::Operations(operations) => fold(scope, group, operations, types).await,
    }
}

/// Folds PATCH operations, in their order, into one plan (RFC 7644 §3.5.2).
async fn fold(
    scope: &RequestScope,
    group: &Stored,
    operations: &[MemberOp],
    types: &MemberTypes,
) -> Result<MemberPlan> {
    let mut change = MemberChange::default();
    let mut is_whole = false;
    for operation in operations {
        match operation {
            MemberOp::Add(members) => {
                for (id, member) in types.additions(scope, &group.id, members)? {
                    change.remove.remove(&id);
                    change.add.insert(id, member);
                }
            }
            MemberOp::Remove(ids) => {
                let ids = ids.iter().map(|id| id.as_str().to_owned());
                change.remove_all(ids);
            }
            MemberOp::RemoveMatching(filter) => {
                let ids = matching_members(scope, group, filter).await?;
                change.remove_all(ids);
            }
            MemberOp::Clear => (change, is_whole) = (MemberChange::default(), true),
            MemberOp::ReplaceAll(members) => {
                change = MemberChange {
                    add: types.additions(scope, &group.id, members)?,
                    ..MemberChange::default()
                };
                is_whole = true;
            }
        }
    }
    if change.add.len() + change.remove.len() > MAX_MEMBERS {
        return Err(Error::payload_too_large(format!(
            "A request may name at most {MAX_MEMBERS} members"
        )));
    }
    Ok(match is_whole {
        true => MemberPlan::Replace(change.add),
        false if change.is_empty() => MemberPlan::Keep,
        false => MemberPlan::Edit(change),
    })
}
