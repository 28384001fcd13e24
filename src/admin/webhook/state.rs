//! `webhook.resume` and `webhook.remove`.

use super::{RemoveWebhook, RemovedWebhook, ResumeWebhook, ResumedWebhook, Webhook};
use crate::admin::{Admin, no_webhook};
use crate::delivery::{Sender, make_due};
use crate::protocol::error::{Error, Result};
use crate::store::Receiver;

/// Sends again to a webhook.
pub(in crate::admin) async fn resume<S: Sender>(
    admin: &Admin<S>,
    asked: &ResumeWebhook,
) -> Result<ResumedWebhook> {
    let stack = admin.stack_store();
    let now = admin.clock.now_millis();
    let tenant = admin.subscription(&asked.id).await?.tenant;
    // Before the item: if this process dies after it has written the item, this entry leads to the deliveries
    // that are to go on.
    make_due(&stack, tenant.as_ref(), now).await?;
    if !stack.subscriptions().resume(&asked.id).await? {
        return Err(no_webhook(&asked.id));
    }
    let subscription = admin.subscription(&asked.id).await?;
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

/// Removes a webhook and then its secret. The next job of each tenant removes the deliveries.
pub(in crate::admin) async fn remove<S: Sender>(
    admin: &Admin<S>,
    asked: &RemoveWebhook,
) -> Result<RemovedWebhook> {
    let stack = admin.stack_store();
    let found = stack.subscriptions().get(&asked.id).await?;
    if let Some(subscription) = &found {
        if subscription.receiver == Receiver::EventBus {
            return Err(Error::conflict(
                "The event bus is removed with the parameter EventBus of the stack",
            ));
        }
        stack.subscriptions().remove(&asked.id).await?;
        make_due(
            &stack,
            subscription.tenant.as_ref(),
            admin.clock.now_millis(),
        )
        .await?;
    }
    // After the item: without its secret no event could be signed. A process that died in between has left the
    // secret, so it is removed even if there is no item.
    admin.secrets.remove(&asked.id).await?;
    Ok(RemovedWebhook {
        id: asked.id.clone(),
        existed: found.is_some(),
    })
}
