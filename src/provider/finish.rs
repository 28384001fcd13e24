//! Finishing what dead writers began.

use std::time::Duration;

use super::Provider;
use crate::protocol::error::Result;
use crate::store::{IndexEntries, Meter};
use crate::tenant::TenantId;

/// How long one round of finishing may take: shorter than a Lambda function may run.
const FINISH_BUDGET: Duration = Duration::from_secs(240);

impl Provider {
    /// Finishes every change of a tenant whose writer's lease has run out; returns how many. What
    /// only a newer version of the service can finish is named in the log and left as it is.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach; what was not finished is left for the next time.
    pub async fn finish(&self, tenant: &TenantId) -> Result<usize> {
        let store = self
            .store
            .for_tenant(tenant, Meter::default(), FINISH_BUDGET);
        let tenant = self.tenants.get(tenant, &store).await?;
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
}
