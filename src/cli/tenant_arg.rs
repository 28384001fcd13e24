//! A tenant as an argument.

use crate::identity::TenantId;

/// Reads a tenant's name.
pub(super) fn tenant_id(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.detail().to_owned())
}
