//! How a call can fail, and which failures another attempt may help.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;

use crate::protocol::error::BoxError;
use crate::store::error::StoreError;

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
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
        wait
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
pub(super) fn is_passing_status(status: u16) -> bool {
    matches!(status, 200..=299 | 408 | 429 | 500..=599)
}

/// Whether a refusal speaks of a moment and not of the request, so that another attempt may succeed.
pub(super) fn passes(error: &impl ProvideErrorMetadata) -> bool {
    error.code().is_some_and(is_passing)
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
