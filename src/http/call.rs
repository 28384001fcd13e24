//! A request whose caller is known: what every verb gets to work with.
//!
//! It must not know what the request asks for.

use axum::http::HeaderMap;

use super::Service;
use crate::pool::Turn;
use crate::protocol::Result;
use crate::protocol::message::Parameters;
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::Action;
use crate::provider::Scope;

/// A request whose caller is known.
pub(super) struct Call<'s> {
    pub(super) service: &'s Service,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
    pub(super) parameters: Parameters,
    /// Its place among the requests of its tenant.
    pub(super) _turn: Turn,
}

impl Call<'_> {
    /// Checks that the caller may do this with resources of the type, or with its own user at `/Me`.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission: `users:create`.
    pub(super) fn check_permission(
        &self,
        resource_type: &ResourceType,
        action: Action,
    ) -> Result<()> {
        self.scope.check_permission(resource_type, action)
    }
}
