//! What a credential refers to: its role, its user, and the switch of its kind.

use super::role::{is_active, is_role};
use super::{Provider, REQUEST_BUDGET, Scope, Tenant};
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Switches;
use crate::protocol::resource::{Resource, ResourceId};
use crate::protocol::schema::ResourceType;
use crate::store::{Meter, TenantStore};
use crate::tenant::{CredentialKind, NewCredential, TenantId, unauthorized};

/// The resource type that `/Me` is of.
const USER: &str = "User";

impl Provider {
    /// Checks that the user that the caller stands for, if it stands for one, is there and active.
    /// One call for such a caller, none for others; it is counted with the tenant's configuration.
    ///
    /// # Errors
    /// `Unauthorized`, as for a credential that was revoked; `Unavailable`.
    pub(super) async fn check_user(&self, scope: &Scope) -> Result<()> {
        let Some(user) = &scope.caller.user else {
            return Ok(());
        };
        let users = scope.tenant.registry.resource_type(USER);
        let users = users.filter(|_| ResourceId::parse(user).is_some());
        let users = users.ok_or_else(unauthorized)?;
        let meter = Meter::default();
        let tenant = &scope.tenant.id;
        let store = self.store.for_tenant(tenant, meter.clone(), REQUEST_BUDGET);
        let found = store.resources().get(users, user).await;
        scope.store.meter().add_configuration(&meter.cost());
        let stored = found?.ok_or_else(unauthorized)?;
        match is_active(Resource::from_text(&stored.body)?.body()) {
            true => Ok(()),
            false => Err(unauthorized()),
        }
    }

    /// Checks that a credential could be used: the tenant takes its kind, and has its role and its
    /// user. The tenant's configuration is read anew, so a switch counts as soon as it is set.
    ///
    /// # Errors
    /// `InvalidValue` naming the switch that is off; `NotFound` naming the role or the user that is
    /// not there; `Unavailable` when the table is out of reach.
    pub async fn check_new_credential(&self, tenant: &TenantId, new: &NewCredential) -> Result<()> {
        let store = self.administration(tenant);
        let view = Tenant::new(tenant.clone(), store.configuration().read().await?)?;
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
