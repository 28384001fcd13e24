//! A tenant's configuration: its rules, and the schemas and resource types that it has registered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::StoreError;
use super::index_version::IndexVersion;
use super::items::{self, ConfigurationItem};
use super::key_range::EVERY_KEY;
use super::keys::{ItemKey, SEPARATOR};
use super::projected_attributes::ProjectedAttributes;
use super::stored::{Item, s};
use super::table::Table;
use super::table::batch::{self, PlainWrite};
use super::table::query::Query;
use super::table::write::Update;
use super::tenants::{self, TenantState};
use crate::protocol::profile::Rules;
use crate::protocol::switch;

/// The largest schema or resource type that can be registered, in bytes of its JSON text. DynamoDB
/// takes items of 400 KB.
pub const MAX_CONFIG_ITEM_BYTES: usize = 300_000;

/// The largest configuration that a registration may lead to, in bytes of its JSON texts. One call
/// of Query reads this much, and every process reads a tenant's whole configuration once a minute.
pub const MAX_CONFIG_BYTES: usize = 1_000_000;

/// The sort key of the item that says which version of the index entries the tenant's resources
/// have.
const INDEX_VERSION_KEY: &str = "indexes";

/// The sort key of the item about the count of active users.
const SEATS_KEY: &str = "seats";

/// Everything that the table holds of a tenant except its resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TenantConfig {
    /// The profile and the switches.
    pub rules: Rules,
    /// Registered Schema resources, as they were sent.
    pub schemas: Vec<Value>,
    /// Registered ResourceType resources, as they were sent.
    pub resource_types: Vec<Value>,
    /// Indexes in which some resources may have no entries yet.
    pub building: Vec<BuildingIndex>,
    /// Which version of the index entries the resources have.
    pub index_version: IndexVersion,
    /// The count of active users, if there is a limit.
    pub seats: Option<SeatCount>,
    /// Whether the tenant's requests are answered.
    pub state: TenantState,
}

/// An index that was added to a type that had resources already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildingIndex {
    /// The resource type, by name.
    pub resource_type: String,
    /// The index's path.
    pub path: String,
    /// When it was added, in milliseconds since the Unix epoch. Processes that read the
    /// configuration before that time do not maintain the index yet.
    pub since: u64,
}

