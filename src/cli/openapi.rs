//! `scim openapi`: the description of the service for programs.

use clap::Args;
use serde_json::Value;

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::serve::public_url;
use super::tenant_arg::tenant_id;
use super::terminal::print;
use crate::http::{PublicUrl, site};
use crate::identity::{Cause, CauseKind, TenantId};
use crate::protocol::schema::Registry;
use crate::provider::REQUEST_BUDGET;
use crate::store::Meter;

#[derive(Debug, Args)]
pub(super) struct OpenapiArgs {
    /// Describe this tenant's own types too; without it, the types that every tenant has
    #[arg(long, value_name = "TENANT", value_parser = tenant_id)]
    tenant: Option<TenantId>,
    /// The URL of the service, without `/scim/v2`; otherwise that of the deployment with --tenant, and a relative one
    /// without
    #[arg(long, value_name = "URL", value_parser = public_url)]
    url: Option<PublicUrl>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl OpenapiArgs {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let document = match &self.tenant {
            Some(tenant) => self.of_tenant(tenant).await?,
            None => site::document(Registry::builtin(), None, &root(self.url.as_ref())),
        };
        print(&format!("{document:#}\n"))
    }

    async fn of_tenant(&self, tenant: &TenantId) -> Result<Value, CommandError> {
        let opened = self.deployment.open().await?;
        let stack = opened.stack();
        // This fails if the tenant does not exist.
        stack.issuer().credentials(tenant).await?;
        let service = stack.service();
        let cause = Cause::without_credential(CauseKind::Command);
        let table = service.provider.store();
        let table = table.for_tenant(tenant, cause, Meter::default(), REQUEST_BUDGET);
        let tenant = service.provider.tenants().get(tenant, &table).await?;
        let url = self.url.as_ref().or(service.public_url.as_ref());
        Ok(site::document(
            &tenant.registry,
            Some(&tenant.rules),
            &root(url),
        ))
    }
}

/// The URL that paths follow; empty if it is not known.
fn root(url: Option<&PublicUrl>) -> String {
    url.map_or_else(String::new, PublicUrl::root_url)
}
