//! Counts what a request costs: calls, capacity and time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// Counts the calls of one request. Clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

/// Capacity is kept in thousandths of a unit, because DynamoDB reports it as a number with a fraction.
#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    config_calls: AtomicU64,
    status_calls: AtomicU64,
    read_milliunits: AtomicU64,
    write_milliunits: AtomicU64,
    micros: AtomicU64,
}

/// What a meter has counted. It displays as `calls=2 rru=1 wru=0`, with `cfg=1` if configuration was
/// read, and `status=1` if the tenant's status was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The number of calls to the table, each attempt counted.
    pub calls: u64,
    /// The number of calls that read the tenant's configuration, which is cached; each attempt
    /// counted.
    pub config_calls: u64,
    /// The number of calls that wrote the tenant's status, which most requests do not write; each attempt
    /// counted.
    pub status_calls: u64,
    /// Read request units.
    pub read_units: f64,
    /// Write request units.
    pub write_units: f64,
    /// The time spent waiting for the table. The times of parallel calls are added up.
    pub waited: Duration,
}

/// The account on which a call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Account {
    Read,
    Write,
    Config,
}

impl Meter {
    /// What has been counted so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "no request comes near 2^53 thousandths"
        )]
        let units = |count: &AtomicU64| load(count) as f64 / 1000.0;
        Cost {
            calls: load(&self.0.calls),
            config_calls: load(&self.0.config_calls),
            status_calls: load(&self.0.status_calls),
            read_units: units(&self.0.read_milliunits),
            write_units: units(&self.0.write_milliunits),
            waited: Duration::from_micros(load(&self.0.micros)),
        }
    }

    /// The read units so far, without the fraction.
    #[must_use]
    pub fn whole_read_units(&self) -> u64 {
        self.0.read_milliunits.load(Ordering::Relaxed) / 1_000
    }

    /// Adds what another meter counted, as reads of configuration.
    pub(crate) fn add_configuration(&self, cost: &Cost) {
        let calls = cost.calls + cost.config_calls;
        self.0.config_calls.fetch_add(calls, Ordering::Relaxed);
        let waited = u64::try_from(cost.waited.as_micros()).unwrap_or(u64::MAX);
        self.0.micros.fetch_add(waited, Ordering::Relaxed);
    }

    /// Adds what another meter counted, as writes of the tenant's status.
    pub(crate) fn add_status(&self, cost: &Cost) {
        self.0.status_calls.fetch_add(cost.calls, Ordering::Relaxed);
    }

    pub(in crate::store) fn attempt(&self, account: Account, took: Duration) {
        let calls = if account == Account::Config {
            &self.0.config_calls
        } else {
            &self.0.calls
        };
        calls.fetch_add(1, Ordering::Relaxed);
        self.0.micros.fetch_add(
            u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    pub(in crate::store) fn capacity<'c>(
        &self,
        account: Account,
        consumed: impl IntoIterator<Item = &'c ConsumedCapacity>,
    ) {
        let milliunits = milliunits(consumed);
        match account {
            Account::Read => self
                .0
                .read_milliunits
                .fetch_add(milliunits, Ordering::Relaxed),
            Account::Write => self
                .0
                .write_milliunits
                .fetch_add(milliunits, Ordering::Relaxed),
            Account::Config => 0,
        };
    }
}

/// What calls have consumed, in thousandths of a unit.
pub(in crate::store) fn milliunits<'c>(
    consumed: impl IntoIterator<Item = &'c ConsumedCapacity>,
) -> u64 {
    let units: f64 = consumed
        .into_iter()
        .filter_map(ConsumedCapacity::capacity_units)
        .sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let milliunits = (units * 1000.0).round() as u64;
    milliunits
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "calls={} rru={} wru={}",
            self.calls, self.read_units, self.write_units
        )?;
        if self.config_calls > 0 {
            write!(f, " cfg={}", self.config_calls)?;
        }
        if self.status_calls > 0 {
            write!(f, " status={}", self.status_calls)?;
        }
        Ok(())
    }
}
