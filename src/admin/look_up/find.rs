//! `user.find` and `group.find`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FoundResource, MAX_VALUE_BYTES, cursor, limit, next, selection};
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::identity::TenantId;
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::protocol::message::{PageStart, Query, Selection};
use crate::protocol::resource::ResourceId;
use crate::protocol::schema::ResourceType;
use crate::protocol::urn;
use crate::protocol::version::Precondition;
use crate::provider::{Over, Read, Rendered, Representation, RequestScope};

/// Looks users up by exactly one of `id`, `userName`, `externalId` and `email`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindUsers {
    /// The tenant.
    pub tenant: TenantId,
    /// The id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name with which it logs in; in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The id that the identity provider has given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Any of its e-mail addresses, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the answer has the values of the attributes.
    #[serde(default)]
    pub values: bool,
    /// The largest number of users in the answer, 1 to 100; 100 if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Go on here: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Looks groups up by exactly one of `id`, `displayName` and `externalId`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindGroups {
    /// The tenant.
    pub tenant: TenantId,
    /// The id of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The id that the identity provider has given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whether the answer has the values of the attributes, without the members.
    #[serde(default)]
    pub values: bool,
    /// The largest number of groups in the answer, 1 to 100; 100 if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Go on here: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The answer of `user.find` and `group.find`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundResources {
    /// What was found; nothing if there is none.
    pub found: Vec<FoundResource>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<String>,
}

/// What is looked up, and in which tenant.
struct Search<'s> {
    tenant: &'s TenantId,
    type_name: &'static str,
    id: Option<&'s String>,
    /// The other arguments by their names, each with its attribute, and with the value that the attribute is to have
    /// if the argument is given.
    values: Vec<(&'static str, &'static str, Option<&'s String>)>,
    with_values: bool,
    limit: Option<u32>,
    after: Option<&'s String>,
}

/// The one criterion of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Criterion<'s> {
    Id(&'s str),
    Value(&'static str, &'s str),
}

impl Operation for FindUsers {
    const NAME: &'static str = "user.find";
    type Answer = FoundResources;

    fn about(&self) -> About<'_> {
        self.search().about()
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<FoundResources, Failure> {
        self.search().run(admin, asked).await
    }
}

impl FindUsers {
    fn search(&self) -> Search<'_> {
        Search {
            tenant: &self.tenant,
            type_name: "User",
            id: self.id.as_ref(),
            values: vec![
                ("userName", "userName", self.user_name.as_ref()),
                ("externalId", "externalId", self.external_id.as_ref()),
                ("email", "emails.value", self.email.as_ref()),
            ],
            with_values: self.values,
            limit: self.limit,
            after: self.after.as_ref(),
        }
    }
}

impl Operation for FindGroups {
    const NAME: &'static str = "group.find";
    type Answer = FoundResources;

    fn about(&self) -> About<'_> {
        self.search().about()
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<FoundResources, Failure> {
        self.search().run(admin, asked).await
    }
}

impl FindGroups {
    fn search(&self) -> Search<'_> {
        Search {
            tenant: &self.tenant,
            type_name: "Group",
            id: self.id.as_ref(),
            values: vec![
                ("displayName", "displayName", self.display_name.as_ref()),
                ("externalId", "externalId", self.external_id.as_ref()),
            ],
            with_values: self.values,
            limit: self.limit,
            after: self.after.as_ref(),
        }
    }
}

