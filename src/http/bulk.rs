//! The parts of bulk requests that both protocol versions share: the limit of the body, and when to
//! ask the client to retry.

use axum::body::Body;
use axum::response::Response;
use serde_json::{Map, Value};

use super::call::Call;
use super::{answer, body, render};
use crate::protocol::bulk::BulkResult;
use crate::protocol::version::Version;
use crate::protocol::{ErrorKind, Result};
use crate::provider::{Done, OperationSubject, Performed, body_size};

/// The body, and its size as [`Compute::run`](crate::provider::Compute::run) takes it.
pub(super) async fn read(call: &Call<'_>, body: Body) -> Result<(Map<String, Value>, usize)> {
    let limit = call.scope.tenant.rules.switches.bulk_max_payload_size;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = body::read_object_up_to(call, body, limit).await?;
    let size = body_size(&body);
    Ok((body, size))
}

/// The answer to a bulk request, in the form that `write` gives it. It asks the client to retry if an
/// operation failed with 503.
pub(super) fn answer(
    call: &Call<'_>,
    performed: &[Performed],
    write: fn(&[BulkResult<'_>]) -> String,
) -> Response {
    performed.iter().for_each(log);
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
            status: one.outcome.as_ref().copied().map(status_of),
        })
        .collect();
    let response = answer::message(write(&outcomes));
    let is_unavailable = |one: &Performed| {
        let error = one.outcome.as_ref().err();
        error.is_some_and(|error| error.kind() == ErrorKind::Unavailable)
    };
    match performed.iter().any(is_unavailable) {
        true => answer::asking_to_retry(response, None),
        false => response,
    }
}

/// The status of an operation: that of the answer to the single request.
fn status_of(done: Done) -> u16 {
    match done {
        Done::Created => 201,
        Done::Changed => 200,
        Done::ChangedUnseen | Done::Deleted => 204,
    }
}

/// Logs the result of an operation. The line of the request cannot name all resources, so each operation has
/// a line of its own.
fn log(one: &Performed) {
    match (&one.outcome, &one.subject) {
        (Err(error), _) => answer::log(error),
        // The operation has found a resource by this id, so it is not just any text of the client.
        (Ok(done), Some(OperationSubject { endpoint, id })) => {
            let status = status_of(*done);
            tracing::info!(
                endpoint,
                resource.id = id,
                operation.status = status,
                "an operation ended with {status}"
            );
        }
        (Ok(_), None) => {}
    }
}
