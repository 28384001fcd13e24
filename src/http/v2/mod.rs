//! SCIM 2.0: requests are read, answers are rendered (RFC 7644 §3).

mod bulk;
mod discovery;
mod list;
mod resource;

use axum::body::Body;
use axum::response::Response;

use super::call::Call;
use super::route::{Target, Verb, no_such_endpoint};
use crate::protocol::Result;
use crate::protocol::schema::ResourceType;

/// Carries out a request of SCIM 2.0.
///
/// # Errors
/// What the single verbs say.
pub(super) async fn act(
    call: &Call<'_>,
    target: &Target,
    resource_type: Option<&ResourceType>,
    (verb, body): (Verb, Body),
) -> Result<Response> {
    match (target, resource_type) {
        (Target::Discovery(what), _) => discovery::describe(call, what),
        (Target::Bulk, _) => bulk::bulk(call, body).await,
        (Target::Me, _) => resource::me(call, verb, body).await,
        (Target::Resource { id, .. }, Some(resource_type)) => {
            resource::one(call, resource_type, id, verb, body).await
        }
        (Target::Members { id, .. }, Some(resource_type)) => {
            list::members(call, resource_type, id).await
        }
        (Target::Resource { .. } | Target::Members { .. }, None) => Err(no_such_endpoint()),
        (Target::Collection(_), Some(resource_type)) if verb == Verb::Post => {
            resource::create(call, resource_type, body).await
        }
        (Target::Collection(_), within) => list::list(call, within).await,
        (Target::Search(_), within) => list::search(call, within, body).await,
    }
}
