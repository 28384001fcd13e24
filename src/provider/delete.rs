//! DELETE (RFC 7644 §3.6).

use super::RequestScope;
use super::entries::entries;
use super::get::no_such;
use super::limits::{Removal, check_removal};
use super::milestones;
use super::seats;
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::{Resource, ResourceId};
use crate::protocol::schema::ResourceType;
use crate::protocol::version::{Precondition, changed_since_read};
use crate::store::{Backoff, Guard, StoreError};

/// Deletes a resource, as [`Provider::delete`](super::Provider::delete) says.
pub(super) async fn delete(
    scope: &RequestScope,
    resource_type: &ResourceType,
    id: &ResourceId,
    precondition: &Precondition,
) -> Result<()> {
    scope.tenant.check_write()?;
    let id = id.as_str();
    let registry = &scope.tenant.registry;
    let mut backoff = Backoff::default();
    loop {
        let Some(before) = scope.store.resources().get(resource_type, id).await? else {
            return match scope
                .store
                .groups()
                .resume_delete(resource_type, id, registry)
                .await?
            {
                true => Ok(()),
                false => Err(no_such(resource_type, id)),
            };
        };
        precondition.check_write(&before.version())?;
        let guard = if precondition.has_if_match() {
            Guard::Whole
        } else {
            Guard::Changed
        };
        let entries = || {
            let body = Resource::from_text(&before.body)?;
            scope.grant().check_target(resource_type, id, &body)?;
            let (body, rules) = (body.body(), &scope.tenant.rules);
            Ok::<_, Error>(entries(body, before.modified, resource_type, rules))
        };
        let entries = scope.compute.run(before.body.len(), entries).await??;
        check_removal(scope, resource_type, id, Removal::Deletion).await?;
        let seat = seats::of_deletion(&scope.tenant, resource_type, &before);
        let groups = scope.store.groups();
        let deleted = groups.delete(resource_type, &before, &entries, (guard, seat), registry);
        match deleted.await {
            Ok(()) => {
                scope.reach(milestones::of_deletion(resource_type));
                return Ok(());
            }
            // The client has named the version that it wants to delete.
            Err(StoreError::VersionMismatch) if guard == Guard::Whole => {
                return Err(changed_since_read());
            }
            // Another request has changed the resource, or has begun to delete it: it is read again.
            Err(StoreError::VersionMismatch | StoreError::NotFound) => {
                scope.store.pause(&mut backoff).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
