//! `webhook.resume` and `webhook.remove`.

use serde::{Deserialize, Serialize};

use super::Webhook;
use crate::admin::{About, Admin, Asked, Code, Failure, Operation, no_webhook};
use crate::delivery::make_due;
use crate::identity::SubscriptionId;
use crate::store::Receiver;

/// Asks to send again to a webhook that was disabled, or of which deliveries have failed for good.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeWebhook {
    /// The webhook.
    pub id: SubscriptionId,
}

/// The answer of `webhook.resume`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResumedWebhook {
    /// The webhook as it is now.
    #[serde(flatten)]
    pub webhook: Webhook,
}

/// Asks to remove a webhook and then its secret. The next job of each tenant removes the deliveries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveWebhook {
    /// The webhook.
    pub id: SubscriptionId,
}

/// The answer of `webhook.remove`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemovedWebhook {
    /// The id of the removed webhook.
    pub id: SubscriptionId,
    /// Whether there was something to remove; false if it had been removed before.
    pub existed: bool,
}

impl Operation for ResumeWebhook {
    const NAME: &'static str = "webhook.resume";
    type Answer = ResumedWebhook;

    fn about(&self) -> About<'_> {
        About::webhook(&self.id)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ResumedWebhook, Failure> {
        let stack = admin.stack_store();
        let now = admin.clock.now_millis();
        let tenant = admin.subscription(&self.id).await?.tenant;
        // Before the item: if this process dies after it has written the item, this entry leads to the deliveries
        // that are to go on.
        make_due(&stack, tenant.as_ref(), now).await?;
        if !stack.subscriptions().resume(&self.id).await? {
            return Err(no_webhook(&self.id).into());
        }
        let subscription = admin.subscription(&self.id).await?;
        // And after it: an entry that was looked at before the item was written has led to nothing.
        make_due(
            &stack,
            subscription.tenant.as_ref(),
            admin.clock.now_millis(),
        )
        .await?;
        Ok(ResumedWebhook {
            webhook: Webhook::of(&subscription),
        })
    }
}

impl Operation for RemoveWebhook {
    const NAME: &'static str = "webhook.remove";
    type Answer = RemovedWebhook;

    fn about(&self) -> About<'_> {
        About::webhook(&self.id)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<RemovedWebhook, Failure> {
        let stack = admin.stack_store();
        let found = stack.subscriptions().get(&self.id).await?;
        if let Some(subscription) = &found {
            if subscription.receiver == Receiver::EventBus {
                return Err(Failure::new(
                    Code::Refused,
                    "The event bus is removed with the parameter EventBus of the stack",
                ));
            }
            stack.subscriptions().remove(&self.id).await?;
            make_due(
                &stack,
                subscription.tenant.as_ref(),
                admin.clock.now_millis(),
            )
            .await?;
        }
        // After the item: without its secret no event could be signed. A process that died in between has left the
        // secret, so it is removed even if there is no item.
        admin.secrets.remove(&self.id).await?;
        Ok(RemovedWebhook {
            id: self.id.clone(),
            existed: found.is_some(),
        })
    }
}
