//! The parts of discovery that both protocol versions share, and the permission that it takes.

use super::call::Call;
use crate::protocol::Result;
use crate::protocol::discovery::{Capabilities, Discovery};
use crate::protocol::scopes::Permission;
use crate::provider::CURSOR_TIMEOUT_SECONDS;

/// What this service supports. [`v2`](super::v2) and [`v1`](super::v1) implement it.
const CAPABILITIES: Capabilities = Capabilities {
    patch: true,
    bulk: true,
    filter: true,
    sort: true,
    etag: true,
    cursor_timeout_seconds: Some(CURSOR_TIMEOUT_SECONDS),
    documentation_uri: None,
};

/// The description of the service for the caller's tenant.
pub(super) fn discovery<'c>(call: &'c Call<'_>) -> Discovery<'c> {
    Discovery {
        registry: &call.scope.tenant.registry,
        rules: &call.scope.tenant.rules,
        capabilities: &CAPABILITIES,
        base_url: &call.scope.base_url,
        has_oauth: call.scope.caller.has_oauth,
    }
}

/// Checks that the caller may read the catalogue of permissions.
///
/// # Errors
/// `Forbidden` naming `scopes:read`.
pub(super) fn check_scopes_permission(call: &Call<'_>) -> Result<()> {
    call.scope
        .caller
        .permissions
        .check("Scopes", Permission::Read)
}
