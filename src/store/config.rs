//! A tenant's configuration: its rules and the schemas and resource types it registered.

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TenantStore;
use super::batch::PlainWrite;
use super::error::StoreError;
use super::item::{self, s};
use super::keys::SEPARATOR;
use super::meter::Account;
use crate::protocol::profile::Rules;

/// What the table holds of a tenant besides its resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TenantConfig {
    /// The profile and the switches.
    pub rules: Rules,
    /// Registered Schema resources, as they came.
    pub schemas: Vec<Value>,
    /// Registered ResourceType resources, as they came.
    pub resource_types: Vec<Value>,
    /// Indexes that not every resource has its entries in yet.
    pub building: Vec<BuildingIndex>,
}

/// An index that was registered when there were resources already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildingIndex {
    /// The resource type, by name.
    pub resource_type: String,
    /// The index's path.
    pub path: String,
    /// When it was registered, in milliseconds since the Unix epoch. Processes that read the
    /// configuration before do not maintain it yet.
    pub since: u64,
}

/// One item of a tenant's configuration.
#[derive(Debug, Clone, Copy)]
pub enum ConfigItem<'c> {
    /// The profile and the switches.
    Rules(&'c Rules),
    /// A registered schema under its URN.
    Schema(&'c str, &'c Value),
    /// A registered resource type under its name.
    ResourceType(&'c str, &'c Value),
    /// An index that is being built.
    Building(&'c BuildingIndex),
}

impl TenantStore {
    /// Reads the whole configuration; a tenant without any has the defaults. Strongly consistent.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn config(&self) -> Result<TenantConfig, StoreError> {
        let pk = self.keys.tenant();
        let attempt = || {
            self.client
                .query()
                .table_name(&*self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", s(&pk))
                .consistent_read(true)
                .send()
        };
        let output = self.call(Account::Config, attempt).await?;
        let mut config = TenantConfig::default();
        for mut item in output.items.unwrap_or_default() {
            let key = item::take_text(&mut item, "sk")?;
            let json = item::take_text(&mut item, "body")?;
            match key.split_once(SEPARATOR) {
                Some(("schema", _)) => config.schemas.push(parse(&json)?),
                Some(("type", _)) => config.resource_types.push(parse(&json)?),
                Some(("building", _)) => config.building.push(parse(&json)?),
                _ if key == "config" => config.rules = parse(&json)?,
                _ => {}
            }
        }
        Ok(config)
    }

    /// Writes one item of the configuration, in place of an earlier one.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put_config(&self, entry: ConfigItem<'_>) -> Result<(), StoreError> {
        let key = entry.key();
        let json = match entry {
            ConfigItem::Rules(rules) => serde_json::to_string(rules),
            ConfigItem::Schema(_, value) | ConfigItem::ResourceType(_, value) => {
                serde_json::to_string(value)
            }
            ConfigItem::Building(index) => serde_json::to_string(index),
        };
        let json = json.map_err(|error| StoreError::Backend(error.into()))?;
        let attempt = || {
            self.client
                .put_item()
                .table_name(&*self.table)
                .item("pk", s(self.keys.tenant()))
                .item("sk", s(&key))
                .item("kind", s("T"))
                .item("body", s(&json))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        self.call(Account::Write, attempt).await?;
        Ok(())
    }

    /// Removes one item of the configuration.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn remove_config(&self, entry: ConfigItem<'_>) -> Result<(), StoreError> {
        self.write_all(vec![PlainWrite::Delete {
            pk: self.keys.tenant(),
            sk: entry.key(),
        }])
        .await
    }
}

impl ConfigItem<'_> {
    fn key(self) -> String {
        match self {
            Self::Rules(_) => "config".to_owned(),
            Self::Schema(urn, _) => format!("schema{SEPARATOR}{urn}"),
            Self::ResourceType(name, _) => format!("type{SEPARATOR}{name}"),
            Self::Building(index) => format!(
                "building{SEPARATOR}{}{SEPARATOR}{}",
                index.resource_type, index.path
            ),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Backend(error.into()))
}
