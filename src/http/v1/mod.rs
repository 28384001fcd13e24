//! SCIM 1.1 and the Ionic API: requests are translated into those of SCIM 2.0, and answers back.
//!
//! This folder decides which answers have a body, and handles the groups of a new user and the user of
//! a device. [`protocol::v1`](crate::protocol::v1) translates bodies, filters and resources.

mod bulk;
mod device;
mod discovery;
mod list;
mod representation;
mod resource;

use axum::body::Body;
use axum::response::Response;

use super::action::Action;
use super::call::Call;
use super::route::no_such_endpoint;
use crate::protocol::Result;
use crate::protocol::v1::{Dialect, View, error_to_v1};
use crate::provider::Over;

/// Carries out a request of SCIM 1.1.
///
/// # Errors
/// Those of the actions; `NotFound` for targets that 1.1 does not have.
pub(super) async fn act(
    call: &Call<'_>,
    dialect: Dialect,
    action: Action<'_>,
    body: Body,
) -> Result<Response> {
    let view = |resource_type| View {
        dialect,
        resource_type,
    };
    let answered = match action {
        Action::Describe(endpoint) => discovery::describe(call, dialect, endpoint),
        Action::Bulk => bulk::bulk(call, dialect, body).await,
        Action::List(Over::Type(listed)) => list::list(call, view(listed)).await,
        Action::Create(resource_type) => resource::create(call, view(resource_type), body).await,
        Action::Get(resource_type, id) => resource::get(call, view(resource_type), id).await,
        Action::Replace(resource_type, id) => {
            resource::put(call, view(resource_type), id, body).await
        }
        Action::Patch(resource_type, id) => {
            resource::patch(call, view(resource_type), id, body).await
        }
        Action::Delete(resource_type, id) => resource::delete(call, view(resource_type), id).await,
        // No path of 1.1 leads to these.
        Action::Me(_)
        | Action::List(Over::All)
        | Action::Search(_)
        | Action::Events
        | Action::Site(_)
        | Action::Members(..) => Err(no_such_endpoint()),
    };
    answered.map_err(error_to_v1)
}
