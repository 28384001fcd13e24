//! The table itself, for places without a template: `scim serve` and tests.

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TimeToLiveSpecification,
};

use super::Store;
use super::error::StoreError;
use super::resource::broken;

impl Store {
    /// Makes the table as `template.yaml` does, unless it is there.
    ///
    /// # Errors
    /// `Backend`.
    pub async fn create_table_if_missing(&self) -> Result<(), StoreError> {
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
        match created.map_err(aws_sdk_dynamodb::error::SdkError::into_service_error) {
            Ok(_) => self.expire_items().await,
            Err(CreateTableError::ResourceInUseException(_)) => Ok(()),
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
