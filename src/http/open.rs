//! From the head of a request to a [`Call`]: finds out who is calling, and whether one more request of
//! the tenant may run.
//!
//! It must not know what the request asks for.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::api::{Api, PathTenant};
use super::call::Call;
use super::public_url::Mount;
use super::status::Observed;
use super::{Gateway, Service, observe, signed};
use crate::identity::{Cause, RequestId, TenantId};
use crate::pool::Turn;
use crate::protocol::message::Parameters;
use crate::protocol::profile::Profile;
use crate::protocol::{Error, Result};
use crate::provider::REQUEST_BUDGET;
use crate::store::{Meter, TenantStore};
use crate::tenant::{CredentialKind, Refusal, RequestHead, refusal};

/// Authenticates the request, waits until it may run, and opens its scope. The body is returned, for
/// the action to read.
///
/// # Errors
/// `Unauthorized`, `Forbidden` and `TooManyRequests`; `InvalidValue` for parameters that cannot be read;
/// `Unavailable` when the caller cannot be looked up.
pub(super) async fn open_call<'s>(
    service: &'s Service,
    mut parts: Parts,
    body: Body,
    api: &Api,
    observed: &Observed,
) -> Result<(Call<'s>, Body)> {
    let extensions = &mut parts.extensions;
    let meter = extensions.remove::<Meter>().unwrap_or_default();
    let request = extensions.remove::<RequestId>();
    let gateway = extensions.remove::<Gateway>();
    let mount = Mount {
        configured: service.public_url.as_ref(),
        gateway: gateway.as_ref(),
    };
    let path = mount.public_path(parts.uri.path());
    let method = api.method(&parts);
    let head = request_head(&parts, api, method.as_str(), &path)?;
    let cause = Cause {
        request: request.unwrap_or_else(RequestId::random),
        credential: None,
        kind: api.cause_kind(),
    };
    let is_enabled = |tenant, kind| is_enabled(service, cause.clone(), meter.clone(), tenant, kind);
    let caller = service.authenticator.authenticate(&head, is_enabled).await;
    let caller = caller.map_err(|refusal| noted(refusal, observed))?;
    observe::note_caller(&caller.tenant, &caller.credential);
    observed.note_caller(&caller.tenant, &caller.credential);
    let cause = Cause {
        credential: Some(caller.credential.clone()),
        ..cause
    };
    let store = service.provider.store();
    let budget = REQUEST_BUDGET;
    let store = store.for_tenant(&caller.tenant, cause.clone(), meter.clone(), budget);
    let turn = admit(service, &caller.tenant, &store).await?;
    let body = signed::admit(&store, &caller, &parts.headers, body).await?;
    let base_url = mount.base_url(&api.base_path());
    let scope = service
        .provider
        .scope(caller, cause, base_url, meter)
        .await?;
    let scope = match api.dialect() {
        // A client of SCIM 1.1 does not know about profiles of 2.0.
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
        passes_bytes: gateway.as_ref().is_none_or(Gateway::passes_bytes),
        _turn: turn,
    };
    Ok((call, body))
}

/// The error of a refused caller, after what is known about the caller was noted for the log and the status.
pub(super) fn noted(refusal: Refusal, observed: &Observed) -> Error {
    if let Some((tenant, credential)) = &refusal.known {
        observe::note_caller(tenant, credential);
        observed.note_tenant(tenant);
    }
    refusal.error
}

/// Counts a request of the tenant, and waits until it may run.
///
/// # Errors
/// `TooManyRequests`; `Unavailable` when the tenant's configuration cannot be read.
pub(super) async fn admit(
    service: &Service,
    tenant: &TenantId,
    store: &TenantStore,
) -> Result<Turn> {
    // The rate comes before the turn: the requests of a flood must not wait for turns, nor keep them from
    // others.
    let configured = service.provider.tenants().get(tenant, store).await?;
    let per_second = configured.rules.switches.requests_per_second;
    service.rates.admit(tenant, store, per_second).await?;
    service.admission.admit(tenant).await
}

/// Whether a request presents a bearer token, whatever it is worth (RFC 6750 §2.1).
pub(super) fn presents_token(headers: &HeaderMap) -> bool {
    let authorization = headers.get(AUTHORIZATION);
    let words = authorization.and_then(|value| value.to_str().ok()?.trim().split_once(' '));
    words.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
}

/// The parts of a request that identify its caller.
///
/// # Errors
/// `Unauthorized` if the name in the path is one that no tenant can have.
fn request_head<'p>(
    parts: &'p Parts,
    api: &'p Api,
    method: &'p str,
    path: &'p str,
) -> Result<RequestHead<'p>> {
    let text = |name: HeaderName| parts.headers.get(name)?.to_str().ok();
    let is_sole = parts.headers.get_all(AUTHORIZATION).iter().count() == 1;
    // Of two credentials it is unknown which one is meant.
    let authorization = text(AUTHORIZATION).filter(|_| is_sole);
    let tenant = match &api.tenant {
        PathTenant::Absent => None,
        PathTenant::Unfit => return Err(refusal(authorization)),
        PathTenant::Named(tenant) => Some(tenant),
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

/// Whether the tenant has switched on credentials of this kind.
async fn is_enabled(
    service: &Service,
    cause: Cause,
    meter: Meter,
    tenant: TenantId,
    kind: CredentialKind,
) -> Result<bool> {
    let provider = &service.provider;
    let store = provider
        .store()
        .for_tenant(&tenant, cause, meter, REQUEST_BUDGET);
    let tenant = provider.tenants().get(&tenant, &store).await?;
    Ok(kind.is_enabled(&tenant.rules.switches))
}
