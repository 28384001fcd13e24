//! The operations `schema.*`, `resourceType.*` and `role.addOwn`: what a tenant stores besides users and groups.
//!
//! An operation that registers the same thing again changes nothing. Other processes know what was registered or
//! removed within a minute.

mod resource_type;
mod role;
mod show;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use resource_type::{
    AddResourceType, ListResourceTypes, LostExtension, LostExtensions, RemoveResourceType,
    RemovedResourceType, ResourceTypeList, ResourceTypeLosses, ShowResourceType,
};
pub use role::{AddOwnRoles, AddedRoles, OwnRole};
pub use show::{ListSchemas, ListedDefinition, SchemaList, ShowSchema, ShownDefinition};

use super::{About, Admin, Asked, Failure, Operation};
use crate::identity::TenantId;
use crate::provider;

/// The longest request, in bytes: a schema has at most 300,000.
const MAX_REQUEST_BYTES: usize = 400_000;

/// Registers a schema, or a later form of one that is registered. No resource uses a new schema until a resource
/// type names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddSchema {
    /// The tenant.
    pub tenant: TenantId,
    /// The Schema resource (RFC 7643 §7), at most 300,000 bytes.
    pub schema: Value,
}

/// Removes a schema, which no resource type may use any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveSchema {
    /// The tenant.
    pub tenant: TenantId,
    /// The URN of the schema.
    pub id: String,
}

/// What was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The schema's URN, or the resource type's name.
    pub name: String,
    /// The indexes that are not used until they are complete, because the type has resources already. After two
    /// minutes `doctor` with `repair` completes them.
    pub building: Vec<String>,
}

/// The answer of `schema.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedSchema {
    /// The URN of the schema.
    pub id: String,
    /// Whether there was something to remove.
    pub existed: bool,
}

impl Operation for AddSchema {
    const NAME: &'static str = "schema.add";
    const MAX_REQUEST_BYTES: usize = MAX_REQUEST_BYTES;
    type Answer = Registered;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    fn about_answer(answer: &Registered) -> About<'_> {
        About::name(&answer.name)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<Registered, Failure> {
        admin.check_kept(&self.tenant).await?;
        let add = admin.provider.add_schema(&self.tenant, &self.schema);
        Ok(add.await?.into())
    }
}

impl Operation for RemoveSchema {
    const NAME: &'static str = "schema.remove";
    type Answer = RemovedSchema;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::name(&self.id)
        }
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<RemovedSchema, Failure> {
        admin.check_kept(&self.tenant).await?;
        let existed = admin.provider.remove_schema(&self.tenant, &self.id).await?;
        Ok(RemovedSchema {
            id: self.id.clone(),
            existed,
        })
    }
}

impl From<provider::Registered> for Registered {
    fn from(registered: provider::Registered) -> Self {
        let provider::Registered { name, building } = registered;
        Self { name, building }
    }
}
