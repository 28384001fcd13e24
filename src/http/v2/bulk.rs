//! Bulk requests (RFC 7644 §3.7).

use axum::body::Body;
use axum::response::Response;

use crate::http::bulk::{answer, read};
use crate::http::call::Call;
use crate::protocol::Result;
use crate::protocol::bulk::{BulkRequest, render_response};

/// Answers a bulk request.
///
/// # Errors
/// `PayloadTooLarge` naming the limit, `InvalidSyntax` and `InvalidValue` for a body that is not a bulk
/// request. An error of one operation is part of its result.
pub(super) async fn bulk(call: &Call<'_>, body: Body) -> Result<Response> {
    let (body, size) = read(call, body).await?;
    let scope = &call.scope;
    let request = call
        .read(size, |reading| BulkRequest::parse(&body, reading))
        .await??;
    let performed = call.service.provider.bulk(scope, request, size).await?;
    Ok(answer(call, &performed, render_response))
}
