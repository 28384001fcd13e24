//! Finishes changes whose writers have died.

use std::time::Duration;

use super::administration::Administration;
use crate::protocol::error::Result;
use crate::store::IndexEntries;

/// How long one call may take. It is shorter than a Lambda function may run.
const FINISH_BUDGET: Duration = Duration::from_secs(240);

/// Finishes changes whose writers have died, as [`Provider::finish`](super::Provider::finish) says.
pub(super) async fn finish(admin: &Administration<'_>) -> Result<usize> {
    let store = admin.store_for(FINISH_BUDGET);
    let tenant = admin.tenants.get(admin.tenant, &store).await?;
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
