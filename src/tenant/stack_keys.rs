//! The keys of the stack as the parts of a process share them.
//!
//! They are read again after a minute, and earlier when a request names a key that is not known: another
//! process may have made it. A key signs two minutes after it was added, so a process that serves
//! requests knows it before any other process signs with it.

use std::sync::{Arc, PoisonError, RwLock};

use super::secrets::{SecretError, SecretStore};
use super::stack_key::{KeyId, StackKey};
use super::stack_secret::{KeyState, StackSecret};
use crate::cache::{Cache, CacheLimits, Freshness};
use crate::clock::Clock;
use crate::protocol::error::{Error, Result};

/// The last keys are used for as long as the secret is out of reach. Requests name unknown keys at will,
/// so such a name causes at most one read in five seconds.
const LIMITS: CacheLimits = CacheLimits {
    what: "The stack secret",
    fresh_millis: 60 * 1000,
    stale_millis: u64::MAX,
    retry_millis: 5 * 1000,
    early_reads: 1,
    early_interval_millis: 5 * 1000,
    max_keys: 1,
};
/// The largest number of attempts of a change, of which each but the first follows a change by
/// another process.
const MAX_ATTEMPTS: usize = 5;

/// The keys of the stack, kept up to date.
pub struct StackKeys {
    secrets: Arc<dyn SecretStore>,
    name: String,
    clock: Arc<dyn Clock>,
    read: Cache<(), StackSecret>,
    /// What was read last, for code that cannot wait.
    known: RwLock<Arc<StackSecret>>,
}

impl StackKeys {
    /// Reads the stack secret called `name`.
    ///
    /// # Errors
    /// `Internal` if there is none or it cannot be read as keys, `Unavailable` if the store is out of
    /// reach.
    pub async fn open(
        secrets: Arc<dyn SecretStore>,
        name: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let read = Cache::new(LIMITS, Arc::clone(&clock));
        let first = read.get(&(), Freshness::Usual, read_secret(&*secrets, name));
        let first = first.await.map_err(Error::from)?;
        Ok(Self {
            known: RwLock::new(first),
            name: name.to_owned(),
            secrets,
            clock,
            read,
        })
    }

    /// Reads the stack secret called `name`. If there is none, a random one is created.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_or_create(
        secrets: Arc<dyn SecretStore>,
        name: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        if secrets.get(name).await?.is_none() {
            let material = StackSecret::random_material()?;
            match secrets.put(name, &material, None).await {
                // Another process has created the secret in the meantime. That one is read below.
                Ok(_) | Err(SecretError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::open(secrets, name, clock).await
    }

    /// The keys as this process has read them last.
    #[must_use]
    pub fn known(&self) -> Arc<StackSecret> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&known)
    }

    /// The keys as they were a minute ago or later. While the secret is out of reach, the last ones.
    pub async fn recent(&self) -> Arc<StackSecret> {
        self.refresh(Freshness::Usual).await
    }

    /// The keys after another read, for a request that names an unknown one. If another request has
    /// caused such a read less than five seconds ago, the last ones.
    pub(super) async fn reread(&self) -> Arc<StackSecret> {
        self.refresh(Freshness::Since(self.clock.now_millis()))
            .await
    }

    async fn refresh(&self, freshness: Freshness) -> Arc<StackSecret> {
        let read = read_secret(&*self.secrets, &self.name);
        // The cache logs a failed read. Requests under known keys go on; one under an unknown key is refused.
        let Ok(read) = self.read.get(&(), freshness, read).await else {
            return self.known();
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known, &read) {
            *known = Arc::clone(&read);
        }
        read
    }

    /// The key that signs now, of those that are known.
    #[must_use]
    pub fn signing(&self) -> Arc<StackKey> {
        Arc::clone(self.known().signing(self.clock.now_seconds()))
    }

    /// The keys as they are stored.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn states(&self) -> Result<Vec<KeyState>> {
        let secret = read_secret(&*self.secrets, &self.name).await?;
        Ok(secret.states(self.clock.now_seconds()))
    }

    /// Adds a key that will sign in two minutes. If one was added less than two minutes ago, nothing
    /// happens. Returns the keys.
    ///
    /// # Errors
    /// `TooMany` for more than 8 keys; `Conflict` if other processes changed the secret each time;
    /// `Unavailable` if it is out of reach.
    pub async fn rotate(&self) -> Result<Vec<KeyState>> {
        let now = self.clock.now_seconds();
        self.change(|secret| secret.with_new_key(now)).await
    }

    /// Removes a key, with which everything that was signed under it becomes invalid. Returns the keys
    /// that are left.
    ///
    /// # Errors
    /// `NotFound` if there is no such key; `Conflict` if a process may still sign with it, or if clients
    /// may hold cursors and access tokens that were made under it and `even_if_held` is not set;
    /// `Unavailable` if secrets are out of reach.
    pub async fn retire(&self, id: KeyId, even_if_held: bool) -> Result<Vec<KeyState>> {
        let now = self.clock.now_seconds();
        let retire = self.change(|secret| {
            let without = secret.without_key(id, now)?;
            if secret.is_held(id, now) && !even_if_held {
                return Err(Error::conflict(format!(
                    "Key {id} has signed less than an hour ago: clients hold cursors and access \
                     tokens that would become invalid"
                )));
            }
            Ok(without)
        });
        retire.await
    }

    async fn change(
        &self,
        change: impl Fn(&StackSecret) -> Result<StackSecret>,
    ) -> Result<Vec<KeyState>> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.secrets.get(&self.name).await?;
            let found = found.ok_or_else(|| no_secret(&self.name))?;
            let changed = change(&StackSecret::parse(&found.value)?)?;
            let text = changed.to_text();
            match self
                .secrets
                .put(&self.name, &text, Some(&found.version))
                .await
            {
                Ok(_) => return Ok(changed.states(self.clock.now_seconds())),
                // Another process has written the secret since it was read. The next attempt works on
                // its new state.
                Err(SecretError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SecretError::Conflict.into())
    }
}

