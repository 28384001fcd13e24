//! Warns that a credential expires soon: in the tenant's feed, and by a line of the log that an alarm watches.
//!
//! Each credential is in a secret of its tenant, and to read one costs a call. So a round through all tenants
//! begins twice a day only. It warns of what has come near since the round before looked.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::time::timeout;

use super::Worker;
use super::round::RoundPart;
use crate::feed::append::{Appended, Source, Tail};
use crate::feed::{EventBody, EventType, NewEvent, time_text};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::tenant::{Credential, Credentials};

/// How often the credentials of every tenant are looked at, in milliseconds.
pub(super) const ROUND_MILLIS: u64 = 12 * 60 * 60 * 1000;
/// The number of tenants whose credentials one sweep looks at.
pub(super) const TENANTS: usize = 200;

/// How many days before the end a warning is given at the latest.
const DAYS: [u64; 3] = [30, 7, 1];
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// How long the look at one tenant may take.
const TENANT_BUDGET: Duration = Duration::from_secs(3);
/// The number of tenants that are looked at side by side.
const PARALLEL: usize = 10;
/// A sweep that fails is made again a minute later, and then warns again of what it has warned of. So the warnings
/// are looked for in this much of the feed's end, in milliseconds.
const LOOK_BACK_MILLIS: u64 = 10 * 60 * 1000;

/// A warning about one credential.
#[derive(Debug, PartialEq, Eq)]
struct Warning {
    /// The same for a sweep that gives it once more.
    id: String,
    credential: String,
    label: String,
    kind: &'static str,
    /// In milliseconds since the Unix epoch.
    expires: u64,
    days: u64,
}

/// The source of the events of one tenant.
struct Warnings {
    warnings: Vec<Warning>,
    now: u64,
}

/// Goes on with the round through the credentials of all tenants.
///
/// # Errors
/// `Unavailable` if some tenants could not be looked at. The next round looks at them again. A credential that came
/// near its end in this round is then warned of on its next day.
pub(super) async fn warn(
    worker: &Worker<'_>,
    credentials: &Credentials,
    mut tenants: RoundPart<'_>,
    now: u64,
) -> Result<()> {
    let mut outcome = Ok(());
    let before = tenants.before();
    while let Some(page) = tenants.next().await? {
        let looks = page.iter();
        let looks = looks.map(|tenant| {
            timeout(
                TENANT_BUDGET,
                look(worker, credentials, tenant, (before, now)),
            )
        });
        // Collected first: a stream that still held the closure would not be `Send`.
        let looks: Vec<_> = looks.collect();
        let looks: Vec<_> = stream::iter(looks).buffered(PARALLEL).collect().await;
        for looked in looks {
            let looked =
                looked.unwrap_or_else(|_| Err(Error::unavailable("A secret was not read in time")));
            // The other tenants do not wait for this one. The first error is enough: that of another tenant has
            // most likely the same cause, the table or the secrets.
            outcome = outcome.and(looked);
        }
    }
    outcome
}

/// Warns of what of one tenant comes near its end between the times `since` and `now`.
async fn look(
    worker: &Worker<'_>,
    credentials: &Credentials,
    tenant: &TenantId,
    (since, now): (u64, u64),
) -> Result<()> {
    let secret = credentials.read(tenant).await?.unwrap_or_default();
    let near = secret.credentials();
    let warnings: Vec<Warning> = near
        .filter_map(|credential| warning(credential, since, now))
        .collect();
    if warnings.is_empty() {
        return Ok(());
    }
    let source = Warnings { warnings, now };
    // A tenant that is being purged has no feed any more, and no reader to warn.
    if worker.appender.append(tenant, &source).await? == Appended::NoFeed {
        return Ok(());
    }
    for warning in &source.warnings {
        tracing::warn!(
            alarm = "credential",
            tenant.id = tenant.as_str(),
            credential.id = warning.credential,
            kind = warning.kind,
            days = warning.days,
            "a credential expires at {}",
            time_text(warning.expires)
        );
    }
    Ok(())
}

