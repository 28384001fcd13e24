//! The configuration of a tenant that the head of an export brings: profile, switches, schemas, resource types.

use serde_json::{Map, Value, json};

use super::line::Head;
use crate::identity::TenantId;
use crate::protocol::error::{Error, ErrorKind, Result, excerpt};
use crate::protocol::profile::Rules;
use crate::protocol::switch;
use crate::provider::{IfExists, ImportMode, Provider};

/// What became of the configuration.
#[derive(Debug, Default)]
pub(super) struct Configured {
    /// The number of settings, schemas and resource types that were changed, or would be.
    pub(super) changed: u64,
    /// The resource types that are not registered yet, because this is a dry run.
    pub(super) coming: Vec<String>,
    /// Each setting that the tenant has in another way, as a text.
    pub(super) conflicts: Vec<String>,
    /// Why something was refused.
    pub(super) refused: Option<Error>,
}

/// Gives a tenant the settings of a head. A setting that has its default, and a schema or type that is not registered,
/// counts as one that the tenant does not have.
///
/// # Errors
/// `Unavailable` if the table is out of reach.
pub(super) async fn configure(
    provider: &Provider,
    tenant: &TenantId,
    head: &Head,
    mode: ImportMode,
) -> Result<Configured> {
    let mut configured = Configured::default();
    match give(provider, tenant, head, mode, &mut configured).await {
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal) => {
            return Err(error);
        }
        Err(error) => configured.refused = Some(error),
        Ok(()) => {}
    }
    Ok(configured)
}

async fn give(
    provider: &Provider,
    tenant: &TenantId,
    head: &Head,
    mode: ImportMode,
    configured: &mut Configured,
) -> Result<()> {
    let config = provider.config(tenant).await?;
    let rules = merged_rules(&config.rules, head, mode, configured)?;
    let is_other = rules != config.rules;
    switch::check(&rules.switches)?;
    let known = &config.schemas;
    let schemas = wanted("schema", "id", &head.schemas, known, mode, configured);
    let (given, known) = (&head.resource_types, &config.resource_types);
    let types = wanted("resource type", "name", given, known, mode, configured);
    // Everything that can be refused is refused before anything is written.
    provider
        .check_registrations(tenant, &schemas, &types)
        .await?;
    if mode.is_dry {
        let names = types.iter().filter_map(|given| name_in(given, "name"));
        configured.coming = names.map(str::to_owned).collect();
        return Ok(());
    }
    if !configured.conflicts.is_empty() {
        return Ok(());
    }
    if is_other {
        provider.set_rules(tenant, &rules).await?;
    }
    // Schemas come first, because resource types name them.
    for schema in schemas {
        provider.add_schema(tenant, schema).await?;
    }
    for resource_type in types {
        provider.add_resource_type(tenant, resource_type).await?;
    }
    Ok(())
}

/// The registrations of the file that are to be made. `key` is the member that names one.
fn wanted<'v>(
    what: &str,
    key: &str,
    given: &'v [Value],
    known: &[Value],
    mode: ImportMode,
    configured: &mut Configured,
) -> Vec<&'v Value> {
    let mut wanted = Vec::new();
    for given in given {
        let name = name_in(given, key);
        let present = known.iter().find(|known| name_in(known, key) == name);
        match (present, mode.if_exists) {
            (Some(present), _) if present == given => {}
            (None, _) | (Some(_), IfExists::Replace) => wanted.push(given),
            (Some(_), IfExists::Skip) => {}
            (Some(_), IfExists::Fail) => {
                let name = name.unwrap_or_default();
                let detail = format!("The tenant has another {what} {}", excerpt(&name));
                configured.conflicts.push(detail);
            }
        }
    }
    configured.changed += wanted.len() as u64;
    wanted
}

fn name_in<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// The tenant's rules with those of the file.
fn merged_rules(
    rules: &Rules,
    head: &Head,
    mode: ImportMode,
    configured: &mut Configured,
) -> Result<Rules> {
    let to_value = |rules: &Rules| serde_json::to_value(rules).map_err(Error::internal);
    let (mut merged, defaults) = (to_value(rules)?, to_value(&Rules::default())?);
    let mut choose = |name: &str, present: &mut Value, default: &Value, given: &Value| {
        if present == given {
            return;
        }
        if *present == *default || mode.if_exists == IfExists::Replace {
            *present = given.clone();
            configured.changed += 1;
        } else if mode.if_exists == IfExists::Fail {
            configured.conflicts.push(format!(
                "The tenant has {name}={}, and the file {name}={}",
                plain(present),
                plain(given)
            ));
        }
    };
    if !head.profile.is_null() {
        choose(
            "profile",
            &mut merged["profile"],
            &defaults["profile"],
            &head.profile,
        );
    }
    let none = Map::new();
    let defaults = defaults["switches"].as_object().unwrap_or(&none);
    for (name, given) in &head.switches {
        // A switch that this version does not have is refused with its name below.
        let default = defaults.get(name).unwrap_or(&Value::Null);
        choose(name, &mut merged["switches"][name.as_str()], default, given);
    }
    serde_json::from_value(merged).map_err(|_| {
        Error::invalid_value(
            "This version of the service does not know the file's profile, or a switch or the value of one",
        )
    })
}

/// A setting as people write it.
fn plain(value: &Value) -> String {
    excerpt(&match value {
        Value::String(text) => text.clone(),
        other => json!(other).to_string(),
    })
    .to_string()
}
