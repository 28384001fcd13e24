//! `scim tenant`: create, list, show and change tenants.

use clap::{Args, Subcommand};
use serde_json::json;

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::rules::{self, RuleArgs};
use super::terminal::print;
use crate::identity::TenantId;
use crate::protocol::Error;
use crate::stack::Stack;

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant; clients can use it once it has a token
    Create(TenantRulesArgs),
    /// List all tenants
    List(ListArgs),
    /// Show a tenant's profile, switches and credentials
    Show(TenantArgs),
    /// Change a tenant's profile and switches
    Set(TenantRulesArgs),
    /// Give a tenant the service's own roles: Administrator, Provisioner and Reader
    AddRoles(TenantArgs),
}

#[derive(Debug, Args)]
pub(super) struct TenantRulesArgs {
    /// The tenant: 1 to 40 of the characters a-z, 0-9 and -
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl TenantCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let deployment = match &self {
            Self::Create(change) | Self::Set(change) => {
                change.rules.check()?;
                &change.deployment
            }
            Self::List(list) => &list.deployment,
            Self::Show(show) | Self::AddRoles(show) => &show.deployment,
        };
        let opened = match &self {
            Self::Create(_) => deployment.open_or_create().await?,
            _ => deployment.open().await?,
        };
        let answer = self.run_on(opened.stack()).await?;
        print(&answer)
    }

    async fn run_on(&self, stack: &Stack) -> Result<String, CommandError> {
        let issuer = stack.issuer();
        match self {
            Self::Create(TenantRulesArgs { tenant, rules, .. }) => {
                stack.create_tenant(tenant).await?;
                rules.apply(stack, tenant).await?;
                Ok(format!(
                    "Created tenant {tenant}. Next, create a token: scim token create {tenant}\n"
                ))
            }
            Self::List(_) => {
                let tenants = issuer.tenants().await?;
                Ok(tenants.iter().map(|tenant| format!("{tenant}\n")).collect())
            }
            Self::Show(TenantArgs { tenant, .. }) => show(stack, tenant).await,
            Self::AddRoles(TenantArgs { tenant, .. }) => {
                // This fails if the tenant does not exist.
                issuer.credentials(tenant).await?;
                let service = stack.service();
                let made = service.provider.add_own_roles(tenant).await?;
                let line = |(name, id): &(String, String)| format!("{name}  {id}\n");
                Ok(made.iter().map(line).collect())
            }
            Self::Set(TenantRulesArgs { tenant, rules, .. }) => {
                if rules.is_empty() {
                    return Err(CommandError::usage("Nothing to set: give --rules or --set"));
                }
                // This fails if the tenant does not exist.
                issuer.credentials(tenant).await?;
                rules.change(stack, tenant).await?;
                show(stack, tenant).await
            }
        }
    }
}

/// Reads a tenant's name from an argument.
pub(super) fn tenant_id(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).map_err(|error| error.detail().to_owned())
}

async fn show(stack: &Stack, tenant: &TenantId) -> Result<String, CommandError> {
    let credentials = stack.issuer().credentials(tenant).await?.len();
    let rules = rules::read(stack, tenant).await?;
    let rules = serde_json::to_value(&rules).map_err(Error::internal)?;
    let shown = json!({
        "tenant": tenant.as_str(),
        "profile": rules["profile"],
        "switches": rules["switches"],
        "credentials": credentials,
    });
    Ok(format!("{shown:#}\n"))
}
