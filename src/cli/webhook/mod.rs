//! `scim webhook`: who gets the events, and how far their delivery is.
//!
//! Every subcommand is one operation of [`admin`](crate::admin). `--json` prints its answer as programs get it.

mod text;

use clap::{Args, Subcommand, ValueEnum};

use super::CommandError;
use super::ask_args::AskArgs;
use super::operator::Operator;
use super::tenant_arg::tenant_id;
use crate::admin::Operation;
use crate::admin::webhook::{
    AddWebhook, Begin, ListWebhooks, RemoveWebhook, ResumeWebhook, RotateSecret, ShowWebhook,
    ShownWebhook, TestWebhook, missing,
};
use crate::identity::{SubscriptionId, TenantId};

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Send events to a URL, and print the secret that signs them; it is not shown again
    #[command(after_help = "Examples:\n  \
        scim webhook add https://app.example.com/hook\n  \
        scim webhook add https://app.example.com/hook --from beginning\n  \
        scim webhook add https://app.example.com/hook --tenant acme --type 'user.*'")]
    Add(AddArgs),
    /// List the webhooks
    #[command(after_help = "Example:\n  scim webhook list")]
    List(ListArgs),
    /// Show how far the delivery to a webhook is and why it fails, tenant by tenant
    #[command(after_help = "Example:\n  scim webhook show 5f0c9a1e7d3b2846 --tenant acme")]
    Show(ShowArgs),
    /// Send a signed sample event from this machine, and print what the receiver answered
    #[command(
        after_help = "The sample has the type webhook.test. Whatever the receiver answers changes nothing.\n\n\
                      Example:\n  scim webhook test 5f0c9a1e7d3b2846"
    )]
    Test(TestArgs),
    /// Make another secret and print it; for a day, messages are signed with both
    #[command(after_help = "Example:\n  scim webhook rotate 5f0c9a1e7d3b2846")]
    Rotate(RotateArgs),
    /// Send again to a webhook that was disabled, or whose deliveries have failed for three days
    #[command(after_help = "Example:\n  scim webhook resume 5f0c9a1e7d3b2846")]
    Resume(IdArgs),
    /// Stop sending to a webhook, and remove its secret
    #[command(after_help = "Example:\n  scim webhook remove 5f0c9a1e7d3b2846")]
    Remove(IdArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Where the events are sent, with https
    url: String,
    /// Send the events of this tenant only
    #[arg(long, value_parser = tenant_id)]
    tenant: Option<TenantId>,
    /// Send only these types, such as user.created or group.member.*; may be repeated, or be a list with commas
    #[arg(
        long = "type",
        visible_alias = "types",
        value_name = "TYPE",
        value_delimiter = ','
    )]
    types: Vec<String>,
    /// Begin with the oldest event that there is, or with those from now on
    #[arg(long, value_enum, default_value_t = BeginArg::Now)]
    from: BeginArg,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The id that `scim webhook list` shows
    #[arg(value_parser = subscription_id)]
    id: SubscriptionId,
    /// Show this tenant only
    #[arg(long, value_parser = tenant_id)]
    tenant: Option<TenantId>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The id that `scim webhook list` shows
    #[arg(value_parser = subscription_id)]
    id: SubscriptionId,
    /// The tenant that the sample names
    #[arg(long, value_parser = tenant_id)]
    tenant: Option<TenantId>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The id that `scim webhook list` shows
    #[arg(value_parser = subscription_id)]
    id: SubscriptionId,
    /// Stop signing with the present secret at once, because others may know it
    #[arg(long)]
    at_once: bool,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// The id that `scim webhook list` shows
    #[arg(value_parser = subscription_id)]
    id: SubscriptionId,
    #[command(flatten)]
    ask: AskArgs,
}

/// Where in a feed a webhook begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum BeginArg {
    Beginning,
    Now,
}

