//! Registers a tenant's own schemas and resource types, and changes its rules.

use std::sync::Arc;

use serde_json::Value;

use super::Tenant;
use super::administration::Administration;
use super::seats::{self, TenantAge};
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Rules;
use crate::protocol::schema::{self, Index, Registry, Schema};
use crate::protocol::switch;
use crate::store::{
    BuildingIndex, ConfigItem, MAX_CONFIG_BYTES, MAX_CONFIG_ITEM_BYTES, TenantConfig, TenantStore,
};

/// The result of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The schema's URN, or the resource type's name.
    pub name: String,
    /// The indexes that have to be built before queries can use them, because the type has resources
    /// already.
    pub building: Vec<String>,
}

/// Registers a schema, as [`Provider::add_schema`](super::Provider::add_schema) says.
pub(super) async fn add_schema(admin: &Administration<'_>, schema: &Value) -> Result<Registered> {
    let store = admin.store();
    let config = store.configuration().read().await?;
    let (id, changed) = with_schema(&config, schema)?;
    let building = announce_indexes(admin, config, changed).await?;
    let item = ConfigItem::Schema(&id, schema);
    store.configuration().put(item).await?;
    admin.forget();
    Ok(Registered { name: id, building })
}

/// The URN of a schema, and a configuration with it.
fn with_schema(config: &TenantConfig, schema: &Value) -> Result<(String, TenantConfig)> {
    let next = match Registry::republished(schema) {
        Some(builtin) => schema::with_vendor_keywords(builtin, schema)?,
        None => Schema::from_json(schema)?,
    };
    let mut changed = config.clone();
    let is_earlier = |known: &Value| match Registry::republished(known) {
        Some(builtin) => builtin.id == next.id,
        None => known.get("id").and_then(Value::as_str) == Some(&next.id),
    };
    match config.schemas.iter().position(is_earlier) {
        Some(place) => {
            // A publication of one of the service's own schemas is compared with that schema alone,
            // not with an earlier publication.
            if Registry::republished(schema).is_none() {
                let known = Schema::from_json(&config.schemas[place])?;
                schema::check_successor(&known, &next)?;
            }
            changed.schemas[place] = schema.clone();
        }
        None => changed.schemas.push(schema.clone()),
    }
    check_size(ConfigItem::Schema(&next.id, schema), config, &changed)?;
    Ok((next.id, changed))
}

/// Registers a resource type, as
/// [`Provider::replace_resource_type`](super::Provider::replace_resource_type) says.
pub(super) async fn replace_resource_type(
    admin: &Administration<'_>,
    value: &Value,
    removed: &[String],
) -> Result<Registered> {
    let store = admin.store();
    let config = store.configuration().read().await?;
    let (name, changed) = with_resource_type(admin, &config, value, removed).await?;
    let building = announce_indexes(admin, config.clone(), changed).await?;
    let item = ConfigItem::ResourceType(&name, value);
    store.configuration().put(item).await?;
    admin.forget();
    // Another operator may have removed a schema of the type since the configuration was read. With a type whose
    // schema is missing no request of the tenant could be answered.
    if let Err(error) = admin.view().await {
        let before = config.resource_types.iter();
        match before.into_iter().find(|known| is_named(known, &name)) {
            Some(before) => {
                let before = ConfigItem::ResourceType(&name, before);
                store.configuration().put(before).await?;
            }
            None => store.configuration().remove(item).await?,
        }
        return Err(error);
    }
    Ok(Registered { name, building })
}

/// The name of a resource type, and a configuration with it.
async fn with_resource_type(
    admin: &Administration<'_>,
    config: &TenantConfig,
    value: &Value,
    removed: &[String],
) -> Result<(String, TenantConfig)> {
    let name = value.get("name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let before = Tenant::new(admin.tenant.clone(), config.clone())?.registry;
    let mut registry = Registry::clone(&before);
    if let Some(gone) = registry.add_resource_type(value)?
        && admin.store().resources().total(&gone).await? > 0
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
    changed
        .resource_types
        .retain(|known| !is_named(known, &name));
    changed.resource_types.push(value.clone());
    check_size(ConfigItem::ResourceType(&name, value), config, &changed)?;
    Ok((name, changed))
}

fn is_named(resource_type: &Value, name: &str) -> bool {
    resource_type.get("name").and_then(Value::as_str) == Some(name)
}

/// Fails as the registration of these schemas would, and then that of these resource types. Writes nothing.
pub(super) async fn check(
    admin: &Administration<'_>,
    schemas: &[&Value],
    resource_types: &[&Value],
) -> Result<()> {
    let mut config = admin.store().configuration().read().await?;
    for schema in schemas {
        (_, config) = with_schema(&config, schema)?;
    }
    for resource_type in resource_types {
        (_, config) = with_resource_type(admin, &config, resource_type, &[]).await?;
    }
    Tenant::new(admin.tenant.clone(), config)?;
    Ok(())
}

/// Stores which indexes a change of the configuration adds to types that have resources. This must
/// be stored before the change itself: otherwise another process could read the change first and
/// query an index that is not complete.
async fn announce_indexes(
    admin: &Administration<'_>,
    before: TenantConfig,
    after: TenantConfig,
) -> Result<Vec<String>> {
    let tenant = admin.tenant;
    let store = admin.store();
    let before = Tenant::new(tenant.clone(), before)?.registry;
    let after = Tenant::new(tenant.clone(), after)?.registry;
    // Also before the change itself: as soon as it is stored, resources have entries in the new indexes.
    store.remember_indexes(&after).await?;
    let mut announced = Vec::new();
    for resource_type in after.resource_types() {
        let name = &resource_type.name;
        for path in new_indexes(&store, &before, &after, name).await? {
            let index = BuildingIndex {
                resource_type: name.clone(),
                path: path.clone(),
                since: admin.now(),
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

/// The new indexes of a type, in which its existing resources have no entries.
async fn new_indexes(
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

/// Changes a tenant's profile and switches, as [`Provider::set_rules`](super::Provider::set_rules)
/// says.
pub(super) async fn set_rules(
    admin: &Administration<'_>,
    rules: &Rules,
    age: TenantAge,
) -> Result<Vec<String>> {
    let tenant = admin.tenant;
    switch::check(&rules.switches)?;
    let store = admin.store();
    let config = store.configuration().read().await?;
    seats::set_limit(admin, config.seats, rules.switches.max_active_users, age).await?;
    let turns = age == TenantAge::InUse
        && rules.switches.last_modified_index != config.rules.switches.last_modified_index;
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
            since: admin.now(),
        };
        store
            .configuration()
            .put(ConfigItem::Building(&index))
            .await?;
    }
    store.configuration().put(ConfigItem::Rules(rules)).await?;
    admin.forget();
    Ok(turned)
}

/// Checks that the new item can be stored, and that the whole configuration can be read at once. A
/// configuration that is too large already may still be changed, if it does not grow.
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

/// The URNs of the extensions that a type has in `before` and not in `after`. If the base schema
/// changes there are none: such a change is only possible for a type without resources.
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
