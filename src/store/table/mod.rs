//! How DynamoDB is called: requests as plain values, and one way to send each.
//!
//! Invariants:
//! - Only the files of this folder build requests of the SDK.
//! - Every call of a request goes through [`Table::call`], which counts it, retries it while that
//!   can help, and refuses it after the request's deadline or the writer's lease. The calls of
//!   `create.rs` belong to no request: the process makes them before it answers the first one.
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
use crate::identity::{Cause, CauseKind, TenantId};
use crate::pool::{Turn, Turns};
use call::{Backoff, Failure, is_transient_status};
use meter::{Account, Meter};

/// The table of all tenants, and the connection to it that all requests of this process share.
#[derive(Clone)]
pub struct Store {
    client: Client,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    /// Turns at a table that makes one call at a time.
    turns: Option<Turns>,
}

impl Store {
    /// Uses `table` at the endpoint, region and credentials of `config`.
    ///
    /// The SDK's own retries are off, because the store itself decides which calls are retried.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str, clock: Arc<dyn Clock>) -> Self {
        Self::with_config(Builder::from(config), table, clock)
    }

    /// The same with a prepared client configuration. Tests use it to add interceptors.
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

    /// The same for a table that makes one call at a time, as the embedded one does. Each tenant has
    /// at most this number of calls under way, or a single one that reads a long page, so that a
    /// call of another tenant never waits behind many of them.
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

    /// Creates the table as `template.yaml` does, unless it exists, and waits until it can be used.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be used within a minute, `Backend` if it has another key or cannot
    /// be created.
    pub async fn create_table_if_missing(&self) -> Result<(), StoreError> {
        create::create_if_missing(&self.client, &self.name).await
    }

    /// The ARN of the table, which has its region and its account:
    /// `arn:aws:dynamodb:eu-west-1:123456789012:table/scim`.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be asked for, `Backend` if there is no table.
    #[cfg(feature = "worker")]
    pub async fn arn(&self) -> Result<String, StoreError> {
        create::arn(&self.client, &self.name).await
    }

    /// Whether there is no item in the table, of any tenant.
    ///
    /// # Errors
    /// `Backend`.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        create::is_empty(&self.client, &self.name).await
    }

    /// Makes one cheap call, so that the connection is open before the first request needs it.
    ///
    /// # Errors
    /// `Backend`.
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        create::warm_up(&self.client, &self.name).await
    }

    /// One tenant's part of the table, for one request that must be over in `budget`. The resources
    /// and members that the request writes are stored with `cause`.
    #[must_use]
    pub fn for_tenant(
        &self,
        tenant: &TenantId,
        cause: Cause,
        meter: Meter,
        budget: Duration,
    ) -> TenantStore {
        let turns = self.turns.clone().map(|turns| (turns, tenant.clone()));
        TenantStore::new(self.with_keys(Keys::new(tenant), turns, cause, meter, budget))
    }

    /// The part of the table that belongs to the stack and to no tenant, for work that must be over
    /// in `budget`.
    #[must_use]
    pub fn for_stack(&self, meter: Meter, budget: Duration) -> StackStore {
        let cause = Cause::without_credential(CauseKind::Service);
        StackStore::new(self.with_keys(StackKeys, None, cause, meter, budget))
    }

    fn with_keys<K>(
        &self,
        keys: K,
        turns: Option<(Turns, TenantId)>,
        cause: Cause,
        meter: Meter,
        budget: Duration,
    ) -> Table<K> {
        Table {
            client: self.client.clone(),
            name: Arc::clone(&self.name),
            keys,
            cause: Arc::new(cause),
            meter,
            deadline: Instant::now() + budget,
            clock: Arc::clone(&self.clock),
            lease_until: None,
            turns,
            is_alone: false,
        }
    }
}

/// The table as one request uses it: with the keys of the request's tenant or of the stack, the request's
/// meter and the request's deadline.
#[derive(Clone)]
pub(super) struct Table<K = Keys> {
    client: Client,
    name: Arc<str>,
    keys: K,
    /// The cause of what the request writes.
    cause: Arc<Cause>,
    meter: Meter,
    deadline: Instant,
    clock: Arc<dyn Clock>,
    /// When the writer's lease ends, in milliseconds since the Unix epoch. After that it must make
    /// no call, because a finisher may have taken over its journal entry.
    lease_until: Option<u64>,
    /// The tenant's turns at a table that makes one call at a time.
    turns: Option<(Turns, TenantId)>,
    /// Whether a call takes all turns of the tenant.
    is_alone: bool,
}

impl<K: Clone> Table<K> {
    /// The keys of the tenant or of the stack.
    pub(super) fn keys(&self) -> &K {
        &self.keys
    }

    /// The cause of what the request writes.
    pub(super) fn cause(&self) -> &Cause {
        &self.cause
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

    /// The same part of the table with another cause for what is written.
    pub(super) fn caused_by(&self, cause: Cause) -> Self {
        Self {
            cause: Arc::new(cause),
            ..self.clone()
        }
    }

    /// The same part of the table with an earlier deadline for every call.
    pub(super) fn until(&self, deadline: Instant) -> Self {
        Self {
            deadline: self.deadline.min(deadline),
            ..self.clone()
        }
    }

    /// The same part of the table for a writer whose lease ends at this time, in milliseconds since
    /// the Unix epoch. After that every call is refused before it is made.
    pub(super) fn leased(&self, lease_until: u64) -> Self {
        Self {
            lease_until: Some(lease_until),
            ..self.clone()
        }
    }

    /// The same part of the table for calls that read a long page: meanwhile no other call of the
    /// tenant runs.
    fn alone(&self) -> Self {
        Self {
            is_alone: true,
            ..self.clone()
        }
    }

    /// Waits before another attempt of a change that other requests have conflicted with, or of the
    /// part of a batch that DynamoDB has left out.
    ///
    /// # Errors
    /// `Unavailable` when the deadline would pass meanwhile.
    pub(super) async fn pause(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let wait = backoff.next();
        if Instant::now() + wait >= self.deadline {
            return Err(StoreError::Unavailable(
                "other requests conflicted with this one until the deadline".into(),
            ));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Makes a call. It is repeated if it got no answer, if its status is a transient one
    /// ([`is_transient_status`]), or if `is_transient` says so of its refusal.
    async fn call<O, E, F>(
        &self,
        account: Account,
        attempt: impl Fn() -> F,
        is_transient: impl Fn(&E) -> bool,
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
            // Boxed, because the compiler limits how deep futures may be nested, and those of the
            // SDK are deep.
            let result = Box::pin(attempt()).await;
            // The turn is given back before the wait, so that another call of the tenant can run
            // meanwhile.
            drop(turn);
            self.meter.attempt(account, begun.elapsed());
            let error = match result {
                Ok(output) => return Ok(output),
                Err(SdkError::ServiceError(refusal))
                    if !is_transient(refusal.err())
                        && !is_transient_status(refusal.raw().status().as_u16()) =>
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

    /// Waits for the tenant's turn, if the table has turns. `None` if the turn did not come before
    /// the deadline.
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

/// The error of a request that could not be built: a fault of the service.
fn broken(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Backend(error.into())
}

#[cfg(test)]
mod tests;
