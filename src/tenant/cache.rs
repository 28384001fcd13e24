//! Tenants' secrets as they were read last, so that a request seldom waits for one.
//!
//! A secret is read again after a minute, or when a caller is not in it (its credential may have
//! been made since), and by one request at a time. A tenant that does not exist is cached like one
//! without credentials, so the two cannot be told apart. While secrets are out of reach the last
//! one serves, for 15 minutes at most.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::TenantId;
use super::credential::TenantSecret;
use super::credentials::Credentials;
use super::secrets::SecretError;
use crate::clock::Clock;
use crate::protocol::error::{Error, Result};

/// How long a secret is served without another look.
const FRESH_MILLIS: u64 = 60 * 1000;
/// How long a secret is served if it cannot be read again.
const STALE_MILLIS: u64 = 15 * 60 * 1000;
/// How long after a failed read nobody tries again.
const RETRY_MILLIS: u64 = 5 * 1000;
/// How often a missing credential may have one secret read again: ten times at once, so that many
/// new credentials work without delay, and in the long run every six seconds, so that a client that
/// goes on with a revoked one costs little.
const FORCED_BURST: u64 = 10;
const FORCED_INTERVAL_MILLIS: u64 = 6 * 1000;
/// How many tenants are kept.
const MAX_TENANTS: usize = 1000;

/// A cache in front of [`Credentials`].
pub(super) struct Cache {
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<TenantId, Arc<Slot>>>,
}

/// How recent a secret has to be.
#[derive(Clone, Copy)]
pub(super) enum Freshness {
    /// A minute old at most.
    Usual,
    /// Read no earlier than this, in milliseconds since the Unix epoch, unless it was read again
    /// too often already.
    Since(u64),
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held while the secret is read.
    flight: tokio::sync::Mutex<()>,
    used_millis: AtomicU64,
}

#[derive(Default)]
struct State {
    secret: Option<Arc<TenantSecret>>,
    /// When the read that brought `secret` began.
    read_millis: u64,
    /// When the last read failed, unless one has succeeded since.
    failed_millis: Option<u64>,
    /// Until when the reads that missing credentials asked for are spread out at their interval.
    forced_until_millis: u64,
}

impl Cache {
    pub(super) fn new(credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self {
            credentials,
            clock,
            slots: Mutex::default(),
        }
    }

    /// The secret of `tenant`, empty if there is no such tenant.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be read and none is left that is recent enough.
    pub(super) async fn get(
        &self,
        tenant: &TenantId,
        freshness: Freshness,
    ) -> Result<Arc<TenantSecret>> {
        let slot = self.slot(tenant);
        if let Some(answer) = lock(&slot.state).answer(freshness, self.clock.now_millis()) {
            return answer;
        }
        let _flight = slot.flight.lock().await;
        // Whoever was in flight before us may have brought it.
        let began = self.clock.now_millis();
        if let Some(answer) = lock(&slot.state).answer_or_permit(freshness, began) {
            return answer;
        }
        let read = self.credentials.read(tenant).await;
        lock(&slot.state).record(read, freshness, began, self.clock.now_millis())
    }

    fn slot(&self, tenant: &TenantId) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if !slots.contains_key(tenant) && slots.len() >= MAX_TENANTS {
            remove_least_used(&mut slots);
        }
        let slot = slots.entry(tenant.clone()).or_default();
        slot.used_millis
            .store(self.clock.now_millis(), Ordering::Relaxed);
        Arc::clone(slot)
    }
}

impl State {
    /// What can be said at `now` without reading; `None` if the secret has to be read.
    fn answer(&self, freshness: Freshness, now: u64) -> Option<Result<Arc<TenantSecret>>> {
        let is_recent = match freshness {
            Freshness::Usual => now.saturating_sub(self.read_millis) < FRESH_MILLIS,
            Freshness::Since(millis) => self.read_millis >= millis,
        };
        if let Some(secret) = self.secret.as_ref().filter(|_| is_recent) {
            return Some(Ok(Arc::clone(secret)));
        }
        self.failed_millis
            .filter(|then| now.saturating_sub(*then) < RETRY_MILLIS)
            .map(|_| self.without_reading(freshness, now))
    }

