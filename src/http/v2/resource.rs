//! One resource: created, read, replaced, changed, deleted (RFC 7644 §3.3–§3.6).

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::http::call::Call;
use crate::http::{answer, body, observe, render};
use crate::protocol::Result;
use crate::protocol::message::Selection;
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::Permission;
use crate::protocol::version::Precondition;
use crate::provider::{Patched, Read, Representation, resource_id};

/// POST to a collection.
///
/// # Errors
/// `Forbidden` without the permission to create; those of reading the body and of the provider.
pub(super) async fn create(
    call: &Call<'_>,
    resource_type: &ResourceType,
    body: Body,
) -> Result<Response> {
    call.scope
        .grant()
        .check(resource_type, Permission::Create)?;
    let selection = Selection::from_parameters(&call.parameters)?;
    let body = body::read_object(call, body).await?;
    let provider = &call.service.provider;
    let created = provider
        .create(&call.scope, resource_type, body, &selection)
        .await?;
    observe::note_resource(created.id());
    with_resource(call, StatusCode::CREATED, &created).await
}

/// GET of one resource.
///
/// # Errors
/// `Forbidden` without the permission to read; those of the provider.
pub(super) async fn get(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
) -> Result<Response> {
    call.scope.grant().check(resource_type, Permission::Read)?;
    let selection = Selection::from_parameters(&call.parameters)?;
    let condition = call.precondition();
    let id = &resource_id(resource_type, id)?;
    let provider = &call.service.provider;
    let read = provider
        .get(&call.scope, resource_type, id, &selection, &condition)
        .await?;
    match read {
        Read::Found(found) => with_resource(call, StatusCode::OK, &found).await,
        Read::NotModified(version) => {
            let location = render::location(&call.scope.base_url, resource_type, id.as_str());
            Ok(answer::not_modified(&location, &version))
        }
    }
}

/// PUT of one resource.
///
/// # Errors
/// `Forbidden` without the permission to update; those of reading the body and of the provider.
pub(super) async fn replace(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
    body: Body,
) -> Result<Response> {
    let ChangeRequest {
        body,
        selection,
        condition,
    } = change(call, resource_type, body).await?;
    let id = &resource_id(resource_type, id)?;
    let provider = &call.service.provider;
    let replaced = provider
        .replace(&call.scope, resource_type, id, body, &selection, &condition)
        .await?;
    with_resource(call, StatusCode::OK, &replaced).await
}

/// PATCH of one resource.
///
/// # Errors
/// As [`replace`].
pub(super) async fn patch(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
    body: Body,
) -> Result<Response> {
    let ChangeRequest {
        body,
        selection,
        condition,
    } = change(call, resource_type, body).await?;
    let id = &resource_id(resource_type, id)?;
    let provider = &call.service.provider;
    let patched = provider
        .patch(&call.scope, resource_type, id, body, &selection, &condition)
        .await?;
    match patched {
        Patched::Resource(changed) => with_resource(call, StatusCode::OK, &changed).await,
        Patched::NoContent(version) => {
            let location = render::location(&call.scope.base_url, resource_type, id.as_str());
            Ok(answer::no_content(&location, &version))
        }
    }
}

/// DELETE of one resource.
///
/// # Errors
/// `Forbidden` without the permission to delete; those of the provider.
pub(super) async fn delete(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
) -> Result<Response> {
    call.scope
        .grant()
        .check(resource_type, Permission::Delete)?;
    let condition = call.precondition();
    let id = &resource_id(resource_type, id)?;
    let provider = &call.service.provider;
    provider
        .delete(&call.scope, resource_type, id, &condition)
        .await?;
    Ok(answer::deleted(StatusCode::NO_CONTENT))
}

/// The relation type of the link from a group to the list of its members (RFC 8288 §2.1.2): the name
/// of the attribute that the answer leaves out.
const MEMBERS: &str = "urn:ietf:params:scim:schemas:core:2.0:Group:members";

/// The request of a PUT or PATCH.
struct ChangeRequest {
    body: Map<String, Value>,
    selection: Selection,
    condition: Precondition,
}

async fn change(
    call: &Call<'_>,
    resource_type: &ResourceType,
    body: Body,
) -> Result<ChangeRequest> {
    call.scope
        .grant()
        .check(resource_type, Permission::Update)?;
    Ok(ChangeRequest {
        selection: Selection::from_parameters(&call.parameters)?,
        condition: call.precondition(),
        body: body::read_object(call, body).await?,
    })
}

async fn with_resource(
    call: &Call<'_>,
    status: StatusCode,
    found: &Representation<'_>,
) -> Result<Response> {
    let (scope, base_url) = (&call.scope, &call.scope.base_url);
    let text = scope
        .compute
        .run(found.size(), || render::text(found, base_url));
    let text = text.await??;
    let location = render::location(base_url, found.resource_type, found.id());
    let mut response = answer::resource(status, text, &location, Some(&found.version));
    if let Some(url) = render::members_location(base_url, found) {
        let link = format!("<{url}>; rel=\"{MEMBERS}\"");
        answer::set(&mut response, LINK, &link);
    }
    Ok(response)
}
