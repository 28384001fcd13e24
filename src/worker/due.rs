//! The deliveries that are due: gives the deliverer a job for each of their tenants.
//!
//! A job is given before its entry is taken off the list, so a sweep that dies leaves nothing out. An entry that
//! stays by mistake does no harm, because the delivery itself says whether it is due.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::Worker;
use super::outbox::{DeliverJob, Outbox};
use super::round::RoundPart;
use super::wanted::deliver_soon;
use crate::identity::TenantId;
use crate::protocol::error::Result;
use crate::store::{Due, Round, StackStore};

/// The number of entries that are read at once.
const ENTRIES: usize = 250;
/// How many times one sweep reads entries. What is due beyond that is found by the next sweep.
const READS: usize = 20;
/// The number of tenants that one sweep gives jobs in a round through all of them.
const TENANTS: usize = 5_000;

/// Gives jobs to the tenants that are due, and goes on with the round through all tenants. A round begins when
/// all tenants are due. Returns the entries that have begun it: they are to be taken off the list once the
/// progress of the round is stored.
///
/// # Errors
/// `Unavailable`; what was not given a job stays on the list.
pub(super) async fn give_jobs(
    worker: &Worker<'_>,
    stack: &StackStore,
    round: &mut Round,
    deadline: Instant,
    outbox: &impl Outbox,
) -> Result<Vec<Due>> {
    let now = worker.clock.now_millis();
    let of_all = of_tenants(stack, now, deadline, outbox).await?;
    let is_under_way = round.after.is_some();
    if of_all.is_empty() && !is_under_way {
        return Ok(of_all);
    }
    let part = RoundPart::new(stack, round, TENANTS, deadline).begun(now, 0);
    of_every_tenant(worker, part, outbox).await?;
    match is_under_way {
        // Some tenants of this round had their jobs before the entries were due. Another round follows.
        true => Ok(Vec::new()),
        false => Ok(of_all),
    }
}

/// Gives jobs to the tenants on the list, and takes them off. Returns the entries for all tenants that are due.
async fn of_tenants(
    stack: &StackStore,
    now: u64,
    deadline: Instant,
    outbox: &impl Outbox,
) -> Result<Vec<Due>> {
    let mut of_all = Vec::new();
    for _ in 0..READS {
        // The entries for all tenants stay on the list, so each read begins with them.
        let limit = ENTRIES + of_all.len();
        let entries = stack.due().until(now, limit).await?;
        let is_last = entries.len() < limit;
        let (of_one, rest): (Vec<Due>, Vec<Due>) =
            entries.into_iter().partition(|due| due.tenant.is_some());
        of_all = rest;
        let tenants: BTreeSet<TenantId> =
            of_one.iter().filter_map(|due| due.tenant.clone()).collect();
        let jobs: Vec<DeliverJob> = tenants.into_iter().map(DeliverJob::now).collect();
        if !jobs.is_empty() {
            outbox.deliver_later(&jobs).await?;
            stack.due().remove(&of_one).await?;
        }
        if is_last || Instant::now() >= deadline {
            break;
        }
    }
    Ok(of_all)
}

/// Goes on with the round: each tenant gets a job whose events a subscription wants.
async fn of_every_tenant(
    worker: &Worker<'_>,
    mut tenants: RoundPart<'_>,
    outbox: &impl Outbox,
) -> Result<()> {
    while let Some(page) = tenants.next().await? {
        // If that fails, the round is not past these tenants: the next sweep begins with them.
        deliver_soon(worker, &page, outbox).await?;
    }
    Ok(())
}
