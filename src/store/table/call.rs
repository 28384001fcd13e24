//! How a call can fail, and which failures another attempt may overcome.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;

use crate::protocol::error::BoxError;
use crate::store::error::StoreError;

/// The longest wait before the second attempt. It doubles with each further attempt.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// The longest wait before any attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A call that failed, after all attempts that could have helped.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// DynamoDB answered with an error that another attempt would not change.
    Refused(E),
    /// At the deadline attempts still failed for reasons that may pass.
    GaveUp(BoxError),
    /// The request could not be built.
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

/// The waits between attempts. Each is random up to a limit, which doubles with each attempt (full
/// jitter).
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

/// Whether DynamoDB has refused a write for the size of the item. It does so before it checks any
/// condition.
pub(super) fn is_too_large(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ValidationException") && error.message().is_some_and(is_about_item_size)
}

/// Whether the message of a refusal is about the size of an item.
pub(super) fn is_about_item_size(message: &str) -> bool {
    message.starts_with("Item size")
}

/// Whether another attempt may succeed, by the status of a failed call alone. The body does not
/// matter, because a proxy or a load balancer in front of DynamoDB answers with HTML or with
/// nothing. The status of a success counts too, because here the body of the answer could not be
/// read: the call may have taken effect, and every write recognises itself when it is repeated.
pub(super) fn is_transient_status(status: u16) -> bool {
    matches!(status, 200..=299 | 408 | 429 | 500..=599)
}

/// Whether a refusal has a temporary reason, so that another attempt may succeed.
pub(super) fn is_transient(error: &impl ProvideErrorMetadata) -> bool {
    error.code().is_some_and(is_transient_code)
}

/// Whether DynamoDB's error code names a temporary reason, one that does not lie in the request itself.
pub(super) fn is_transient_code(code: &str) -> bool {
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
