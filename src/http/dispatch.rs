//! Carries out a request: finds its target, its caller and its action, and calls the protocol version.
//!
//! The order decides what a client without a credential can learn. A path that leads nowhere for any
//! tenant is refused at once. OAuth, and what is the same for everyone, comes next. Everything else needs a
//! credential first, because each tenant has endpoints of its own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::FutureExt;

use super::action::Actions;
use super::api::Api;
use super::call::Call;
use super::open::{open_call, presents_token};
use super::public_url::Mount;
use super::route::{OAuthEndpoint, Route, Site, Target, no_such_endpoint};
use super::status::Observed;
use super::{Gateway, RefusedRequest, Service, answer, media_type, oauth, observe, site, v1, v2};
use crate::protocol::profile::Tolerance;
use crate::protocol::schema::ResourceType;
use crate::protocol::{Error, Result};
use crate::provider::{REQUEST_BUDGET, RequestScope};
use crate::store::Meter;

/// Answers one request.
pub(super) async fn dispatch(State(service): State<Arc<Service>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let mount = Mount {
        configured: service.public_url.as_ref(),
        gateway: parts.extensions.get::<Gateway>(),
    };
    let path = mount.local_path(parts.uri.path());
    let meter = parts.extensions.get::<Meter>();
    let observed = Observed::new(meter.cloned().unwrap_or_default());
    let response = match OAuthEndpoint::at(path) {
        Some(endpoint) => {
            let refused = refusal_of(&parts);
            let answer = oauth::answer_to(&service, &endpoint, parts, body, &observed);
            bounded(refused, answer, oauth::refusal).await
        }
        None => {
            let (refused, has_token) = (refusal_of(&parts), presents_token(&parts.headers));
            let route = Route::parse(path);
            let answer = answer_to(&service, parts, body, &route, &observed);
            let answered = bounded(refused, answer, |error| route.api.error(error)).await;
            let answered = route.api.finish(answered);
            match has_token {
                true => answer::to_token(answered),
                false => answered,
            }
        }
    };
    let (status, provider) = (response.status(), &service.provider);
    service.status.close(provider, &observed, status).await;
    sent(response, is_head)
}

/// Why the request cannot be carried out, if the gateway has passed it on broken.
fn refusal_of(parts: &Parts) -> Option<RefusedRequest> {
    parts.extensions.get().cloned()
}

/// The answer to a request, or the error of one that cannot be carried out or takes too long.
async fn bounded(
    refused: Option<RefusedRequest>,
    answer: impl Future<Output = Response>,
    error: impl Fn(&Error) -> Response,
) -> Response {
    if let Some(RefusedRequest(cause)) = refused {
        return error(&cause);
    }
    let answered = tokio::time::timeout(REQUEST_BUDGET, answer).await;
    answered.unwrap_or_else(|_| error(&out_of_time()))
}

/// The answer as it is sent: without its body to a HEAD.
fn sent(response: Response, is_head: bool) -> Response {
    match is_head {
        true => answer::head_of(response),
        false => response,
    }
}

fn out_of_time() -> Error {
    Error::unavailable(format!(
        "The request was not finished within {} seconds",
        REQUEST_BUDGET.as_secs()
    ))
}

async fn answer_to(
    service: &Service,
    parts: Parts,
    body: Body,
    route: &Route,
    observed: &Observed,
) -> Response {
    let answered = match &route.target {
        Ok(Target::Site(site)) if !site::is_served(service, site) => Err(no_such_endpoint()),
        Ok(target) => carry_out(service, parts, body, (route, target), observed).await,
        Err(error) => return route.api.error(error),
    };
    answered.unwrap_or_else(|error| route.api.error(&error))
}

async fn carry_out(
    service: &Service,
    parts: Parts,
    body: Body,
    (route, target): (&Route, &Target),
    observed: &Observed,
) -> Result<Response> {
    let method = route.api.method(&parts);
    observe::note_route(shown(&method), route.api.name(), target.template());
    if let Target::Site(site) = target
        && let Some(answered) = answer_anyone(service, &parts, (route, target, site), &method)?
    {
        return Ok(answered);
    }
    let (mut call, body) = open_call(service, parts, body, &route.api, observed).await?;
    match target {
        Target::Me => {
            call.scope
                .caller
                .user
                .iter()
                .for_each(observe::note_resource);
            call.scope = call.scope.at_me();
        }
        Target::Bulk => call.scope = call.scope.in_bulk(),
        Target::Resource { id, .. } | Target::Members { id, .. } => observe::note_resource(id),
        Target::Discovery(_)
        | Target::Collection(_)
        | Target::Search(_)
        | Target::Events
        | Target::Site(_) => {}
    }
    let is_found = route.is_exact || call.scope.tolerates(Tolerance::EndpointCase);
    let answered = async {
        match is_found {
            // In a box: with the states of every action inside those of every request, the compiler reaches its limit
            // of nested types.
            true => act(&call, body, &route.api, target, &method).boxed().await,
            false => Err(no_such_endpoint()),
        }
    };
    let noted = service.status.note_use(&service.provider, observed);
    let (answered, ()) = tokio::join!(answered, noted);
    observed.note_reached(call.scope.reached());
    observe::note_tolerances(call.scope.used_tolerances());
    answered
}

/// Answers a request for what is beside the protocols; `None` if the answer depends on who asks.
///
/// # Errors
/// Those of [`site`].
fn answer_anyone(
    service: &Service,
    parts: &Parts,
    (route, target, site): (&Route, &Target, &Site),
    method: &Method,
) -> Result<Option<Response>> {
    let actions = Actions::at(target, &route.api, |_| Err(no_such_endpoint()))?;
    if actions.by_method(method).is_none() {
        return Ok(Some(not_allowed(&route.api, &actions.allow())));
    }
    if site::needs_caller(site, parts)? {
        return Ok(None);
    }
    site::for_anyone(service, parts, site).map(Some)
}

/// Finds what the request asks for, and carries it out.
///
/// # Errors
/// In this order: `NotFound` for a target that the tenant does not have; `NotAcceptable`; those of the
/// action. A method that the target does not take is answered before `NotAcceptable`, as a response
/// and not as an error, because it has a header of its own.
async fn act(
    call: &Call<'_>,
    body: Body,
    api: &Api,
    target: &Target,
    method: &Method,
) -> Result<Response> {
    let actions = Actions::at(target, api, |endpoint| type_at(&call.scope, endpoint))?;
    let Some(action) = actions.by_method(method) else {
        return Ok(not_allowed(api, &actions.allow()));
    };
    media_type::check_accept(&call.headers)?;
    match api.dialect() {
        None => v2::act(call, action, body).await,
        Some(dialect) => v1::act(call, dialect, action, body).await,
    }
}

/// The tenant's type at an endpoint.
///
/// # Errors
/// `NotFound` if the tenant has no type there.
fn type_at<'s>(scope: &'s RequestScope, endpoint: &str) -> Result<&'s ResourceType> {
    let found = scope.at_endpoint(endpoint).ok_or_else(no_such_endpoint)?;
    observe::note_resource_type(&found.name);
    Ok(found)
}

/// The 405 for a method that the target does not take, with the methods that it takes.
fn not_allowed(api: &Api, allow: &str) -> Response {
    let error = Error::method_not_allowed(format!("This path takes {allow} and no other method"));
    answer::allowing(api.error(&error), allow)
}

/// A method as the log shows it. A method that HTTP does not define is text of the client, so it is
/// not shown.
fn shown(method: &Method) -> &str {
    match method.as_str() {
        name @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => name,
        _ => "OTHER",
    }
}
