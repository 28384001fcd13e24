//! The way of a request: target, caller, permission, verb.
//!
//! The order decides what an outsider can learn. A path that cannot lead anywhere is refused at
//! once; everything else needs a credential first, because which endpoints exist is the tenant's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use axum::response::Response;

use super::api::Api;
use super::call::Call;
use super::observe::RequestId;
use super::route::{Route, Target, Verb, Within, no_such_endpoint};
use super::{Gateway, Refused, Service, answer, media_type, observe, public_url, signed, v1, v2};
use crate::protocol::message::Parameters;
use crate::protocol::profile::{Profile, Tolerance};
use crate::protocol::schema::ResourceType;
use crate::protocol::{Error, ErrorKind, Result};
use crate::provider::{REQUEST_BUDGET, Scope};
use crate::store::Meter;
use crate::tenant::{CredentialKind, RequestHead, TenantId, refusal};

/// Answers one request.
pub(super) async fn dispatch(State(service): State<Arc<Service>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let gateway = parts.extensions.get::<Gateway>();
    let path = public_url::local_path(parts.uri.path(), service.public_url.as_ref(), gateway);
    let route = Route::parse(path);
    if let Some(Refused(error)) = parts.extensions.get::<Refused>() {
        return route.api.finish(route.api.error(error));
    }
    let answered = answer_to(&service, parts, body, &route);
    let answered = tokio::time::timeout(REQUEST_BUDGET, answered).await;
    let response = answered.unwrap_or_else(|_| {
        route.api.error(&Error::unavailable(format!(
            "The request was not finished within {} seconds",
            REQUEST_BUDGET.as_secs()
        )))
    });
    let response = route.api.finish(response);
    if is_head {
        answer::head_of(response)
    } else {
        response
    }
}

async fn answer_to(service: &Service, parts: Parts, body: Body, route: &Route) -> Response {
    let target = match &route.target {
        Ok(target) => target,
        Err(error) => return route.api.error(error),
    };
    let method = route.api.method(&parts);
    observe::note_route(shown(&method), route.api.name(), target.template());
    let verb = Verb::of(&method, &route.api, target);
    match carry_out(service, parts, body, route, (target, verb)).await {
        Ok(response) => response,
        Err(error) if error.kind() == ErrorKind::MethodNotAllowed => {
            answer::allowing(route.api.error(&error), &target.allow(&route.api))
        }
        Err(error) => route.api.error(&error),
    }
}

async fn carry_out(
    service: &Service,
    parts: Parts,
    body: Body,
    route: &Route,
    (target, verb): (&Target, Result<Verb>),
) -> Result<Response> {
    let (mut call, body) = open(service, (parts, body), &route.api).await?;
    if *target == Target::Me {
        call.scope = call.scope.at_me();
    }
    let is_found = route.is_exact || call.scope.tolerates(Tolerance::EndpointCase);
    let answered = match is_found {
        true => act(&call, body, &route.api, (target, verb)).await,
        false => Err(no_such_endpoint()),
    };
    observe::note_tolerances(call.scope.fired());
    answered
}

async fn act(
    call: &Call<'_>,
    body: Body,
    api: &Api,
    (target, verb): (&Target, Result<Verb>),
) -> Result<Response> {
    let resource_type = resource_type(&call.scope, target)?;
    let verb = verb?;
    media_type::check_accept(&call.headers)?;
    if let Some(dialect) = api.dialect() {
        return v1::act(
            call,
            dialect,
            target,
            resource_type.as_deref(),
            (verb, body),
        )
        .await;
    }
    v2::act(call, target, resource_type.as_deref(), (verb, body)).await
}

