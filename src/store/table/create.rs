//! Calls that belong to no request and no tenant: they create the table for `scim serve` and tests,
//! check whether it is empty, and open a connection.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TableStatus, TimeToLiveSpecification,
};

use super::broken;
use crate::store::error::StoreError;

/// The interval at which a table that is being created is checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The largest number of these checks. DynamoDB takes some ten seconds to create a table.
const MAX_LOOKS: usize = 60;

/// Creates the table as `template.yaml` does, unless it exists, and waits until it can be used.
///
/// # Errors
/// `Unavailable` if it cannot be used within a minute, `Backend` if it has another key or cannot be
/// created.
pub(super) async fn create_if_missing(client: &Client, name: &str) -> Result<(), StoreError> {
    if describe_table(client, name).await?.is_none() && create_table(client, name).await? {
        wait_for_table(client, name).await?;
        return expire_items(client, name).await;
    }
    wait_for_table(client, name).await
}

/// Waits until the table can be used.
async fn wait_for_table(client: &Client, name: &str) -> Result<(), StoreError> {
    for _ in 0..MAX_LOOKS {
        if describe_table(client, name).await? == Some(TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let text = format!("the table {} was not ready after a minute", name);
    Err(StoreError::Unavailable(text.into()))
}

/// The ARN of the table, which has its region and its account.
///
/// # Errors
/// `Unavailable` if it cannot be asked for, `Backend` if there is no table.
#[cfg(feature = "worker")]
pub(super) async fn arn(client: &Client, name: &str) -> Result<String, StoreError> {
    let described = client.describe_table().table_name(name).send().await;
    let described = described.map_err(|error| StoreError::Unavailable(error.into()))?;
    let arn = described.table.and_then(|table| table.table_arn);
    arn.ok_or_else(|| StoreError::Backend(format!("the table {name} has no ARN").into()))
}

/// The status of the table; `None` if it does not exist.
async fn describe_table(client: &Client, name: &str) -> Result<Option<TableStatus>, StoreError> {
    let described = client.describe_table().table_name(name);
    let described = match described.send().await {
        // No answer came: the table may be in order, and is out of reach.
        Err(
            error @ (SdkError::TimeoutError(_)
            | SdkError::DispatchFailure(_)
            | SdkError::ResponseError(_)),
        ) => return Err(StoreError::Unavailable(error.into())),
        described => described.map_err(SdkError::into_service_error),
    };
    let table = match described {
        Ok(output) => output.table,
        Err(DescribeTableError::ResourceNotFoundException(_)) => return Ok(None),
        Err(error) => return Err(StoreError::Backend(error.into())),
    };
    let Some(table) = table else { return Ok(None) };
    let keys: Vec<_> = table
        .key_schema()
        .iter()
        .map(KeySchemaElement::attribute_name)
        .collect();
    if keys == ["pk", "sk"] {
        return Ok(table.table_status);
    }
    let text = format!(
        "the table {} is of another kind: its key is {}, not pk and sk",
        name,
        keys.join(" and ")
    );
    Err(StoreError::Backend(text.into()))
}

/// Creates the table; false if another process is creating it.
async fn create_table(client: &Client, name: &str) -> Result<bool, StoreError> {
    let key = |name: &str, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .map_err(broken)
    };
    let text = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(broken)
    };
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .map_err(broken)?;
    let created = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?)
        .attribute_definitions(text("pk")?)
        .attribute_definitions(text("sk")?)
        .stream_specification(stream)
        .send()
        .await;
    match created.map_err(SdkError::into_service_error) {
        Ok(_) => Ok(true),
        // Another process has created the table since it was looked for, and sets its time to live.
        Err(CreateTableError::ResourceInUseException(_)) => Ok(false),
        Err(error) => Err(StoreError::Backend(error.into())),
    }
}

async fn expire_items(client: &Client, name: &str) -> Result<(), StoreError> {
    let ttl = TimeToLiveSpecification::builder()
        .attribute_name("expires")
        .enabled(true)
        .build()
        .map_err(broken)?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(ttl)
        .send()
        .await
        .map_err(|error| StoreError::Backend(error.into()))?;
    Ok(())
}

/// Whether there is no item in the table, of any tenant.
///
/// # Errors
/// `Backend`.
pub(super) async fn is_empty(client: &Client, name: &str) -> Result<bool, StoreError> {
    let scan = client.scan().table_name(name).limit(1);
    let scanned = scan.consistent_read(true).send().await;
    let scanned = scanned.map_err(|error| StoreError::Backend(error.into()))?;
    Ok(scanned.items().is_empty())
}

/// Makes one cheap call, so that the connection is open before the first request needs it.
///
/// # Errors
/// `Backend`.
pub(super) async fn warm_up(client: &Client, name: &str) -> Result<(), StoreError> {
    let key = |part: &str| aws_sdk_dynamodb::types::AttributeValue::S(part.to_owned());
    client
        .get_item()
        .table_name(name)
        .key("pk", key("T"))
        .key("sk", key("warm-up"))
        .send()
        .await
        .map_err(|error| StoreError::Backend(error.into()))?;
    Ok(())
}
