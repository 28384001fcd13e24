//! `scim tenant`: create, list, show and change tenants.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Failure;
use super::deployment_args::DeploymentArgs;
use super::rules::{self, RuleArguments};
use super::serve::print;
use crate::identity::TenantId;
use crate::stack::Stack;

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant; it can be used once it has a token
    Create(Change),
    /// List every tenant
    List(List),
    /// Show a tenant's profile, switches and credentials
    Show(Show),
    /// Change a tenant's profile and switches
    Set(Change),
    /// Give a tenant the service's own roles: Administrator, Provisioner and Reader
    AddRoles(Show),
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// The tenant: 1 to 40 of the characters a-z, 0-9 and -
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    rules: RuleArguments,
    #[command(flatten)]
    place: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    place: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    place: DeploymentArgs,
}

impl TenantCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let place = match &self {
            Self::Create(change) | Self::Set(change) => {
                change.rules.check()?;
                &change.place
            }
            Self::List(list) => &list.place,
            Self::Show(show) | Self::AddRoles(show) => &show.place,
        };
        let opened = place.open().await?;
        let answer = self.run_on(opened.stack()).await?;
        print(&answer);
        Ok(())
    }

    async fn run_on(&self, stack: &Stack) -> Result<String, Failure> {
        let issuer = stack.issuer();
        match self {
            Self::Create(Change { tenant, rules, .. }) => {
                stack.create_tenant(tenant).await?;
                rules.apply(stack, tenant).await?;
                Ok(format!(
                    "Created tenant {tenant}. Now make its token: scim token create {tenant}\n"
                ))
            }
            Self::List(_) => {
                let tenants = issuer.tenants().await?;
                Ok(tenants.iter().map(|tenant| format!("{tenant}\n")).collect())
            }
            Self::Show(Show { tenant, .. }) => show(stack, tenant).await,
            Self::AddRoles(Show { tenant, .. }) => {
                issuer.credentials(tenant).await?;
                let service = stack.service()?;
                let made = service.provider.add_own_roles(tenant).await?;
                let line = |(name, id): &(String, String)| format!("{name}  {id}\n");
                Ok(made.iter().map(line).collect())
            }
            Self::Set(Change { tenant, rules, .. }) => {
                if rules.is_empty() {
                    return Err(Failure(
                        "Nothing to set: give --profile or --set".to_owned(),
                    ));
                }
                // Only a tenant that exists has credentials to list, be it none.
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

async fn show(stack: &Stack, tenant: &TenantId) -> Result<String, Failure> {
    let credentials = stack.issuer().credentials(tenant).await?.len();
    let rules = rules::read(stack, tenant).await?;
    let rules = serde_json::to_value(&rules).unwrap_or(Value::Null);
    let shown = json!({
        "tenant": tenant.as_str(),
        "profile": rules["profile"],
        "switches": rules["switches"],
        "credentials": credentials,
    });
    Ok(format!("{shown:#}\n"))
}
