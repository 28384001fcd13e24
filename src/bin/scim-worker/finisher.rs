//! Finishes what a dead process left half done.
//!
//! The table's stream brings every journal entry, new or with another lease. Almost all of them are
//! finished by their writers within the second; this function waits until their leases have run out
//! and then finishes what is still there. A failure makes Lambda bring the same records again.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::dynamodb::Event;
use lambda_runtime::Error;
use scim_lambda::clock::{Clock, SystemClock};
use scim_lambda::identity::TenantId;
use scim_lambda::provider::Provider;
use scim_lambda::store::{JournalRecord, LEASE_MILLIS};

/// Finishes the journals that an event names, after the last lease in it has run out.
///
/// # Errors
/// If a journal could not be finished; the journals of the other tenants are finished before.
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
    // A lease is never longer; a clock that says otherwise is wrong.
    tokio::time::sleep(Duration::from_millis(wait.min(LEASE_MILLIS))).await;
    let tenants: BTreeSet<TenantId> = records.into_iter().map(|record| record.tenant).collect();
    let mut outcome = Ok(());
    for tenant in tenants {
        match provider.finish(&tenant).await {
            Ok(0) => {}
            Ok(finished) => {
                tracing::warn!(tenant.id = %tenant, finished, "finished {finished} half-done changes");
            }
            // The records come again for it; the other tenants do not wait.
            Err(error) => {
                let cause = error.causes();
                tracing::error!(tenant.id = %tenant, cause, "could not finish half-done changes");
                outcome = Err("a tenant's half-done changes could not be finished".into());
            }
        }
    }
    outcome
}
