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

use tokio::time::Instant;

use super::administration::Administration;
use super::finish::finish;
use super::pace::{CHECK, CheckPlace, Pace, Stop};
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::protocol::schema::MembershipAttribute;
use crate::store::{BuildingIndex, IndexEntries, StoreError, TenantConfig};
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

/// What a call of an examination has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The entries that completing new indexes wrote and removed.
    pub built: Findings,
    /// All other findings.
    pub found: Findings,
    /// The reason why indexes, or the count of active users, are not complete.
    pub waiting: Option<String>,
    /// Where the next call goes on; `None` at the end.
    pub next: Option<CheckPlace>,
}

/// Examines a part of what the table has of a tenant, as [`Provider::check`](super::Provider::check) says.
pub(super) async fn check(
    admin: &mut Administration<'_>,
    repair: Repair,
    (place, until): (Option<CheckPlace>, Instant),
) -> Result<Checked> {
    let mut checked = Checked::default();
    let (mut build, mut rest) = (None, None);
    match place {
        Some(place) if !place.is_of_build() => rest = Some(place),
        place if repair == Repair::Mend => build = Some(place),
        _ => {}
    }
    if repair == Repair::Look && rest.is_none() {
        checked.waiting = incomplete(&admin.config().await?);
    }
    if let Some(place) = build {
        admin.pace = Pace::part(Some(until), place);
        match build_indexes(admin, &mut checked.built).await {
            Ok(()) => {}
            Err(Stop::Paused) => {
                checked.next = admin.pace.paused();
                return Ok(checked);
            }
            // Not yet, for the reason in the error. Everything else is repaired.
            Err(Stop::Failed(error)) if error.kind() == ErrorKind::Conflict => {
                checked.waiting = Some(error.detail().to_owned());
            }
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    admin.pace = Pace::part(Some(until), rest);
    match examine(admin, repair, &mut checked.found).await {
        Ok(()) => {}
        Err(Stop::Paused) => checked.next = admin.pace.paused(),
        Err(Stop::Failed(error)) => return Err(error),
    }
    Ok(checked)
}

/// Takes the result of a call that cannot pause.
pub(super) fn without_pause(result: Result<(), Stop>) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Paused) => Err(Error::internal("a pace without an end has paused")),
    }
}

/// Examines a tenant's part of the table, as [`Provider::examine`](super::Provider::examine) says.
pub(super) async fn examine(
    admin: &Administration<'_>,
    repair: Repair,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let view = admin.view().await?;
    view.check_write()?;
    if !admin.pace.is_passing() {
        examine_journal(admin, repair, findings).await?;
    }
    for resource_type in view.registry.resource_types() {
        let step = format!("{CHECK}/entries/{}", resource_type.name);
        if let Some(step) = admin.pace.enter(step, findings.found())? {
            if step.after.is_none() {
                let said = admin.store().resources().total(resource_type).await?;
                admin
                    .pace
                    .keep(|kept| (kept.said, kept.counted) = (said, 0));
            }
            mend_entries(admin, &view, resource_type, (step, None), repair, findings).await?;
        }
        let paths = partitions(resource_type);
        sweep_entries(
            admin,
            &view,
            resource_type,
            (CHECK, &paths),
            repair,
            findings,
        )
        .await?;
        if !admin.pace.is_passing() {
            let kept = admin.pace.kept();
            let sums = (kept.said, kept.counted);
            mend_total(admin, resource_type, sums, repair, findings).await?;
        }
        if resource_type.membership == Some(MembershipAttribute::Members) {
            mend_member_counts(admin, resource_type, repair, findings).await?;
        }
    }
    // A count that is not complete is none of its business: `build_indexes` completes it.
    if view.seats.is_some_and(|count| count.is_complete) {
        mend_seats(admin, &view, CHECK, repair, findings).await?;
    }
    admin.pace.check_reached()
}

/// What has to be completed by a repair before queries use it; `None` if everything is complete.
fn incomplete(config: &TenantConfig) -> Option<String> {
    match config.index_version.entries() {
        IndexEntries::Complete | IndexEntries::Newer => {}
        IndexEntries::Earlier | IndexEntries::Rebuilding(_) => {
            return Some("All index entries have to be rewritten".to_owned());
        }
    }
    let name = |index: &BuildingIndex| format!("{} {}", index.resource_type, index.path);
    let names: Vec<_> = config.building.iter().map(name).collect();
    let indexes = (!names.is_empty()).then(|| format!("Indexes to complete: {}", names.join(", ")));
    let has_limit = config.rules.switches.max_active_users > 0;
    let is_counting = has_limit && config.seats.is_none_or(|count| !count.is_complete);
    let count = is_counting.then(|| "Active users have to be counted".to_owned());
    let all: Vec<String> = indexes.into_iter().chain(count).collect();
    (!all.is_empty()).then(|| all.join("; "))
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
