//! How DynamoDB is reached: calls, retries, pages, batches and transactions, each counted.

pub(in crate::store) mod allowance;
pub(in crate::store) mod batch;
pub(in crate::store) mod call;
mod create;
pub(in crate::store) mod expression;
pub(in crate::store) mod meter;
pub(in crate::store) mod range;
mod tally;
pub(in crate::store) mod transaction;
