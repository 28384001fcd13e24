//! The operations `resourceType.*`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::show::{find, listed};
use super::{ListedDefinition, MAX_REQUEST_BYTES, Registered, ShownDefinition};
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::provider::ExtensionUse;

/// The largest number of extensions that one request removes.
const MAX_REMOVED: usize = 100;

/// Registers a resource type, or one that is registered with more extensions, or with fewer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddResourceType {
    /// The tenant.
    pub tenant: TenantId,
    /// The ResourceType resource (RFC 7643 §6), at most 300,000 bytes.
    pub resource_type: Value,
    /// The URNs of the extensions that the new form may leave out, at most 100. What resources have of them stays
    /// stored and is not shown any more; `resourceType.losses` says how much that is.
    #[serde(default)]
    pub remove_extensions: Vec<String>,
}

/// Asks what resources would lose if a resource type were registered in this form. Nothing is changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceTypeLosses {
    /// The tenant.
    pub tenant: TenantId,
    /// The ResourceType resource.
    pub resource_type: Value,
}

/// The answer of `resourceType.losses`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostExtensions {
    /// The extensions that the form leaves out.
    pub losses: Vec<LostExtension>,
}

/// How much the resources of a type use an extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LostExtension {
    /// The resource type's name.
    pub resource_type: String,
    /// The extension's URN.
    pub extension: String,
    /// The number of resources that have attributes of it.
    pub resources: u64,
    /// The number of these attributes in all resources.
    pub attributes: u64,
}

/// Asks which resource types a tenant has registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListResourceTypes {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `resourceType.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTypeList {
    /// The resource types, in the order of their names.
    pub resource_types: Vec<ListedDefinition>,
}

/// Asks for a resource type as it was registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowResourceType {
    /// The tenant.
    pub tenant: TenantId,
    /// The name of the resource type.
    pub name: String,
}

/// Removes a resource type, of which the tenant may have no resources.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveResourceType {
    /// The tenant.
    pub tenant: TenantId,
    /// The name of the resource type.
    pub name: String,
}

/// The answer of `resourceType.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedResourceType {
    /// The name of the resource type.
    pub name: String,
    /// Whether there was something to remove.
    pub existed: bool,
}

impl Operation for AddResourceType {
    const NAME: &'static str = "resourceType.add";
    const MAX_REQUEST_BYTES: usize = MAX_REQUEST_BYTES;
    type Answer = Registered;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    fn about_answer(answer: &Registered) -> About<'_> {
        About::name(&answer.name)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<Registered, Failure> {
        if self.remove_extensions.len() > MAX_REMOVED {
            let text = format!("`removeExtensions` has at most {MAX_REMOVED} URNs");
            return Err(Error::invalid_value(text).into());
        }
        admin.check_kept(&self.tenant).await?;
        let add = admin.provider.replace_resource_type(
            &self.tenant,
            &self.resource_type,
            &self.remove_extensions,
        );
        Ok(add.await?.into())
    }
}

impl Operation for ResourceTypeLosses {
    const NAME: &'static str = "resourceType.losses";
    const MAX_REQUEST_BYTES: usize = MAX_REQUEST_BYTES;
    type Answer = LostExtensions;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<LostExtensions, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let provider = &admin.provider;
        let found = provider.omitted_extensions(&self.tenant, &self.resource_type);
        let losses = found.await?.into_iter().map(LostExtension::from);
        Ok(LostExtensions {
            losses: losses.collect(),
        })
    }
}

impl Operation for ListResourceTypes {
    const NAME: &'static str = "resourceType.list";
    type Answer = ResourceTypeList;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ResourceTypeList, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let config = admin.provider.config(&self.tenant).await?;
        Ok(ResourceTypeList {
            resource_types: listed(&config.resource_types, "name"),
        })
    }
}

impl Operation for ShowResourceType {
    const NAME: &'static str = "resourceType.show";
    type Answer = ShownDefinition;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::name(&self.name)
        }
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ShownDefinition, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let config = admin.provider.config(&self.tenant).await?;
        let found = find(&config.resource_types, "name", &self.name);
        found.ok_or_else(|| {
            Failure::new(
                Code::Unknown,
                "The tenant has registered no such resource type; resourceType.list shows those that it has",
            )
        })
    }
}

impl Operation for RemoveResourceType {
    const NAME: &'static str = "resourceType.remove";
    type Answer = RemovedResourceType;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::name(&self.name)
        }
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<RemovedResourceType, Failure> {
        admin.check_kept(&self.tenant).await?;
        let remove = admin
            .provider
            .remove_resource_type(&self.tenant, &self.name);
        Ok(RemovedResourceType {
            existed: remove.await?,
            name: self.name.clone(),
        })
    }
}

impl From<ExtensionUse> for LostExtension {
    fn from(found: ExtensionUse) -> Self {
        let ExtensionUse {
            resource_type,
            extension,
            resources,
            attributes,
        } = found;
        Self {
            resource_type,
            extension,
            resources,
            attributes,
        }
    }
}
