//! Bulk requests (SCIM 1.1 API §3.5).

use axum::body::Body;
use axum::response::Response;

use crate::http::bulk::{answer, read};
use crate::http::call::Call;
use crate::protocol::Result;
use crate::protocol::bulk::render_response_v1;
use crate::protocol::v1::{self, Dialect};
use crate::provider::Performed;

/// Answers a bulk request.
///
/// # Errors
/// `PayloadTooLarge` naming the limit, `InvalidSyntax` and `InvalidValue` for a body that is not a bulk
/// request. An error of one operation is part of its result.
pub(super) async fn bulk(call: &Call<'_>, dialect: Dialect, body: Body) -> Result<Response> {
    let (body, size) = read(call, body).await?;
    let scope = &call.scope;
    let registry = &scope.tenant.registry;
    let v1::TranslatedBulk {
        request,
        names_from,
    } = call
        .read(size, |reading| {
            v1::bulk_request(body, registry, dialect, reading)
        })
        .await??;
    let explain = |one: Performed| {
        let name = one.label.bulk_id.as_ref();
        let name_from = name.and_then(|name| names_from.get(name).copied());
        Performed {
            outcome: one
                .outcome
                .map_err(|error| v1::explain_conflict(v1::error_to_v1(error), name_from)),
            ..one
        }
    };
    let performed = call.service.provider.bulk(scope, request, size).await?;
    let performed: Vec<_> = performed.into_iter().map(explain).collect();
    Ok(answer(call, &performed, render_response_v1))
}
