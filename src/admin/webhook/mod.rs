//! The operations `webhook.*`: who wants events, how far their delivery is, and the secrets that sign it.
//!
//! A subscription has an item in the table and a secret. The item is what counts: the secret is written before
//! the item and removed after it. So a process that dies in between leaves at most a secret that nothing uses,
//! and the same operation, asked for again, completes what it had begun.
//!
//! A subscription to one tenant's events outlives the tenant, and then nothing is sent to it. It has to be
//! removed before another customer gets a tenant of the same name; `webhook.list` shows it until then.

mod add;
mod secret;
mod show;
mod state;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(super) use add::add;
pub(super) use secret::{rotate, test};
pub(super) use show::{list, show};
pub(super) use state::{remove, resume};

use super::time::Time;
use crate::identity::{SubscriptionId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::store::{Receiver, Start, Subscription, SubscriptionState};

/// The text of the error about a webhook that does not exist.
pub(crate) fn missing(id: &SubscriptionId) -> String {
    format!("There is no webhook {id}")
}

/// Asks for a webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddWebhook {
    /// Where the events are sent, at most 2,048 bytes.
    pub url: String,
    /// Whose events are sent; `None` for those of every tenant.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The types of events, and patterns such as `user.*`, at most 50; none for all types.
    #[serde(default)]
    pub types: Vec<String>,
    /// Where in a feed it begins.
    #[serde(default)]
    pub from: Begin,
}

/// Where in a feed a webhook begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Begin {
    /// With the oldest event that there is.
    Beginning,
    /// With the events since it was added.
    #[default]
    Now,
}

/// Asks for all webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListWebhooks {}

/// Asks how far the delivery to a webhook is, tenant by tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowWebhook {
    /// The webhook.
    pub id: SubscriptionId,
    /// Show this tenant only.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// Go on after this tenant: the `next` of the answer before.
    #[serde(default)]
    pub after: Option<TenantId>,
}

/// Asks for a sample event to be sent at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestWebhook {
    /// The webhook.
    pub id: SubscriptionId,
    /// The tenant that the sample names; `None` for the tenant of the webhook, or the first one of the stack.
    #[serde(default)]
    pub tenant: Option<TenantId>,
}

/// Asks for another secret. The same request, repeated within ten minutes, gets the same secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateSecret {
    /// The webhook.
    pub id: SubscriptionId,
    /// Whether the present secret stops signing at once, because others may know it. Otherwise messages are
    /// signed with both for a day.
    #[serde(default)]
    pub at_once: bool,
}

/// Asks to send again to a webhook that was disabled, or of which deliveries have failed for good.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeWebhook {
    /// The webhook.
    pub id: SubscriptionId,
}

/// Asks to remove a webhook with its secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveWebhook {
    /// The webhook.
    pub id: SubscriptionId,
}

/// A subscription as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    pub id: SubscriptionId,
    /// Where the events are sent; `None` for the event bus of the stack.
    pub url: Option<String>,
    /// Whose events are sent; `None` for those of every tenant.
    pub tenant: Option<TenantId>,
    /// The types of events, and patterns; none for all types.
    pub types: Vec<String>,
    /// Where in a feed it begins.
    pub from: Begin,
    /// When it was added.
    pub created: Time,
    /// Since when nothing is sent, and why; `None` for an active webhook.
    pub disabled: Option<Disabled>,
}

/// Why nothing is sent to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disabled {
    /// Since when.
    pub at: Time,
    /// Why, for people.
    pub reason: String,
}

/// The answer of `webhook.add`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Whether there was one already with this URL, this tenant and these types.
    pub existed: bool,
    /// The secret that signs its messages. It is shown to the request that has added the webhook, also when that
    /// is repeated within ten minutes, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What is allowed and may not be meant, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The answer of `webhook.list`.
#[derive(Debug, Serialize)]
pub struct WebhookList {
    /// Every webhook, and the event bus of the stack if events go there; the oldest first.
    pub webhooks: Vec<Webhook>,
}

