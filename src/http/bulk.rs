//! Bulk requests in both protocol versions (RFC 7644 §3.7; SCIM 1.1 API §3.5).

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value};

use super::call::Call;
use super::{answer, body};
use crate::protocol::bulk::{BulkRequest, Outcome, render_response, render_response_v1};
use crate::protocol::v1::{self, Dialect};
use crate::protocol::{ErrorKind, Result};
use crate::provider::{Performed, body_size};

/// Answers a bulk request of SCIM 2.0.
///
/// # Errors
/// `PayloadTooLarge` naming the limit, `InvalidSyntax` and `InvalidValue` for a body that is no bulk
/// request; what is wrong with one operation stands in its result.
pub(super) async fn bulk(call: &Call<'_>, body: Body) -> Result<Response> {
    let (body, size) = read(call, body).await?;
    let scope = &call.scope;
    let mut reading = scope.reading();
    let parse = || BulkRequest::parse(&body, &mut reading);
    let request = scope.compute(size, parse).await?;
    scope.note(&reading);
    let performed = call.service.provider.bulk(scope, request?, size).await?;
    Ok(answer(&performed, render_response))
}

/// The same for a bulk request of SCIM 1.1.
///
/// # Errors
/// As [`bulk`].
pub(super) async fn bulk_v1(call: &Call<'_>, dialect: Dialect, body: Body) -> Result<Response> {
    let (body, size) = read(call, body).await?;
    let scope = &call.scope;
    let mut reading = scope.reading();
    let translate = || v1::bulk_request(body, &scope.tenant.registry, dialect, &mut reading);
    let translated = scope.compute(size, translate).await?;
    scope.note(&reading);
    let v1::Translated {
        request,
        names_from,
    } = translated?;
    let explain = |one: Performed| {
        let name = one.label.bulk_id.as_ref();
        let name_from = name.and_then(|name| names_from.get(name).copied());
        Performed {
            status: one
                .status
                .map_err(|error| v1::explain_conflict(error, name_from)),
            ..one
        }
    };
    let performed = call.service.provider.bulk(scope, request, size).await?;
    let performed: Vec<_> = performed.into_iter().map(explain).collect();
    Ok(answer(&performed, render_response_v1))
}

/// The body, and its size as [`Scope::compute`](crate::provider::Scope::compute) takes it.
async fn read(call: &Call<'_>, body: Body) -> Result<(Map<String, Value>, usize)> {
    let limit = call.scope.tenant.rules.switches.bulk_max_payload_size;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = body::read_object_up_to(call, body, limit).await?;
    let size = body_size(&body);
    Ok((body, size))
}

fn answer(performed: &[Performed], render: fn(&[Outcome<'_>]) -> String) -> Response {
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
