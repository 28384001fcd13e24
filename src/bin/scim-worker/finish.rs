//! The finisher: handles batches of its queue, whose messages name tenants with unfinished changes.

use std::collections::BTreeSet;

use aws_lambda_events::streams::{SqsBatchItemFailure, SqsEventResponse};
use scim_lambda::identity::TenantId;
use scim_lambda::worker::{Outbox, Worker};
use serde::Deserialize;

use crate::queues::FinishMessage;

/// A batch of messages, as Lambda delivers it. It has only the fields that are needed here: the types of
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

/// Finishes the changes of the tenants that a batch names. The response names the messages that failed, and
/// only these are delivered again.
pub(crate) async fn finish(
    worker: &Worker<'_>,
    event: &QueueEvent,
    outbox: &impl Outbox,
) -> SqsEventResponse {
    let messages: Vec<(&str, Option<TenantId>)> = event
        .records
        .iter()
        .map(|record| (record.message_id.as_str(), tenant(&record.body)))
        .collect();
    let tenants: BTreeSet<TenantId> = messages
        .iter()
        .filter_map(|(_, tenant)| tenant.clone())
        .collect();
    let failed = worker.finish(tenants, outbox).await;
    let has_failed = |tenant: &Option<TenantId>| match tenant {
        Some(tenant) => failed.contains(tenant),
        // It can never be handled. After the last delivery it goes to the queue that an alarm watches.
        None => true,
    };
    let mut response = SqsEventResponse::default();
    response.batch_item_failures = messages
        .iter()
        .filter(|(_, tenant)| has_failed(tenant))
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
