//! `webhook.rotate` and `webhook.test`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::check_is_about;
use crate::admin::{About, Admin, Asked, Failure, Operation, Time};
use crate::delivery::{Message, Outcome, Rotation};
use crate::feed::{Event, EventBody, EventType};
use crate::identity::{SubscriptionId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::store::{Receiver, Subscription};

/// Asks for another secret. The same request, repeated within ten minutes, gets the same secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateSecret {
    /// The webhook.
    pub id: SubscriptionId,
    /// Whether the present secret stops signing at once, because others may know it. Otherwise messages are
    /// signed with both for a day.
    #[serde(default)]
    pub at_once: bool,
}

/// The answer of `webhook.rotate`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotatedSecret {
    /// The webhook.
    pub id: SubscriptionId,
    /// The new secret, which is not shown again.
    pub secret: String,
    /// Until when messages are also signed with the previous secret; `None` if they are not.
    pub previous_until: Option<Time>,
}

/// Asks for a sample event, which no feed has, to be sent at once, and says what happened. The outcome changes
/// nothing: not even a receiver that wants no events any more is disabled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestWebhook {
    /// The webhook.
    pub id: SubscriptionId,
    /// The tenant that the sample names; `None` for the tenant of the webhook, or the first one of the stack.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// The answer of `webhook.test`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TestedWebhook {
    /// The id of the message, which the receiver has in `webhook-id`.
    pub message: String,
    /// Whether the receiver has accepted it.
    pub accepted: bool,
    /// What happened, for people.
    pub detail: String,
}

impl fmt::Debug for RotatedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RotatedSecret({}, ..)", self.id)
    }
}

impl Operation for RotateSecret {
    const NAME: &'static str = "webhook.rotate";
    type Answer = RotatedSecret;

    fn about(&self) -> About<'_> {
        About::webhook(&self.id)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<RotatedSecret, Failure> {
        let subscription = admin.subscription(&self.id).await?;
        check_has_secret(&subscription)?;
        let rotation = match self.at_once {
            true => Rotation::AtOnce,
            false => Rotation::WithOverlap,
        };
        let rotated = admin
            .secrets
            .rotate(&self.id, &asked.request_id, rotation)
            .await?;
        Ok(RotatedSecret {
            id: self.id.clone(),
            secret: rotated.secret.to_text(),
            previous_until: rotated.previous_until_millis.map(Time),
        })
    }
}

impl Operation for TestWebhook {
    const NAME: &'static str = "webhook.test";
    type Answer = TestedWebhook;

    fn about(&self) -> About<'_> {
        About {
            tenant: self.tenant.as_ref(),
            ..About::webhook(&self.id)
        }
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<TestedWebhook, Failure> {
        let subscription = admin.subscription(&self.id).await?;
        check_has_secret(&subscription)?;
        let tenant = tenant_of(admin, self, &subscription).await?;
        let event = sample(&tenant, admin.clock.now_millis());
        let id = format!("msg_{}", event.id);
        let events = [event];
        let message = Message::new(&subscription, &tenant, &id, &events);
        let (accepted, detail) = match admin.sender.send(&message).await {
            Outcome::Accepted => (true, "The receiver has accepted the message".to_owned()),
            Outcome::Gone => (
                false,
                "The receiver answered 410: it wants no events any more, and the first real one disables the webhook"
                    .to_owned(),
            ),
            Outcome::Failed(failure) => (false, failure.text),
        };
        Ok(TestedWebhook {
            message: id,
            accepted,
            detail,
        })
    }
}

/// The tenant that a sample names.
async fn tenant_of(
    admin: &Admin,
    asked: &TestWebhook,
    subscription: &Subscription,
) -> Result<TenantId, Failure> {
    if let Some(tenant) = &asked.tenant {
        check_is_about(subscription, tenant)?;
        admin.check_tenant(tenant).await?;
        return Ok(tenant.clone());
    }
    if let Some(tenant) = &subscription.tenant {
        return Ok(tenant.clone());
    }
    let page = admin.stack_store().tenant_list().names(None, 1).await?;
    page.tenants.into_iter().next().ok_or_else(|| {
        let text = "There is no tenant whose name the sample could have; create one first";
        Error::not_found(text).into()
    })
}

/// An event of a type of its own, so that a receiver does not take it for a change.
fn sample(tenant: &TenantId, now: u64) -> Event {
    let event_type = EventType::named(EventType::WEBHOOK_TEST);
    Event {
        id: uuid::Uuid::now_v7().simple().to_string(),
        seq: 0,
        tenant: tenant.clone(),
        body: EventBody::new(event_type, now).with_detail([("sample", json!(true))]),
    }
}

fn check_has_secret(subscription: &Subscription) -> Result<()> {
    match subscription.receiver {
        Receiver::Webhook { .. } => Ok(()),
        Receiver::EventBus => Err(Error::conflict(
            "Events for the event bus are not signed: AWS permissions decide who may send them",
        )),
    }
}
