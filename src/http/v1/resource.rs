//! One resource: created, read, replaced, changed, deleted (SCIM 1.1 API §3.1–§3.4).

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::device;
use super::representation::RepresentationV1;
use crate::http::call::Call;
use crate::http::{answer, body, observe, render};
use crate::protocol::message::Selection;
use crate::protocol::profile::Reading;
use crate::protocol::resource::ResourceId;
use crate::protocol::scopes::Permission;
use crate::protocol::v1::{self, Dialect, View, explain_conflict};
use crate::protocol::version::{self, Precondition, Version};
use crate::protocol::{Error, Result};
use crate::provider::{Patched, Read, Representation, body_size, resource_id};

/// POST to a collection.
///
/// # Errors
/// `Forbidden` without the permission to create; those of reading the body and of the provider.
pub(super) async fn create(call: &Call<'_>, view: View<'_>, body: Body) -> Result<Response> {
    call.scope
        .grant()
        .check(view.resource_type, Permission::Create)?;
    let selection = v1::selection(view, &call.parameters)?;
    let body = body::read_object(call, body).await?;
    let (scope, provider) = (&call.scope, &call.service.provider);
    let size = body_size(&body);
    let request = call
        .read(size, |reading| v1::new_resource(view, body, reading))
        .await??;
    let name_from = request.name_from;
    let explain = |error| explain_conflict(error, name_from);
    if request.groups.is_empty() {
        let created = provider
            .create(scope, view.resource_type, request.body, &selection)
            .await
            .map_err(explain)?;
        observe::note_resource(created.id());
        return answer_with(call, view, StatusCode::CREATED, created).await;
    }
    let plan = || v1::creation(view, request, &scope.tenant.registry);
    let request = scope.compute.run(size, plan).await?;
    let performed = provider.bulk(scope, request, size).await?.pop();
    let performed = performed.ok_or_else(|| Error::internal("a bulk request has no result"))?;
    performed.outcome.map_err(explain)?;
    let made = performed.subject;
    let made = made.ok_or_else(|| Error::internal("a bulk request made no resource"))?;
    observe::note_resource(&made.id);
    let id = resource_id(view.resource_type, &made.id)?;
    let created = current(call, view, &id, &selection).await?;
    answer_with(call, view, StatusCode::CREATED, created).await
}

/// GET of one resource.
///
/// # Errors
/// `Forbidden` without the permission to read; those of the provider.
pub(super) async fn get(call: &Call<'_>, view: View<'_>, id: &str) -> Result<Response> {
    call.scope
        .grant()
        .check(view.resource_type, Permission::Read)?;
    let selection = v1::selection(view, &call.parameters)?;
    let whole = call.precondition();
    let id = &resource_id(view.resource_type, id)?;
    // The provider does not know that this answer may also show a user.
    let condition = match v1::embeds_user(view, &call.parameters) {
        true => whole.without_if_none_match(),
        false => whole.clone(),
    };
    let provider = &call.service.provider;
    let read = provider
        .get(&call.scope, view.resource_type, id, &selection, &condition)
        .await?;
    let known = match read {
        Read::Found(found) => {
            let written = written(call, view, found).await?;
            match whole.check_read(&written.version)? {
                version::ReadDecision::Representation => {
                    return Ok(with_resource(StatusCode::OK, written));
                }
                version::ReadDecision::NotModified => written.version,
            }
        }
        Read::NotModified(version) => version,
    };
    let location = render::location(&call.scope.base_url, view.resource_type, id.as_str());
    Ok(answer::not_modified(&location, &known))
}

/// PUT of one resource: SCIM 1.1 replaces it, the Ionic API keeps what the body does not name.
///
/// # Errors
/// `Forbidden` without the permission to update; those of reading the body and of the provider.
pub(super) async fn put(call: &Call<'_>, view: View<'_>, id: &str, body: Body) -> Result<Response> {
    match view.dialect {
        Dialect::General => replace(call, view, id, body).await,
        Dialect::Ionic => merge(call, view, id, body).await,
    }
}

async fn replace(call: &Call<'_>, view: View<'_>, id: &str, body: Body) -> Result<Response> {
    let (body, size) = read_change(call, view, body).await?;
    let selection = v1::selection(view, &call.parameters)?;
    let id = &resource_id(view.resource_type, id)?;
    let translate = |_: &mut Reading<'_>| v1::request(view, body).map(|request| request.body);
    let translated = call.read(size, translate).await?;
    let body = or_missing(call, view, id, translated).await?;
    let condition = call.precondition();
    let (scope, provider) = (&call.scope, &call.service.provider);
    let replaced = provider
        .replace(scope, view.resource_type, id, body, &selection, &condition)
        .await?;
    answer_with(call, view, StatusCode::OK, replaced).await
}

async fn merge(call: &Call<'_>, view: View<'_>, id: &str, body: Body) -> Result<Response> {
    let (body, size) = read_change(call, view, body).await?;
    let selection = v1::selection(view, &call.parameters)?;
    let id = &resource_id(view.resource_type, id)?;
    let translate = |reading: &mut Reading<'_>| v1::merging_put(view, body, reading);
    let translated = call.read(size, translate).await?;
    let body = or_missing(call, view, id, translated).await?;
    let merged = apply(call, view, id, body, &selection).await?;
    let merged = or_current(call, view, id, merged, &selection).await?;
    answer_with(call, view, StatusCode::OK, merged).await
}

