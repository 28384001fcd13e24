//! A cache of values that are read from a source, by key, so that requests seldom wait for the
//! source.
//!
//! A value is used for some time and is then read again. Only one request at a time reads it, and
//! other requests wait for that read. While the source is out of reach, the last value may be used
//! longer. Each user of the cache sets these times and the number of values ([`CacheLimits`]).
//!
//! It must not know what the values are.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::protocol::error::Error;

/// How long values are used, how often they are read, and how many are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLimits {
    /// The name of a value at the beginning of a sentence, for the log.
    pub(crate) what: &'static str,
    /// How long a value is used before it is read again, in milliseconds since the beginning of its
    /// read.
    pub(crate) fresh_millis: u64,
    /// How long a value is used if it cannot be read again, in milliseconds since the beginning of
    /// its read.
    pub(crate) stale_millis: u64,
    /// How long after a failed read no other read is tried, in milliseconds.
    pub(crate) retry_millis: u64,
    /// The number of early reads of one value ([`Freshness::Since`]) that may follow each other
    /// without a pause.
    pub(crate) early_reads: u64,
    /// The pause between further early reads of one value, in milliseconds.
    pub(crate) early_interval_millis: u64,
    /// The largest number of values. If there is no room for another one, the value that was used
    /// longest ago is removed.
    pub(crate) max_keys: usize,
}

/// How recent a value has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Freshness {
    /// Its read must be no older than [`CacheLimits::fresh_millis`].
    Usual,
    /// Its read must not have begun before this time, in milliseconds since the Unix epoch. After
    /// too many early reads an older value is returned nevertheless.
    Since(u64),
}

/// Why there is no value to return.
#[derive(Debug)]
pub(crate) enum Unread<E> {
    /// The read failed.
    Failed(E),
    /// A read has failed less than [`CacheLimits::retry_millis`] ago, so no other was tried.
    Resting,
}

impl From<Unread<Error>> for Error {
    fn from(unread: Unread<Error>) -> Self {
        match unread {
            Unread::Failed(error) => error,
            Unread::Resting => Self::unavailable("The directory was out of reach just now"),
        }
    }
}

/// A cache of values by key.
pub(crate) struct Cache<K, V> {
    limits: CacheLimits,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<K, Arc<Slot<V>>>>,
}

/// The value of one key, and its reads.
struct Slot<V> {
    state: Mutex<State<V>>,
    /// Held while the value is read.
    flight: tokio::sync::Mutex<()>,
    used_millis: AtomicU64,
}

struct State<V> {
    value: Option<Arc<V>>,
    /// When the read that brought `value` began.
    read_millis: u64,
    /// When the last read failed, unless one has succeeded since.
    failed_millis: Option<u64>,
    /// Each early read moves this time on by [`CacheLimits::early_interval_millis`], from now at the
    /// earliest. While it is too far ahead, no further early read is made.
    early_until_millis: u64,
}

/// What the cache does about a value that is asked for.
enum Answer<V> {
    Serve(Arc<V>),
    Refuse,
    Read,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    pub(crate) fn new(limits: CacheLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            slots: Mutex::default(),
        }
    }

    /// The value of `key`. If it has to be read, `read` reads it; otherwise `read` is dropped before
    /// it has begun.
    ///
    /// # Errors
    /// If the value has to be read and cannot, and there is no earlier value that may still be used.
    pub(crate) async fn get<E: std::error::Error + 'static>(
        &self,
        key: &K,
        freshness: Freshness,
        read: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, Unread<E>> {
        let slot = self.slot(key);
        let now = self.clock.now_millis();
        match lock(&slot.state).answer(&self.limits, freshness, now) {
            Answer::Serve(value) => return Ok(value),
            Answer::Refuse => return Err(Unread::Resting),
            Answer::Read => {}
        }
        let _flight = slot.flight.lock().await;
        // Another request may have read the value while this one waited for the lock.
        let began = self.clock.now_millis();
        match lock(&slot.state).answer_or_permit(&self.limits, freshness, began) {
            Answer::Serve(value) => return Ok(value),
            Answer::Refuse => return Err(Unread::Resting),
            Answer::Read => {}
        }
        let outcome = read.await;
        let now = self.clock.now_millis();
        let mut state = lock(&slot.state);
        match outcome {
            Ok(value) => Ok(state.keep(value, began)),
            Err(error) => state.fail(&self.limits, freshness, error, now),
        }
    }

    /// Whether there is a value of `key`, or one is being read.
    pub(crate) fn has(&self, key: &K) -> bool {
        lock(&self.slots).contains_key(key)
    }

    /// Removes the value of `key`. A read that is under way does not put it back.
    pub(crate) fn forget(&self, key: &K) {
        lock(&self.slots).remove(key);
    }

    fn slot(&self, key: &K) -> Arc<Slot<V>> {
        let mut slots = lock(&self.slots);
        let now = self.clock.now_millis();
        if let Some(slot) = slots.get(key) {
            slot.used_millis.store(now, Ordering::Relaxed);
            return Arc::clone(slot);
        }
        if slots.len() >= self.limits.max_keys {
            remove_least_used(&mut slots);
        }
        let slot = Arc::new(Slot {
            state: Mutex::new(State {
                value: None,
                read_millis: 0,
                failed_millis: None,
                early_until_millis: 0,
            }),
            flight: tokio::sync::Mutex::default(),
            used_millis: AtomicU64::new(now),
        });
        slots.insert(key.clone(), Arc::clone(&slot));
        slot
    }
}

