//! The parts that every request has: its id, its log line, and the headers of every answer.
//!
//! A log line holds ids, names that this service defines, and numbers. It never holds a token, a query
//! string, a path, or anything from a body.
//!
//! The writes of a request record the id that the answer has, so that an event leads to the log line and to
//! the client's own records. It is the client's id if that is short enough to be stored. For a longer one,
//! the log line has both ids.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::{Service, answer};
use crate::identity::{CredentialId, RequestId, TenantId};
use crate::protocol::profile::UsedTolerances;
use crate::store::{Cost, Meter};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The length of the longest request id that is taken over from a client, in characters.
const MAX_REQUEST_ID: usize = 128;

/// Wraps a request in its span, its log line and the common headers.
pub(super) async fn observe(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let meter = Meter::default();
    let own_id = RequestId::random();
    let client_id = client_id(request.headers()).map(str::to_owned);
    let span = tracing::info_span!(
        "request",
        request.id = own_id.as_str(),
        request.client_id = client_id,
        tenant.id = Empty,
        credential.id = Empty,
        route = Empty,
        resource.r#type = Empty,
        resource.id = Empty,
        tolerances = Empty,
    );
    let stored_id = client_id.as_deref().and_then(RequestId::parse);
    let stored_id = stored_id.unwrap_or_else(|| own_id.clone());
    let shown_id = client_id.unwrap_or_else(|| own_id.to_string());
    request.extensions_mut().insert(meter.clone());
    request.extensions_mut().insert(stored_id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let cost = meter.cost();
    answer::set(&mut response, X_REQUEST_ID, &shown_id);
    let cache_control = response.headers_mut().entry(CACHE_CONTROL);
    cache_control.or_insert(HeaderValue::from_static("no-store"));
    answer::set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    if service.server_timing {
        answer::set(&mut response, SERVER_TIMING, &server_timing(&cost));
    }
    span.in_scope(|| close(&response, begun, &cost));
    response
}

/// Adds the request's method and target to its log line.
pub(super) fn note_route(method: &str, api: &str, template: &str) {
    Span::current().record("route", format!("{method} {api}{template}"));
}

/// Adds the tenant and the credential to the log line.
pub(super) fn note_caller(tenant: &TenantId, credential: &CredentialId) {
    Span::current().record("tenant.id", tenant.as_str());
    Span::current().record("credential.id", credential.as_str());
}

/// Adds the type of the requested resource to the log line.
pub(super) fn note_resource_type(name: &str) {
    Span::current().record("resource.type", name);
}

/// Adds the id of the requested resource to the log line, if the text has the form of the ids that this
/// service creates. A path may hold any other text, which must not reach the log.
pub(super) fn note_resource(id: impl AsRef<str>) {
    let id = id.as_ref();
    if Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == id) {
        Span::current().record("resource.id", id);
    }
}

/// Adds the tolerances that the request needed to its log line.
pub(super) fn note_tolerances(fired: UsedTolerances) {
    if !fired.is_empty() {
        Span::current().record("tolerances", tracing::field::display(fired));
    }
}

fn close(response: &Response, begun: Instant, cost: &Cost) {
    let status = response.status().as_u16();
    let duration_ms = (begun.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
    tracing::info!(
        status,
        duration_ms,
        calls = cost.calls,
        rru = cost.read_units,
        wru = cost.write_units,
        cfg = cost.config_calls,
        status_calls = cost.status_calls,
        "answered {status} in {duration_ms} ms"
    );
}

fn server_timing(cost: &Cost) -> String {
    let waited = cost.waited.as_secs_f64() * 1000.0;
    format!("db;dur={waited:.1};desc=\"{cost}\"")
}

/// The id that the client gave the request, if it may be repeated in a header and in the log.
fn client_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(RequestId::may_contain);
    fits.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_request_id_is_taken_over() {
        fn check(id: &str, expected: bool) {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, id.parse().unwrap());
            assert_eq!(client_id(&headers).is_some(), expected, "{id}");
        }
        check("018f2c3e-7d1a-7b00-8000-000000000000", true);
        check("Root=1-67891233-abcdef012345678912345678", true);
        check("", false);
        check("a b", false);
        check("a\"b", false);
        check(&"a".repeat(128), true);
        check(&"a".repeat(129), false);
    }
}
