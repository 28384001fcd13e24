//! Caches tenants' secrets.
//!
//! A secret is read again after a minute, or earlier if it does not have the credential of a
//! request, because the credential may be new. A tenant that does not exist is cached like one
//! without credentials, so callers cannot distinguish them. While secrets are out of reach, the last
//! one is used for up to 15 minutes.
//!
//! Tenants that do not exist have a cache of their own. So however many of them requests name, no tenant
//! that exists is removed for one that does not.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::credential::TenantSecret;
use super::credentials::Credentials;
use super::secrets::SecretError;
use crate::cache::{Cache, CacheLimits, Freshness, Unread};
use crate::clock::Clock;
use crate::identity::{CredentialId, TenantId};
use crate::protocol::error::{Error, Result};

/// Ten early reads may follow each other at once, so that many new credentials work without delay.
/// After that there is one every six seconds, so that many revoked credentials cost little.
const LIMITS: CacheLimits = CacheLimits {
    what: "A tenant's secret",
    fresh_millis: 60 * 1000,
    stale_millis: 15 * 60 * 1000,
    retry_millis: 5 * 1000,
    early_reads: 10,
    early_interval_millis: 6 * 1000,
    max_keys: MAX_KNOWN,
};
/// The number of tenants that exist whose secrets are kept.
const MAX_KNOWN: usize = 1_000;
/// The number of other tenants that are kept. They have no secret, so they take little room.
const MAX_OTHERS: usize = 1_000;
/// The number of credentials that are remembered to be gone. Beyond it all of them are forgotten, which costs
/// one early read for each that is still in use.
const MAX_GONE: usize = 1_000;

/// A cache in front of [`Credentials`].
pub(super) struct CachedSecrets {
    credentials: Credentials,
    /// The tenants that were found when they were read last.
    known: Cache<TenantId, ReadSecret>,
    /// All others: those that were not read yet, and those that do not exist.
    others: Cache<TenantId, Option<ReadSecret>>,
    /// Credentials of known tenants that an early read has not found. The stack has signed them, so they were
    /// revoked. They cause no further early read: a client that goes on with a revoked credential would use up
    /// those that find new credentials. Only an import brings one back, which then works after the next usual read.
    gone: Mutex<HashSet<(TenantId, CredentialId)>>,
    clock: Arc<dyn Clock>,
}

/// A tenant's secret as it was read; an empty one if the tenant does not exist.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadSecret {
    pub(super) secret: TenantSecret,
    /// Whether the tenant exists.
    pub(super) exists: bool,
    /// When the read began, in milliseconds since the Unix epoch.
    began: u64,
}

impl CachedSecrets {
    pub(super) fn new(credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self {
            credentials,
            known: Cache::new(LIMITS, Arc::clone(&clock)),
            others: Cache::new(
                CacheLimits {
                    max_keys: MAX_OTHERS,
                    ..LIMITS
                },
                Arc::clone(&clock),
            ),
            gone: Mutex::default(),
            clock,
        }
    }

    /// Reads the secret of `tenant` from its source, whatever the cache has, and leaves the cache as it is.
    ///
    /// # Errors
    /// `Malformed` and `Backend`.
    pub(super) async fn look(&self, tenant: &TenantId) -> Result<(), SecretError> {
        self.credentials.read(tenant).await.map(drop)
    }

    /// The secret of `tenant` for a request that presents the credential `id` and began at `began`, in
    /// milliseconds since the Unix epoch; an empty one if the tenant does not exist.
    ///
    /// If the cached secret does not have the credential, it may be new. Then the secret is read again, unless
    /// it was read after the request began, or an earlier read has shown that the credential is gone.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be read and the last one may not be used any longer.
    pub(super) async fn for_request(
        &self,
        tenant: &TenantId,
        id: &CredentialId,
        began: u64,
    ) -> Result<Arc<ReadSecret>> {
        let last = self.get(tenant, Freshness::Usual).await?;
        if last.secret.credential(id).is_some() {
            return Ok(last);
        }
        let named = (tenant.clone(), id.clone());
        if self.gone().contains(&named) {
            return Ok(last);
        }
        let read = self.get(tenant, Freshness::Since(began)).await?;
        // After too many early reads this is an older one, which says nothing about a new credential.
        if read.began >= began && read.secret.credential(id).is_none() {
            let mut gone = self.gone();
            if gone.len() >= MAX_GONE {
                gone.clear();
            }
            gone.insert(named);
        }
        Ok(read)
    }

    /// A poisoned lock can be used, because no change under this lock can panic half-way.
    fn gone(&self) -> MutexGuard<'_, HashSet<(TenantId, CredentialId)>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secret of `tenant`; an empty one if the tenant does not exist.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be read and the last one may not be used any longer.
    async fn get(&self, tenant: &TenantId, freshness: Freshness) -> Result<Arc<ReadSecret>> {
        let read = async {
            let began = self.clock.now_millis();
            let secret = self.credentials.read(tenant).await?;
            let read = secret.map(|secret| ReadSecret {
                secret,
                exists: true,
                began,
            });
            Ok::<_, SecretError>(read)
        };
        if self.known.has(tenant) {
            let read = async { read.await.map(Option::unwrap_or_default) };
            let secret = self.known.get(tenant, freshness, read).await;
            return secret.map_err(unavailable);
        }
        let found = self.others.get(tenant, freshness, read).await;
        match found.map_err(unavailable)?.as_ref() {
            None => Ok(Arc::default()),
            Some(secret) => {
                // The tenant exists, so it moves to the others of its kind. If another request has moved it
                // already, that value is used.
                self.others.forget(tenant);
                let moved = async { Ok::<_, SecretError>(secret.clone()) };
                let moved = self.known.get(tenant, Freshness::Usual, moved).await;
                moved.map_err(unavailable)
            }
        }
    }
}