impl WebhookCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let args = self.ask_args();
        let operator = &args.operator().await?;
        match &self {
            Self::Add(add) => {
                let added = self.ask(operator, &AddWebhook::from(add)).await?;
                args.print(&added, |view| text::added(&added, view))
            }
            Self::List(_) => {
                let list = self.ask(operator, &ListWebhooks {}).await?;
                args.print(&list, |view| text::list(&list.webhooks, view))
            }
            Self::Show(show) => {
                let shown = self.show_all(operator, show.into()).await?;
                args.print(&shown, |view| text::shown(&shown, view))
            }
            Self::Test(test) => {
                let tested = self.ask(operator, &TestWebhook::from(test)).await?;
                args.print(&tested, |_| text::tested(&tested))?;
                match tested.accepted {
                    true => Ok(()),
                    false => Err(CommandError::new(tested.detail)),
                }
            }
            Self::Rotate(rotate) => {
                let rotated = self.ask(operator, &RotateSecret::from(rotate)).await?;
                args.print(&rotated, |view| text::rotated(&rotated, view))
            }
            Self::Resume(IdArgs { id, .. }) => {
                let resume = ResumeWebhook { id: id.clone() };
                let resumed = self.ask(operator, &resume).await?;
                args.print(&resumed, |_| text::resumed(&resumed))
            }
            Self::Remove(IdArgs { id, .. }) => {
                let remove = RemoveWebhook { id: id.clone() };
                let removed = self.ask(operator, &remove).await?;
                args.print(&removed, |_| text::removed(&removed))?;
                match removed.existed {
                    true => Ok(()),
                    false => Err(self.explain(CommandError::new(missing(&removed.id)))),
                }
            }
        }
    }

    async fn ask<O: Operation>(
        &self,
        operator: &Operator,
        operation: &O,
    ) -> Result<O::Answer, CommandError> {
        let answer = operator.ask(operation).await;
        answer.map_err(|error| self.explain(error))
    }

    /// The deliveries of all tenants, which the operation shows part by part.
    async fn show_all(
        &self,
        operator: &Operator,
        mut asked: ShowWebhook,
    ) -> Result<ShownWebhook, CommandError> {
        let mut deliveries = Vec::new();
        loop {
            let mut shown = self.ask(operator, &asked).await?;
            deliveries.append(&mut shown.deliveries);
            if shown.next.is_none() {
                shown.deliveries = deliveries;
                return Ok(shown);
            }
            asked.after = shown.next;
        }
    }

    /// An error, which leads to the webhooks that exist if it is that of one that does not.
    fn explain(&self, error: CommandError) -> CommandError {
        let is_missing = self.id().is_some_and(|id| error.to_string() == missing(id));
        if !is_missing {
            return error;
        }
        let place = self.ask_args().deployment.to_text();
        error.and(&format!("scim webhook list{place} shows those that exist"))
    }

    fn id(&self) -> Option<&SubscriptionId> {
        match self {
            Self::Add(_) | Self::List(_) => None,
            Self::Show(ShowArgs { id, .. })
            | Self::Test(TestArgs { id, .. })
            | Self::Rotate(RotateArgs { id, .. })
            | Self::Resume(IdArgs { id, .. })
            | Self::Remove(IdArgs { id, .. }) => Some(id),
        }
    }

    fn ask_args(&self) -> &AskArgs {
        match self {
            Self::Add(add) => &add.ask,
            Self::List(list) => &list.ask,
            Self::Show(show) => &show.ask,
            Self::Test(test) => &test.ask,
            Self::Rotate(rotate) => &rotate.ask,
            Self::Resume(by_id) | Self::Remove(by_id) => &by_id.ask,
        }
    }
}

impl From<&AddArgs> for AddWebhook {
    fn from(add: &AddArgs) -> Self {
        Self {
            url: add.url.clone(),
            tenant: add.tenant.clone(),
            types: add.types.clone(),
            from: add.from.into(),
        }
    }
}

impl From<&ShowArgs> for ShowWebhook {
    fn from(show: &ShowArgs) -> Self {
        Self {
            id: show.id.clone(),
            tenant: show.tenant.clone(),
            after: None,
        }
    }
}

impl From<&TestArgs> for TestWebhook {
    fn from(test: &TestArgs) -> Self {
        Self {
            id: test.id.clone(),
            tenant: test.tenant.clone(),
        }
    }
}

impl From<&RotateArgs> for RotateSecret {
    fn from(rotate: &RotateArgs) -> Self {
        Self {
            id: rotate.id.clone(),
            at_once: rotate.at_once,
        }
    }
}

impl From<BeginArg> for Begin {
    fn from(begin: BeginArg) -> Self {
        match begin {
            BeginArg::Beginning => Self::Beginning,
            BeginArg::Now => Self::Now,
        }
    }
}

fn subscription_id(text: &str) -> Result<SubscriptionId, String> {
    SubscriptionId::parse(text).map_err(|error| error.detail().to_owned())
}