impl<'s> Search<'s> {
    fn about(&self) -> About<'s> {
        About {
            name: self.id.map(String::as_str),
            ..About::tenant(self.tenant)
        }
    }

    async fn run(&self, admin: &Admin, asked: &Asked) -> Result<FoundResources, Failure> {
        let (tenant, type_name) = (self.tenant, self.type_name);
        let criterion = self.criterion()?;
        let (limit, after) = (limit(self.limit)?, cursor(self.after)?);
        let scope = admin.scope(tenant, asked).await?;
        let registry = &scope.tenant.registry;
        let resource_type = registry.resource_type(type_name).ok_or_else(|| {
            let text = format!("The tenant {tenant} has no resource type {type_name}");
            Failure::new(Code::Unknown, text)
        })?;
        match criterion {
            Criterion::Id(id) => self.by_id(admin, &scope, resource_type, id).await,
            Criterion::Value(attribute, value) => {
                let mut query = equal(&scope, attribute, value)?;
                query.selection = self.selection(resource_type);
                query.page = PageStart::Cursor(after);
                query.count = Some(limit);
                self.by_value(admin, &scope, resource_type, &query).await
            }
        }
    }

    fn criterion(&self) -> Result<Criterion<'_>> {
        let values = self.values.iter();
        let values =
            values.filter_map(|(_, attribute, value)| Some(Criterion::Value(attribute, (*value)?)));
        let mut given = self
            .id
            .map(|id| Criterion::Id(id))
            .into_iter()
            .chain(values);
        let (Some(criterion), None) = (given.next(), given.next()) else {
            let names = self.values.iter().map(|(name, ..)| format!("`{name}`"));
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(Error::invalid_value(format!("Give one of `id`, {names}")));
        };
        let (Criterion::Id(text) | Criterion::Value(_, text)) = criterion;
        match (1..=MAX_VALUE_BYTES).contains(&text.len()) {
            true => Ok(criterion),
            false => Err(Error::invalid_value(format!(
                "What is looked up has 1 to {MAX_VALUE_BYTES} bytes"
            ))),
        }
    }

    /// Without members: they are asked for by `group.members`, part by part.
    fn selection(&self, resource_type: &ResourceType) -> Selection {
        let mut selection = selection(self.with_values);
        if self.with_values && resource_type.name == "Group" {
            selection.excluded_attributes = vec!["members".to_owned()];
        }
        selection
    }

    async fn by_id(
        &self,
        admin: &Admin,
        scope: &RequestScope,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<FoundResources, Failure> {
        let mut found = FoundResources {
            found: Vec::new(),
            next: None,
        };
        let Some(id) = ResourceId::parse(id) else {
            return Ok(found);
        };
        let selection = self.selection(resource_type);
        let always = Precondition::default();
        let read = admin
            .provider
            .get(scope, resource_type, &id, &selection, &always);
        match read.await {
            Ok(Read::Found(resource)) => found.found.push(self.found(&resource)?),
            // Only a read with a precondition has this outcome.
            Ok(Read::NotModified(_)) => {}
            // That there is none is what was asked.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(found)
    }

    async fn by_value(
        &self,
        admin: &Admin,
        scope: &RequestScope,
        resource_type: &ResourceType,
        query: &Query,
    ) -> Result<FoundResources, Failure> {
        let render = |resource: &Representation<'_>| {
            let value = self.found(resource)?;
            let text = serde_json::to_string(&value).map_err(Error::internal)?;
            let bytes = text.len();
            Ok(Rendered { value, bytes })
        };
        let over = Over::Type(resource_type);
        let list = admin.provider.query(scope, over, query, render).await?;
        Ok(FoundResources {
            next: next(&list.head.paging),
            found: list.resources,
        })
    }

    fn found(&self, resource: &Representation<'_>) -> Result<FoundResource> {
        let is_user = resource.resource_type.name == "User";
        FoundResource::of(resource, is_user, self.with_values)
    }
}

/// The query for the resources of which an attribute has a value.
fn equal(scope: &RequestScope, attribute: &str, value: &str) -> Result<Query> {
    // A string of a filter is written as one of JSON (RFC 7644 §3.4.2.2).
    let filter = format!("{attribute} eq {}", Value::from(value));
    let request = json!({"schemas": [urn::SEARCH_REQUEST], "filter": filter});
    let request = request.as_object().cloned().unwrap_or_default();
    Query::from_search_request(&request, &mut scope.reading())
}
