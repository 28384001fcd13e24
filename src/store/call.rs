//! How every call is made: counted, retried with jitter while that can help, given up at the
//! deadline.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tokio::time::Instant;

use super::TenantStore;
use super::error::StoreError;
use super::meter::Account;
use crate::protocol::error::BoxError;

/// The wait before the second attempt is at most this, and doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// No single wait is longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A call that did not succeed, after every attempt that made sense.
#[derive(Debug)]
pub(super) enum Failure<E> {
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
    pub(super) async fn call<O, E, F>(
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

    /// Makes a call, again if it fails on the way, if its status speaks of a moment, or if `passing`
    /// says that the refusal passes.
    pub(super) async fn call_if<O, E, F>(
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
            let begun = Instant::now();
            if begun >= self.deadline {
                return Err(Failure::GaveUp("the request's time is over".into()));
            }
            // The SDK's futures are deep, and the compiler limits how deep futures may be nested.
            let result = Box::pin(attempt()).await;
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
pub(super) fn is_too_large(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ValidationException") && error.message().is_some_and(is_about_item_size)
}

/// Whether a refusal is for the size of an item.
pub(super) fn is_about_item_size(message: &str) -> bool {
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
pub(super) fn is_passing(code: &str) -> bool {
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