/// The count of a tenant's active users, against the limit of its seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatCount {
    /// The number of the count: when it began, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Whether every active user is counted, so that the limit is enforced. What is enforced is the state of
    /// the seats; this is for people.
    #[serde(rename = "complete", default)]
    pub is_complete: bool,
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
    /// An index in which some resources may have no entries yet.
    Building(&'c BuildingIndex),
    /// Which version of the index entries the resources have.
    IndexVersion(&'c IndexVersion),
    /// The count of active users.
    Seats(&'c SeatCount),
}

impl TenantConfig {
    /// The size of all JSON texts, in bytes.
    ///
    /// # Errors
    /// `Backend`.
    pub fn bytes(&self) -> Result<usize, StoreError> {
        let values = self.schemas.iter().chain(&self.resource_types);
        // The key of an item is not part of its text.
        let values = values.map(|value| ConfigItem::Schema("", value));
        let building = self.building.iter().map(ConfigItem::Building);
        let mut bytes = ConfigItem::Rules(&self.rules).bytes()?;
        for item in values.chain(building) {
            bytes += item.bytes()?;
        }
        Ok(bytes)
    }

    /// Adds what an item says.
    fn add(&mut self, item: Item) -> Result<(), StoreError> {
        let ConfigurationItem {
            sk: key,
            body: json,
            ..
        } = items::from_item(item)?;
        match key.split_once(SEPARATOR) {
            Some(("schema", _)) => self.schemas.push(parse(&json)?),
            Some(("type", _)) => self.resource_types.push(parse(&json)?),
            Some(("building", _)) => self.building.push(parse(&json)?),
            _ if key == "config" => {
                self.rules = parse(&json)?;
                self.rules.switches = switch::within_range(&self.rules.switches);
            }
            _ if key == INDEX_VERSION_KEY => self.index_version = parse(&json)?,
            _ if key == SEATS_KEY => self.seats = Some(parse(&json)?),
            _ if key == tenants::STATE_KEY => self.state = TenantState::parse(&json)?,
            // A later version of the service has written the item.
            _ => {}
        }
        Ok(())
    }
}

/// The configuration of one tenant.
#[derive(Clone, Copy)]
pub struct Configuration<'t> {
    table: &'t Table,
}

impl<'t> Configuration<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Reads the whole configuration; a tenant without items has the defaults. A switch that was
    /// stored before it had a range counts as the nearest value in range. Strongly consistent.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn read(self) -> Result<TenantConfig, StoreError> {
        let mut config = TenantConfig::default();
        for item in self.items().await? {
            config.add(item)?;
        }
        Ok(config)
    }

    /// Reads the same for the purge, which has to remove a tenant whatever its items have in them: an item that
    /// cannot be read counts as missing. Returns what was wrong with each of those too.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn read_for_purge(self) -> Result<(TenantConfig, Vec<StoreError>), StoreError> {
        let (mut config, mut faults) = (TenantConfig::default(), Vec::new());
        for item in self.items().await? {
            faults.extend(config.add(item).err());
        }
        Ok((config, faults))
    }

    async fn items(self) -> Result<Vec<Item>, StoreError> {
        let partition = self.table.keys().tenant();
        let all = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::All).as_configuration();
        all.all(self.table).await
    }

    /// Writes one item, or replaces an earlier one. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn put(self, entry: ConfigItem<'_>) -> Result<(), StoreError> {
        // This is an update and not a put, so attributes that a later version of the service has
        // written stay.
        let mut update = Update::unnamed(self.key(entry));
        update
            .set("#kind = :kind, body = :body")
            .name("#kind", "kind")
            .value(":kind", s("T"))
            .value(":body", s(entry.json()?));
        update.send_if(self.table).await?;
        Ok(())
    }

    /// Marks a new tenant, which has no resources yet, as having the index entries of this version
    /// of the service. A tenant without this mark has those of the first version.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn begin_index_version(self) -> Result<(), StoreError> {
        let version = IndexVersion::complete();
        if version == IndexVersion::default() {
            return Ok(());
        }
        self.put(ConfigItem::IndexVersion(&version)).await
    }

    /// Removes one item. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn remove(self, entry: ConfigItem<'_>) -> Result<(), StoreError> {
        batch::write(self.table, vec![PlainWrite::Delete(self.key(entry))]).await
    }

    fn key(self, entry: ConfigItem<'_>) -> ItemKey {
        self.table.keys().tenant().key(entry.key())
    }
}

impl ConfigItem<'_> {
    fn key(self) -> String {
        match self {
            Self::Rules(_) => "config".to_owned(),
            Self::IndexVersion(_) => INDEX_VERSION_KEY.to_owned(),
            Self::Seats(_) => SEATS_KEY.to_owned(),
            Self::Schema(urn, _) => format!("schema{SEPARATOR}{urn}"),
            Self::ResourceType(name, _) => format!("type{SEPARATOR}{name}"),
            Self::Building(index) => format!(
                "building{SEPARATOR}{}{SEPARATOR}{}",
                index.resource_type, index.path
            ),
        }
    }

    /// The size of its JSON text, in bytes.
    ///
    /// # Errors
    /// `Backend`.
    pub fn bytes(self) -> Result<usize, StoreError> {
        Ok(self.json()?.len())
    }

    fn json(self) -> Result<String, StoreError> {
        let json = match self {
            Self::Rules(rules) => serde_json::to_string(rules),
            Self::Schema(_, value) | Self::ResourceType(_, value) => serde_json::to_string(value),
            Self::Building(index) => serde_json::to_string(index),
            Self::IndexVersion(version) => serde_json::to_string(version),
            Self::Seats(count) => serde_json::to_string(count),
        };
        json.map_err(|error| StoreError::Backend(error.into()))
    }
}

fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Backend(error.into()))
}
