//! Builds indexes, and examines and corrects index entries and counters.
//!
//! Both read all resources of a type, page by page, while requests go on. Each write is made on the
//! condition that the resource has not changed since it was read. If it has, the request that
//! changed it knows the index and has written the entries.

mod counts;
mod findings;
mod indexes;
mod missing;
mod seats;
mod stray;

pub use findings::Findings;

pub(super) use indexes::build_indexes;

use super::administration::Administration;
use super::finish::finish;
use crate::protocol::error::Result;
use crate::protocol::schema::MembershipAttribute;
use crate::store::StoreError;
use counts::{mend_member_counts, mend_total};
use missing::mend_entries;
use seats::mend_seats;
use stray::{partitions, sweep_entries};

/// Whether an examination also corrects what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It only counts.
    Look,
    /// It corrects.
    Mend,
}

/// Examines a tenant's part of the table, as [`Provider::examine`](super::Provider::examine) says.
pub(super) async fn examine(admin: &Administration<'_>, repair: Repair) -> Result<Findings> {
    let view = admin.view().await?;
    view.check_write()?;
    let mut findings = Findings::default();
    examine_journal(admin, repair, &mut findings).await?;
    for resource_type in view.registry.resource_types() {
        let said = admin.store().resources().total(resource_type).await?;
        let before = findings.resources;
        mend_entries(admin, &view, resource_type, None, repair, &mut findings).await?;
        let counted = findings.resources - before;
        sweep_entries(
            admin,
            &view,
            resource_type,
            &partitions(resource_type),
            repair,
            &mut findings,
        )
        .await?;
        mend_total(admin, resource_type, (said, counted), repair, &mut findings).await?;
        if resource_type.membership == Some(MembershipAttribute::Members) {
            mend_member_counts(admin, resource_type, repair, &mut findings).await?;
        }
    }
    // A count that is not complete is none of its business: `build_indexes` completes it.
    if view.seats.is_some_and(|count| count.is_complete) {
        mend_seats(admin, &view, repair, &mut findings).await?;
    }
    Ok(findings)
}

/// Lists the unfinished entries of the journal. With `Repair::Mend` it first finishes those whose
/// lease is over.
async fn examine_journal(
    admin: &Administration<'_>,
    repair: Repair,
    findings: &mut Findings,
) -> Result<()> {
    let tenant = admin.tenant;
    if repair == Repair::Mend {
        match finish(admin.tenants, admin.tenant, admin.cause.clone()).await {
            Ok(finished) => findings.finished = finished,
            // A change that could not be finished is in the list of unfinished entries below, and
            // the rest can be corrected nevertheless.
            Err(error) => {
                let cause = error.causes();
                tracing::warn!(tenant.id = %tenant, cause, "could not finish all unfinished changes");
            }
        }
    }
    findings.unfinished = admin.store().journal().unfinished().await?;
    Ok(())
}

/// The result of correcting a resource, without the refusals after which there is nothing left to
/// correct.
fn ignore_changed(result: Result<(), StoreError>) -> Result<()> {
    match result {
        // Another request has changed or deleted the resource, and has written its entries and
        // counts with it.
        Ok(()) | Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
