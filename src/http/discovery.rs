//! What both protocol versions say about the service itself, and who may ask for it.

use super::call::Call;
use crate::protocol::Result;
use crate::protocol::discovery::{Capabilities, Discovery};
use crate::protocol::scopes::Permission;
use crate::provider::CURSOR_TIMEOUT_SECONDS;

/// What this service can do, which [`v2`](super::v2) and [`v1`](super::v1) make true.
const CAPABILITIES: Capabilities = Capabilities {
    patch: true,
    bulk: true,
    filter: true,
    sort: true,
    etag: true,
    cursor_timeout_seconds: Some(CURSOR_TIMEOUT_SECONDS),
    documentation_uri: None,
};

/// The service as the caller's tenant has it.
pub(super) fn discovery<'c>(call: &'c Call<'_>) -> Discovery<'c> {
    Discovery {
        registry: &call.scope.tenant.registry,
        rules: &call.scope.tenant.rules,
        capabilities: &CAPABILITIES,
        base_url: &call.scope.base_url,
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
