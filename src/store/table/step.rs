//! Writes as the steps of the SDK's transactions.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{self, TransactWriteItem};

use super::write::{Check, ConditionParts, Delete, Put, Request, Update, WITH_OLD_ITEM, filled};

/// The request as a step of a transaction.
///
/// # Errors
/// The error of a request that lacks a part: a fault of the service.
pub(super) fn step(request: Request, table: &str) -> Result<TransactWriteItem, BuildError> {
    let step = TransactWriteItem::builder();
    let step = match request {
        Request::Put(request) => step.put(put(request, table)?),
        Request::Update(request) => step.update(update(request, table)?),
        Request::Delete(request) => step.delete(delete(request, table)?),
        Request::Check(request) => step.condition_check(check(request, table)?),
    };
    Ok(step.build())
}

fn put(put: Put, table: &str) -> Result<types::Put, BuildError> {
    let condition = ConditionParts::from(put.condition);
    types::Put::builder()
        .table_name(table)
        .set_item(Some(put.item))
        .set_condition_expression(condition.text)
        .set_expression_attribute_values(condition.values)
        .set_expression_attribute_names(condition.names)
        .set_return_values_on_condition_check_failure(condition.on_failure)
        .build()
}

fn update(update: Update, table: &str) -> Result<types::Update, BuildError> {
    let condition = update.condition();
    types::Update::builder()
        .table_name(table)
        .update_expression(update.changes())
        .set_key(Some(update.key.to_item()))
        .set_return_values_on_condition_check_failure(condition.is_some().then_some(WITH_OLD_ITEM))
        .set_condition_expression(condition)
        .set_expression_attribute_values(filled(update.values))
        .set_expression_attribute_names(filled(update.names))
        .build()
}

fn delete(delete: Delete, table: &str) -> Result<types::Delete, BuildError> {
    let condition = ConditionParts::from(delete.condition);
    types::Delete::builder()
        .table_name(table)
        .set_key(Some(delete.key.to_item()))
        .set_condition_expression(condition.text)
        .set_expression_attribute_values(condition.values)
        .set_expression_attribute_names(condition.names)
        .set_return_values_on_condition_check_failure(condition.on_failure)
        .build()
}

fn check(check: Check, table: &str) -> Result<types::ConditionCheck, BuildError> {
    let condition = ConditionParts::from(Some(check.condition));
    types::ConditionCheck::builder()
        .table_name(table)
        .set_key(Some(check.key.to_item()))
        .set_condition_expression(condition.text)
        .set_expression_attribute_values(condition.values)
        .set_expression_attribute_names(condition.names)
        .set_return_values_on_condition_check_failure(condition.on_failure)
        .build()
}