/// Authenticates the request and opens its scope. The body is given back, to be read by the verb.
async fn open<'s>(
    service: &'s Service,
    (mut parts, body): (Parts, Body),
    api: &Api,
) -> Result<(Call<'s>, Body)> {
    let extensions = &mut parts.extensions;
    let meter = extensions.remove::<Meter>().unwrap_or_default();
    let id = extensions.remove::<RequestId>().unwrap_or_default();
    let gateway = extensions.remove::<Gateway>();
    let place = (service.public_url.as_ref(), gateway.as_ref());
    let path = public_url::public_path(parts.uri.path(), place.0, place.1);
    let method = api.method(&parts);
    let head = request_head(&parts, api, method.as_str(), &path)?;
    let is_enabled = |tenant, kind| is_enabled(service, meter.clone(), tenant, kind);
    let caller = service
        .authenticator
        .authenticate(&head, is_enabled)
        .await?;
    observe::note_tenant(&caller.tenant);
    let turn = service.admission.admit(&caller.tenant).await?;
    let body = signed::admit(service, &caller, &parts.headers, body, &meter).await?;
    let base_url = public_url::base_url(place.0, place.1, &api.base_path());
    let scope = service
        .provider
        .scope(caller, base_url, id.0, meter)
        .await?;
    let scope = match api.dialect() {
        // A client of SCIM 1.1 cannot know of a profile of 2.0.
        Some(_) => scope.with_profile(Profile::Default),
        None => scope,
    };
    let parameters = Parameters::parse(parts.uri.query().unwrap_or_default())?;
    let headers = parts.headers;
    let call = Call {
        service,
        scope,
        headers,
        parameters,
        _turn: turn,
    };
    Ok((call, body))
}

/// The type that the target is about, if it is about one type.
///
/// # Errors
/// `NotFound` if the tenant has no type at that endpoint.
fn resource_type(scope: &Scope, target: &Target) -> Result<Option<Arc<ResourceType>>> {
    let (Target::Collection(Within::Endpoint(endpoint))
    | Target::Search(Within::Endpoint(endpoint))
    | Target::Resource { endpoint, .. }
    | Target::Members { endpoint, .. }) = target
    else {
        return Ok(None);
    };
    let found = scope.at_endpoint(endpoint).ok_or_else(no_such_endpoint)?;
    observe::note_resource_type(&found.name);
    Ok(Some(Arc::clone(found)))
}

/// What the caller is recognised by.
///
/// # Errors
/// `Unauthorized` if the path names a tenant that there cannot be.
fn request_head<'p>(
    parts: &'p Parts,
    api: &'p Api,
    method: &'p str,
    path: &'p str,
) -> Result<RequestHead<'p>> {
    let text = |name: HeaderName| parts.headers.get(name)?.to_str().ok();
    let is_sole = parts.headers.get_all(AUTHORIZATION).iter().count() == 1;
    // Of two credentials it cannot be told which one is meant.
    let authorization = text(AUTHORIZATION).filter(|_| is_sole);
    let tenant = match api {
        Api::V2 | Api::V1 => None,
        Api::Ionic(tenant) => Some(tenant.as_ref().ok_or_else(|| refusal(authorization))?),
    };
    Ok(RequestHead {
        authorization,
        tenant,
        method,
        path,
        query: parts.uri.query(),
        date: text(DATE),
        content_md5: text(HeaderName::from_static("content-md5")),
        content_type: text(CONTENT_TYPE),
    })
}

/// A method as it may stand in the log; what is none of HTTP's is the client's own text.
fn shown(method: &Method) -> &str {
    match method.as_str() {
        name @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => name,
        _ => "OTHER",
    }
}

/// Whether the tenant takes credentials of this kind.
async fn is_enabled(
    service: &Service,
    meter: Meter,
    tenant: TenantId,
    kind: CredentialKind,
) -> Result<bool> {
    let provider = &service.provider;
    let store = provider.store().for_tenant(&tenant, meter, REQUEST_BUDGET);
    let tenant = provider.tenants().get(&tenant, &store).await?;
    Ok(kind.is_enabled(&tenant.rules.switches))
}
