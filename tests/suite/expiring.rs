//! Warnings before a credential expires, as the sweep gives them.

use std::time::Duration;

use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::feed::{Event, lifecycle};
use scim_lambda::identity::{CredentialId, TenantId};
use scim_lambda::protocol::profile::Rules;
use scim_lambda::store::{Meter, TenantStore};
use scim_lambda::tenant::{Credentials, Issuer, NewCredential};
use scim_lambda::worker::Worker;

use crate::admin::{Fixture, stack_store};
use crate::support::{bearer, cause, stack_keys};
use crate::worker::Kept;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY_SECONDS: u64 = 24 * 60 * 60;

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn store(fixture: &Fixture) -> TenantStore {
    let process = fixture.world.process();
    let store = process.provider.store();
    store.for_tenant(&acme(), cause(), Meter::default(), Duration::from_secs(60))
}

fn credentials(fixture: &Fixture) -> Credentials {
    Credentials::new(fixture.secrets.clone(), "test")
}

fn issuer(fixture: &Fixture) -> Issuer {
    let clock = fixture.world.clock();
    Issuer::new(stack_keys(clock.clone()), credentials(fixture), clock)
}

async fn issue(fixture: &Fixture, label: &str, days: Option<u64>) -> String {
    let new = NewCredential {
        label: label.to_owned(),
        lifetime_seconds: days.map(|days| days * DAY_SECONDS),
        ..bearer()
    };
    let issued = issuer(fixture).create_credential(&acme(), new).await;
    issued.unwrap().credential.id.to_string()
}

/// Sweeps once, in a process of its own.
async fn sweep(fixture: &Fixture) {
    let process = fixture.world.process();
    let worker = Worker::new(process.provider.tenants(), fixture.world.clock())
        .with_credentials(credentials(fixture));
    worker.sweep(&Kept::default()).await.unwrap();
}

/// The labels and days of all warnings in the feed of `acme`.
async fn warned(fixture: &Fixture) -> Vec<(String, u64)> {
    let limits = Limits {
        events: 1_000,
        bytes: 10_000_000,
    };
    let store = store(fixture);
    let (tenant, from) = (acme(), After::Beginning);
    let part = read(&tenant, &store, &from, limits, |_| true, None);
    let events = part.await.unwrap().events.into_iter();
    let warnings = events.filter(|event| event.body.event_type.as_str() == "credential.expiring");
    let of = |event: Event| {
        let detail = &event.body.detail;
        let label = detail["label"].as_str().unwrap().to_owned();
        (label, detail["days"].as_u64().unwrap())
    };
    warnings.map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn each_credential_is_warned_of_once_before_each_of_three_times() {
    let fixture = Fixture::new().await;
    // So that the feed still has the first warnings at the end.
    let keep = |rules: &mut Rules| rules.switches.event_days = 365;
    fixture.world.set_rules(keep).await;
    lifecycle::create(&store(&fixture)).await.unwrap();
    issue(&fixture, "month", Some(40)).await;
    issue(&fixture, "week", Some(8)).await;
    issue(&fixture, "ever", None).await;
    let revoked = issue(&fixture, "revoked", Some(35)).await;
    sweep(&fixture).await;
    let revoked = CredentialId::parse(&revoked).unwrap();
    issuer(&fixture).revoke(&acme(), &revoked).await.unwrap();
    for _ in 0..45 * 4 {
        fixture.world.jump(6 * HOUR);
        sweep(&fixture).await;
        // Another sweep a minute later looks at nothing again.
        fixture.world.jump(Duration::from_secs(60));
        sweep(&fixture).await;
    }
    let expected = [
        ("week", 7),
        ("week", 1),
        ("month", 30),
        ("month", 7),
        ("month", 1),
    ];
    let found = warned(&fixture).await;
    let found: Vec<_> = found
        .iter()
        .map(|(label, days)| (label.as_str(), *days))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_is_repeated_warns_once() {
    let fixture = Fixture::new().await;
    lifecycle::create(&store(&fixture)).await.unwrap();
    issue(&fixture, "short", Some(8)).await;
    fixture.world.jump(24 * HOUR);
    let stack = stack_store(&fixture.world.process());
    let before = stack.sweep_progress().await.unwrap();
    for _ in 0..3 {
        sweep(&fixture).await;
        // As if the process had died before it stored how far it is.
        stack.put_sweep_progress(&before).await.unwrap();
        fixture.world.jump(Duration::from_secs(60));
    }
    assert_eq!(warned(&fixture).await, [("short".to_owned(), 7)]);
}