/// The answer of `webhook.show`.
#[derive(Debug, Serialize)]
pub struct ShownWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// How far the delivery of each tenant's events is, in the order of their names.
    pub deliveries: Vec<TenantDelivery>,
    /// The tenant after which the next part begins; `None` at the end.
    pub next: Option<TenantId>,
}

/// How far the delivery of one tenant's events to a webhook is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantDelivery {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is doing.
    pub state: DeliveryState,
    /// The position behind the last event that the receiver has accepted; `None` before the first one.
    pub position: Option<String>,
    /// The number of events behind it, of whatever types; `None` if the position is not in the feed any more.
    pub behind: Option<u64>,
    /// When the receiver last accepted something.
    pub last_success: Option<Time>,
    /// The last failure since then.
    pub last_failure: Option<LastFailure>,
    /// When it is tried again.
    pub next_attempt: Option<Time>,
}

/// What a delivery is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryState {
    /// Nothing was sent yet.
    New,
    /// The receiver has all events.
    UpToDate,
    /// There are events to send.
    Behind,
    /// The last attempt failed. It is made again.
    Retrying,
    /// All attempts of three days failed. None is made until the webhook is resumed.
    Failed,
    /// The brake of the tenant holds the events back.
    Held,
}

/// The failed attempts of a delivery since its last success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// When the last one was.
    pub at: Time,
    /// What it was, for people. It has nothing that the receiver answered but the status.
    pub detail: String,
    /// When the first one was.
    pub since: Time,
    /// Their number.
    pub attempts: u64,
}

/// The answer of `webhook.test`.
#[derive(Debug, Serialize)]
pub struct TestedWebhook {
    /// The id of the message, which the receiver has in `webhook-id`.
    pub message: String,
    /// Whether the receiver has accepted it.
    pub accepted: bool,
    /// What happened, for people.
    pub detail: String,
}

/// The answer of `webhook.rotate`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotatedSecret {
    /// The webhook.
    pub id: SubscriptionId,
    /// The new secret, which is not shown again.
    pub secret: String,
    /// Until when messages are also signed with the previous secret; `None` if they are not.
    pub previous_until: Option<Time>,
}

/// The answer of `webhook.resume`.
#[derive(Debug, Serialize)]
pub struct ResumedWebhook {
    /// The webhook as it is now.
    #[serde(flatten)]
    pub webhook: Webhook,
}

/// The answer of `webhook.remove`.
#[derive(Debug, Serialize)]
pub struct RemovedWebhook {
    /// The id of the removed webhook.
    pub id: SubscriptionId,
    /// Whether there was something to remove; false if it had been removed before.
    pub existed: bool,
}

/// Fails if a webhook gets no events of a tenant.
fn check_is_about(subscription: &Subscription, tenant: &TenantId) -> Result<()> {
    match subscription.is_about(tenant) {
        true => Ok(()),
        false => Err(Error::invalid_value(format!(
            "The webhook {} gets no events of tenant {tenant}",
            subscription.id
        ))),
    }
}

impl Webhook {
    /// What operators see of a subscription.
    fn of(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.clone(),
            url: match &subscription.receiver {
                Receiver::Webhook { url } => Some(url.clone()),
                Receiver::EventBus => None,
            },
            tenant: subscription.tenant.clone(),
            types: subscription.types.clone(),
            from: match subscription.from {
                Start::Beginning => Begin::Beginning,
                Start::Created => Begin::Now,
            },
            created: Time(subscription.created),
            disabled: match &subscription.state {
                SubscriptionState::Active => None,
                SubscriptionState::Disabled { at, reason } => Some(Disabled {
                    at: Time(*at),
                    reason: reason.clone(),
                }),
            },
        }
    }
}

impl fmt::Debug for AddedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddedWebhook({:?}, ..)", self.webhook)
    }
}

impl fmt::Debug for RotatedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RotatedSecret({}, ..)", self.id)
    }
}
