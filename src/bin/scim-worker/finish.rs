//! The finisher: a batch of its queue, whose messages name tenants with something to finish.

use std::collections::BTreeSet;

use aws_lambda_events::streams::{SqsBatchItemFailure, SqsEventResponse};
use scim_lambda::identity::TenantId;
use scim_lambda::worker::Worker;
use serde::Deserialize;

use crate::queues::FinishMessage;

/// A batch as Lambda reads it from the queue. It has only what is needed here: the types of
/// `aws_lambda_events` would bring 24 more packages for attributes that no message has.
#[derive(Debug, Deserialize)]
pub(crate) struct QueueEvent {
    #[serde(rename = "Records")]
    records: Vec<QueueRecord>,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueRecord {
    message_id: String,
    body: String,
}

/// Finishes what the messages of a batch name. The answer names the messages that are to come again, so
/// that the others do not.
pub(crate) async fn finish(worker: &Worker<'_>, event: &QueueEvent) -> SqsEventResponse {
    let messages: Vec<(&str, Option<TenantId>)> = event
        .records
        .iter()
        .map(|record| (record.message_id.as_str(), tenant(&record.body)))
        .collect();
    let tenants: BTreeSet<TenantId> = messages
        .iter()
        .filter_map(|(_, tenant)| tenant.clone())
        .collect();
    let failed = worker.finish(tenants).await;
    let comes_again = |tenant: &Option<TenantId>| match tenant {
        Some(tenant) => failed.contains(tenant),
        // Nothing can be done with it; after some times the queue gives it up, and an alarm tells.
        None => true,
    };
    let mut response = SqsEventResponse::default();
    response.batch_item_failures = messages
        .iter()
        .filter(|(_, tenant)| comes_again(tenant))
        .map(|(id, _)| {
            let mut failure = SqsBatchItemFailure::default();
            failure.item_identifier = Some((*id).to_owned());
            failure
        })
        .collect();
    response
}

fn tenant(body: &str) -> Option<TenantId> {
    let message: Option<FinishMessage> = serde_json::from_str(body).ok();
    let tenant = message.and_then(|message| TenantId::parse(&message.tenant).ok());
    if tenant.is_none() {
        tracing::error!("a message of the finisher's queue names no tenant");
    }
    tenant
}
