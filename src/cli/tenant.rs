//! `scim tenant`: create, list, show and change tenants.

use clap::{Args, Subcommand};
use serde_json::json;

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::facts;
use super::deployment_args::DeploymentArgs;
use super::lifecycle::{DeleteArgs, StateArgs, SuspendArgs};
use super::rules::{self, RuleArgs};
use super::terminal::print;
use crate::admin::schema::AddOwnRoles;
use crate::identity::TenantId;
use crate::protocol::Error;
use crate::stack::Stack;

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant; clients can use it once it has a token
    #[command(
        after_help = "Examples:\n  scim tenant create acme\n  scim tenant create acme --rules strict --set maxCount=500"
    )]
    Create(TenantRulesArgs),
    /// List all tenants
    #[command(after_help = "Example:\n  scim tenant list")]
    List(ListArgs),
    /// Show a tenant's profile, switches and credentials
    #[command(after_help = "Example:\n  scim tenant show acme")]
    Show(TenantArgs),
    /// Change a tenant's profile and switches
    #[command(
        after_help = "Examples:\n  scim tenant set acme --rules strict\n  scim tenant set acme --set uniqueGroupDisplayName=true"
    )]
    Set(TenantRulesArgs),
    /// Refuse the requests of a tenant until it is resumed; its data and its feed stay
    #[command(after_help = "Example:\n  scim tenant suspend acme --reason 'unpaid since May'")]
    Suspend(SuspendArgs),
    /// Answer the requests of a suspended tenant again
    #[command(after_help = "Example:\n  scim tenant resume acme")]
    Resume(StateArgs),
    /// Refuse the requests of a tenant from now on, and remove everything of it after some days
    #[command(after_help = "Examples:\n  \
        scim tenant delete acme\n  \
        scim tenant delete acme --after-days 30\n  \
        scim tenant delete acme --now --confirm acme")]
    Delete(DeleteArgs),
    /// Bring a deleted tenant back as it was
    #[command(after_help = "Example:\n  scim tenant restore acme")]
    Restore(StateArgs),
    /// Give a tenant the service's own roles: Administrator, Provisioner and Reader
    #[command(after_help = "Example:\n  scim tenant add-roles acme")]
    AddRoles(AddRolesArgs),
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

#[derive(Debug, Args)]
pub(super) struct AddRolesArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    ask: AskArgs,
}

impl AddRolesArgs {
    async fn run(&self) -> Result<(), CommandError> {
        let add = AddOwnRoles {
            tenant: self.tenant.clone(),
        };
        let added = self.ask.operator().await?.ask(&add).await?;
        self.ask.print(&added, |view| {
            let roles = added.roles.iter();
            let lines: Vec<_> = roles
                .map(|role| (role.name.as_str(), role.id.clone()))
                .collect();
            match lines.is_empty() {
                true => format!("The tenant {} has these roles already\n", self.tenant),
                false => facts(&lines, view.width),
            }
        })
    }
}

impl TenantCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Create(TenantRulesArgs {
                tenant,
                rules,
                deployment,
            }) => {
                rules.check()?;
                let opened = deployment.open_or_create().await?;
                let done = match rules.create(opened.stack(), &tenant).await? {
                    true => "Created tenant",
                    false => "There was already a tenant",
                };
                let place = deployment.to_text();
                print(&format!(
                    "{done} {tenant}. Next, create a token: scim token create {tenant}{place}\n"
                ))
            }
            Self::List(ListArgs { deployment }) => {
                let tenants = deployment.open().await?.stack().issuer().tenants().await?;
                let lines = tenants.iter().map(|tenant| format!("{tenant}\n"));
                print(&lines.collect::<String>())
            }
            Self::Show(TenantArgs { tenant, deployment }) => {
                let opened = deployment.open().await?;
                print(&show(opened.stack(), &tenant).await?)
            }
            Self::AddRoles(add) => add.run().await,
            Self::Set(TenantRulesArgs {
                tenant,
                rules,
                deployment,
            }) => {
                if rules.is_empty() {
                    return Err(CommandError::usage("Nothing to set: give --rules or --set"));
                }
                rules.check()?;
                let opened = deployment.open().await?;
                // This fails if the tenant does not exist.
                opened.stack().issuer().credentials(&tenant).await?;
                rules.change(opened.stack(), &tenant).await?;
                print(&show(opened.stack(), &tenant).await?)
            }
            Self::Suspend(suspend) => suspend.run().await,
            Self::Resume(resume) => resume.resume().await,
            Self::Delete(delete) => delete.run().await,
            Self::Restore(restore) => restore.restore().await,
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
