//! The seats of a tenant: which users take and give one, and how a count begins, changes its limit and ends.
//!
//! A count that begins in a tenant in use is not complete. Processes learn of it within a minute, and until all
//! have, none takes a seat for a user. So no process that does not know the count meets a user that has a seat.
//! Users from before then are counted by `scim doctor --repair`. New tenants need no such wait.

use serde_json::{Map, Value};

use super::administration::Administration;
use super::limits::is_user;
use super::role::is_active;
use super::tenants::{LATEST_MILLIS, Tenant};
use crate::clock::CLOCKS_DIFFER_MILLIS;
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{ConfigItem, SeatChange, SeatCount, SeatState, Stored};

/// How long after the beginning of a count a process takes seats, in milliseconds: when every other process
/// knows the count.
const TAKES_AFTER_MILLIS: u64 = LATEST_MILLIS + CLOCKS_DIFFER_MILLIS;

/// How long after the beginning of a count every process takes seats, in milliseconds.
const TAKEN_AFTER_MILLIS: u64 = TAKES_AFTER_MILLIS + CLOCKS_DIFFER_MILLIS;

/// Whether a tenant is new or has been used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TenantAge {
    /// No process has read its configuration.
    New,
    /// Processes may use an earlier configuration.
    InUse,
}

/// The seat of a user that is created at `now`, in milliseconds since the Unix epoch.
pub(super) fn of_creation(
    tenant: &Tenant,
    resource_type: &ResourceType,
    new: &Map<String, Value>,
    now: u64,
) -> SeatChange {
    of(tenant, resource_type, None, (false, is_active(new)), now)
}

/// The seat of a user that changes from `old` to `new` at `now`, in milliseconds since the Unix epoch.
pub(super) fn of_change(
    tenant: &Tenant,
    resource_type: &ResourceType,
    before: &Stored,
    (old, new): (&Map<String, Value>, &Map<String, Value>),
    now: u64,
) -> SeatChange {
    let active = (is_active(old), is_active(new));
    of(tenant, resource_type, before.seat, active, now)
}

/// The seat of a user that is deleted.
pub(super) fn of_deletion(
    tenant: &Tenant,
    resource_type: &ResourceType,
    before: &Stored,
) -> SeatChange {
    of(tenant, resource_type, before.seat, (false, false), 0)
}

fn of(
    tenant: &Tenant,
    resource_type: &ResourceType,
    mark: Option<u64>,
    (was_active, is_active): (bool, bool),
    now: u64,
) -> SeatChange {
    let Some(count) = tenant.seats.filter(|_| is_user(resource_type)) else {
        return SeatChange::Ignore;
    };
    let has_seat = mark == Some(count.since);
    match (was_active, is_active) {
        // A user that was active without a seat is counted by the doctor, so that no change of it is refused.
        (false, true) if !has_seat && now >= count.since + TAKES_AFTER_MILLIS => {
            SeatChange::Take(count.since)
        }
        (_, false) if has_seat => SeatChange::Give(count.since),
        _ => SeatChange::Keep,
    }
}

/// The number of seconds until every process takes seats for users; `None` if all do.
pub(super) fn seconds_until_taken(count: SeatCount, now: u64) -> Option<u64> {
    let wait = (count.since + TAKEN_AFTER_MILLIS).saturating_sub(now);
    (wait > 0).then(|| wait.div_ceil(1_000))
}

/// Begins a count, changes the limit of the present one, or ends it: 0 is no limit.
///
/// It runs before the rules are stored. So a process that dies in between leaves the earlier rules, and the command
/// can be repeated.
pub(super) async fn set_limit(
    admin: &Administration<'_>,
    count: Option<SeatCount>,
    limit: u32,
    age: TenantAge,
) -> Result<()> {
    let store = admin.store();
    match (count, limit) {
        (None, 0) => {}
        (None, limit) => {
            let (since, state) = match age {
                TenantAge::New => (
                    admin.now().saturating_sub(TAKEN_AFTER_MILLIS),
                    SeatState::Within,
                ),
                TenantAge::InUse => (admin.now(), SeatState::Counting),
            };
            let count = SeatCount {
                since,
                is_complete: state == SeatState::Within,
            };
            // The shards come first: a process that knows the count finds them.
            store.seats().begin(since, limit.into(), state).await?;
            store.configuration().put(ConfigItem::Seats(&count)).await?;
        }
        (Some(count), 0) => {
            // The configuration comes first: a count that processes still know is ended by its missing shards.
            store
                .configuration()
                .remove(ConfigItem::Seats(&count))
                .await?;
            store.seats().end().await?;
        }
        (Some(_), limit) => store.seats().set_limit(limit.into()).await?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TenantId;
    use crate::protocol::schema::Registry;
    use crate::store::TenantConfig;

    #[test]
    fn a_user_takes_one_seat_and_gives_the_one_that_it_has() {
        let config = TenantConfig {
            seats: Some(SeatCount {
                since: 1_000,
                is_complete: false,
            }),
            ..TenantConfig::default()
        };
        let tenant = Tenant::new(TenantId::parse("acme").unwrap(), config).unwrap();
        let users = Registry::builtin().resource_type("User").unwrap();
        let late = 1_000 + TAKES_AFTER_MILLIS;
        let check = |mark: Option<u64>, active, now, expected| {
            assert_eq!(
                of(&tenant, users, mark, active, now),
                expected,
                "{mark:?} {active:?}"
            );
        };
        let (take, give, keep) = (
            SeatChange::Take(1_000),
            SeatChange::Give(1_000),
            SeatChange::Keep,
        );
        check(None, (false, true), late, take);
        check(Some(1_000), (false, true), late, keep);
        check(Some(1_000), (true, false), late, give);
        check(Some(1_000), (false, false), late, give);
        check(None, (true, false), late, keep);
        check(None, (true, true), late, keep);
        // Others may not know the count yet.
        check(None, (false, true), late - 1, keep);
        check(Some(1_000), (true, false), 1_000, give);
        // The mark is of an earlier count.
        check(Some(7), (false, true), late, take);
        check(Some(7), (true, false), late, keep);
        let groups = Registry::builtin().resource_type("Group").unwrap();
        assert_eq!(
            of(&tenant, groups, None, (false, true), late),
            SeatChange::Ignore
        );
    }
}