fn unavailable(unread: Unread<SecretError>) -> Error {
    let unavailable = Error::unavailable("Credentials cannot be checked at the moment");
    match unread {
        Unread::Failed(error) => unavailable.with_source(error),
        Unread::Resting => unavailable,
    }
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
        cache: CachedSecrets,
    }

    impl Fixture {
        /// A cache in front of the one tenant `acme`.
        async fn new() -> Self {
            let secrets = Arc::new(TestSecrets::default());
            let clock = Arc::new(ManualClock::at_seconds(1_000_000));
            let credentials = Credentials::new(secrets.clone(), "test");
            credentials.create(&tenant("acme")).await.unwrap();
            let cache = CachedSecrets::new(credentials, clock.clone());
            Self {
                secrets,
                clock,
                cache,
            }
        }

        async fn add(&self, name: &str) {
            let credentials = Credentials::new(self.secrets.clone(), "test");
            credentials.create(&tenant(name)).await.unwrap();
        }

        async fn get(&self, name: &str) -> Arc<ReadSecret> {
            let name = tenant(name);
            self.cache.get(&name, Freshness::Usual).await.unwrap()
        }

        /// A request with this credential of `acme` that begins now, and the number of reads so far.
        async fn present(&self, id: &str) -> usize {
            self.clock.advance_seconds(1);
            let (acme, id) = (tenant("acme"), CredentialId::parse(id).unwrap());
            let began = self.clock.now_millis();
            self.cache.for_request(&acme, &id, began).await.unwrap();
            self.secrets.reads()
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
    async fn a_revoked_credential_is_looked_for_once() {
        let fixture = Fixture::new().await;
        for _ in 0..20 {
            assert_eq!(fixture.present("1").await, 1);
        }
        for _ in 0..20 {
            assert_eq!(fixture.present("2").await, 2);
        }
    }

    #[tokio::test]
    async fn a_credential_is_not_gone_because_there_were_too_many_early_reads() {
        let fixture = Fixture::new().await;
        let began = fixture.clock.now_millis();
        for n in 0..20 {
            let (acme, id) = (
                tenant("acme"),
                CredentialId::parse(&format!("c{n}")).unwrap(),
            );
            let request = fixture.cache.for_request(&acme, &id, began + 1);
            request.await.unwrap();
        }
        let reads = fixture.secrets.reads();
        assert_eq!(reads, 11);
        // The last of them was never looked for. It is, as soon as there may be a read.
        fixture.clock.advance_seconds(6);
        assert_eq!(fixture.present("c19").await, reads + 1);
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
        // Polled once and then dropped: the request gives up while the read is under way.
        assert!(futures_util::FutureExt::now_or_never(get).is_none());
        fixture.check(Freshness::Usual, 2).await;
    }

    #[tokio::test]
    async fn an_unknown_tenant_is_read_no_more_often_than_a_known_one() {
        let fixture = Fixture::new().await;
        for _ in 0..3 {
            assert_eq!(fixture.get("nobody").await.secret.len(), 0);
        }
        assert_eq!(fixture.secrets.reads(), 1);
    }

    #[tokio::test]
    async fn the_last_secret_is_used_for_fifteen_minutes_without_the_store() {
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
    async fn the_tenant_that_was_used_longest_ago_is_removed_first() {
        let fixture = Fixture::new().await;
        fixture.check(Freshness::Usual, 1).await;
        for n in 1..MAX_KNOWN {
            fixture.add(&format!("t{n}")).await;
            fixture.get(&format!("t{n}")).await;
        }
        fixture.clock.advance_seconds(1);
        fixture.check(Freshness::Usual, MAX_KNOWN).await;
        fixture.add("new").await;
        fixture.get("new").await;
        fixture.check(Freshness::Usual, MAX_KNOWN + 1).await;
        // One of the others had to go.
        for n in 1..MAX_KNOWN {
            fixture.get(&format!("t{n}")).await;
        }
        assert!(fixture.secrets.reads() > MAX_KNOWN + 1);
    }

    #[tokio::test]
    async fn tenants_that_do_not_exist_never_displace_one_that_does() {
        let fixture = Fixture::new().await;
        for n in 0..MAX_KNOWN - 1 {
            fixture.add(&format!("t{n}")).await;
            fixture.get(&format!("t{n}")).await;
        }
        fixture.check(Freshness::Usual, MAX_KNOWN).await;
        // Used more recently than any tenant that exists.
        fixture.clock.advance_seconds(1);
        for n in 0..3 * MAX_OTHERS {
            fixture.get(&format!("nobody-{n}")).await;
        }
        let reads = fixture.secrets.reads();
        fixture.check(Freshness::Usual, reads).await;
        for n in 0..MAX_KNOWN - 1 {
            fixture.get(&format!("t{n}")).await;
        }
        assert_eq!(fixture.secrets.reads(), reads);
    }
}
