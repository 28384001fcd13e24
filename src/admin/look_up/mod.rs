//! The operations `user.find`, `group.find` and `group.members`: what support looks up about a tenant's directory.
//!
//! Answers have ids, times and states. Values of attributes are in them only if they are asked for, so that a
//! person who answers a ticket does not see what the ticket is not about. They work on suspended and deleted tenants
//! too, as long as there is something to find.

mod find;
mod members;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use find::{FindGroups, FindUsers, FoundResources};
pub use members::{FoundMember, FoundMembers, GroupMembers};

use super::{Admin, Asked, Failure, Time, cause};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{Meta, Paging, Selection, render_object};
use crate::protocol::resource::Resource;
use crate::provider::{Representation, RequestScope, Times};

/// The largest number of things in one answer.
const MAX_FOUND: u32 = 100;
/// The longest value that is looked up, in bytes.
const MAX_VALUE_BYTES: usize = 2_048;
/// The longest cursor, in bytes.
const MAX_CURSOR_BYTES: usize = 8_192;

/// A user or a group that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundResource {
    /// Its id.
    pub id: String,
    /// Whether a user is active; `None` for a group.
    pub active: Option<bool>,
    /// When it was created.
    pub created: Time,
    /// When it was last changed.
    pub last_modified: Time,
    /// The resource as a SCIM client that may read everything sees it, with references that begin behind the base
    /// URL; only if values are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
}

impl FoundResource {
    fn of(found: &Representation<'_>, is_user: bool, with_values: bool) -> Result<Self> {
        let body = Resource::from_text(&found.stored.body)?.into_body();
        Ok(Self {
            id: found.id().to_owned(),
            // Unless `active` is false, a user is active.
            active: is_user.then(|| body.get("active") != Some(&Value::Bool(false))),
            created: Time(found.stored.created),
            last_modified: Time(found.stored.last_modified()),
            resource: match with_values {
                true => Some(Value::Object(shown(found, body)?)),
                false => None,
            },
        })
    }
}

/// What a client sees of a resource.
fn shown(found: &Representation<'_>, body: Map<String, Value>) -> Result<Map<String, Value>> {
    let times = Times::of(&found.stored)?;
    let (resource_type, version) = (found.resource_type, found.version.to_string());
    let meta = Meta {
        resource_type: &resource_type.name,
        created: &times.created,
        last_modified: &times.last_modified,
        location: &format!("{}/{}", resource_type.endpoint, found.id()),
        version: &version,
    };
    let whole = render_object(body, found.beside(), &meta, "");
    Ok(found.projection.apply(whole))
}

/// Which attributes are read: all that a client sees by default, or none that is stored apart.
fn selection(with_values: bool) -> Selection {
    match with_values {
        true => Selection::default(),
        false => Selection::id_only(),
    }
}

/// The number of things in the answer to a request.
fn limit(asked: Option<u32>) -> Result<u32> {
    match asked.unwrap_or(MAX_FOUND) {
        limit @ 1..=MAX_FOUND => Ok(limit),
        _ => Err(Error::invalid_value(format!(
            "`limit` is from 1 to {MAX_FOUND}"
        ))),
    }
}

/// Checks the cursor of an earlier answer by its length; what it leads to is checked where it is used.
fn cursor(asked: Option<&String>) -> Result<Option<String>> {
    match asked {
        Some(text) if text.len() > MAX_CURSOR_BYTES => Err(Error::invalid_value(
            "`after` is not the `next` of an earlier answer",
        )),
        asked => Ok(asked.cloned()),
    }
}

fn next(paging: &Paging) -> Option<String> {
    match paging {
        Paging::Cursor { next, .. } => next.clone(),
        // A list that was asked for by position is on one page.
        Paging::Index { .. } => None,
    }
}

impl Admin {
    /// What an operator who may read everything sees of a tenant.
    async fn scope(&self, tenant: &TenantId, asked: &Asked) -> Result<RequestScope, Failure> {
        self.check_tenant(tenant).await?;
        let provider = &self.provider;
        Ok(provider.operator_scope(tenant, cause(asked)).await?)
    }
}
