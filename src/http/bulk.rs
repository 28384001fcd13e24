//! Bulk requests in both protocol versions (RFC 7644 §3.7; SCIM 1.1 API §3.5).

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value};

use super::dispatch::Call;
use super::{answer, body};
use crate::protocol::bulk::{BulkRequest, Outcome, render_response, render_response_v1};
use crate::protocol::v1::{self, Dialect};
use crate::protocol::{ErrorKind, Result};
use crate::provider::Performed;

/// Answers a bulk request of SCIM 2.0.
///
/// # Errors
/// `PayloadTooLarge` naming the limit, `InvalidSyntax` and `InvalidValue` for a body that is no bulk
/// request; what is wrong with one operation stands in its result.
pub(super) async fn bulk(call: &Call<'_>, body: Body) -> Result<Response> {
    let body = read(call, body).await?;
    let mut reading = call.scope.reading();
    let request = BulkRequest::parse(&body, &mut reading);
    call.scope.note(&reading);
    Ok(perform(call, request?, render_response).await)
}

/// The same for a bulk request of SCIM 1.1.
///
/// # Errors
/// As [`bulk`].
pub(super) async fn bulk_v1(call: &Call<'_>, dialect: Dialect, body: Body) -> Result<Response> {
    let body = read(call, body).await?;
    let registry = &call.scope.tenant.registry;
    let mut reading = call.scope.reading();
    let request = v1::bulk_request(body, registry, dialect, &mut reading);
    call.scope.note(&reading);
    Ok(perform(call, request?, render_response_v1).await)
}

async fn read(call: &Call<'_>, body: Body) -> Result<Map<String, Value>> {
    let limit = call.scope.tenant.rules.switches.bulk_max_payload_size;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    body::read_object_up_to(&call.headers, body, limit).await
}

async fn perform(
    call: &Call<'_>,
    request: BulkRequest,
    render: fn(&[Outcome<'_>]) -> String,
) -> Response {
    let performed = call.service.provider.bulk(&call.scope, request).await;
    let failed = performed.iter().filter_map(|one| one.status.as_ref().err());
    failed.for_each(answer::log);
    let outcomes: Vec<_> = performed.iter().map(Performed::outcome).collect();
    let response = answer::message(render(&outcomes));
    let is_unavailable = |one: &Performed| {
        let error = one.status.as_ref().err();
        error.is_some_and(|error| error.kind() == ErrorKind::Unavailable)
    };
    match performed.iter().any(is_unavailable) {
        true => answer::asking_to_retry(response),
        false => response,
    }
}
