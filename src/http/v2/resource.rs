//! One resource: created, read, replaced, changed, deleted (RFC 7644 §3.3–§3.6, §3.11).

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::http::call::Call;
use crate::http::route::{Verb, no_such_endpoint};
use crate::http::{answer, body};
use crate::protocol::message::Selection;
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::Action;
use crate::protocol::version::Precondition;
use crate::protocol::{Error, Result};
use crate::provider::{Answer, Patched, Read};

/// POST to a collection.
///
/// # Errors
/// `Forbidden` without the permission to create; what reading the body and the provider say.
pub(super) async fn create(
    call: &Call<'_>,
    resource_type: &ResourceType,
    body: Body,
) -> Result<Response> {
    call.check_permission(resource_type, Action::Create)?;
    let selection = Selection::from_parameters(&call.parameters)?;
    let body = body::read_object(call, body).await?;
    let provider = &call.service.provider;
    let created = provider
        .create(&call.scope, resource_type, body, &selection)
        .await?;
    Ok(with_resource(StatusCode::CREATED, created))
}

/// GET, PUT, PATCH and DELETE of one resource.
///
/// # Errors
/// `Forbidden` without the permission for the verb; what reading the body and the provider say.
pub(super) async fn one(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
    verb: Verb,
    body: Body,
) -> Result<Response> {
    match verb {
        Verb::Get => get(call, resource_type, id).await,
        Verb::Put => replace(call, resource_type, id, body).await,
        Verb::Patch => patch(call, resource_type, id, body).await,
        Verb::Delete => delete(call, resource_type, id).await,
        Verb::Post => Err(Error::method_not_allowed("A resource takes no POST")),
    }
}

/// Any verb on the resource that the caller's credential stands for (RFC 7644 §3.11).
///
/// For a credential without a user there is no `/Me`, which RFC 7644 §3.11 answers with 501; one that
/// has a user cannot create it again.
///
/// # Errors
/// `NotImplemented` without a user, `Conflict` for a POST; else as [`one`].
pub(super) async fn me(call: &Call<'_>, verb: Verb, body: Body) -> Result<Response> {
    let user = call.scope.caller.user.clone();
    let id = user.ok_or_else(|| {
        Error::not_implemented("This credential stands for no user, so there is no /Me")
    })?;
    if verb == Verb::Post {
        return Err(Error::conflict(
            "The user of this credential exists already",
        ));
    }
    let registry = &call.scope.tenant.registry;
    let users = registry.resource_type("User").cloned();
    let users = users.ok_or_else(no_such_endpoint)?;
    one(call, &users, &id, verb, body).await
}

async fn get(call: &Call<'_>, resource_type: &ResourceType, id: &str) -> Result<Response> {
    call.check_permission(resource_type, Action::Read)?;
    let selection = Selection::from_parameters(&call.parameters)?;
    let condition = call.precondition();
    let provider = &call.service.provider;
    let read = provider
        .get(&call.scope, resource_type, id, &selection, &condition)
        .await?;
    Ok(match read {
        Read::Found(answer) => with_resource(StatusCode::OK, answer),
        Read::NotModified(version) => {
            answer::not_modified(&call.scope.location(resource_type, id), &version)
        }
    })
}

async fn replace(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
    body: Body,
) -> Result<Response> {
    let Change {
        body,
        selection,
        condition,
    } = change(call, resource_type, body).await?;
    let provider = &call.service.provider;
    let replaced = provider
        .replace(&call.scope, resource_type, id, body, &selection, &condition)
        .await?;
    Ok(with_resource(StatusCode::OK, replaced))
}

async fn patch(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
    body: Body,
) -> Result<Response> {
    let Change {
        body,
        selection,
        condition,
    } = change(call, resource_type, body).await?;
    let provider = &call.service.provider;
    let patched = provider
        .patch(&call.scope, resource_type, id, body, &selection, &condition)
        .await?;
    Ok(match patched {
        Patched::Resource(answer) => with_resource(StatusCode::OK, answer),
        Patched::NoContent { version, location } => answer::no_content(&location, &version),
    })
}

async fn delete(call: &Call<'_>, resource_type: &ResourceType, id: &str) -> Result<Response> {
    call.check_permission(resource_type, Action::Delete)?;
    let condition = call.precondition();
    let provider = &call.service.provider;
    provider
        .delete(&call.scope, resource_type, id, &condition)
        .await?;
    Ok(answer::deleted(StatusCode::NO_CONTENT))
}

/// The relation of a group to the list of its members: the attribute that the answer does not hold
/// (RFC 8288 §2.1.2).
const MEMBERS: &str = "urn:ietf:params:scim:schemas:core:2.0:Group:members";

/// What PUT and PATCH bring.
struct Change {
    body: Map<String, Value>,
    selection: Selection,
    condition: Precondition,
}

async fn change(call: &Call<'_>, resource_type: &ResourceType, body: Body) -> Result<Change> {
    call.check_permission(resource_type, Action::Update)?;
    Ok(Change {
        selection: Selection::from_parameters(&call.parameters)?,
        condition: call.precondition(),
        body: body::read_object(call, body).await?,
    })
}

fn with_resource(status: StatusCode, answer: Answer) -> Response {
    let (location, version) = (&answer.location, Some(&answer.version));
    let mut response = answer::resource(status, answer.text, location, version);
    if let Some(url) = &answer.members {
        let link = format!("<{url}>; rel=\"{MEMBERS}\"");
        answer::set(&mut response, LINK, &link);
    }
    response
}
