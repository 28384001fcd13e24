//! GET of one resource (RFC 7644 §3.4.1).

use futures_util::future::try_join;

use super::related::Related;
use super::related::groups::groups_of;
use super::representation::looks_up_more;
use super::representation::{represent, represent_with};
use super::{Representation, RequestScope};
use crate::protocol::error::excerpt;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::Selection;
use crate::protocol::projection::Projection;
use crate::protocol::resource::ResourceId;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::protocol::version::{self, Precondition, Version};
use crate::store::Stored;

/// The result of a GET of one resource.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each request, and read at once"
)]
pub enum Read<'r> {
    /// The resource.
    Found(Representation<'r>),
    /// The client has this version already (`If-None-Match`).
    NotModified(Version),
}

/// Reads a resource, as [`Provider::get`](super::Provider::get) says.
pub(super) async fn get<'r>(
    scope: &RequestScope,
    resource_type: &'r ResourceType,
    id: &ResourceId,
    selection: &Selection,
    precondition: &Precondition,
) -> Result<Read<'r>> {
    let mut reading = scope.reading();
    let projection = Projection::new(selection, resource_type, &mut reading);
    scope.note(&reading);
    let is_member = resource_type.membership == Some(MembershipAttribute::MemberOf)
        && projection.wants("groups");
    let (stored, memberships) = if is_member {
        let memberships = async { Ok(scope.store.memberships().of(id.as_str()).await?) };
        let (stored, memberships) =
            try_join(existing(scope, resource_type, id), memberships).await?;
        (stored, Some(memberships))
    } else {
        (existing(scope, resource_type, id).await?, None)
    };
    let version = stored.version();
    precondition.check_if_match(&version)?;
    if !looks_up_more(resource_type, &stored, &projection)
        && precondition.check_read(&version)? == version::ReadDecision::NotModified
    {
        return Ok(Read::NotModified(version));
    }
    let found = match memberships {
        Some(memberships) => {
            let groups = groups_of(scope, memberships).await?.remove(&stored.id);
            let groups = groups.map_or(Related::Absent, Related::Value);
            represent_with(scope, resource_type, stored, groups, projection).await?
        }
        None => represent(scope, resource_type, stored, projection).await?,
    };
    Ok(match precondition.check_read(&found.version)? {
        version::ReadDecision::NotModified => Read::NotModified(found.version),
        version::ReadDecision::Representation => Read::Found(found),
    })
}

/// The resource with this id.
///
/// # Errors
/// `NotFound` naming the id, which is also the answer for an id that belongs to another tenant.
pub(super) async fn existing(
    scope: &RequestScope,
    resource_type: &ResourceType,
    id: &ResourceId,
) -> Result<Stored> {
    let stored = scope.store.resources().get(resource_type, id.as_str());
    stored
        .await?
        .ok_or_else(|| no_such(resource_type, id.as_str()))
}

/// The id of a resource of this type, as a path or a body has it.
///
/// # Errors
/// `NotFound` if no resource can have it.
pub fn resource_id(resource_type: &ResourceType, id: &str) -> Result<ResourceId> {
    ResourceId::parse(id).ok_or_else(|| no_such(resource_type, id))
}

/// The error for an id that does not exist.
pub(super) fn no_such(resource_type: &ResourceType, id: &str) -> Error {
    Error::not_found(format!(
        "{} {} does not exist",
        resource_type.name,
        excerpt(id)
    ))
}
