//! A transaction whose every step says what its refusal means.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnConsumedCapacity,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::call::{Failure, is_about_item_size, is_passing, is_too_large};
use super::meter::Account;
use crate::protocol::error::BoxError;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, Item};
use crate::store::resources::entry::Entry;

/// The most steps that DynamoDB takes in one transaction.
pub(in crate::store) const MAX_STEPS: usize = 100;

/// The steps of one transaction, in order.
#[derive(Debug, Default)]
pub(in crate::store) struct Transaction {
    steps: Vec<TransactWriteItem>,
    refusals: Vec<Refusal>,
}

/// What it means that a step's condition did not hold.
#[derive(Debug, Clone)]
pub(in crate::store) enum Refusal {
    /// The resource is missing, deleted or in another version.
    Resource,
    /// The claim on this index belongs to somebody else.
    Claim(String),
    /// The claim that the resource would give up belongs to somebody else.
    NotHeld(Entry),
    /// The member does not exist.
    Member(String),
    /// A member was added or removed since they were read.
    Changed,
    /// The journal entry belongs to somebody else by now.
    Journal,
    /// A step without a condition.
    Never,
}

/// A refused transaction: the step that was refused, and the item that stood in its way.
#[derive(Debug)]
pub(in crate::store) struct Refused {
    pub(in crate::store) refusal: Refusal,
    pub(in crate::store) item: Option<Item>,
}

impl Transaction {
    pub(in crate::store) fn put(&mut self, put: Put, refusal: Refusal) {
        self.push(TransactWriteItem::builder().put(put).build(), refusal);
    }

    pub(in crate::store) fn update(&mut self, update: Update, refusal: Refusal) {
        self.push(TransactWriteItem::builder().update(update).build(), refusal);
    }

    pub(in crate::store) fn delete(&mut self, delete: Delete, refusal: Refusal) {
        self.push(TransactWriteItem::builder().delete(delete).build(), refusal);
    }

    pub(in crate::store) fn check(&mut self, check: ConditionCheck, refusal: Refusal) {
        self.push(
            TransactWriteItem::builder().condition_check(check).build(),
            refusal,
        );
    }

    fn push(&mut self, step: TransactWriteItem, refusal: Refusal) {
        self.steps.push(step);
        self.refusals.push(refusal);
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.steps.len()
    }
}

impl TenantStore {
    /// Commits a transaction, or says which step was refused.
    ///
    /// `token` makes a repeated attempt the same transaction for DynamoDB; where it cannot help any
    /// more, a refusing item that carries `token` as its `rid` is our own success.
    pub(in crate::store) async fn commit(
        &self,
        transaction: Transaction,
        token: &str,
    ) -> Result<Result<(), Refused>, StoreError> {
        if transaction.len() > MAX_STEPS {
            // Whoever changes members makes parts that fit, so the entries are what is too much.
            return Err(StoreError::TooManyEntries);
        }
        match self.send_transaction(&transaction, token).await {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Refused(error)) if is_too_large(&error) => Err(StoreError::TooLarge),
            Err(Failure::Refused(error)) => refused(error, &transaction.refusals, token),
            Err(other) => Err(other.into()),
        }
    }

    /// Commits a transaction, or says by position which steps' conditions did not hold, and which
    /// items did not meet them.
    pub(in crate::store) async fn commit_steps(
        &self,
        transaction: Transaction,
        token: &str,
    ) -> Result<Result<(), Vec<(usize, Option<Item>)>>, StoreError> {
        match self.send_transaction(&transaction, token).await {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Refused(error)) => {
                let failed: Vec<_> = reasons(&error)
                    .iter()
                    .enumerate()
                    .filter(|(_, reason)| is_condition(reason))
                    .map(|(step, reason)| (step, reason.item().cloned()))
                    .collect();
                if failed.is_empty() {
                    Err(StoreError::Backend(error.into()))
                } else {
                    Ok(Err(failed))
                }
            }
            Err(other) => Err(other.into()),
        }
    }

    async fn send_transaction(
        &self,
        transaction: &Transaction,
        token: &str,
    ) -> Result<(), Failure<TransactWriteItemsError>> {
        let attempt = || {
            self.client
                .transact_write_items()
                .set_transact_items(Some(transaction.steps.clone()))
                .client_request_token(token)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = self.call_if(Account::Write, attempt, passes).await?;
        self.meter
            .capacity(Account::Write, output.consumed_capacity());
        Ok(())
    }
}

/// A cancelled transaction is worth another attempt only if every reason passes by itself.
fn passes(error: &TransactWriteItemsError) -> bool {
    use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled
            .cancellation_reasons()
            .iter()
            .all(|reason| reason.code().is_none_or(reason_passes)),
        other => other.code().is_some_and(is_passing),
    }
}

fn reason_passes(code: &str) -> bool {
    matches!(
        code,
        "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"
    )
}

fn refused(
    error: TransactWriteItemsError,
    refusals: &[Refusal],
    token: &str,
) -> Result<Result<(), Refused>, StoreError> {
    let reasons = reasons(&error);
    // Whichever step is refused first, one item that this write has written says that all are.
    if reasons
        .iter()
        .any(|reason| is_condition(reason) && item::rid(reason.item()) == Some(token))
    {
        return Ok(Ok(()));
    }
    let failed = reasons
        .iter()
        .zip(refusals)
        .find(|(reason, _)| !reason.code().is_none_or(reason_passes));
    match failed {
        Some((reason, refusal)) if is_condition(reason) => Ok(Err(Refused {
            refusal: refusal.clone(),
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

/// Conditions answer with the item that did not meet them.
pub(in crate::store) const WITH_OLD_ITEM: ReturnValuesOnConditionCheckFailure =
    ReturnValuesOnConditionCheckFailure::AllOld;
