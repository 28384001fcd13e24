//! The stack's second function: finishes what a dead process left half done.
//!
//! The table's stream brings every journal entry, new or with another lease. Almost all of them are
//! finished by their writers within the second; this function waits until their leases have run out
//! and then finishes what is still there. A failure makes Lambda bring the same records again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::Error;
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::tower::service_fn;
use scim_lambda::clock::{Clock, SystemClock};
use scim_lambda::http::Service;
use scim_lambda::store::LEASE_MILLIS;
use scim_lambda::tenant::TenantId;
use serde::Deserialize;

/// Records of the table's stream, as far as they matter here.
#[derive(Debug, Deserialize)]
struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    dynamodb: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: Keys,
    new_image: Option<Image>,
}

#[derive(Debug, Deserialize)]
struct Keys {
    pk: Text,
}

#[derive(Debug, Deserialize)]
struct Image {
    #[serde(rename = "leaseUntil")]
    lease_until: Option<Number>,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Number {
    #[serde(rename = "N")]
    digits: String,
}

impl Record {
    /// The tenant whose journal the record is of.
    fn tenant(&self) -> Option<TenantId> {
        let tenant = self
            .dynamodb
            .keys
            .pk
            .text
            .strip_prefix("T#")?
            .strip_suffix("#J")?;
        TenantId::parse(tenant).ok()
    }

    fn lease_until(&self) -> Option<u64> {
        self.dynamodb
            .new_image
            .as_ref()?
            .lease_until
            .as_ref()?
            .digits
            .parse()
            .ok()
    }
}

/// Handles events of the stream until the process is ended.
pub(crate) async fn run(service: Arc<Service>) -> Result<(), Error> {
    let finish = |event: LambdaEvent<StreamEvent>| finish(Arc::clone(&service), event.payload);
    lambda_runtime::run(service_fn(finish)).await
}

async fn finish(service: Arc<Service>, event: StreamEvent) -> Result<(), Error> {
    let last = event
        .records
        .iter()
        .filter_map(Record::lease_until)
        .max()
        .unwrap_or(0);
    let wait = last
        .saturating_add(1)
        .saturating_sub(SystemClock.now_millis());
    // A lease is never longer; a clock that says otherwise is wrong.
    tokio::time::sleep(Duration::from_millis(wait.min(LEASE_MILLIS))).await;
    let tenants: BTreeSet<TenantId> = event.records.iter().filter_map(Record::tenant).collect();
    let mut outcome = Ok(());
    for tenant in tenants {
        match service.provider.finish(&tenant).await {
            Ok(0) => {}
            Ok(finished) => {
                tracing::warn!(tenant.id = %tenant, finished, "finished {finished} half-done changes");
            }
            // The records come again for it; the other tenants do not wait.
            Err(error) => {
                let cause = error.causes();
                tracing::error!(tenant.id = %tenant, cause, "could not finish half-done changes");
                outcome = Err("a tenant's half-done changes could not be finished".into());
            }
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_name_their_tenant_and_lease() {
        let event = r#"{"Records": [{"eventID": "1", "eventName": "INSERT", "dynamodb": {
            "Keys": {"pk": {"S": "T#acme#J"}, "sk": {"S": "AZrx"}},
            "NewImage": {"pk": {"S": "T#acme#J"}, "kind": {"S": "J"}, "leaseUntil": {"N": "1750000000000"}}}},
            {"dynamodb": {"Keys": {"pk": {"S": "T#acme#R#User#0"}, "sk": {"S": "1"}}}}]}"#;
        let event: StreamEvent = serde_json::from_str(event).unwrap();
        let tenants: Vec<_> = event
            .records
            .iter()
            .map(|record| record.tenant().map(|id| id.to_string()))
            .collect();
        assert_eq!(tenants, [Some("acme".to_owned()), None]);
        assert_eq!(event.records[0].lease_until(), Some(1_750_000_000_000));
    }
}