/// The warning of a credential, if it came near its end after `since`, in milliseconds since the Unix epoch. If it
/// came near in more than one way, that is the nearest.
fn warning(credential: &Credential, since: u64, now: u64) -> Option<Warning> {
    let expires = credential.expires?.saturating_mul(1_000);
    let created = credential.created.saturating_mul(1_000);
    if expires <= now {
        return None;
    }
    // A round begins half a day after the one before, so a warning comes up to half a day after this time.
    let time_of = |days: u64| expires.saturating_sub(days * DAY_MILLIS + ROUND_MILLIS);
    let mut nearest_first = DAYS.into_iter().rev();
    let days = nearest_first.find(|days| time_of(*days) <= now)?;
    // A credential that was made for a shorter time is no surprise.
    let is_new = time_of(days) > since && time_of(days) > created;
    is_new.then(|| Warning {
        id: format!("credential-{}-{}-{days}", credential.id, expires / 1_000),
        credential: credential.id.to_string(),
        label: credential.label.clone(),
        kind: credential.kind.name(),
        expires,
        days,
    })
}

impl Source for Warnings {
    fn ids(&self) -> Vec<&str> {
        self.warnings
            .iter()
            .map(|warning| warning.id.as_str())
            .collect()
    }

    fn oldest(&self) -> Option<u64> {
        Some(self.now.saturating_sub(LOOK_BACK_MILLIS))
    }

    async fn events(&self, tail: &Tail<'_>) -> Result<Vec<NewEvent>> {
        let new = self
            .warnings
            .iter()
            .filter(|warning| !tail.has(&warning.id));
        let events = new.map(|warning| {
            let event_type = EventType::named(EventType::CREDENTIAL_EXPIRING);
            let body = EventBody::new(event_type, self.now).with_detail([
                ("credential", json!(warning.credential)),
                ("label", json!(warning.label)),
                ("kind", json!(warning.kind)),
                ("expires", json!(time_text(warning.expires))),
                ("days", json!(warning.days)),
            ]);
            NewEvent {
                id: warning.id.clone(),
                body,
                access: None,
            }
        });
        Ok(events.collect())
    }

    fn begins_feed(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;

    fn credential(created: u64, expires: Option<u64>) -> Credential {
        let mut document = json!({
            "id": "5f0c", "kind": "bearer", "label": "okta", "created": created / 1_000,
        });
        if let Some(expires) = expires {
            document["expires"] = (expires / 1_000).into();
        }
        serde_json::from_value(document).unwrap()
    }

    /// The days of the warnings that rounds give, with when they are given before the end, in hours.
    fn warned(lifetime_days: u64, round: u64) -> Vec<(u64, u64)> {
        let created = 1_000 * DAY_MILLIS;
        let expires = created + lifetime_days * DAY_MILLIS;
        let credential = credential(created, Some(expires));
        let mut given = Vec::new();
        let (mut before, mut now) = (created - 3 * HOUR, created + HOUR);
        while now < expires + DAY_MILLIS {
            let warning = warning(&credential, before, now);
            given.extend(warning.map(|warning| (warning.days, (expires - now) / HOUR)));
            (before, now) = (now, now + round);
        }
        given
    }

    #[test]
    fn each_warning_is_given_once_and_in_time() {
        for round in [HOUR, ROUND_MILLIS] {
            let given = warned(365, round);
            let days: Vec<u64> = given.iter().map(|(days, _)| *days).collect();
            assert_eq!(days, DAYS, "{round}");
            for (days, hours) in given {
                assert!(
                    (days * 24..=days * 24 + 12).contains(&hours),
                    "{days} {hours}"
                );
            }
        }
    }

    #[test]
    fn a_short_lifetime_has_the_warnings_that_fit() {
        let days = |lifetime| warned(lifetime, HOUR).into_iter().map(|(days, _)| days);
        assert_eq!(days(10).collect::<Vec<_>>(), [7, 1]);
        assert_eq!(days(7).collect::<Vec<_>>(), [1]);
        assert_eq!(days(1).collect::<Vec<_>>(), [0; 0]);
    }

    #[test]
    fn after_a_long_pause_only_the_nearest_is_given() {
        let given = warned(365, 28 * DAY_MILLIS);
        assert!(given.len() <= 2, "{given:?}");
        assert!(given.is_sorted_by_key(|(days, _)| std::cmp::Reverse(*days)));
    }

    #[test]
    fn what_never_expires_or_has_expired_gives_none() {
        let now = 1_000 * DAY_MILLIS;
        assert_eq!(warning(&credential(0, None), 0, now), None);
        assert_eq!(warning(&credential(0, Some(now)), 0, now), None);
    }
}
