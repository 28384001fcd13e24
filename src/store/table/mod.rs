//! How DynamoDB is reached: requests as plain values, and one way to send each.
//!
//! Invariants:
//! - Only the files of this folder build requests of the SDK.
//! - Every call of a request goes through [`Table::call`]: it is counted, retried while that can help,
//!   and refused when the request's deadline or the writer's lease is over. The calls of `create.rs`
//!   belong to no request: the process makes them before it answers one.
//!
//! It must not know what the items mean.

pub(super) mod allowance;
pub(super) mod batch;
pub(super) mod call;
mod create;
pub(super) mod get;
pub(super) mod meter;
pub(super) mod query;
mod step;
pub(super) mod transaction;
pub(super) mod write;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::SdkError;
use tokio::time::{Instant, timeout_at};

use super::error::StoreError;
use super::keys::{Keys, StackKeys};
use super::{StackStore, TenantStore};
use crate::clock::Clock;
use crate::identity::TenantId;
use crate::pool::{Turn, Turns};
use call::{Backoff, Failure, is_passing_status};
use meter::{Account, Meter};

/// The whole table of all tenants, and the connection to it that the requests of this process share.
#[derive(Clone)]
pub struct Store {
    client: Client,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    /// Turns at a table that does one thing at a time.
    turns: Option<Turns>,
}

impl Store {
    /// Uses `table` at the endpoint, region and credentials of `config`.
    ///
    /// The SDK's own retries are off: the store retries by what it knows of each call.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str, clock: Arc<dyn Clock>) -> Self {
        Self::with_config(Builder::from(config), table, clock)
    }

    /// The same for a prepared client configuration, which is how tests add interceptors.
    #[must_use]
    pub fn with_config(config: Builder, table: &str, clock: Arc<dyn Clock>) -> Self {
        let config = config.retry_config(RetryConfig::disabled()).build();
        Self {
            client: Client::from_conf(config),
            name: table.into(),
            clock,
            turns: None,
        }
    }

    /// The same for a table that does one thing at a time, as the embedded one does: each tenant has at
    /// most this many calls under way, or one that reads a long page, so that another tenant's call is
    /// never far from the front.
    #[must_use]
    pub fn with_calls_per_tenant(self, calls: usize) -> Self {
        Self {
            turns: Some(Turns::new(calls)),
            ..self
        }
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.name
    }

    /// Makes the table as `template.yaml` does, unless it is there, and waits until it can be used.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be used within a minute, `Backend` if it is another kind of table or
    /// cannot be made.
    pub async fn create_table_if_missing(&self) -> Result<(), StoreError> {
        create::create_if_missing(&self.client, &self.name).await
    }

    /// Whether there is no item in the table, of any tenant.
    ///
    /// # Errors
    /// `Backend`.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        create::is_empty(&self.client, &self.name).await
    }

    /// Makes one cheap call, so that the connection is up before the first request needs it.
    ///
    /// # Errors
    /// `Backend`.
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        create::warm_up(&self.client, &self.name).await
    }

    /// What the table holds for one tenant, for one request that must be over in `budget`.
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId, meter: Meter, budget: Duration) -> TenantStore {
        let turns = self.turns.clone().map(|turns| (turns, tenant.clone()));
        TenantStore::new(self.with_keys(Keys::new(tenant), turns, meter, budget))
    }

    /// What the table holds for the stack and for no tenant, for work that must be over in `budget`.
    #[must_use]
    pub fn for_stack(&self, meter: Meter, budget: Duration) -> StackStore {
        StackStore::new(self.with_keys(StackKeys, None, meter, budget))
    }

    fn with_keys<K>(
        &self,
        keys: K,
        turns: Option<(Turns, TenantId)>,
        meter: Meter,
        budget: Duration,
    ) -> Table<K> {
        Table {
            client: self.client.clone(),
            name: Arc::clone(&self.name),
            keys,
            meter,
            deadline: Instant::now() + budget,
            clock: Arc::clone(&self.clock),
            lease_until: None,
            turns,
            is_alone: false,
        }
    }
}

