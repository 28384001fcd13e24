//! The brake: it notices that unusually many users have lost their access within an hour, which may be a
//! mistake.
//!
//! A wrong click in an identity provider can deactivate a whole company, and an application that follows
//! the feed would lock all of them out. Each page of the feed carries a [`Tally`]: how many users have access
//! after it, and how many have lost it lately. A page is only ever put behind the newest one, which is read
//! before, so in a feed that has every change the count needs neither a read nor a write of its own.
//!
//! A feed that lacks changes cannot know how many users are active: it began when there were users, or
//! changes have gone past it. There the number of all users, which the table has, is read when the brake may
//! trip.
//!
//! Whether readers are held is decided when they read, by the newest page's tally, the tenant's switches and
//! the clock. So a switch counts as soon as the process knows it, and a hold that is over needs no write to end.

mod rules;
mod tally;
#[cfg(test)]
mod tests;

#[cfg(feature = "worker")]
pub(super) use tally::is_reported_in;

pub use rules::{BrakeRules, Hold};
pub use tally::{BrakeStatus, Tally};

use crate::protocol::error::Result;
use crate::protocol::profile::Switches;
use crate::protocol::schema::Registry;
use crate::store::TenantStore;

/// The name of the type whose resources the brake counts.
pub(super) const USER: &str = "User";

/// The number of a tenant's users, active or not. One call.
///
/// # Errors
/// `Unavailable` when the table is out of reach.
pub(super) async fn users(store: &TenantStore, types: &Registry) -> Result<u64> {
    match types.resource_type(USER) {
        Some(users) => Ok(store.resources().total(users).await?),
        None => Ok(0),
    }
}

/// Where a tenant's brake is. One call, or two for a feed that is not complete.
///
/// # Errors
/// `Unavailable` when the table is out of reach.
pub async fn status(
    store: &TenantStore,
    switches: &Switches,
    types: &Registry,
) -> Result<BrakeStatus> {
    let feed = store.feed();
    let (head, newest) = feed.newest().await?;
    let users = match &head {
        Some(head) if head.is_complete => None,
        _ => Some(users(store, types).await?),
    };
    let released = head.and_then(|head| head.released);
    let rules = BrakeRules::new(switches, feed.now());
    Ok(Tally::of(newest.as_ref())?.status(&rules, released, users))
}

/// The number of active users, by the events of the feed; `None` if the feed does not have every change of its tenant.
/// One call.
///
/// # Errors
/// `Unavailable` when the table is out of reach.
pub async fn active_users(store: &TenantStore) -> Result<Option<u64>> {
    let (head, newest) = store.feed().newest().await?;
    match head {
        Some(head) if head.is_complete => Ok(Some(Tally::of(newest.as_ref())?.active)),
        _ => Ok(None),
    }
}

/// Gives readers what is held back. False if nothing is.
///
/// # Errors
/// `Unavailable` when the table is out of reach.
pub async fn release(store: &TenantStore, switches: &Switches) -> Result<bool> {
    let feed = store.feed();
    let (head, newest) = feed.newest().await?;
    let released = head.and_then(|head| head.released);
    let rules = BrakeRules::new(switches, feed.now());
    match Tally::of(newest.as_ref())?.held(&rules, released) {
        Some((hold, _)) => Ok(feed.release(hold.tripped).await?),
        None => Ok(false),
    }
}
