//! Lists of resources (SCIM 1.1 API §3.2.2).

use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::device;
use crate::http::answer;
use crate::http::call::Call;
use crate::protocol::message::{ListResponse, Paging};
use crate::protocol::scopes::Action;
use crate::protocol::v1::View;
use crate::protocol::{Error, Result};
use crate::provider::Over;

/// A list as the provider answers it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    total_results: u64,
    start_index: u64,
    #[serde(rename = "Resources")]
    resources: Vec<Map<String, Value>>,
}

/// Answers a list.
///
/// # Errors
/// `Forbidden` without the permission to list, `InvalidFilter` and `InvalidValue` for a parameter, and
/// what the provider says.
pub(super) async fn list(call: &Call<'_>, view: View<'_>) -> Result<Response> {
    call.scope
        .check_permission(view.resource_type, Action::List)?;
    let mut reading = call.scope.reading();
    let queried = view.query(&call.parameters, &mut reading);
    call.scope.note(&reading);
    let queried = queried?;
    let over = Over::Type(view.resource_type);
    let provider = &call.service.provider;
    let text = provider.query(&call.scope, over, &queried.query).await?;
    let (scope, size) = (&call.scope, text.len());
    let translated = scope.compute(size, || translated(view, &text)).await?;
    let (list, mut resources) = translated?;
    if queried.embeds_user {
        device::embed_users(call, view.dialect, &mut resources).await?;
    }
    let write = || {
        let resources = resources.into_iter();
        let texts: Vec<_> = resources
            .map(|resource| Value::Object(resource).to_string())
            .collect();
        list.render_v1(&texts)
    };
    Ok(answer::message(scope.compute(size, write).await?))
}

/// The provider's list as a client of 1.1 reads it: its head, and its resources.
fn translated(view: View<'_>, text: &str) -> Result<(ListResponse, Vec<Map<String, Value>>)> {
    let listed: Listed = serde_json::from_str(text).map_err(Error::internal)?;
    let list = ListResponse {
        total_results: Some(listed.total_results),
        paging: Paging::Index {
            start_index: listed.start_index,
        },
    };
    let resources = listed.resources.into_iter();
    let resources = resources.map(|resource| view.answer_object(resource));
    Ok((list, resources.collect()))
}
