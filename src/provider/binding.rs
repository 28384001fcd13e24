//! What a credential refers to: its role, its user, and the switch that allows its kind.

use std::sync::Arc;

use super::administration::Administration;
use super::role::{is_active, is_role, listed_scopes};
use super::{REQUEST_BUDGET, RequestScope};
use crate::cache::{Cache, CacheLimits, Freshness};
use crate::clock::Clock;
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Switches;
use crate::protocol::resource::{Resource, ResourceId};
use crate::protocol::schema::ResourceType;
use crate::store::{Meter, Store, TenantStore};
use crate::tenant::{CredentialKind, NewCredential, unauthorized};

/// The resource type at `/Me`.
pub(super) const USER: &str = "User";

/// A role's scopes are cached for ten seconds and never longer, so a role that loses scopes has lost
/// them everywhere after that time.
const LIMITS: CacheLimits = CacheLimits {
    what: "A role",
    fresh_millis: 10_000,
    stale_millis: 10_000,
    retry_millis: 0,
    early_reads: 0,
    early_interval_millis: 0,
    max_keys: 10_000,
};

/// Scopes by tenant and role.
pub(super) type Roles = Cache<(TenantId, String), Vec<String>>;

/// An empty cache of roles.
pub(super) fn roles(clock: Arc<dyn Clock>) -> Roles {
    Cache::new(LIMITS, clock)
}

/// If the credential belongs to a user, checks that the user exists and is active. This takes one
/// call, which is counted with the tenant's configuration.
///
/// # Errors
/// `Unauthorized`, as for a revoked credential; `Unavailable`.
pub(super) async fn check_user(store: &Store, scope: &RequestScope) -> Result<()> {
    let Some(user) = &scope.caller.user else {
        return Ok(());
    };
    let users = scope.tenant.registry.resource_type(USER);
    let users = users.filter(|_| ResourceId::parse(user).is_some());
    let users = users.ok_or_else(unauthorized)?;
    let meter = Meter::default();
    let tenant = &scope.tenant.id;
    let cause = scope.store.cause().clone();
    let store = store.for_tenant(tenant, cause, meter.clone(), REQUEST_BUDGET);
    let found = store.resources().get(users, user).await;
    scope.store.meter().add_configuration(&meter.cost());
    let stored = found?.ok_or_else(unauthorized)?;
    match is_active(Resource::from_text(&stored.body)?.body()) {
        true => Ok(()),
        false => Err(unauthorized()),
    }
}

/// Grants the caller the scopes of its role. A role that does not exist or is not active has no scopes.
pub(super) async fn grant_role(
    roles: &Roles,
    store: &Store,
    scope: &mut RequestScope,
) -> Result<()> {
    let Some(role) = scope.caller.role.clone() else {
        return Ok(());
    };
    let key = (scope.tenant.id.clone(), role);
    let read = scopes_of(store, scope, &key.1);
    let scopes = roles.get(&key, Freshness::Usual, read).await?;
    let permissions = &mut scope.caller.permissions;
    permissions.grant(scopes.iter().map(String::as_str));
    Ok(())
}

/// Reads a role's scopes. The cost is counted with the tenant's configuration.
async fn scopes_of(store: &Store, scope: &RequestScope, role: &str) -> Result<Vec<String>> {
    let types = scope.tenant.registry.resource_types();
    let Some(resource_type) = types.iter().find(|found| is_role(found)) else {
        return Ok(Vec::new());
    };
    let meter = Meter::default();
    let tenant = &scope.tenant.id;
    let cause = scope.store.cause().clone();
    let store = store.for_tenant(tenant, cause, meter.clone(), REQUEST_BUDGET);
    let found = store.resources().get(resource_type, role).await;
    scope.store.meter().add_configuration(&meter.cost());
    let Some(stored) = found? else {
        return Ok(Vec::new());
    };
    let body = Resource::from_text(&stored.body)?.into_body();
    if !is_active(&body) {
        return Ok(Vec::new());
    }
    Ok(listed_scopes(&body).map(str::to_owned).collect())
}

/// Checks a credential, as [`Provider::check_new_credential`](super::Provider::check_new_credential)
/// says.
pub(super) async fn check_new_credential(
    admin: &Administration<'_>,
    new: &NewCredential,
) -> Result<()> {
    let tenant = admin.tenant;
    let store = admin.store();
    let view = admin.view().await?;
    check_kind(tenant, new.kind, &view.rules.switches)?;
    let types = view.registry.resource_types();
    if let Some(role) = &new.role {
        let roles = types.iter().find(|found| is_role(found));
        check_exists(&store, tenant, (roles.map(AsRef::as_ref), "role"), role).await?;
    }
    if let Some(user) = &new.user {
        let users = view.registry.resource_type(USER);
        check_exists(&store, tenant, (users.map(AsRef::as_ref), "user"), user).await?;
    }
    Ok(())
}

fn check_kind(tenant: &TenantId, kind: CredentialKind, switches: &Switches) -> Result<()> {
    if kind.is_enabled(switches) {
        return Ok(());
    }
    let name = kind.name();
    Err(Error::invalid_value(format!(
        "The tenant {tenant} takes no credentials of the kind {name}; its switch `{name}` is off"
    )))
}

async fn check_exists(
    store: &TenantStore,
    tenant: &TenantId,
    (resource_type, what): (Option<&ResourceType>, &str),
    id: &str,
) -> Result<()> {
    let found = match resource_type {
        Some(resource_type) if ResourceId::parse(id).is_some() => {
            store.resources().get(resource_type, id).await?
        }
        Some(_) | None => None,
    };
    found.map(|_| ()).ok_or_else(|| {
        Error::not_found(format!(
            "The tenant {tenant} has no {what} with the id {id}"
        ))
    })
}
