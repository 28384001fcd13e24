//! The webhooks that `scim serve` is started with.
//!
//! Their secrets are shown at each start, because the person who starts the server owns the secrets: they are
//! in a file of the data directory. So a receiver that is developed beside the server keeps its secret.

use std::sync::Arc;

use serde::Serialize;

use super::CommandError;
use super::deployment_args::argument;
use super::opened::Opened;
use crate::admin::Asked;
use crate::admin::webhook::{AddWebhook, Begin};
use crate::identity::SubscriptionId;

/// A webhook to which the server sends the events of every tenant.
#[derive(Serialize)]
pub(super) struct ServedWebhook {
    id: SubscriptionId,
    url: String,
    secret: String,
    /// Why nothing is sent to it; `None` for an active one.
    disabled: Option<String>,
    /// The command that has events sent to it again.
    #[serde(skip)]
    resume: String,
}

impl ServedWebhook {
    /// The lines about it that people get when the server starts.
    pub(super) fn lines(&self) -> String {
        let state = self.disabled.as_ref().map(|reason| {
            let resume = &self.resume;
            format!(
                "  State          disabled: {reason}\n                 To send again: {resume}\n"
            )
        });
        format!(
            "  Webhook        {}\n  Secret         {}\n{}",
            self.url,
            self.secret,
            state.unwrap_or_default()
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
    let Opened::Local(local) = deployment else {
        let text = "--webhook is for the embedded table, whose events this server sends itself; those of another \
                    table are sent by its deployment: add webhooks with scim webhook add";
        return Err(CommandError::usage(text));
    };
    // A command that is typed elsewhere, or where SCIM_TABLE is set, works on the same data.
    let data = argument("--data", &local.data.to_string());
    let admin = deployment.admin(Arc::new(deployment.stack().provider()));
    let mut served = Vec::new();
    for url in urls {
        let add = AddWebhook {
            url: url.clone(),
            tenant: None,
            types: Vec::new(),
            from: Begin::Now,
        };
        let added = admin.ask(&add, &Asked::by_command()).await?;
        let id = added.webhook.id;
        if served.iter().any(|other: &ServedWebhook| other.id == id) {
            // The URL was given twice.
            continue;
        }
        let Some(secrets) = admin.secrets.signing(&id).await? else {
            return Err(CommandError::new(format!(
                "The webhook {id} has no secret; scim webhook rotate {id}{data} makes another one"
            )));
        };
        served.push(ServedWebhook {
            resume: format!("scim webhook resume {id}{data}"),
            disabled: added.webhook.disabled.map(|disabled| disabled.reason),
            id,
            url: url.clone(),
            secret: secrets.current.to_text(),
        });
    }
    Ok(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_lead_from_a_disabled_webhook_to_the_command_that_resumes_it() {
        let mut served = ServedWebhook {
            id: SubscriptionId::parse("5f0c").unwrap(),
            url: "http://localhost:8080".to_owned(),
            secret: "whsec_AA==".to_owned(),
            disabled: None,
            resume: "scim webhook resume 5f0c --data .scim".to_owned(),
        };
        let active = "  Webhook        http://localhost:8080\n  Secret         whsec_AA==\n";
        assert_eq!(served.lines(), active);
        served.disabled = Some("The receiver answered with status 410 (Gone)".to_owned());
        let disabled = "  State          disabled: The receiver answered with status 410 (Gone)\n                 \
                        To send again: scim webhook resume 5f0c --data .scim\n";
        assert_eq!(served.lines(), format!("{active}{disabled}"));
    }
}
