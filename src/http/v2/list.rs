//! Lists of resources, by GET and by POST to `/.search` (RFC 7644 §3.4.2, §3.4.3).

use axum::body::Body;
use axum::response::Response;

use crate::http::call::Call;
use crate::http::{answer, body, render};
use crate::protocol::Result;
use crate::protocol::message::Query;
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::Permission;
use crate::provider::{MEMBER_BYTES, Over, Representation, body_size};

/// Answers a query with its parameters in the URL.
///
/// # Errors
/// `Forbidden` without the permission to list; `InvalidValue` and `InvalidFilter` for a parameter;
/// those of the provider.
pub(super) async fn list(call: &Call<'_>, over: Over<'_>) -> Result<Response> {
    check_permission(call, over)?;
    let mut reading = call.scope.reading();
    let query = Query::from_parameters(&call.parameters, &mut reading);
    call.scope.note(&reading);
    let query = query?;
    answer_to(call, over, &query).await
}

/// Answers with a page of a group's members.
///
/// # Errors
/// `Forbidden` without the permission to read the group; those of the provider.
pub(super) async fn members(
    call: &Call<'_>,
    resource_type: &ResourceType,
    id: &str,
) -> Result<Response> {
    call.scope.grant().check(resource_type, Permission::Read)?;
    let switches = &call.scope.tenant.rules.switches;
    let query = Query::unfiltered(&call.parameters, switches)?;
    // The list takes no filter, so a filter is refused without being parsed.
    let has_filter = call.parameters.get("filter").is_some();
    let list = call
        .service
        .provider
        .member_page(&call.scope, resource_type, id, &query, has_filter)
        .await?;
    let base_url = &call.scope.base_url;
    let texts = || {
        let members = list.resources.iter();
        let texts: Vec<_> = members
            .map(|member| render::member_text(member, base_url))
            .collect();
        list.head.render(&texts)
    };
    let size = list.resources.len() * MEMBER_BYTES;
    Ok(answer::message(call.scope.compute.run(size, texts).await?))
}

/// Answers a query with its parameters in a SearchRequest.
///
/// # Errors
/// As [`list`], and `InvalidSyntax` for a body that is not a SearchRequest.
pub(super) async fn search(call: &Call<'_>, over: Over<'_>, body: Body) -> Result<Response> {
    check_permission(call, over)?;
    let body = body::read_object(call, body).await?;
    let query = call
        .read(body_size(&body), |reading| {
            Query::from_search_request(&body, reading)
        })
        .await??;
    answer_to(call, over, &query).await
}

async fn answer_to(call: &Call<'_>, over: Over<'_>, query: &Query) -> Result<Response> {
    let (scope, provider) = (&call.scope, &call.service.provider);
    let render = |found: &Representation<'_>| render::listed_text(found, &scope.base_url);
    let list = provider.query(scope, over, query, render).await?;
    Ok(answer::message(list.head.render(&list.resources)))
}

/// A query over every type needs the permission for each.
fn check_permission(call: &Call<'_>, over: Over<'_>) -> Result<()> {
    match over {
        Over::Type(resource_type) => call.scope.grant().check(resource_type, Permission::List),
        Over::All => {
            let mut types = call.scope.tenant.registry.resource_types().iter();
            types.try_for_each(|resource_type| {
                call.scope.grant().check(resource_type, Permission::List)
            })
        }
    }
}
