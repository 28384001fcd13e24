//! Counts the active users of a tenant with a limit, and compares the count with the seats.

use super::super::administration::Administration;
use super::super::limits::is_user;
use super::super::pace::{Kept, Step, Stop};
use super::super::role::is_active;
use super::super::seats::seconds_until_taken;
use super::super::tenants::Tenant;
use super::Repair;
use super::findings::Findings;
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::Resource;
use crate::protocol::schema::ResourceType;
use crate::store::{ConfigItem, MarkedUser, SeatCount, SeatState, Stored, TenantStore};

/// Counts every active user, and completes a count that is not complete. If users become active or inactive
/// meanwhile, their requests count them.
///
/// # Errors
/// `Conflict` with the time to wait, while processes may run that do not know the count; also if the count is
/// ended or begun again meanwhile.
pub(super) async fn mend_seats(
    admin: &Administration<'_>,
    view: &Tenant,
    phase: &str,
    repair: Repair,
    findings: &mut Findings,
) -> Result<(), Stop> {
    let Some(count) = view.seats else {
        return Ok(());
    };
    if let Some(seconds) = seconds_until_taken(count, admin.now()) {
        return Err(Stop::Failed(Error::conflict(format!(
            "For another {seconds} seconds some processes may not count active users; repeat the command then"
        ))));
    }
    let Some(before) = admin.store().seats().read().await? else {
        return Ok(());
    };
    let users = view.registry.resource_types().iter();
    let Some(users) = users.map(AsRef::as_ref).find(|found| is_user(found)) else {
        return Ok(());
    };
    let Some(step) = admin
        .pace
        .enter(format!("{phase}/seats"), findings.found())?
    else {
        return Ok(());
    };
    if step.after.is_none() {
        let shards = before.fingerprint();
        admin
            .pace
            .keep(|kept| (kept.counted, kept.shards) = (0, shards));
    }
    count_users(admin, (step, users), count, repair, findings).await?;
    let Kept {
        counted: marked,
        shards: before,
        ..
    } = admin.pace.kept();
    let Some(after) = admin.store().seats().read().await? else {
        return Ok(());
    };
    // If the seats have changed meanwhile, the numbers of two moments would be compared.
    if after.fingerprint() == before && after.taken() != marked && after.since == count.since {
        findings
            .totals
            .push(("seats".to_owned(), after.taken(), marked));
        if repair == Repair::Mend {
            admin.store().seats().correct(&after, marked).await?;
        }
    }
    if repair == Repair::Mend {
        complete(admin, count, after.state).await?;
    }
    Ok(())
}

/// Ends the count if it is not complete, and spreads the seats anew if a user was counted late.
async fn complete(admin: &Administration<'_>, count: SeatCount, state: SeatState) -> Result<()> {
    let store = admin.store();
    // The seats come first: the limit is enforced from then on, and the configuration only says so.
    store.seats().complete().await?;
    if !count.is_complete || state == SeatState::Counting {
        let complete = SeatCount {
            is_complete: true,
            ..count
        };
        store
            .configuration()
            .put(ConfigItem::Seats(&complete))
            .await?;
        admin.forget();
    }
    Ok(())
}

/// Counts the users that have a mark, and finds those whose mark does not fit. With `Repair::Mend` all marks fit
/// afterwards.
async fn count_users(
    admin: &Administration<'_>,
    (mut step, resource_type): (Step, &ResourceType),
    count: SeatCount,
    repair: Repair,
    findings: &mut Findings,
) -> Result<(), Stop> {
    loop {
        let (store, page) = admin.page(resource_type, step.after.as_deref()).await?;
        let mut users = page.resources;
        // A newer version of the service may know other reasons for a seat.
        users.retain(|user| !user.is_newer());
        let found = unfit(&users, count)?;
        // Of a count that is not complete it is no fault that users are not counted.
        if count.is_complete {
            findings.uncounted += found.len() as u64;
        }
        if repair == Repair::Mend && !found.is_empty() {
            users = mend(&store, resource_type, count, users).await?;
        }
        let has_mark = |user: &&Stored| user.seat == Some(count.since);
        let marked = users.iter().filter(has_mark).count() as u64;
        admin.pace.keep(|kept| kept.counted += marked);
        if !admin.pace.turn(&mut step, page.next, findings.found())? {
            return Ok(());
        }
    }
}

/// Gives and removes marks until those of all these users fit, and returns the users as they are then.
async fn mend(
    store: &TenantStore,
    resource_type: &ResourceType,
    count: SeatCount,
    mut users: Vec<Stored>,
) -> Result<Vec<Stored>> {
    loop {
        let found = unfit(&users, count)?;
        if found.is_empty() {
            return Ok(users);
        }
        // Users that a request has changed in between are read and looked at again, like all others.
        let marked = store.resources();
        marked.mark_seats(resource_type, count.since, found).await?;
        if store
            .seats()
            .read()
            .await?
            .is_none_or(|shards| shards.since != count.since)
        {
            return Err(Error::conflict(
                "The count of active users was ended or begun again",
            ));
        }
        let ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
        users = store.resources().get_many(resource_type, &ids).await?;
    }
}

/// The users whose mark does not fit whether they are active.
fn unfit(users: &[Stored], count: SeatCount) -> Result<Vec<MarkedUser<'_>>> {
    let mut unfit = Vec::new();
    for user in users {
        let body = Resource::from_text(&user.body)?;
        let is_active = is_active(body.body());
        if is_active != (user.seat == Some(count.since)) {
            unfit.push(MarkedUser { user, is_active });
        }
    }
    Ok(unfit)
}
