//! PUT: a new state for an existing resource (RFC 7644 §3.5.1).

use serde_json::{Map, Value};

use super::Representation;
use super::change::{NewState, change};
use super::compute::body_size;
use super::members::MemberRequest;
use super::representation::represent;
use super::write_context::WriteContext;
use crate::protocol::error::Result;
use crate::protocol::message::Selection;
use crate::protocol::projection::Projection;
use crate::protocol::resource::{DraftKind, Resource, ResourceId};
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::protocol::version::Precondition;

/// Replaces a resource, as [`Provider::replace`](super::Provider::replace) says.
pub(super) async fn replace<'r>(
    context: &WriteContext<'_>,
    resource_type: &'r ResourceType,
    id: &ResourceId,
    body: Map<String, Value>,
    selection: &Selection,
    precondition: &Precondition,
) -> Result<Representation<'r>> {
    let scope = context.scope;
    let mut reading = scope.reading();
    let projection = Projection::new(selection, resource_type, &mut reading);
    let mut written = Vec::new();
    let size = |existing: &str| body_size(&body).saturating_add(existing.len());
    let stored = change(context, resource_type, id, precondition, size, |existing| {
        reading.begin_again();
        let verb = DraftKind::Replace { existing };
        let registry = &scope.tenant.registry;
        let draft =
            Resource::from_request(body.clone(), resource_type, registry, &mut reading, verb);
        scope.note(&reading);
        let draft = draft?;
        written = draft.written;
        let members = match resource_type.membership {
            Some(MembershipAttribute::Members) => MemberRequest::replace(draft.members),
            Some(MembershipAttribute::MemberOf) | None => MemberRequest::Keep,
        };
        Ok(NewState {
            resource: draft.resource,
            members,
            password: draft.password,
        })
    })
    .await?;
    represent(
        scope,
        resource_type,
        stored,
        projection.after_write(written),
    )
    .await
}
