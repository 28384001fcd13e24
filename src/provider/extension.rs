//! Extensions that a resource type is to lose, and what its resources lose with them.

use serde_json::Value;

use super::registration::omitted_extensions;
use super::{Provider, Tenant};
use crate::protocol::error::Result;
use crate::protocol::resource::Resource;
use crate::protocol::schema::{Registry, ResourceType};
use crate::tenant::TenantId;

/// What resources of a type have of an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionUse {
    /// The resource type's name.
    pub resource_type: String,
    /// The extension's URN.
    pub extension: String,
    /// The resources that have attributes of it.
    pub resources: u64,
    /// The attributes that they have in all.
    pub attributes: u64,
}

impl Provider {
    /// The extensions that a registered form of a resource type would leave out, with what the
    /// resources of the type have of each. Reads every resource of the type if there is one.
    ///
    /// # Errors
    /// As [`add_resource_type`](Self::add_resource_type), apart from the extensions.
    pub async fn omitted_extensions(
        &self,
        tenant: &TenantId,
        value: &Value,
    ) -> Result<Vec<ExtensionUse>> {
        let config = self.config(tenant).await?;
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
            self.count_uses(tenant, resource_type, &mut uses).await?;
        }
        Ok(uses)
    }

    async fn count_uses(
        &self,
        tenant: &TenantId,
        resource_type: &ResourceType,
        uses: &mut [ExtensionUse],
    ) -> Result<()> {
        let mut after = None::<String>;
        loop {
            let (_, page) = self.page(resource_type, tenant, after.as_deref()).await?;
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
}
