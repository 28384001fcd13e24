//! What is special about roles: their scopes are those of the catalogue, some roles belong to the
//! service, and a credential can be bound to a role.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Tenant;
use super::administration::Administration;
use super::entries::entries;
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Reading;
use crate::protocol::resource::{DraftKind, Resource};
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::{check_scopes, scopes};
use crate::protocol::urn;
use crate::store::{New, SeatChange, StoreError, Write};

/// Gives a tenant the service's own roles, as [`Provider::add_own_roles`](super::Provider::add_own_roles)
/// says.
pub(super) async fn add_own_roles(admin: &Administration<'_>) -> Result<Vec<(String, String)>> {
    let tenant = admin.tenant;
    let store = admin.store();
    let view = admin.tenants.get(tenant, &store).await?;
    view.check_write()?;
    let types = view.registry.resource_types();
    let Some(resource_type) = types.iter().find(|found| is_role(found)) else {
        return Ok(Vec::new());
    };
    let mut made = Vec::new();
    for (name, description, wanted) in OWN_ROLES {
        let id = Uuid::now_v7().to_string();
        let body = own_role(&view, resource_type, &id, (name, description, wanted))?;
        let now = admin.now();
        let write = Write {
            seat: SeatChange::Ignore,
            body: &body.to_text(),
            entries: &entries(body.body(), now, resource_type, &view.rules),
            password: None,
            now,
        };
        let new = New { id: &id, write };
        match store.resources().create(resource_type, new).await {
            Ok(_) => made.push((name.to_owned(), id)),
            // The tenant has a role of this name already, which stays as it is.
            Err(StoreError::Taken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(made)
}

/// The name of a role, its description, and which scopes it has.
type OwnRole = (&'static str, &'static str, fn(&str) -> bool);

/// The service's own roles.
const OWN_ROLES: [OwnRole; 3] = [
    ("Administrator", "May do everything", |_| true),
    ("Provisioner", "May manage users and groups", |scope| {
        scope.starts_with("users:") || scope.starts_with("groups:") || is_access(scope)
    }),
    ("Reader", "May read everything", |scope| {
        scope.ends_with(":read") || scope.ends_with(":list") || is_access(scope)
    }),
];

fn is_access(scope: &str) -> bool {
    scope.starts_with("access:")
}

/// One of the service's own roles: as a POST would create it, but read-only.
fn own_role(
    view: &Tenant,
    resource_type: &ResourceType,
    id: &str,
    (name, description, wanted): OwnRole,
) -> Result<Resource> {
    let scopes: Vec<_> = scopes().filter(|scope| wanted(scope)).collect();
    let members = [
        ("schemas", json!([urn::ROLE])),
        ("name", json!(name)),
        ("description", json!(description)),
        ("scopes", json!(scopes)),
        ("active", json!(true)),
    ];
    let members = members.map(|(name, value)| (name.to_owned(), value));
    let draft = Resource::from_request(
        Map::from_iter(members),
        resource_type,
        &view.registry,
        &mut Reading::new(&view.rules),
        DraftKind::Create { id },
    )?;
    // Set here, because a request cannot set it.
    let mut body = draft.resource.into_body();
    body.insert("readOnly".to_owned(), json!(true));
    Ok(Resource::from_canonical(body))
}

/// Checks that the scopes of a role are those of the catalogue.
///
/// # Errors
/// `InvalidValue` naming the scope that is not in the catalogue.
pub(super) fn check_scopes_of(role: &Resource) -> Result<()> {
    check_scopes(listed_scopes(role.body()))
}

/// Checks that a resource may be changed and deleted. The service's own roles may not.
///
/// # Errors
/// `Forbidden`.
pub(super) fn check_changeable(resource_type: &ResourceType, existing: &Resource) -> Result<()> {
    let is_own = existing.body().get("readOnly") == Some(&Value::Bool(true));
    if is_role(resource_type) && is_own {
        return Err(Error::forbidden(
            "The role belongs to the service, which neither changes nor deletes it",
        ));
    }
    Ok(())
}

pub(super) fn is_role(resource_type: &ResourceType) -> bool {
    resource_type.schema.id == urn::ROLE
}

/// Whether a role or a user is active: unless `active` is false, it is.
pub(super) fn is_active(body: &Map<String, Value>) -> bool {
    body.get("active") != Some(&Value::Bool(false))
}

/// The scopes that a role lists.
pub(super) fn listed_scopes(body: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let listed = body.get("scopes").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str)
}
