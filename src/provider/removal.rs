//! Removes schemas and resource types that a tenant has registered.
//!
//! Other processes use a removed definition for up to a minute. A resource that one of them creates in that minute is
//! not lost: it is shown again when its type is registered again.

use serde_json::Value;

use super::administration::Administration;
use super::tenants::Tenant;
use crate::protocol::error::{Error, Result};
use crate::protocol::schema::ResourceType;
use crate::store::{ConfigItem, TenantConfig, Window};

/// Removes a schema, as [`Provider::remove_schema`](super::Provider::remove_schema) says.
pub(super) async fn remove_schema(admin: &Administration<'_>, urn: &str) -> Result<bool> {
    let config = admin.config().await?;
    let Some(schema) = find(&config.schemas, "id", urn) else {
        return Ok(false);
    };
    check_unused(&config, urn)?;
    let id = schema["id"].as_str().unwrap_or(urn);
    let item = ConfigItem::Schema(id, schema);
    let store = admin.store();
    store.configuration().remove(item).await?;
    admin.forget();
    // Another operator may have registered a type that uses it since it was read. Without the schema no request of
    // the tenant could be answered.
    if let Err(error) = check_unused(&admin.config().await?, urn) {
        store.configuration().put(item).await?;
        return Err(error);
    }
    Ok(true)
}

/// Removes a resource type, as [`Provider::remove_resource_type`](super::Provider::remove_resource_type) says.
pub(super) async fn remove_resource_type(admin: &Administration<'_>, name: &str) -> Result<bool> {
    let config = admin.config().await?;
    let Some(value) = find(&config.resource_types, "name", name) else {
        return Ok(false);
    };
    let name = value["name"].as_str().unwrap_or(name);
    let registry = Tenant::new(admin.tenant.clone(), config.clone())?.registry;
    let resource_type = registry.resource_type(name);
    if let Some(resource_type) = resource_type {
        check_empty(admin, resource_type).await?;
    }
    let item = ConfigItem::ResourceType(name, value);
    let store = admin.store();
    store.configuration().remove(item).await?;
    admin.forget();
    if let Some(resource_type) = resource_type
        && let Err(error) = check_empty(admin, resource_type).await
    {
        // Another process has created one since the first look.
        store.configuration().put(item).await?;
        return Err(error);
    }
    // After the type: an index that is not complete must not look complete while the type is there.
    for index in config
        .building
        .iter()
        .filter(|index| index.resource_type == name)
    {
        store
            .configuration()
            .remove(ConfigItem::Building(index))
            .await?;
    }
    Ok(true)
}

/// Names and URNs are compared without regard to case.
fn find<'v>(definitions: &'v [Value], member: &str, name: &str) -> Option<&'v Value> {
    let is_it = |definition: &&Value| {
        let found = definition[member].as_str();
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    definitions.iter().find(is_it)
}

/// Fails if a resource type of the tenant's own has the schema, as its own or as an extension.
fn check_unused(config: &TenantConfig, urn: &str) -> Result<()> {
    let is_it = |value: &Value| {
        let found = value["schema"].as_str();
        found.is_some_and(|found| found.eq_ignore_ascii_case(urn))
    };
    let uses = |value: &&Value| {
        let extensions = value["schemaExtensions"].as_array();
        is_it(value) || extensions.is_some_and(|listed| listed.iter().any(is_it))
    };
    match config.resource_types.iter().find(uses) {
        None => Ok(()),
        Some(user) => Err(Error::conflict(format!(
            "The resource type {} uses the schema {urn}; remove the type, or the extension from it, first",
            user["name"].as_str().unwrap_or_default()
        ))),
    }
}

/// Fails if there is a resource of the type. It looks for one, because a counter may be wrong.
async fn check_empty(admin: &Administration<'_>, resource_type: &ResourceType) -> Result<()> {
    let store = admin.store();
    let one = Window {
        limit: Some(1),
        ..Window::default()
    };
    match store
        .resources()
        .page(resource_type, one)
        .await?
        .resources
        .is_empty()
    {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "The tenant has resources of the type {}; delete them first",
            resource_type.name
        ))),
    }
}
