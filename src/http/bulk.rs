//! What bulk requests of both protocol versions share: the body's limit, and when to ask for a retry.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value};

use super::call::Call;
use super::{answer, body, render};
use crate::protocol::bulk::BulkResult;
use crate::protocol::version::Version;
use crate::protocol::{ErrorKind, Result};
use crate::provider::{Performed, body_size};

/// The body, and its size as [`Compute::run`](crate::provider::Compute::run) takes it.
pub(super) async fn read(call: &Call<'_>, body: Body) -> Result<(Map<String, Value>, usize)> {
    let limit = call.scope.tenant.rules.switches.bulk_max_payload_size;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = body::read_object_up_to(call, body, limit).await?;
    let size = body_size(&body);
    Ok((body, size))
}

pub(super) fn answer(
    call: &Call<'_>,
    performed: &[Performed],
    write: fn(&[BulkResult<'_>]) -> String,
) -> Response {
    let failed = performed.iter().filter_map(|one| one.status.as_ref().err());
    failed.for_each(answer::log);
    let named = |one: &Performed| {
        let version = one.version.as_ref().map(Version::to_string);
        (
            render::operation_location(&call.scope.base_url, one),
            version,
        )
    };
    let names: Vec<_> = performed.iter().map(named).collect();
    let outcomes: Vec<_> = performed
        .iter()
        .zip(&names)
        .map(|(one, (location, version))| BulkResult {
            method: &one.label.method,
            bulk_id: one.label.bulk_id.as_deref(),
            location: location.as_deref(),
            version: version.as_deref(),
            status: one.status.as_ref().copied(),
        })
        .collect();
    let response = answer::message(write(&outcomes));
    let is_unavailable = |one: &Performed| {
        let error = one.status.as_ref().err();
        error.is_some_and(|error| error.kind() == ErrorKind::Unavailable)
    };
    match performed.iter().any(is_unavailable) {
        true => answer::asking_to_retry(response),
        false => response,
    }
}