    /// As [`answer`](Self::answer), and `None` only if the secret may be read, which this counts.
    fn answer_or_permit(
        &mut self,
        freshness: Freshness,
        now: u64,
    ) -> Option<Result<Arc<TenantSecret>>> {
        let answer = self.answer(freshness, now);
        match (&self.secret, freshness) {
            (Some(secret), Freshness::Since(_)) if answer.is_none() => {
                let until = self.forced_until_millis.max(now) + FORCED_INTERVAL_MILLIS;
                if until - now > FORCED_BURST * FORCED_INTERVAL_MILLIS {
                    return Some(Ok(Arc::clone(secret)));
                }
                self.forced_until_millis = until;
                None
            }
            _ => answer,
        }
    }

    /// Keeps what was read and answers with it, or with what is left if it could not be read.
    fn record(
        &mut self,
        read: Result<Option<TenantSecret>, SecretError>,
        freshness: Freshness,
        began: u64,
        now: u64,
    ) -> Result<Arc<TenantSecret>> {
        match read {
            Ok(secret) => {
                let secret = Arc::new(secret.unwrap_or_default());
                self.secret = Some(Arc::clone(&secret));
                self.read_millis = began;
                self.failed_millis = None;
                Ok(secret)
            }
            Err(error) => {
                self.failed_millis = Some(now);
                let last = self.without_reading(freshness, now);
                if last.is_err() {
                    return last.map_err(|unavailable| unavailable.with_source(error));
                }
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "A tenant's secret cannot be read; the last one goes on serving"
                );
                last
            }
        }
    }

    /// The last secret while it may still serve. It cannot tell a new credential from a wrong one,
    /// so it is no answer for those who need the latest.
    fn without_reading(&self, freshness: Freshness, now: u64) -> Result<Arc<TenantSecret>> {
        match (&self.secret, freshness) {
            (Some(secret), Freshness::Usual)
                if now.saturating_sub(self.read_millis) < STALE_MILLIS =>
            {
                Ok(Arc::clone(secret))
            }
            _ => Err(Error::unavailable(
                "Credentials cannot be checked at the moment",
            )),
        }
    }
}

fn remove_least_used(slots: &mut HashMap<TenantId, Arc<Slot>>) {
    let least_used = slots
        .iter()
        .min_by_key(|(_, slot)| slot.used_millis.load(Ordering::Relaxed))
        .map(|(tenant, _)| tenant.clone());
    if let Some(tenant) = least_used {
        slots.remove(&tenant);
    }
}

