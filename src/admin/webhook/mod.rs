//! The operations `webhook.*`: who wants events, how far their delivery is, and the secrets that sign it.
//!
//! A subscription has an item in the table and a secret. The item is what counts: the secret is written before
//! the item and removed after it. So a process that dies in between leaves at most a secret that nothing uses,
//! and the same operation, asked for again, completes what it had begun.
//!
//! A subscription to one tenant's events is removed with the tenant, when that is purged.

mod add;
mod secret;
mod show;
mod state;

use serde::{Deserialize, Serialize};

pub use add::{AddWebhook, AddedWebhook};
pub use secret::{RotateSecret, RotatedSecret, TestWebhook, TestedWebhook};
pub use show::{
    DeliveryState, LastFailure, ListWebhooks, ShowWebhook, ShownWebhook, TenantDelivery,
    WebhookList,
};
pub use state::{RemoveWebhook, RemovedWebhook, ResumeWebhook, ResumedWebhook};

use super::time::Time;
use crate::identity::{SubscriptionId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::store::{Receiver, Start, Subscription, SubscriptionState};

/// The text of the error about a webhook that does not exist.
pub(crate) fn missing(id: &SubscriptionId) -> String {
    format!("There is no webhook {id}")
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

/// A subscription as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when.
    pub at: Time,
    /// Why, for people.
    pub reason: String,
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