/// How one request calls DynamoDB: with the keys of its tenant or of the stack, on its meter and until its
/// deadline.
#[derive(Clone)]
pub(super) struct Table<K = Keys> {
    client: Client,
    name: Arc<str>,
    keys: K,
    meter: Meter,
    deadline: Instant,
    clock: Arc<dyn Clock>,
    /// Milliseconds since the Unix epoch after which this writer must not write any more, because
    /// the finisher may have taken its journal entry over.
    lease_until: Option<u64>,
    /// The tenant's turns at a table that does one thing at a time.
    turns: Option<(Turns, TenantId)>,
    /// Whether a call takes all turns of the tenant.
    is_alone: bool,
}

impl<K: Clone> Table<K> {
    /// The keys of the tenant or of the stack.
    pub(super) fn keys(&self) -> &K {
        &self.keys
    }

    /// What the request has cost so far.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// When the request has to be over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now_millis(&self) -> u64 {
        self.clock.now_millis()
    }

    /// The time, in seconds since the Unix epoch.
    pub(super) fn now_seconds(&self) -> u64 {
        self.clock.now_seconds()
    }

    /// The same part of the table, where every call has to be over by an earlier time.
    pub(super) fn until(&self, deadline: Instant) -> Self {
        Self {
            deadline: self.deadline.min(deadline),
            ..self.clone()
        }
    }

    /// The same part of the table for a writer whose lease ends then, in milliseconds since the Unix
    /// epoch: past it, every call is refused before it is made.
    pub(super) fn leased(&self, lease_until: u64) -> Self {
        Self {
            lease_until: Some(lease_until),
            ..self.clone()
        }
    }

    /// The same part of the table, for calls that read so much that the tenant has no other under way
    /// meanwhile.
    fn alone(&self) -> Self {
        Self {
            is_alone: true,
            ..self.clone()
        }
    }

    /// Waits before something that other requests were in the way of, or that DynamoDB left out, is
    /// tried again.
    ///
    /// # Errors
    /// `Unavailable` when the deadline would pass meanwhile.
    pub(super) async fn pause(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let wait = backoff.next();
        if Instant::now() + wait >= self.deadline {
            return Err(StoreError::Unavailable(
                "others were in the way until the deadline".into(),
            ));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Makes a call, again if it fails on the way, if its status speaks of a moment, or if `passing`
    /// says that the refusal passes.
    async fn call<O, E, F>(
        &self,
        account: Account,
        attempt: impl Fn() -> F,
        passing: impl Fn(&E) -> bool,
    ) -> Result<O, Failure<E>>
    where
        E: std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<O, SdkError<E>>>,
    {
        let mut backoff = Backoff::default();
        loop {
            if self.lease_is_over() {
                return Err(Failure::GaveUp(
                    "the lease of a journal entry has run out".into(),
                ));
            }
            let over = || Failure::GaveUp("the request's time is over".into());
            let turn = self.turn().await.ok_or_else(over)?;
            let begun = Instant::now();
            if begun >= self.deadline {
                return Err(over());
            }
            // The SDK's futures are deep, and the compiler limits how deep futures may be nested.
            let result = Box::pin(attempt()).await;
            // Another call of the tenant goes on while this one waits for its next attempt.
            drop(turn);
            self.meter.attempt(account, begun.elapsed());
            let error = match result {
                Ok(output) => return Ok(output),
                Err(SdkError::ServiceError(refusal))
                    if !passing(refusal.err())
                        && !is_passing_status(refusal.raw().status().as_u16()) =>
                {
                    return Err(Failure::Refused(refusal.into_err()));
                }
                Err(error @ SdkError::ConstructionFailure(_)) => {
                    return Err(Failure::Broken(error.into()));
                }
                Err(error) => error,
            };
            let wait = backoff.next();
            if Instant::now() + wait >= self.deadline {
                return Err(Failure::GaveUp(error.into()));
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn lease_is_over(&self) -> bool {
        self.lease_until
            .is_some_and(|until| self.clock.now_millis() >= until)
    }

    /// The tenant's turn at the table, where there are turns. `None` if it has not come before the
    /// deadline.
    async fn turn(&self) -> Option<Option<Turn>> {
        let Some((turns, tenant)) = &self.turns else {
            return Some(None);
        };
        let turn = async {
            match self.is_alone {
                true => turns.take_all(tenant).await,
                false => turns.take(tenant).await,
            }
        };
        let turn = timeout_at(self.deadline, turn).await;
        turn.ok().map(Some)
    }
}

/// A request that could not be built: a fault of ours.
fn broken(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Backend(error.into())
}

#[cfg(test)]
mod tests;
