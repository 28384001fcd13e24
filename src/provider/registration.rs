//! A tenant's own schemas, resource types and rules.

use std::sync::Arc;

use serde_json::Value;

use super::{Provider, REQUEST_BUDGET, Tenant};
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Rules;
use crate::protocol::schema::{Index, Registry, Schema};
use crate::store::{
    BuildingIndex, ConfigItem, MAX_CONFIG_BYTES, MAX_CONFIG_ITEM_BYTES, Meter, TenantConfig,
    TenantStore,
};
use crate::tenant::TenantId;

/// What registering something came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The schema's URN, or the resource type's name.
    pub name: String,
    /// The indexes that have to be built before queries can use them, because there are resources
    /// already.
    pub building: Vec<String>,
}

impl Provider {
    /// Registers a schema, or a later form of one that the tenant has registered. A new one is used by
    /// no resource until a resource type names it.
    ///
    /// One of the service's own schemas is published for this tenant with the keywords that RFC 7643
    /// does not define; nothing else of it changes.
    ///
    /// # Errors
    /// `InvalidValue` when it breaks RFC 7643 §7, when resources would not fit a later form, or when
    /// more than such keywords would change in a schema of the service; `PayloadTooLarge` when it, or
    /// the tenant's whole configuration, would be too large to be read at once.
    pub async fn add_schema(&self, tenant: &TenantId, schema: &Value) -> Result<Registered> {
        let store = self.administration(tenant);
        let config = store.configuration().read().await?;
        let next = match Registry::republished(schema) {
            Some(builtin) => builtin.with_vendor_keywords(schema)?,
            None => Schema::from_json(schema)?,
        };
        let mut changed = config.clone();
        let is_earlier = |known: &Value| match Registry::republished(known) {
            Some(builtin) => builtin.id == next.id,
            None => known.get("id").and_then(Value::as_str) == Some(&next.id),
        };
        match config.schemas.iter().position(is_earlier) {
            Some(place) => {
                // Each publication of a schema of the service begins with the service's own.
                if Registry::republished(schema).is_none() {
                    Schema::from_json(&config.schemas[place])?.check_successor(&next)?;
                }
                changed.schemas[place] = schema.clone();
            }
            None => changed.schemas.push(schema.clone()),
        }
        let item = ConfigItem::Schema(&next.id, schema);
        check_size(item, &config, &changed)?;
        let building = self.announce_indexes(tenant, config, changed).await?;
        store.configuration().put(item).await?;
        self.tenants.forget(tenant);
        Ok(Registered {
            name: next.id,
            building,
        })
    }

    /// Registers a resource type, or more extensions for one that is there.
    ///
    /// # Errors
    /// `InvalidValue` naming what is missing, unknown or reserved, or an extension that the type has
    /// and the new list leaves out; `Uniqueness` when the name or the endpoint belongs to another type,
    /// or to a built-in one that has resources; `PayloadTooLarge` as for a schema.
    pub async fn add_resource_type(&self, tenant: &TenantId, value: &Value) -> Result<Registered> {
        self.replace_resource_type(tenant, value, &[]).await
    }

    /// The same, but the type may lose the extensions with these URNs.
    ///
    /// # Errors
    /// As [`add_resource_type`](Self::add_resource_type).
    pub async fn replace_resource_type(
        &self,
        tenant: &TenantId,
        value: &Value,
        removed: &[String],
    ) -> Result<Registered> {
        let store = self.administration(tenant);
        let config = store.configuration().read().await?;
        let name = value.get("name").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let before = Tenant::new(tenant.clone(), config.clone())?.registry;
        let mut registry = Registry::clone(&before);
        if let Some(gone) = registry.add_resource_type(value)?
            && store.resources().total(&gone).await? > 0
        {
            return Err(Error::uniqueness(format!(
                "{} has resources; delete them before another type takes its place",
                gone.name
            )));
        }
        let is_kept = |urn: &&String| !removed.iter().any(|other| other.eq_ignore_ascii_case(urn));
        let omitted = omitted_extensions(&before, &registry, &name);
        if let Some(urn) = omitted.iter().find(is_kept) {
            return Err(Error::invalid_value(format!(
                "{name} has the extension {urn}, which the new `schemaExtensions` leave out; list it, \
                 or remove it with `--remove-extension {urn}`"
            )));
        }
        let mut changed = config.clone();
        let is_same = |known: &Value| known.get("name").and_then(Value::as_str) == Some(&*name);
        changed.resource_types.retain(|known| !is_same(known));
        changed.resource_types.push(value.clone());
        let item = ConfigItem::ResourceType(&name, value);
        check_size(item, &config, &changed)?;
        let building = self.announce_indexes(tenant, config, changed).await?;
        store.configuration().put(item).await?;
        self.tenants.forget(tenant);
        Ok(Registered { name, building })
    }

