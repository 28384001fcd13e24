//! `scim tenant`: create, list, show and change tenants.

mod text;

use clap::{Args, Subcommand};

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{facts, printable};
use super::lifecycle::{DeleteArgs, StateArgs, SuspendArgs};
use super::operator::{Operator, check_goes_on};
use super::rules::RuleArgs;
use super::tenant_arg::tenant_id;
use crate::admin::schema::AddOwnRoles;
use crate::admin::tenant::{CreateTenant, ListTenants, SetTenant, ShowTenant, TenantList};
use crate::identity::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Create a tenant; clients can use it once it has a token
    #[command(after_help = "Examples:\n  \
        scim tenant create acme\n  \
        scim tenant create acme --rules strict --set maxCount=500")]
    Create(TenantRulesArgs),
    /// List all tenants
    #[command(after_help = "Example:\n  scim tenant list")]
    List(ListArgs),
    /// Show a tenant's URLs, rules, numbers, requests and tokens
    #[command(after_help = "Example:\n  scim tenant show acme")]
    Show(TenantArgs),
    /// Change a tenant's profile and switches
    #[command(after_help = "Examples:\n  \
        scim tenant set acme --rules strict\n  \
        scim tenant set acme --set uniqueGroupDisplayName=true")]
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
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    ask: AskArgs,
}

impl TenantCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Create(create) => create.create().await,
            Self::List(ListArgs { ask }) => {
                let list = list_all(&ask.operator().await?).await?;
                ask.print(&list, |view| text::list(&list, view))
            }
            Self::Show(TenantArgs { tenant, ask }) => {
                let shown = ask.operator().await?.ask(&ShowTenant { tenant }).await?;
                ask.print(&shown, |view| text::shown(&shown, view))
            }
            Self::Set(set) => set.set().await,
            Self::Suspend(suspend) => suspend.run().await,
            Self::Resume(resume) => resume.resume().await,
            Self::Delete(delete) => delete.run().await,
            Self::Restore(restore) => restore.restore().await,
            Self::AddRoles(add) => add.add_roles().await,
        }
    }
}

impl TenantRulesArgs {
    async fn create(self) -> Result<(), CommandError> {
        let (profile, switches) = self.rules.asked()?;
        let create = CreateTenant {
            tenant: self.tenant,
            profile,
            switches,
        };
        let operator = Operator::open_or_create(&self.ask.deployment).await?;
        let created = operator.ask(&create).await?;
        self.ask
            .print(&created, |view| text::created(&created, view))
    }

    async fn set(self) -> Result<(), CommandError> {
        if self.rules.is_empty() {
            return Err(CommandError::usage("Nothing to set: give --rules or --set"));
        }
        let (profile, switches) = self.rules.asked()?;
        let set = SetTenant {
            tenant: self.tenant,
            profile,
            switches,
        };
        let rules = self.ask.operator().await?.ask(&set).await?;
        for note in &rules.notes {
            eprintln!("{}", printable(note));
        }
        self.ask.print(&rules, |view| text::rules(&rules, view))
    }
}

impl TenantArgs {
    async fn add_roles(self) -> Result<(), CommandError> {
        let Self { tenant, ask } = self;
        let add = AddOwnRoles {
            tenant: tenant.clone(),
        };
        let added = ask.operator().await?.ask(&add).await?;
        ask.print(&added, |view| {
            let roles = added.roles.iter();
            let lines: Vec<_> = roles
                .map(|role| (role.name.as_str(), role.id.clone()))
                .collect();
            match lines.is_empty() {
                true => format!("The tenant {tenant} has these roles already\n"),
                false => facts(&lines, view.width),
            }
        })
    }
}

/// All tenants, which the operation lists part by part.
pub(super) async fn list_all(operator: &Operator) -> Result<TenantList, CommandError> {
    let mut list = TenantList {
        tenants: Vec::new(),
        unreadable: Vec::new(),
        next: None,
    };
    loop {
        let part = ListTenants {
            after: list.next.clone(),
            limit: None,
        };
        let part = operator.ask(&part).await?;
        list.tenants.extend(part.tenants);
        list.unreadable.extend(part.unreadable);
        check_goes_on(list.next.as_ref(), part.next.as_ref())?;
        list.next = part.next;
        if list.next.is_none() {
            return Ok(list);
        }
    }
}