impl<V> State<V> {
    fn answer(&self, limits: &CacheLimits, freshness: Freshness, now: u64) -> Answer<V> {
        let is_recent = match freshness {
            Freshness::Usual => now.saturating_sub(self.read_millis) < limits.fresh_millis,
            Freshness::Since(millis) => self.read_millis >= millis,
        };
        if let Some(value) = self.value.as_ref().filter(|_| is_recent) {
            return Answer::Serve(Arc::clone(value));
        }
        let is_resting = self
            .failed_millis
            .is_some_and(|then| now.saturating_sub(then) < limits.retry_millis);
        match (is_resting, self.last(limits, freshness, now)) {
            (false, _) => Answer::Read,
            (true, Some(value)) => Answer::Serve(value),
            (true, None) => Answer::Refuse,
        }
    }

    /// Like [`answer`](Self::answer), but it also counts early reads. After too many of them it
    /// returns the last value.
    fn answer_or_permit(
        &mut self,
        limits: &CacheLimits,
        freshness: Freshness,
        now: u64,
    ) -> Answer<V> {
        let answer = self.answer(limits, freshness, now);
        if let (Answer::Read, Freshness::Since(_), Some(value)) = (&answer, freshness, &self.value)
        {
            let until = self.early_until_millis.max(now) + limits.early_interval_millis;
            if until - now > limits.early_reads * limits.early_interval_millis {
                return Answer::Serve(Arc::clone(value));
            }
            self.early_until_millis = until;
        }
        answer
    }

    fn keep(&mut self, value: V, began: u64) -> Arc<V> {
        let value = Arc::new(value);
        self.value = Some(Arc::clone(&value));
        self.read_millis = began;
        self.failed_millis = None;
        value
    }

    /// Records a failed read, and returns the last value if it may still be used.
    fn fail<E: std::error::Error + 'static>(
        &mut self,
        limits: &CacheLimits,
        freshness: Freshness,
        error: E,
        now: u64,
    ) -> Result<Arc<V>, Unread<E>> {
        self.failed_millis = Some(now);
        let last = self.last(limits, freshness, now);
        if last.is_some() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "{} cannot be read; the last one is used for longer",
                limits.what
            );
        }
        last.ok_or(Unread::Failed(error))
    }

    /// The last value, if it may still be used without another read. A caller that asks for a value read
    /// since some time never gets the last one, because it may have changed since then.
    fn last(&self, limits: &CacheLimits, freshness: Freshness, now: u64) -> Option<Arc<V>> {
        let serves = now.saturating_sub(self.read_millis) < limits.stale_millis;
        match freshness {
            Freshness::Usual => self.value.clone().filter(|_| serves),
            Freshness::Since(_) => None,
        }
    }
}