/// Nothing that is done under these locks can panic half-way, so a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;
    use crate::protocol::error::ErrorKind;
    use crate::tenant::test_secrets::TestSecrets;

    struct Fixture {
        secrets: Arc<TestSecrets>,
        clock: Arc<ManualClock>,
        cache: Cache,
    }

    impl Fixture {
        /// A cache in front of the one tenant `acme`.
        async fn new() -> Self {
            let secrets = Arc::new(TestSecrets::default());
            let clock = Arc::new(ManualClock::at_seconds(1_000_000));
            let credentials = Credentials::new(secrets.clone(), "test");
            credentials.create(&tenant("acme")).await.unwrap();
            let cache = Cache::new(credentials, clock.clone());
            Self {
                secrets,
                clock,
                cache,
            }
        }

        async fn get(&self, name: &str) -> Arc<TenantSecret> {
            let name = tenant(name);
            self.cache.get(&name, Freshness::Usual).await.unwrap()
        }

        async fn check(&self, freshness: Freshness, reads: usize) {
            self.cache.get(&tenant("acme"), freshness).await.unwrap();
            assert_eq!(self.secrets.reads(), reads);
        }

        async fn check_unavailable(&self, freshness: Freshness) {
            let answer = self.cache.get(&tenant("acme"), freshness).await;
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
        }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[tokio::test]
    async fn a_secret_is_read_once_a_minute() {
        let fixture = Fixture::new().await;
        fixture.check(Freshness::Usual, 1).await;
        fixture.clock.advance_seconds(59);
        fixture.check(Freshness::Usual, 1).await;
        fixture.clock.advance_seconds(1);
        fixture.check(Freshness::Usual, 2).await;
    }

    #[tokio::test]
    async fn a_secret_read_since_is_not_read_again() {
        let fixture = Fixture::new().await;
        let before = fixture.clock.now_millis();
        fixture.check(Freshness::Usual, 1).await;
        fixture.check(Freshness::Since(before), 1).await;
        fixture.check(Freshness::Since(before + 1), 2).await;
    }

    #[tokio::test]
    async fn missing_credentials_cause_ten_reads_and_then_one_every_six_seconds() {
        let fixture = Fixture::new().await;
        fixture.check(Freshness::Usual, 1).await;
        let now = || Freshness::Since(fixture.clock.now_millis() + 1);
        for n in 1..=10 {
            fixture.check(now(), 1 + n).await;
        }
        fixture.check(now(), 11).await;
        fixture.clock.advance_seconds(5);
        fixture.check(now(), 11).await;
        fixture.clock.advance_seconds(1);
        fixture.check(now(), 12).await;
        fixture.check(now(), 12).await;
    }

    #[tokio::test]
    async fn requests_at_the_same_time_share_one_read() {
        let fixture = Fixture::new().await;
        let get = || fixture.check(Freshness::Usual, 1);
        tokio::join!(get(), get(), get());
    }

    #[tokio::test]
    async fn a_request_that_gives_up_leaves_the_read_to_the_next() {
        let fixture = Fixture::new().await;
        let name = tenant("acme");
        let get = fixture.cache.get(&name, Freshness::Usual);
        // Polled once: the read is under way, then the request is gone.
        assert!(futures_util::FutureExt::now_or_never(get).is_none());
        fixture.check(Freshness::Usual, 2).await;
    }

    #[tokio::test]
    async fn an_unknown_tenant_is_read_no_more_often_than_a_known_one() {
        let fixture = Fixture::new().await;
        for _ in 0..3 {
            assert_eq!(fixture.get("nobody").await.len(), 0);
        }
        assert_eq!(fixture.secrets.reads(), 1);
    }

    #[tokio::test]
    async fn the_last_secret_serves_fifteen_minutes_without_the_store() {
        let fixture = Fixture::new().await;
        fixture.check(Freshness::Usual, 1).await;
        fixture.secrets.fail(true);
        fixture.clock.advance_seconds(60);
        fixture.check(Freshness::Usual, 2).await;
        let now = fixture.clock.now_millis();
        fixture.check_unavailable(Freshness::Since(now)).await;
        fixture.clock.advance_seconds(15 * 60 - 61);
        fixture.check(Freshness::Usual, 3).await;
        fixture.clock.advance_seconds(1);
        fixture.check_unavailable(Freshness::Usual).await;
        fixture.secrets.fail(false);
        fixture.clock.advance_seconds(5);
        fixture.check(Freshness::Usual, 4).await;
    }

    #[tokio::test]
    async fn a_store_that_fails_is_asked_every_five_seconds() {
        let fixture = Fixture::new().await;
        fixture.secrets.fail(true);
        fixture.check_unavailable(Freshness::Usual).await;
        fixture.clock.advance_seconds(4);
        fixture.check_unavailable(Freshness::Usual).await;
        fixture.check_unavailable(Freshness::Since(0)).await;
        assert_eq!(fixture.secrets.reads(), 1);
        fixture.clock.advance_seconds(1);
        fixture.check_unavailable(Freshness::Usual).await;
        assert_eq!(fixture.secrets.reads(), 2);
    }

    #[tokio::test]
    async fn the_least_used_tenant_makes_room() {
        let fixture = Fixture::new().await;
        fixture.check(Freshness::Usual, 1).await;
        for n in 1..MAX_TENANTS {
            fixture.get(&format!("t{n}")).await;
        }
        fixture.clock.advance_seconds(1);
        fixture.check(Freshness::Usual, MAX_TENANTS).await;
        fixture.get("new").await;
        assert_eq!(lock(&fixture.cache.slots).len(), MAX_TENANTS);
        fixture.check(Freshness::Usual, MAX_TENANTS + 1).await;
    }
}
