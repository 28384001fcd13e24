//! `schema.list` and `schema.show`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::identity::TenantId;

/// Asks which schemas a tenant has registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListSchemas {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of `schema.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaList {
    /// The schemas, in the order of their URNs.
    pub schemas: Vec<ListedDefinition>,
}

/// A schema or a resource type that a tenant has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDefinition {
    /// The URN of a schema, the name of a resource type.
    pub id: String,
    /// What it is for, in the words of the one who has registered it; `None` if nothing was said.
    pub description: Option<String>,
}

/// Asks for a schema as it was registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowSchema {
    /// The tenant.
    pub tenant: TenantId,
    /// The URN of the schema.
    pub id: String,
}

/// A schema or a resource type as it was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownDefinition {
    /// The Schema or ResourceType resource, as it was sent.
    pub definition: Value,
}

impl Operation for ListSchemas {
    const NAME: &'static str = "schema.list";
    type Answer = SchemaList;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<SchemaList, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let config = admin.provider.config(&self.tenant).await?;
        Ok(SchemaList {
            schemas: listed(&config.schemas, "id"),
        })
    }
}

impl Operation for ShowSchema {
    const NAME: &'static str = "schema.show";
    type Answer = ShownDefinition;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::name(&self.id)
        }
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ShownDefinition, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let config = admin.provider.config(&self.tenant).await?;
        let found = find(&config.schemas, "id", &self.id);
        found.ok_or_else(|| {
            Failure::new(
                Code::Unknown,
                "The tenant has registered no such schema; schema.list shows those that it has",
            )
        })
    }
}

/// Definitions by the member that names them.
pub(super) fn listed(definitions: &[Value], member: &str) -> Vec<ListedDefinition> {
    let text = |definition: &Value, member: &str| definition[member].as_str().map(str::to_owned);
    let mut listed: Vec<_> = definitions
        .iter()
        .map(|definition| ListedDefinition {
            id: text(definition, member).unwrap_or_default(),
            description: text(definition, "description"),
        })
        .collect();
    listed.sort_by(|one, other| one.id.cmp(&other.id));
    listed
}

/// The definition that has this name. Names and URNs are compared without regard to case.
pub(super) fn find(definitions: &[Value], member: &str, name: &str) -> Option<ShownDefinition> {
    let is_it = |definition: &&Value| {
        let found = definition[member].as_str();
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    let definition = definitions.iter().find(is_it)?.clone();
    Some(ShownDefinition { definition })
}
