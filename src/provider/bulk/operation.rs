//! One operation of a bulk request. It does what the single request would do.

use super::super::create::create;
use super::super::delete::delete;
use super::super::patch::patch;
use super::super::replace::replace;
use super::super::write_context::WriteContext;
use super::{Done, OperationSubject, RequestScope};
use crate::protocol::bulk::{BulkOperation, Method, OperationTarget};
use crate::protocol::error::excerpt;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::Selection;
use crate::protocol::profile::GroupPatchAnswers;
use crate::protocol::resource::ResourceId;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::protocol::scopes::Permission;
use crate::protocol::version::{Precondition, Version};
use crate::provider::{Patched, resource_id};

/// What a successful operation did.
pub(super) struct Effect {
    pub(super) done: Done,
    pub(super) subject: OperationSubject,
    /// The version of the resource afterwards, if it still exists.
    pub(super) version: Option<Version>,
}

/// The resource of an operation, if it is known before the operation is performed.
pub(super) fn subject_of(
    scope: &RequestScope,
    operation: &BulkOperation,
) -> Option<OperationSubject> {
    let resource_type = scope.at_endpoint(&operation.endpoint)?;
    match &operation.target {
        OperationTarget::Id(id) => Some(OperationSubject::new(resource_type, id)),
        OperationTarget::New(_) | OperationTarget::BulkId(_) => None,
    }
}

/// Performs an operation whose `bulkId` references are resolved.
pub(super) async fn perform(
    context: &WriteContext<'_>,
    operation: BulkOperation,
) -> Result<Effect> {
    let scope = context.scope;
    let resource_type = scope.at_endpoint(&operation.endpoint);
    let resource_type = resource_type.ok_or_else(|| {
        Error::not_found(format!(
            "There is no endpoint /{}",
            excerpt(&operation.endpoint)
        ))
    })?;
    let permission = match operation.method {
        Method::Post => Permission::Create,
        Method::Put | Method::Patch => Permission::Update,
        Method::Delete => Permission::Delete,
    };
    scope.grant().check(resource_type, permission)?;
    match &operation.target {
        OperationTarget::New(_) => make(context, resource_type, operation).await,
        OperationTarget::Id(id) => {
            let id = id.clone();
            change_one(context, resource_type, &id, operation).await
        }
        OperationTarget::BulkId(name) => Err(Error::invalid_value(format!(
            "`bulkId:{}` is not resolved",
            excerpt(name)
        ))),
    }
}

async fn make(
    context: &WriteContext<'_>,
    resource_type: &ResourceType,
    operation: BulkOperation,
) -> Result<Effect> {
    let created = create(
        context,
        resource_type,
        operation.data,
        &Selection::id_only(),
    )
    .await?;
    Ok(Effect {
        done: Done::Created,
        subject: OperationSubject::new(resource_type, created.id()),
        version: Some(created.version),
    })
}

async fn change_one(
    context: &WriteContext<'_>,
    resource_type: &ResourceType,
    id: &str,
    operation: BulkOperation,
) -> Result<Effect> {
    let scope = context.scope;
    let BulkOperation { data, version, .. } = operation;
    let condition = Precondition::parse(version.as_deref(), None);
    let resource = &resource_id(resource_type, id)?;
    let (done, version) = match operation.method {
        Method::Delete => {
            delete(scope, resource_type, resource, &condition).await?;
            (Done::Deleted, None)
        }
        Method::Patch => {
            let patched = patch(
                context,
                resource_type,
                resource,
                data,
                &Selection::id_only(),
                &condition,
            )
            .await?;
            match patched {
                Patched::Resource(changed) => {
                    (patched_as(scope, resource_type), Some(changed.version))
                }
                Patched::NoContent(version) => (Done::ChangedUnseen, Some(version)),
            }
        }
        Method::Put | Method::Post => {
            let replaced = replace(
                context,
                resource_type,
                resource,
                data,
                &Selection::id_only(),
                &condition,
            )
            .await?;
            (Done::Changed, Some(replaced.version))
        }
    };
    Ok(Effect {
        done,
        subject: OperationSubject::new(resource_type, id),
        version,
    })
}

/// Deletes a resource whose operation has failed in a later step. If the deletion fails too, the
/// resource stays, and a line of the log says so.
pub(super) async fn take_back(scope: &RequestScope, made: &OperationSubject) {
    let registry = &scope.tenant.registry;
    let resource_type = registry.at_endpoint(&made.endpoint);
    let Some((resource_type, id)) = resource_type.zip(ResourceId::parse(&made.id)) else {
        return;
    };
    let condition = Precondition::default();
    let deleted = delete(scope, resource_type, &id, &condition);
    if let Err(error) = deleted.await {
        tracing::warn!(resource.id = made.id, %error, "could not take back a failed creation");
    }
}

/// How a PATCH without `attributes` is answered.
fn patched_as(scope: &RequestScope, resource_type: &ResourceType) -> Done {
    let answers = scope.tenant.rules.switches.group_patch_answers;
    let is_group = resource_type.membership == Some(MembershipAttribute::Members);
    if is_group && answers == GroupPatchAnswers::NoContent {
        Done::ChangedUnseen
    } else {
        Done::Changed
    }
}

impl OperationSubject {
    fn new(resource_type: &ResourceType, id: &str) -> Self {
        Self {
            endpoint: resource_type.endpoint.clone(),
            id: id.to_owned(),
        }
    }
}