/// PATCH of one resource. In SCIM 1.1 the answer always shows the resource, because clients read it.
/// In the Ionic API it does if the client asks for attributes.
///
/// # Errors
/// As [`put`].
pub(super) async fn patch(
    call: &Call<'_>,
    view: View<'_>,
    id: &str,
    body: Body,
) -> Result<Response> {
    let (body, size) = read_change(call, view, body).await?;
    let selection = v1::selection(view, &call.parameters)?;
    let id = &resource_id(view.resource_type, id)?;
    let translate = |reading: &mut Reading<'_>| v1::patch(view, body, reading);
    let translated = call.read(size, translate).await?;
    let body = or_missing(call, view, id, translated).await?;
    let is_asked = !call.parameters.list("attributes").is_empty();
    if view.dialect == Dialect::Ionic && !is_asked {
        let patched = apply(call, view, id, body, &Selection::id_only()).await?;
        let (Patched::Resource(Representation { version, .. }) | Patched::NoContent(version)) =
            patched;
        let location = render::location(&call.scope.base_url, view.resource_type, id.as_str());
        return Ok(answer::no_content(&location, &version));
    }
    let patched = apply(call, view, id, body, &selection).await?;
    let patched = or_current(call, view, id, patched, &selection).await?;
    answer_with(call, view, StatusCode::OK, patched).await
}

/// DELETE of one resource. Many clients of SCIM 1.1 expect a 200; those of the Ionic API accept 204.
///
/// # Errors
/// `Forbidden` without the permission to delete; those of the provider.
pub(super) async fn delete(call: &Call<'_>, view: View<'_>, id: &str) -> Result<Response> {
    call.scope
        .grant()
        .check(view.resource_type, Permission::Delete)?;
    let condition = call.precondition();
    let id = &resource_id(view.resource_type, id)?;
    let provider = &call.service.provider;
    provider
        .delete(&call.scope, view.resource_type, id, &condition)
        .await?;
    Ok(answer::deleted(match view.dialect {
        Dialect::General => StatusCode::OK,
        Dialect::Ionic => StatusCode::NO_CONTENT,
    }))
}

/// The body of a change, and its size as [`Compute::run`](crate::provider::Compute::run) takes it.
async fn read_change(
    call: &Call<'_>,
    view: View<'_>,
    body: Body,
) -> Result<(Map<String, Value>, usize)> {
    call.scope
        .grant()
        .check(view.resource_type, Permission::Update)?;
    let body = body::read_object(call, body).await?;
    let size = body_size(&body);
    Ok((body, size))
}

/// The translated body. If the body is wrong and the resource does not exist, the answer is 404, as in
/// SCIM 2.0.
async fn or_missing(
    call: &Call<'_>,
    view: View<'_>,
    id: &ResourceId,
    translated: Result<Map<String, Value>>,
) -> Result<Map<String, Value>> {
    if translated.is_err() {
        current(call, view, id, &Selection::id_only()).await?;
    }
    translated
}

async fn apply<'v>(
    call: &Call<'_>,
    view: View<'v>,
    id: &ResourceId,
    body: Map<String, Value>,
    selection: &Selection,
) -> Result<Patched<'v>> {
    let condition = call.precondition();
    let (scope, provider) = (&call.scope, &call.service.provider);
    provider
        .patch(scope, view.resource_type, id, body, selection, &condition)
        .await
}

/// The resource after a change. It is read if the change itself did not return it.
async fn or_current<'v>(
    call: &Call<'_>,
    view: View<'v>,
    id: &ResourceId,
    patched: Patched<'v>,
    selection: &Selection,
) -> Result<Representation<'v>> {
    match patched {
        Patched::Resource(changed) => Ok(changed),
        Patched::NoContent(_) => current(call, view, id, selection).await,
    }
}

async fn current<'v>(
    call: &Call<'_>,
    view: View<'v>,
    id: &ResourceId,
    selection: &Selection,
) -> Result<Representation<'v>> {
    let condition = Precondition::default();
    let (scope, provider) = (&call.scope, &call.service.provider);
    let read = provider
        .get(scope, view.resource_type, id, selection, &condition)
        .await?;
    match read {
        Read::Found(found) => Ok(found),
        Read::NotModified(_) => Err(Error::internal("a read without a condition was cut short")),
    }
}

/// The answer with a resource, translated.
async fn answer_with(
    call: &Call<'_>,
    view: View<'_>,
    status: StatusCode,
    found: Representation<'_>,
) -> Result<Response> {
    let written = written(call, view, found).await?;
    Ok(with_resource(status, written))
}

/// A resource as it is sent.
struct RenderedResource {
    text: String,
    location: String,
    /// The version of everything that is shown.
    version: Version,
}

/// Translates a resource. A device contains its user if the request asks for it; its version then
/// covers the user too.
async fn written(
    call: &Call<'_>,
    view: View<'_>,
    found: Representation<'_>,
) -> Result<RenderedResource> {
    let (scope, size) = (&call.scope, found.size());
    let base_url = &scope.base_url;
    let location = render::location(base_url, view.resource_type, found.id());
    let translate = || RepresentationV1::of(&found, view, base_url);
    let write = |one: RepresentationV1| {
        let version = one.version.clone();
        (one.into_text(), version)
    };
    let (text, version) = if v1::embeds_user(view, &call.parameters) {
        let mut devices = [scope.compute.run(size, translate).await??];
        device::embed_users(call, view.dialect, &mut devices).await?;
        let [device] = devices;
        scope.compute.run(size, || write(device)).await?
    } else {
        scope.compute.run(size, || translate().map(write)).await??
    };
    Ok(RenderedResource {
        text,
        location,
        version,
    })
}

fn with_resource(status: StatusCode, written: RenderedResource) -> Response {
    let (location, version) = (&written.location, Some(&written.version));
    answer::resource(status, written.text, location, version)
}
