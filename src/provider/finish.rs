//! Finishes changes whose writers have died.

use std::time::Duration;

use super::tenants::Tenants;
use crate::identity::{Cause, TenantId};
use crate::protocol::error::Result;
use crate::store::{IndexEntries, Meter};

/// How long one call may take. It is shorter than a Lambda function may run.
const FINISH_BUDGET: Duration = Duration::from_secs(240);

/// Finishes changes whose writers have died, as [`Provider::finish`](super::Provider::finish) says.
/// It needs no provider, so a process that only finishes changes needs no secrets.
///
/// # Errors
/// As [`Provider::finish`](super::Provider::finish).
pub async fn finish(tenants: &Tenants, tenant: &TenantId, cause: Cause) -> Result<usize> {
    let store = tenants.store();
    let store = store.for_tenant(tenant, cause, Meter::default(), FINISH_BUDGET);
    let tenant = tenants.get(tenant, &store).await?;
    if tenant.index_version.entries() == IndexEntries::Newer {
        let tenant = &tenant.id;
        tracing::warn!(tenant.id = %tenant, "only a newer version of the service can finish this tenant's unfinished changes");
        return Ok(0);
    }
    let finished = store.journal().finish(&tenant.registry).await?;
    for entry in &finished.unknown {
        let (key, work) = (&entry.key, &entry.work);
        let tenant = &tenant.id;
        tracing::warn!(tenant.id = %tenant, key, work, "this version of the service cannot finish a journal entry");
    }
    Ok(finished.changes)
}
