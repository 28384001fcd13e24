//! PATCH: operations on an existing resource (RFC 7644 §3.5.2).

use serde_json::{Map, Value};

use super::change::{NewState, change};
use super::compute::{body_size, patch_size};
use super::members::MemberRequest;
use super::representation::represent;
use super::write_context::WriteContext;
use super::{Representation, RequestScope};
use crate::protocol::error::{Error, Result};
use crate::protocol::message::Selection;
use crate::protocol::patch::PatchRequest;
use crate::protocol::profile::GroupPatchAnswers;
use crate::protocol::projection::Projection;
use crate::protocol::resource::ResourceId;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::protocol::version::{Precondition, Version};
use crate::store::Stored;

/// A PATCH of a group with more than about this number of members is answered without reading the
/// members.
const MAX_MEMBERS_IN_ANSWER: i64 = 100;

/// The result of a PATCH.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each request, and read at once"
)]
pub enum Patched<'r> {
    /// The resource after the PATCH.
    Resource(Representation<'r>),
    /// Only the new version of the resource, which is its entity tag.
    NoContent(Version),
}

/// Changes a resource, as [`Provider::patch`](super::Provider::patch) says.
pub(super) async fn patch<'r>(
    context: &WriteContext<'_>,
    resource_type: &'r ResourceType,
    id: &ResourceId,
    body: Map<String, Value>,
    selection: &Selection,
    precondition: &Precondition,
) -> Result<Patched<'r>> {
    let scope = context.scope;
    let mut reading = scope.reading();
    let projection = Projection::new(selection, resource_type, &mut reading);
    let bytes = body_size(&body);
    let parse = || PatchRequest::parse(&body, &mut reading);
    let mut parsed = scope.compute.run(bytes, parse).await?.map_err(Some);
    let operations = parsed
        .as_ref()
        .map_or(1, |request| request.operations.len());
    let mut written = Vec::new();
    let size = |existing: &str| patch_size(bytes, operations, existing);
    let stored = change(context, resource_type, id, precondition, size, |existing| {
        reading.begin_again();
        // A PATCH that does not parse is refused only here, after 404, 412 and 403, like one that
        // does not fit the resource. The refusal ends the change, so it is taken at most once.
        let patched = match &mut parsed {
            Ok(request) => {
                let registry = &scope.tenant.registry;
                request.apply(existing, resource_type, registry, &mut reading)
            }
            Err(refusal) => Err(refusal
                .take()
                .unwrap_or_else(|| Error::internal("a refused PATCH was applied again"))),
        };
        scope.note(&reading);
        let patched = patched?;
        written = patched.written;
        let members = match patched.members.is_empty() {
            true => MemberRequest::Keep,
            false => MemberRequest::Operations(patched.members),
        };
        Ok(NewState {
            resource: patched.resource,
            members,
            password: patched.password,
        })
    })
    .await?;
    let projection = projection.after_write(written);
    if resource_type.membership == Some(MembershipAttribute::Members)
        && selection.attributes.is_empty()
        && answers_without_group(scope, &stored, &projection)
    {
        return Ok(Patched::NoContent(stored.version()));
    }
    let changed = represent(scope, resource_type, stored, projection).await?;
    Ok(Patched::Resource(changed))
}

/// Whether a PATCH of this group is answered with the new version only.
fn answers_without_group(
    scope: &RequestScope,
    group: &Stored,
    projection: &Projection<'_>,
) -> bool {
    if scope.tenant.rules.switches.group_patch_answers == GroupPatchAnswers::NoContent {
        return true;
    }
    if !projection.wants("members") {
        return false;
    }
    // The approximate number decides, so that too many members are not read only to find that out.
    group.about_members() > MAX_MEMBERS_IN_ANSWER
}
