//! Finishing what dead writers began.

use std::time::Duration;

use super::administration::Administration;
use crate::protocol::error::Result;
use crate::store::IndexEntries;

/// How long one round of finishing may take: shorter than a Lambda function may run.
const FINISH_BUDGET: Duration = Duration::from_secs(240);

/// Finishes what dead writers began, as [`Provider::finish`](super::Provider::finish) says.
pub(super) async fn finish(admin: &Administration<'_>) -> Result<usize> {
    let store = admin.store_for(FINISH_BUDGET);
    let tenant = admin.tenants.get(admin.tenant, &store).await?;
    if tenant.index_version.entries() == IndexEntries::Newer {
        let tenant = &tenant.id;
        tracing::warn!(tenant.id = %tenant, "a newer version has to finish half-done changes");
        return Ok(0);
    }
    let finished = store.journal().finish(&tenant.registry).await?;
    for entry in &finished.unknown {
        let (key, work) = (&entry.key, &entry.work);
        let tenant = &tenant.id;
        tracing::warn!(tenant.id = %tenant, key, work, "a journal entry is of an unknown kind");
    }
    Ok(finished.changes)
}
