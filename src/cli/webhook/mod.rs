//! `scim webhook`: who gets the events, and how far their delivery is.
//!
//! Every subcommand is one operation of [`admin`](crate::admin). `--json` prints its answer as programs get it.

mod text;

use clap::{Args, Subcommand, ValueEnum};

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::serve::print;
use super::tenant::tenant_id;
use super::view::View;
use crate::admin::webhook::{
    AddWebhook, Begin, ListWebhooks, RemoveWebhook, ResumeWebhook, RotateSecret, ShowWebhook,
    ShownWebhook, TestWebhook, missing,
};
use crate::admin::{Admin, Answer, Operation, Request};
use crate::delivery::Sender;
use crate::identity::{SubscriptionId, TenantId};
use crate::protocol::Error;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Send events to a URL, and print the secret that signs them; it is not shown again
    #[command(after_help = "Examples:\n  \
        scim webhook add https://app.example.com/hook\n  \
        scim webhook add https://app.example.com/hook --from beginning\n  \
        scim webhook add https://app.example.com/hook --tenant acme --type 'user.*'")]
    Add(AddArgs),
    /// List the webhooks
    List(ListArgs),
    /// Show how far the delivery to a webhook is and why it fails, tenant by tenant
    Show(ShowArgs),
    /// Send a signed sample event from this machine, and print what the receiver answered
    #[command(
        after_help = "The sample has the type webhook.test. Whatever the receiver answers changes nothing."
    )]
    Test(TestArgs),
    /// Make another secret and print it; for a day, messages are signed with both
    Rotate(RotateArgs),
    /// Send again to a webhook that was disabled, or whose deliveries have failed for three days
    Resume(IdArgs),
    /// Stop sending to a webhook, and remove its secret
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
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
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
    common: CommonArgs,
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
    common: CommonArgs,
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
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct IdArgs {
    /// The id that `scim webhook list` shows
    #[arg(value_parser = subscription_id)]
    id: SubscriptionId,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: DeploymentArgs,
}

/// Where in a feed a webhook begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum BeginArg {
    Beginning,
    Now,
}

impl WebhookCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let opened = self.common().place.open().await?;
        let admin = opened.admin();
        let outcome = match self.operation() {
            Operation::ShowWebhook(show) => show_all(&admin, show).await.map(Answer::ShownWebhook),
            operation => admin.perform(&Request::of_command(operation)).await,
        };
        let answer = outcome.map_err(|error| self.failure(error))?;
        let printed = match self.common().json {
            true => json(&answer)?,
            false => text::of(&answer, &View::here(&self.common().place)),
        };
        print(&printed)?;
        self.check(&answer)
    }

    /// Fails if the answer says that what was asked for has not come about.
    fn check(&self, answer: &Answer) -> Result<(), CommandError> {
        match answer {
            Answer::TestedWebhook(tested) if !tested.accepted => {
                Err(CommandError::new(tested.detail.clone()))
            }
            Answer::RemovedWebhook(removed) if !removed.existed => {
                Err(self.failure(Error::not_found(missing(&removed.id))))
            }
            _ => Ok(()),
        }
    }

    /// The error of an operation. That of a webhook that does not exist leads to those that do.
    fn failure(&self, error: Error) -> CommandError {
        let is_missing = self.id().is_some_and(|id| error.detail() == missing(id));
        let failure = CommandError::from(error);
        if is_missing {
            let place = self.common().place.to_text();
            return failure.and(&format!("scim webhook list{place} shows those that exist"));
        }
        failure
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

    fn common(&self) -> &CommonArgs {
        match self {
            Self::Add(add) => &add.common,
            Self::List(list) => &list.common,
            Self::Show(show) => &show.common,
            Self::Test(test) => &test.common,
            Self::Rotate(rotate) => &rotate.common,
            Self::Resume(by_id) | Self::Remove(by_id) => &by_id.common,
        }
    }

    fn operation(&self) -> Operation {
        match self {
            Self::Add(add) => Operation::AddWebhook(AddWebhook {
                url: add.url.clone(),
                tenant: add.tenant.clone(),
                types: add.types.clone(),
                from: add.from.into(),
            }),
            Self::List(_) => Operation::ListWebhooks(ListWebhooks {}),
            Self::Show(show) => Operation::ShowWebhook(ShowWebhook {
                id: show.id.clone(),
                tenant: show.tenant.clone(),
                after: None,
            }),
            Self::Test(test) => Operation::TestWebhook(TestWebhook {
                id: test.id.clone(),
                tenant: test.tenant.clone(),
            }),
            Self::Rotate(rotate) => Operation::RotateSecret(RotateSecret {
                id: rotate.id.clone(),
                at_once: rotate.at_once,
            }),
            Self::Resume(IdArgs { id, .. }) => {
                Operation::ResumeWebhook(ResumeWebhook { id: id.clone() })
            }
            Self::Remove(IdArgs { id, .. }) => {
                Operation::RemoveWebhook(RemoveWebhook { id: id.clone() })
            }
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

/// The deliveries of all tenants, which the operation shows part by part.
async fn show_all(
    admin: &Admin<impl Sender>,
    mut asked: ShowWebhook,
) -> Result<ShownWebhook, Error> {
    let mut deliveries = Vec::new();
    loop {
        let show = Request::of_command(Operation::ShowWebhook(asked.clone()));
        let answer = admin.perform(&show).await?;
        let Answer::ShownWebhook(mut shown) = answer else {
            return Err(Error::internal(
                "webhook.show has the answer of another operation",
            ));
        };
        deliveries.append(&mut shown.deliveries);
        if shown.next.is_none() {
            shown.deliveries = deliveries;
            return Ok(shown);
        }
        asked.after = shown.next;
    }
}

fn json(answer: &Answer) -> Result<String, CommandError> {
    let text = serde_json::to_string(answer).map_err(Error::internal)?;
    Ok(format!("{text}\n"))
}

fn subscription_id(text: &str) -> Result<SubscriptionId, String> {
    SubscriptionId::parse(text).map_err(|error| error.detail().to_owned())
}
