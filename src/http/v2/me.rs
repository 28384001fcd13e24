//! `/Me`: the user that the caller's credential belongs to (RFC 7644 §3.11).

use axum::body::Body;
use axum::response::Response;

use super::resource;
use crate::http::action::Verb;
use crate::http::call::Call;
use crate::http::route::no_such_endpoint;
use crate::protocol::{Error, Result};

/// Does what the same method does at the user's own URL.
///
/// A credential that does not belong to a user has no `/Me`, which RFC 7644 §3.11 answers with 501. A
/// credential that does cannot create its user again.
///
/// # Errors
/// `NotImplemented` without a user; `Conflict` for a POST; those of the verb.
pub(super) async fn act(call: &Call<'_>, verb: Verb, body: Body) -> Result<Response> {
    let id = call.scope.caller.user.as_ref().ok_or_else(|| {
        Error::not_implemented("This credential does not belong to a user, so it has no /Me")
    })?;
    let registry = &call.scope.tenant.registry;
    let users = || registry.resource_type("User").ok_or_else(no_such_endpoint);
    match verb {
        Verb::Get => resource::get(call, users()?, id).await,
        Verb::Post => Err(Error::conflict(
            "The user of this credential exists already",
        )),
        Verb::Put => resource::replace(call, users()?, id, body).await,
        Verb::Patch => resource::patch(call, users()?, id, body).await,
        Verb::Delete => resource::delete(call, users()?, id).await,
    }
}
