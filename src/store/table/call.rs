//! How every call is made: counted, retried with jitter while that can help, given up at the
//! deadline.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, timeout_at};

use super::meter::Account;
use crate::pool::Turn;
use crate::protocol::error::BoxError;
use crate::store::TenantStore;
use crate::store::error::StoreError;

/// The wait before the second attempt is at most this, and doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// No single wait is longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A call that did not succeed, after every attempt that made sense.
#[derive(Debug)]
pub(in crate::store) enum Failure<E> {
    /// DynamoDB answered with an error that another attempt would not change.
    Refused(E),
    /// Attempts were still refused or lost at the deadline.
    GaveUp(BoxError),
    /// The call could not even be made.
    Broken(BoxError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<Failure<E>> for StoreError {
    fn from(failure: Failure<E>) -> Self {
        match failure {
            Failure::GaveUp(source) => Self::Unavailable(source),
            Failure::Refused(error) => Self::Backend(error.into()),
            Failure::Broken(source) => Self::Backend(source),
        }
    }
}

/// How long to wait before trying again: twice as long each time, with full jitter.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
        wait
    }
}

impl TenantStore {
    /// Waits before something that others were in the way of, or that DynamoDB left out, is tried
    /// again.
    ///
    /// # Errors
    /// `Unavailable` when the deadline would pass meanwhile.
    pub async fn pause(&self, backoff: &mut Backoff) -> Result<(), StoreError> {
        let wait = backoff.next();
        if Instant::now() + wait >= self.deadline {
            return Err(StoreError::Unavailable(
                "others were in the way until the deadline".into(),
            ));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Makes a call, again if it fails in a way that passes.
    pub(in crate::store) async fn call<O, E, F>(
        &self,
        account: Account,
        attempt: impl Fn() -> F,
    ) -> Result<O, Failure<E>>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<O, SdkError<E>>>,
    {
        self.call_if(account, attempt, |error| {
            error.code().is_some_and(is_passing)
        })
        .await
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

    /// The same part of the table, for calls that read so much that the tenant has no other under way
    /// meanwhile.
    pub(in crate::store) fn alone(&self) -> Self {
        Self {
            is_alone: true,
            ..self.clone()
        }
    }

    /// Makes a call, again if it fails on the way, if its status speaks of a moment, or if `passing`
    /// says that the refusal passes.
    pub(in crate::store) async fn call_if<O, E, F>(
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
}

/// Whether DynamoDB refuses an item for its size before it looks at any condition.
pub(in crate::store) fn is_too_large(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ValidationException") && error.message().is_some_and(is_about_item_size)
}

/// Whether a refusal is for the size of an item.
pub(in crate::store) fn is_about_item_size(message: &str) -> bool {
    message.starts_with("Item size")
}

/// Whether the status of a failed call alone says that another attempt may succeed, whatever the body
/// is: a proxy or a load balancer in front of DynamoDB answers with HTML or with nothing. A success
/// whose body could not be read counts too: the call may have taken effect, and every write recognises
/// itself when it is repeated.
fn is_passing_status(status: u16) -> bool {
    matches!(status, 200..=299 | 408 | 429 | 500..=599)
}

/// Whether DynamoDB's error code speaks of a moment and not of the request.
pub(in crate::store) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "ThrottlingError"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "TransactionConflictException"
            | "TransactionInProgressException"
            | "ReplicatedWriteConflictException"
            | "InternalServerError"
            | "InternalServerException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "LimitExceededException"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use futures_util::future::join_all;

    use super::*;
    use crate::aws;
    use crate::clock::SystemClock;
    use crate::store::{Meter, Store};
    use crate::tenant::TenantId;

    /// The most calls that were under way at the same time, of two tenants with ten each.
    async fn most_at_once(store: &Store, alone: bool) -> usize {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = async || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<(), SdkError<GetItemError>>(())
        };
        let tenant = |number: usize| {
            let tenant = TenantId::parse(["a", "b"][number % 2]).unwrap();
            let store = store.for_tenant(&tenant, Meter::default(), Duration::from_secs(20));
            if alone { store.alone() } else { store }
        };
        let tenants: Vec<TenantStore> = (0..20).map(tenant).collect();
        let calls = tenants
            .iter()
            .map(|tenant| tenant.call(Account::Read, call));
        for made in join_all(calls).await {
            made.unwrap();
        }
        most.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_few_calls_under_way_at_a_table_that_does_one_thing_at_a_time() {
        let sdk = aws::emulator("http://table.invalid");
        let store = Store::new(&sdk, "scim", Arc::new(SystemClock));
        assert_eq!(most_at_once(&store, false).await, 20);
        assert_eq!(most_at_once(&store, true).await, 20);
        let store = store.with_calls_per_tenant(2);
        assert_eq!(most_at_once(&store, false).await, 4);
        assert_eq!(most_at_once(&store, true).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_turn_does_not_come_in_time_is_not_made() {
        let sdk = aws::emulator("http://table.invalid");
        let store = Store::new(&sdk, "scim", Arc::new(SystemClock)).with_calls_per_tenant(1);
        let tenant = TenantId::parse("a").unwrap();
        let tenant = store.for_tenant(&tenant, Meter::default(), Duration::from_secs(20));
        let slow = tenant.call(Account::Read, async || {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok::<(), SdkError<GetItemError>>(())
        });
        let never = tenant.call(Account::Read, async || {
            panic!("it has no turn");
            #[expect(unreachable_code, reason = "names the type")]
            Ok::<(), SdkError<GetItemError>>(())
        });
        let (slow, never) = tokio::join!(slow, never);
        assert!(slow.is_ok());
        assert!(matches!(never, Err(Failure::GaveUp(_))));
    }
}
