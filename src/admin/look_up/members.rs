//! `group.members`.

use serde::{Deserialize, Serialize};

use super::{cursor, limit, next, selection};
use crate::admin::{About, Admin, Asked, Failure, Operation};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{PageStart, Query};
use crate::protocol::resource::ResourceId;
use crate::protocol::sort::SortOrder;

/// Asks for the members of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupMembers {
    /// The tenant.
    pub tenant: TenantId,
    /// The id of the group.
    pub id: String,
    /// The largest number of members in the answer, 1 to 100; 100 if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Go on here: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The answer of `group.members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundMembers {
    /// The members, in the order of their ids.
    pub members: Vec<FoundMember>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundMember {
    /// The id of the member.
    pub id: String,
    /// The name of its resource type; `None` if it is not known.
    #[serde(rename = "type")]
    pub resource_type: Option<String>,
}

impl Operation for GroupMembers {
    const NAME: &'static str = "group.members";
    type Answer = FoundMembers;

    fn about(&self) -> About<'_> {
        About {
            name: Some(&self.id),
            ..About::tenant(&self.tenant)
        }
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<FoundMembers, Failure> {
        let query = Query {
            selection: selection(false),
            filter: None,
            exposed: false,
            sort_by: None,
            sort_order: SortOrder::default(),
            page: PageStart::Cursor(cursor(self.after.as_ref())?),
            count: Some(limit(self.limit)?),
        };
        let no_group = || Error::not_found(format!("The tenant {} has no such group", self.tenant));
        let id = ResourceId::parse(&self.id).ok_or_else(no_group)?;
        let scope = admin.scope(&self.tenant, asked).await?;
        let groups = scope.tenant.registry.resource_type("Group");
        let groups = groups.ok_or_else(no_group)?;
        let provider = &admin.provider;
        let page = provider.member_page(&scope, groups, id.as_str(), &query, false);
        let page = page.await?;
        let text =
            |member: &serde_json::Value, name: &str| member[name].as_str().map(str::to_owned);
        let members = page.resources.iter().map(|member| FoundMember {
            id: text(member, "value").unwrap_or_default(),
            resource_type: text(member, "type"),
        });
        Ok(FoundMembers {
            members: members.collect(),
            next: next(&page.head.paging),
        })
    }
}