fn remove_least_used<K: Hash + Eq + Clone, V>(slots: &mut HashMap<K, Arc<Slot<V>>>) {
    let least_used = slots
        .iter()
        .min_by_key(|(_, slot)| slot.used_millis.load(Ordering::Relaxed))
        .map(|(key, _)| key.clone());
    if let Some(key) = least_used {
        slots.remove(&key);
    }
}

/// A poisoned lock can be used, because no change that is made under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::clock::manual::ManualClock;

    const LIMITS: CacheLimits = CacheLimits {
        what: "A number",
        fresh_millis: 10_000,
        stale_millis: 10_000,
        retry_millis: 0,
        early_reads: 0,
        early_interval_millis: 0,
        max_keys: 3,
    };

    struct Fixture {
        clock: Arc<ManualClock>,
        cache: Cache<&'static str, usize>,
        reads: Cell<usize>,
        is_down: Cell<bool>,
    }

    impl Fixture {
        fn new(limits: CacheLimits) -> Self {
            let clock = Arc::new(ManualClock::at_seconds(1_000_000));
            Self {
                cache: Cache::new(limits, clock.clone()),
                clock,
                reads: Cell::new(0),
                is_down: Cell::new(false),
            }
        }

        /// Reads the source, which takes a while and answers with the number of the read.
        async fn read(&self) -> Result<usize, std::fmt::Error> {
            self.reads.set(self.reads.get() + 1);
            let read = self.reads.get();
            tokio::task::yield_now().await;
            match self.is_down.get() {
                true => Err(std::fmt::Error),
                false => Ok(read),
            }
        }

        async fn get(&self, key: &'static str) -> Option<usize> {
            let value = self.cache.get(&key, Freshness::Usual, self.read()).await;
            value.ok().map(|value| *value)
        }
    }

    #[tokio::test]
    async fn a_value_is_used_until_it_is_old() {
        let fixture = Fixture::new(LIMITS);
        for (seconds, read) in [(0, 1), (9, 1), (1, 2), (9, 2)] {
            fixture.clock.advance_seconds(seconds);
            assert_eq!(fixture.get("a").await, Some(read));
        }
        assert_eq!(fixture.get("b").await, Some(3));
    }

    #[tokio::test]
    async fn requests_at_the_same_time_share_one_read() {
        let fixture = Fixture::new(LIMITS);
        let all = tokio::join!(fixture.get("a"), fixture.get("a"), fixture.get("a"));
        assert_eq!(all, (Some(1), Some(1), Some(1)));
    }

    #[tokio::test]
    async fn without_a_pause_after_failures_each_request_tries_its_own_read() {
        let fixture = Fixture::new(LIMITS);
        fixture.is_down.set(true);
        let all = tokio::join!(fixture.get("a"), fixture.get("a"));
        assert_eq!((all, fixture.reads.get()), ((None, None), 2));
        fixture.is_down.set(false);
        assert_eq!(fixture.get("a").await, Some(3));
    }

    #[tokio::test]
    async fn the_last_value_is_used_no_longer_than_its_limit() {
        let fixture = Fixture::new(CacheLimits {
            stale_millis: 20_000,
            ..LIMITS
        });
        assert_eq!(fixture.get("a").await, Some(1));
        fixture.is_down.set(true);
        fixture.clock.advance_seconds(19);
        assert_eq!(fixture.get("a").await, Some(1));
        fixture.clock.advance_seconds(1);
        assert_eq!(fixture.get("a").await, None);
    }

    #[tokio::test]
    async fn a_read_that_began_before_a_value_was_forgotten_does_not_bring_it_back() {
        let fixture = Fixture::new(LIMITS);
        let forget = async { fixture.cache.forget(&"a") };
        let (early, ()) = tokio::join!(fixture.get("a"), forget);
        assert_eq!(early, Some(1));
        assert_eq!(fixture.get("a").await, Some(2));
    }

    #[tokio::test]
    async fn the_value_that_was_used_longest_ago_is_removed_first() {
        let fixture = Fixture::new(LIMITS);
        for key in ["a", "b", "c", "a", "d"] {
            fixture.get(key).await;
            fixture.clock.advance_seconds(1);
        }
        assert_eq!(lock(&fixture.cache.slots).len(), LIMITS.max_keys);
        assert_eq!(fixture.get("a").await, Some(1));
        assert_eq!(fixture.get("b").await, Some(5));
    }
}
