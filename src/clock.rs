//! Where the service reads the time.
//!
//! Code that depends on the time takes a [`Clock`], so that tests can set the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The clocks of two processes differ by less than this, in milliseconds.
pub const CLOCKS_DIFFER_MILLIS: u64 = 5_000;

/// A source of wall-clock time.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_millis(&self) -> u64;

    /// Whole seconds since the Unix epoch.
    fn now_seconds(&self) -> u64 {
        self.now_millis() / 1000
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_millis(&self) -> u64 {
        // A clock set before 1970 reads as 1970.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| {
                u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
            })
    }
}

#[cfg(test)]
pub(crate) mod manual {
    //! A clock whose time changes only when a test changes it.

    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Clock;

    pub(crate) struct ManualClock(AtomicU64);

    impl ManualClock {
        pub(crate) fn at_seconds(seconds: u64) -> Self {
            Self(AtomicU64::new(seconds * 1000))
        }

        pub(crate) fn advance_seconds(&self, seconds: u64) {
            self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }

    impl Clock for ManualClock {
        fn now_millis(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }
    }
}
