//! The table itself, for places without a template: `scim serve` and tests.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TableStatus, TimeToLiveSpecification,
};

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::resources::broken;

/// A table that is being made is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// This often at the most; DynamoDB takes some ten seconds to make a table.
const MAX_LOOKS: usize = 60;

impl Store {
    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Makes the table as `template.yaml` does, unless it is there, and waits until it can be used.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be used within a minute, `Backend` if it is another kind of table or
    /// cannot be made.
    pub async fn create_table_if_missing(&self) -> Result<(), StoreError> {
        if self.describe_table().await?.is_none() && self.create_table().await? {
            self.wait_for_table().await?;
            return self.expire_items().await;
        }
        self.wait_for_table().await
    }

    /// Waits until the table can be used.
    async fn wait_for_table(&self) -> Result<(), StoreError> {
        for _ in 0..MAX_LOOKS {
            if self.describe_table().await? == Some(TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let text = format!("the table {} was not ready after a minute", self.table);
        Err(StoreError::Unavailable(text.into()))
    }

    /// The state of the table, if there is one.
    async fn describe_table(&self) -> Result<Option<TableStatus>, StoreError> {
        let described = self.client.describe_table().table_name(&*self.table);
        let described = described.send().await.map_err(SdkError::into_service_error);
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
            self.table,
            keys.join(" and ")
        );
        Err(StoreError::Backend(text.into()))
    }

    /// Makes the table; false if another process is making it.
    async fn create_table(&self) -> Result<bool, StoreError> {
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
        let created = self
            .client
            .create_table()
            .table_name(&*self.table)
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
            Err(CreateTableError::ResourceInUseException(_)) => Ok(false),
            Err(error) => Err(StoreError::Backend(error.into())),
        }
    }

    async fn expire_items(&self) -> Result<(), StoreError> {
        let ttl = TimeToLiveSpecification::builder()
            .attribute_name("expires")
            .enabled(true)
            .build()
            .map_err(broken)?;
        self.client
            .update_time_to_live()
            .table_name(&*self.table)
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
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let scan = self.client.scan().table_name(&*self.table).limit(1);
        let scanned = scan.consistent_read(true).send().await;
        let scanned = scanned.map_err(|error| StoreError::Backend(error.into()))?;
        Ok(scanned.items().is_empty())
    }

    /// Makes one cheap call, so that the connection is up before the first request needs it.
    ///
    /// # Errors
    /// `Backend`.
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        let key = |part: &str| aws_sdk_dynamodb::types::AttributeValue::S(part.to_owned());
        self.client
            .get_item()
            .table_name(&*self.table)
            .key("pk", key("T"))
            .key("sk", key("warm-up"))
            .send()
            .await
            .map_err(|error| StoreError::Backend(error.into()))?;
        Ok(())
    }
}