    /// Writes down which indexes a change of the configuration brings to resources that are there,
    /// before the change itself, so that nobody reads by them too early.
    async fn announce_indexes(
        &self,
        tenant: &TenantId,
        before: TenantConfig,
        after: TenantConfig,
    ) -> Result<Vec<String>> {
        let store = self.administration(tenant);
        let before = Tenant::new(tenant.clone(), before)?.registry;
        let after = Tenant::new(tenant.clone(), after)?.registry;
        let mut announced = Vec::new();
        for resource_type in after.resource_types() {
            let name = &resource_type.name;
            for path in self.new_indexes(&store, &before, &after, name).await? {
                let index = BuildingIndex {
                    resource_type: name.clone(),
                    path: path.clone(),
                    since: self.now(),
                };
                store
                    .configuration()
                    .put(ConfigItem::Building(&index))
                    .await?;
                announced.push(path);
            }
        }
        Ok(announced)
    }

    /// The indexes of a type that its resources have no entries in.
    async fn new_indexes(
        &self,
        store: &TenantStore,
        before: &Registry,
        after: &Registry,
        name: &str,
    ) -> Result<Vec<String>> {
        let (Some(old), Some(new)) = (before.resource_type(name), after.resource_type(name)) else {
            return Ok(Vec::new());
        };
        let is_new = |index: &&Arc<Index>| {
            !old.indexes
                .iter()
                .any(|other| other.path() == index.path() && other.unique == index.unique)
        };
        let paths: Vec<String> = new
            .indexes
            .iter()
            .filter(is_new)
            .map(|index| index.path().to_owned())
            .collect();
        if paths.is_empty() || store.resources().total(old).await? == 0 {
            return Ok(Vec::new());
        }
        Ok(paths)
    }

    /// A tenant's profile and switches.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn rules(&self, tenant: &TenantId) -> Result<Rules> {
        Ok(self.config(tenant).await?.rules)
    }

    /// Changes a tenant's profile and switches, and tells the resource types whose index on the times
    /// of changes comes or goes.
    ///
    /// Other processes learn of it one after the other. Until [`build_indexes`](Self::build_indexes)
    /// is through, all of them maintain that index and none reads by it, whether it comes or goes.
    ///
    /// # Errors
    /// `InvalidValue` naming the switch that is out of its range; `Unavailable` when the table is out
    /// of reach.
    pub async fn set_rules(&self, tenant: &TenantId, rules: &Rules) -> Result<Vec<String>> {
        rules.switches.check()?;
        let store = self.administration(tenant);
        let config = store.configuration().read().await?;
        let turns = rules.switches.last_modified_index != config.rules.switches.last_modified_index;
        let mut turned = Vec::new();
        if turns {
            let registry = Tenant::new(tenant.clone(), config)?.registry;
            let types = registry.resource_types().iter();
            let types = types.filter(|resource_type| resource_type.changes_by_body());
            turned.extend(types.map(|resource_type| resource_type.name.clone()));
        }
        for resource_type in &turned {
            let index = BuildingIndex {
                resource_type: resource_type.clone(),
                path: Index::LAST_MODIFIED.to_owned(),
                since: self.now(),
            };
            store
                .configuration()
                .put(ConfigItem::Building(&index))
                .await?;
        }
        store.configuration().put(ConfigItem::Rules(rules)).await?;
        self.tenants.forget(tenant);
        Ok(turned)
    }

    /// Everything that the table holds of a tenant besides its resources.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn config(&self, tenant: &TenantId) -> Result<TenantConfig> {
        Ok(self.administration(tenant).configuration().read().await?)
    }

    /// The tenant's part of the table, for a person's command.
    pub(super) fn administration(&self, tenant: &TenantId) -> TenantStore {
        self.store
            .for_tenant(tenant, Meter::default(), REQUEST_BUDGET)
    }
}

/// Checks that what is registered can be stored, and that the whole configuration can be read at once.
/// A configuration that is too large already may be made smaller.
fn check_size(item: ConfigItem<'_>, before: &TenantConfig, after: &TenantConfig) -> Result<()> {
    let bytes = item.bytes()?;
    if bytes > MAX_CONFIG_ITEM_BYTES {
        return Err(Error::payload_too_large(format!(
            "It has {bytes} bytes of JSON; at most {MAX_CONFIG_ITEM_BYTES} can be registered"
        )));
    }
    let (before, after) = (before.bytes()?, after.bytes()?);
    if after > MAX_CONFIG_BYTES.max(before) {
        return Err(Error::payload_too_large(format!(
            "The tenant's schemas and resource types would have {after} bytes of JSON; at most \
             {MAX_CONFIG_BYTES} can be registered"
        )));
    }
    Ok(())
}

/// The URNs of the extensions that a type has in `before` and not in `after`. A type that gives way to
/// another base schema has no resources, so it has nothing to lose.
pub(super) fn omitted_extensions(before: &Registry, after: &Registry, name: &str) -> Vec<String> {
    let (Some(old), Some(new)) = (before.resource_type(name), after.resource_type(name)) else {
        return Vec::new();
    };
    if old.schema.id != new.schema.id {
        return Vec::new();
    }
    let urns = old.extensions.iter().map(|extension| &extension.schema.id);
    urns.filter(|urn| new.extension(urn).is_none())
        .cloned()
        .collect()
}
