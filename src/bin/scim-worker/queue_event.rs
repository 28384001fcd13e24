//! Batches of a queue whose messages name tenants: those of the finisher and of the deliverer.

use std::collections::BTreeSet;

use aws_lambda_events::streams::{SqsBatchItemFailure, SqsEventResponse};
use scim_lambda::identity::TenantId;
use serde::Deserialize;

use crate::queues::TenantMessage;

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

impl QueueEvent {
    /// The tenants that the messages name, each once.
    pub(crate) fn tenants(&self) -> BTreeSet<TenantId> {
        self.records
            .iter()
            .filter_map(QueueRecord::tenant)
            .collect()
    }

    /// The response after all tenants but these were served. It names the messages that failed, and only
    /// these are delivered again.
    pub(crate) fn response(&self, failed: &BTreeSet<TenantId>) -> SqsEventResponse {
        let has_failed = |record: &&QueueRecord| match record.tenant() {
            Some(tenant) => failed.contains(&tenant),
            // It can never be handled. After the last delivery it goes to the queue that an alarm watches.
            None => {
                tracing::error!("a message of a queue names no tenant");
                true
            }
        };
        let failures = self.records.iter().filter(has_failed).map(|record| {
            let mut failure = SqsBatchItemFailure::default();
            failure.item_identifier = Some(record.message_id.clone());
            failure
        });
        let mut response = SqsEventResponse::default();
        response.batch_item_failures = failures.collect();
        response
    }
}

impl QueueRecord {
    /// The tenant that the message names; `None` if it names none.
    fn tenant(&self) -> Option<TenantId> {
        let message: TenantMessage = serde_json::from_str(&self.body).ok()?;
        TenantId::parse(&message.tenant).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_messages_of_tenants_that_failed_and_of_no_tenant_come_again() {
        let bodies = [
            r#"{"tenant":"acme"}"#,
            r#"{"tenant":"umbrella"}"#,
            r#"{"tenant":"acme"}"#,
            r#"{"tenant":"No Tenant"}"#,
            "",
        ];
        let records = bodies.iter().enumerate();
        let records =
            records.map(|(place, body)| json!({"messageId": place.to_string(), "body": body}));
        let event = json!({"Records": records.collect::<Vec<_>>()});
        let event: QueueEvent = serde_json::from_value(event).unwrap();
        let [acme, umbrella] = ["acme", "umbrella"].map(|name| TenantId::parse(name).unwrap());
        assert_eq!(event.tenants(), BTreeSet::from([acme.clone(), umbrella]));
        let response = event.response(&BTreeSet::from([acme]));
        let failures = response.batch_item_failures.iter();
        let failed: Vec<_> = failures
            .map(|failure| failure.item_identifier.clone())
            .collect();
        assert_eq!(failed, ["0", "2", "3", "4"].map(|id| Some(id.to_owned())));
    }
}
