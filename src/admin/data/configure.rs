//! The configuration of a tenant that the head of an export brings: profile, switches, schemas, resource types.

use serde_json::{Map, Value, json};

use super::line::Head;
use crate::identity::TenantId;
use crate::protocol::error::{Error, ErrorKind, Result, excerpt};
use crate::protocol::profile::Rules;
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
    let changes = configured.changed;
    let rules = merged_rules(&config.rules, head, mode, configured)?;
    if configured.changed > changes && !mode.is_dry {
        provider.set_rules(tenant, &rules).await?;
    }
    // Schemas come first, because resource types name them.
    for schema in &head.schemas {
        if wants("schema", "id", schema, &config.schemas, mode, configured) && !mode.is_dry {
            provider.add_schema(tenant, schema).await?;
        }
    }
    for resource_type in &head.resource_types {
        let known = &config.resource_types;
        if !wants(
            "resource type",
            "name",
            resource_type,
            known,
            mode,
            configured,
        ) {
            continue;
        }
        match mode.is_dry {
            true => configured
                .coming
                .extend(name_in(resource_type, "name").map(str::to_owned)),
            false => {
                provider.add_resource_type(tenant, resource_type).await?;
            }
        }
    }
    Ok(())
}

/// Whether a registration of the file is to be made.
fn wants(
    what: &str,
    key: &str,
    given: &Value,
    known: &[Value],
    mode: ImportMode,
    configured: &mut Configured,
) -> bool {
    let name = name_in(given, key);
    let present = known.iter().find(|known| name_in(known, key) == name);
    let is_wanted = match present {
        None => true,
        Some(present) if present == given => false,
        Some(_) => match mode.if_exists {
            IfExists::Replace => true,
            IfExists::Skip => false,
            IfExists::Fail => {
                let name = name.unwrap_or_default();
                let detail = format!("The tenant has another {what} {}", excerpt(&name));
                configured.conflicts.push(detail);
                false
            }
        },
    };
    configured.changed += u64::from(is_wanted);
    is_wanted
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
