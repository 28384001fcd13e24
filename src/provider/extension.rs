//! Extensions that a new form of a resource type leaves out, and how much resources use them.

use serde_json::Value;

use super::Tenant;
use super::administration::Administration;
use super::registration::omitted_extensions;
use crate::protocol::error::Result;
use crate::protocol::resource::Resource;
use crate::protocol::schema::{Registry, ResourceType};

/// How much the resources of a type use an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionUse {
    /// The resource type's name.
    pub resource_type: String,
    /// The extension's URN.
    pub extension: String,
    /// The number of resources that have attributes of it.
    pub resources: u64,
    /// The number of these attributes in all resources.
    pub attributes: u64,
}

/// The use of the extensions that would be lost, as
/// [`Provider::omitted_extensions`](super::Provider::omitted_extensions) says.
pub(super) async fn uses_of_omitted(
    admin: &Administration<'_>,
    value: &Value,
) -> Result<Vec<ExtensionUse>> {
    let tenant = admin.tenant;
    let config = admin.config().await?;
    let before = Tenant::new(tenant.clone(), config)?.registry;
    let mut after = Registry::clone(&before);
    after.add_resource_type(value)?;
    let name = value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let urns = omitted_extensions(&before, &after, name);
    let mut uses: Vec<_> = urns
        .into_iter()
        .map(|extension| ExtensionUse {
            resource_type: name.to_owned(),
            extension,
            resources: 0,
            attributes: 0,
        })
        .collect();
    if let Some(resource_type) = before.resource_type(name).filter(|_| !uses.is_empty()) {
        count_uses(admin, resource_type, &mut uses).await?;
    }
    Ok(uses)
}

async fn count_uses(
    admin: &Administration<'_>,
    resource_type: &ResourceType,
    uses: &mut [ExtensionUse],
) -> Result<()> {
    let mut after = None::<String>;
    loop {
        let (_, page) = admin.page(resource_type, after.as_deref()).await?;
        for stored in &page.resources {
            let body = Resource::from_text(&stored.body)?.into_body();
            for found in uses.iter_mut() {
                let container = body.get(&found.extension).and_then(Value::as_object);
                let attributes = container.map_or(0, |attributes| attributes.len() as u64);
                found.attributes += attributes;
                found.resources += u64::from(attributes > 0);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