async fn read_secret(secrets: &dyn SecretStore, name: &str) -> Result<StackSecret> {
    let secret = secrets.get(name).await?;
    StackSecret::parse(&secret.ok_or_else(|| no_secret(name))?.value)
}

fn no_secret(name: &str) -> Error {
    Error::internal(format!("there is no secret {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;
    use crate::tenant::test_secrets::TestSecrets;

    const NAME: &str = "test/stack";

    struct Fixture {
        secrets: Arc<TestSecrets>,
        clock: Arc<ManualClock>,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                secrets: Arc::default(),
                clock: Arc::new(ManualClock::at_seconds(1_000_000)),
            }
        }

        /// The keys as one more process has them.
        async fn process(&self) -> StackKeys {
            let secrets: Arc<dyn SecretStore> = self.secrets.clone();
            let opened = StackKeys::open_or_create(secrets, NAME, self.clock.clone());
            opened.await.unwrap()
        }
    }

    fn signing(keys: &StackKeys) -> KeyId {
        keys.signing().id()
    }

    #[tokio::test]
    async fn every_process_knows_a_key_before_any_process_signs_with_it() {
        let fixture = Fixture::new();
        let (one, other) = (fixture.process().await, fixture.process().await);
        one.rotate().await.unwrap();
        // Both serve requests all the time, and the second has read the secret just before.
        let new = KeyId::from(1);
        for second in 0..=180 {
            one.recent().await;
            other.recent().await;
            let both_know = [&one, &other].map(|keys| keys.known().key(new).is_some());
            let signs = [&one, &other].map(signing).contains(&new);
            assert!(!signs || both_know == [true, true], "second {second}");
            fixture.clock.advance_seconds(1);
        }
        assert_eq!([&one, &other].map(signing), [new, new]);
    }

    #[tokio::test]
    async fn the_secret_is_read_once_a_minute() {
        let fixture = Fixture::new();
        let keys = fixture.process().await;
        let before = fixture.secrets.reads();
        for _ in 0..59 {
            fixture.clock.advance_seconds(1);
            keys.recent().await;
        }
        assert_eq!(fixture.secrets.reads(), before);
        fixture.clock.advance_seconds(1);
        tokio::join!(keys.recent(), keys.recent());
        assert_eq!(fixture.secrets.reads(), before + 1);
    }

    #[tokio::test]
    async fn unknown_keys_cause_one_read_in_five_seconds() {
        let fixture = Fixture::new();
        let keys = fixture.process().await;
        let before = fixture.secrets.reads();
        for (seconds, reads) in [(1, 1), (0, 1), (4, 1), (1, 2), (1, 2)] {
            fixture.clock.advance_seconds(seconds);
            keys.reread().await;
            assert_eq!(fixture.secrets.reads(), before + reads);
        }
    }

    #[tokio::test]
    async fn the_last_keys_are_used_while_the_secret_is_out_of_reach() {
        let fixture = Fixture::new();
        let keys = fixture.process().await;
        let first = keys.signing().derive("any");
        fixture.secrets.fail(true);
        for seconds in [60, 3_600, 10 * 86_400] {
            fixture.clock.advance_seconds(seconds);
            let recent = keys.recent().await;
            assert_eq!(recent.signing(0).derive("any"), first);
            assert!(keys.reread().await.key(KeyId::from(1)).is_none());
        }
    }

    #[tokio::test]
    async fn a_key_is_retired_when_nothing_that_it_has_signed_is_valid_any_more() {
        let fixture = Fixture::new();
        let keys = fixture.process().await;
        let first = KeyId::FIRST;
        assert!(keys.retire(first, true).await.is_err());
        keys.rotate().await.unwrap();
        fixture.clock.advance_seconds(120 + 119);
        assert!(keys.retire(first, true).await.is_err());
        fixture.clock.advance_seconds(3_600);
        assert!(keys.retire(first, false).await.is_err());
        fixture.clock.advance_seconds(1);
        let left = keys.retire(first, false).await.unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].is_signing && left[0].id == KeyId::from(1));
        let recent = keys.recent().await;
        assert!(recent.key(first).is_none());
    }
}
