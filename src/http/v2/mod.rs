//! Reads requests of SCIM 2.0 and renders their answers (RFC 7644 §3). The feed of changes is here too,
//! because its events show resources in the form of SCIM 2.0.

mod bulk;
mod discovery;
mod events;
mod list;
mod me;
mod resource;

use axum::body::Body;
use axum::response::Response;

use super::action::Action;
use super::call::Call;
use super::site;
use crate::protocol::Result;

/// Carries out a request of SCIM 2.0.
///
/// # Errors
/// Those of the actions.
pub(super) async fn act(call: &Call<'_>, action: Action<'_>, body: Body) -> Result<Response> {
    match action {
        Action::Describe(endpoint) => discovery::describe(call, endpoint),
        Action::Bulk => bulk::bulk(call, body).await,
        Action::Me(verb) => me::act(call, verb, body).await,
        Action::List(over) => list::list(call, over).await,
        Action::Search(over) => list::search(call, over, body).await,
        Action::Create(resource_type) => resource::create(call, resource_type, body).await,
        Action::Get(resource_type, id) => resource::get(call, resource_type, id).await,
        Action::Replace(resource_type, id) => {
            resource::replace(call, resource_type, id, body).await
        }
        Action::Patch(resource_type, id) => resource::patch(call, resource_type, id, body).await,
        Action::Delete(resource_type, id) => resource::delete(call, resource_type, id).await,
        Action::Events => events::events(call).await,
        Action::Site(site) => site::for_caller(call, site).await,
        Action::Members(resource_type, id) => list::members(call, resource_type, id).await,
    }
}
