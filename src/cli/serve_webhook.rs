//! The webhooks that `scim serve` is started with.
//!
//! Their secrets are shown at each start, because the person who starts the server owns the secrets: they are
//! in a file of the data directory. So a receiver that is developed beside the server keeps its secret.

use serde::Serialize;

use super::CommandError;
use super::deployment_args::Opened;
use crate::admin::webhook::{AddWebhook, Begin};
use crate::admin::{Answer, Operation, Request};
use crate::identity::SubscriptionId;
use crate::protocol::Error;

/// A webhook to which the server sends the events of every tenant.
#[derive(Serialize)]
pub(super) struct ServedWebhook {
    id: SubscriptionId,
    url: String,
    secret: String,
}

impl ServedWebhook {
    /// The lines about it that people get when the server starts.
    pub(super) fn lines(&self) -> String {
        format!(
            "  Webhook        {}\n  Secret         {}\n",
            self.url, self.secret
        )
    }
}

/// Finds the webhooks with these URLs, and adds those that do not exist.
pub(super) async fn prepare(
    deployment: &Opened,
    urls: &[String],
) -> Result<Vec<ServedWebhook>, CommandError> {
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    if deployment.embedded().is_none() {
        let text = "--webhook is for the embedded table, whose events this server sends itself; those of another \
                    table are sent by its deployment: add webhooks with scim webhook add";
        return Err(CommandError(text.to_owned()));
    }
    let admin = deployment.admin();
    let mut served = Vec::new();
    for url in urls {
        let asked = AddWebhook {
            url: url.clone(),
            tenant: None,
            types: Vec::new(),
            from: Begin::Now,
        };
        let add = Request::of_command(Operation::AddWebhook(asked));
        let Answer::AddedWebhook(added) = admin.perform(&add).await? else {
            return Err(Error::internal("webhook.add has the answer of another operation").into());
        };
        let id = added.webhook.id;
        let Some(secrets) = admin.secrets.signing(&id).await? else {
            return Err(CommandError(format!(
                "The webhook {id} has no secret; scim webhook rotate {id} makes another one"
            )));
        };
        served.push(ServedWebhook {
            id,
            url: url.clone(),
            secret: secrets.current.to_text(),
        });
    }
    Ok(served)
}
