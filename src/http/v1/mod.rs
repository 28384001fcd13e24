//! SCIM 1.1 and the Ionic API: the same verbs of the provider, with requests and answers translated.
//!
//! Everything that differs from 2.0 and is no matter of text stands here: which answers have a body,
//! what a new user's groups and a device's user mean. The texts are
//! [`protocol::v1`](crate::protocol::v1)'s.

mod bulk;
mod device;
mod discovery;
mod list;
mod resource;

use axum::body::Body;
use axum::response::Response;

use super::call::Call;
use super::route::{Target, Verb, no_such_endpoint};
use crate::protocol::Result;
use crate::protocol::schema::ResourceType;
use crate::protocol::v1::{Dialect, View};

/// Carries out a request of SCIM 1.1.
///
/// # Errors
/// What the single verbs say; `NotFound` for what 1.1 does not have.
pub(super) async fn act(
    call: &Call<'_>,
    dialect: Dialect,
    target: &Target,
    resource_type: Option<&ResourceType>,
    (verb, body): (Verb, Body),
) -> Result<Response> {
    let view = resource_type.map(|resource_type| View {
        dialect,
        resource_type,
    });
    match (target, view) {
        (Target::Discovery(what), _) => discovery::describe(call, dialect, what),
        (Target::Bulk, _) => bulk::bulk(call, dialect, body).await,
        (Target::Resource { id, .. }, Some(view)) => {
            resource::one(call, view, id, (verb, body)).await
        }
        (Target::Collection(_), Some(view)) if verb == Verb::Post => {
            resource::create(call, view, body).await
        }
        (Target::Collection(_), Some(view)) => list::list(call, view).await,
        (
            Target::Me
            | Target::Search(_)
            | Target::Members { .. }
            | Target::Collection(_)
            | Target::Resource { .. },
            _,
        ) => Err(no_such_endpoint()),
    }
}
