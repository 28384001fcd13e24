//! The finisher: finishes changes whose writer died.
//!
//! The table's stream delivers every journal entry that is new or has a new lease. The writers finish
//! almost all of them within a second. The finisher waits until their leases are over, and then finishes
//! the entries that still exist. If it fails, Lambda delivers the same records again.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::dynamodb::Event;
use lambda_runtime::Error;
use scim_lambda::clock::{Clock, SystemClock};
use scim_lambda::identity::TenantId;
use scim_lambda::provider::Provider;
use scim_lambda::store::{JournalRecord, LEASE_MILLIS};

/// Finishes the journals of the tenants in an event, after the last lease in it is over.
///
/// # Errors
/// If a journal could not be finished. The journals of all other tenants are finished before it returns.
pub(crate) async fn finish(provider: &Provider, event: &Event) -> Result<(), Error> {
    let records: Vec<JournalRecord> = event
        .records
        .iter()
        .filter_map(|record| JournalRecord::read(&record.change))
        .collect();
    let last = records.iter().filter_map(|record| record.lease_until).max();
    let wait = last
        .unwrap_or(0)
        .saturating_add(1)
        .saturating_sub(SystemClock.now_millis());
    // A lease is never longer. If the clocks differ, this bounds the wait.
    tokio::time::sleep(Duration::from_millis(wait.min(LEASE_MILLIS))).await;
    let tenants: BTreeSet<TenantId> = records.into_iter().map(|record| record.tenant).collect();
    let mut outcome = Ok(());
    for tenant in tenants {
        match provider.finish(&tenant).await {
            Ok(0) => {}
            Ok(finished) => {
                tracing::warn!(tenant.id = %tenant, finished, "finished {finished} unfinished changes");
            }
            // Lambda delivers the records again for this tenant. The other tenants do not wait for it.
            Err(error) => {
                let cause = error.causes();
                tracing::error!(tenant.id = %tenant, cause, "could not finish unfinished changes");
                outcome = Err("a tenant's unfinished changes could not be finished".into());
            }
        }
    }
    outcome
}
