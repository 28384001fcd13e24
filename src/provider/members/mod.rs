//! Translates what a request asks of a group's members into a
//! [`MemberPlan`](crate::store::MemberPlan): which members, of which types, are added, removed, or
//! set as the whole list.
//!
//! It must not know the items of members.

mod plan;
mod request;
mod types;

use super::RequestScope;
use crate::protocol::error::Result;
use crate::protocol::resource;
use crate::protocol::schema::ResourceType;
use crate::store::{New, StoreError, Stored};

pub(super) use plan::plan;
pub(super) use request::MemberRequest;
pub(super) use types::MemberTypes;

/// Creates a group with its first members.
///
/// # Errors
/// `InvalidValue` for a member that does not exist, `Uniqueness`, `PayloadTooLarge`.
pub(super) async fn create_group(
    scope: &RequestScope,
    resource_type: &ResourceType,
    new: New<'_>,
    members: Vec<resource::MemberValue>,
) -> Result<Stored> {
    let registry = &scope.tenant.registry;
    let mut types = MemberTypes::default();
    loop {
        let wanted = types.additions(scope, new.id, &members)?;
        let groups = scope.store.groups();
        match groups.create(resource_type, new, wanted, registry).await {
            // The client did not say the member's type, and the assumed type may be wrong. The next
            // attempt uses the type that was looked up.
            Err(StoreError::NoMember { id }) => {
                let ids: Vec<String> = members
                    .iter()
                    .map(|member| member.value.as_str().to_owned())
                    .collect();
                types.look_up(scope, &id, &ids).await?;
            }
            created => return Ok(created?),
        }
    }
}
