//! Transactions. Each step comes with a value that says what its refusal means.

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, ReturnConsumedCapacity};

use super::Table;
use super::call::{Failure, is_about_item_size, is_too_large, is_transient_code};
use super::meter::Account;
use super::step::step;
use super::write::Request;
use crate::protocol::error::BoxError;
use crate::store::error::StoreError;
use crate::store::stored::{self, Item};

/// The largest number of steps in one transaction.
pub(in crate::store) const MAX_STEPS: usize = 100;

/// The steps of one transaction, in order. Each has a value of `R` that says what it means if the
/// step's condition does not hold.
#[derive(Debug)]
pub(in crate::store) struct Transaction<R> {
    requests: Vec<Request>,
    refusals: Vec<R>,
}

/// A refused step of a transaction.
#[derive(Debug)]
pub(in crate::store) struct Refused<R> {
    pub(in crate::store) refusal: R,
    pub(in crate::store) item: Option<Item>,
}

impl<R> Default for Transaction<R> {
    fn default() -> Self {
        Self {
            requests: Vec::new(),
            refusals: Vec::new(),
        }
    }
}

impl<R> Transaction<R> {
    /// Adds a step.
    pub(in crate::store) fn push(&mut self, request: impl Into<Request>, refusal: R) {
        self.requests.push(request.into());
        self.refusals.push(refusal);
    }

    /// Whether there is no step.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Commits the steps, or returns the first that was refused.
    ///
    /// `rid` is sent as the `ClientRequestToken`, so for ten minutes DynamoDB takes a repeated
    /// attempt for the same transaction. After that the items show it: if an item that refuses a
    /// step has this `rid`, an earlier attempt was committed.
    ///
    /// # Errors
    /// `TooManyEntries` for more steps than DynamoDB takes, `TooLarge`, `Unavailable`, `Backend`.
    pub(in crate::store) async fn commit<K: Clone>(
        self,
        table: &Table<K>,
        rid: &str,
    ) -> Result<Result<(), Refused<R>>, StoreError> {
        if self.requests.len() > MAX_STEPS {
            // A change of members is made in parts that fit, so it is the index entries that are too
            // many.
            return Err(StoreError::TooManyEntries);
        }
        match send(table, self.requests, rid).await {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Refused(error)) if is_too_large(&error) => Err(StoreError::TooLarge),
            Err(Failure::Refused(error)) => refused(error, self.refusals, rid),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Commits the steps, or returns all that were refused; then nothing was changed. The caller
    /// must be able to repeat the transaction after an attempt whose answer was lost.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn commit_or_list_refusals(
        self,
        table: &Table,
        rid: &str,
    ) -> Result<Result<(), Vec<Refused<R>>>, StoreError> {
        let error = match send(table, self.requests, rid).await {
            Ok(()) => return Ok(Ok(())),
            Err(Failure::Refused(error)) => error,
            Err(failure) => return Err(failure.into()),
        };
        let refused = reasons(&error).iter().zip(self.refusals);
        let refused: Vec<_> = refused
            .filter(|(reason, _)| is_condition(reason))
            .map(|(reason, refusal)| Refused {
                refusal,
                item: reason.item().cloned(),
            })
            .collect();
        match refused.is_empty() {
            true => Err(StoreError::Backend(error.into())),
            false => Ok(Err(refused)),
        }
    }
}

async fn send<K: Clone>(
    table: &Table<K>,
    requests: Vec<Request>,
    rid: &str,
) -> Result<(), Failure<TransactWriteItemsError>> {
    let steps = requests
        .into_iter()
        .map(|request| step(request, &table.name));
    let steps = steps
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::Broken(error.into()))?;
    let attempt = || {
        table
            .client
            .transact_write_items()
            .set_transact_items(Some(steps.clone()))
            .client_request_token(rid)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
    };
    let output = table.call(Account::Write, attempt, is_transient).await?;
    table
        .meter
        .capacity(Account::Write, output.consumed_capacity());
    Ok(())
}

/// Whether another attempt may succeed. A cancelled transaction has a reason for each of its steps.
/// Another attempt may succeed only if all of them are temporary.
fn is_transient(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled
            .cancellation_reasons()
            .iter()
            .all(|reason| reason.code().is_none_or(is_transient_reason)),
        other => other.code().is_some_and(is_transient_code),
    }
}

fn is_transient_reason(code: &str) -> bool {
    matches!(
        code,
        "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"
    )
}

fn refused<R>(
    error: TransactWriteItemsError,
    refusals: Vec<R>,
    rid: &str,
) -> Result<Result<(), Refused<R>>, StoreError> {
    let reasons = reasons(&error);
    // An earlier attempt was committed if any of the items that refuse a step has this write's
    // `rid`: a transaction writes all of its items or none.
    if reasons
        .iter()
        .any(|reason| is_condition(reason) && stored::rid_of(reason.item()) == Some(rid))
    {
        return Ok(Ok(()));
    }
    let failed = reasons
        .iter()
        .zip(refusals)
        .find(|(reason, _)| !reason.code().is_none_or(is_transient_reason));
    match failed {
        Some((reason, refusal)) if is_condition(reason) => Ok(Err(Refused {
            refusal,
            item: reason.item().cloned(),
        })),
        Some((reason, _)) if is_item_too_large(reason) => Err(StoreError::TooLarge),
        _ => Err(StoreError::Backend(BoxError::from(error))),
    }
}

fn is_condition(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

fn is_item_too_large(reason: &CancellationReason) -> bool {
    reason.code() == Some("ValidationError") && reason.message().is_some_and(is_about_item_size)
}

fn reasons(error: &TransactWriteItemsError) -> &[CancellationReason] {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons()
        }
        _ => &[],
    }
}
