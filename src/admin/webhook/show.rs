//! `webhook.list` and `webhook.show`.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use serde::{Deserialize, Serialize};

use super::{Webhook, check_is_about};
use crate::admin::{About, Admin, Asked, Failure, Operation, Time};
use crate::feed::read::{After, count_behind};
use crate::identity::{SubscriptionId, TenantId};
use crate::protocol::error::Result;
use crate::store::{Delivery, Start, Subscription};

/// The number of tenants in one answer.
const TENANTS: usize = 100;
/// The number of tenants that are looked at side by side.
const PARALLEL: usize = 10;

/// Asks for all webhooks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListWebhooks {}

/// The answer of `webhook.list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WebhookList {
    /// Every webhook, and the event bus of the stack if events go there; the oldest first.
    pub webhooks: Vec<Webhook>,
}

/// Asks how far the delivery to a webhook is, tenant by tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

/// The answer of `webhook.show`.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl Operation for ListWebhooks {
    const NAME: &'static str = "webhook.list";
    type Answer = WebhookList;

    fn about(&self) -> About<'_> {
        About::default()
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<WebhookList, Failure> {
        let mut subscriptions = admin.stack_store().subscriptions().list().await?;
        subscriptions.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        Ok(WebhookList {
            webhooks: subscriptions.iter().map(Webhook::of).collect(),
        })
    }
}

impl Operation for ShowWebhook {
    const NAME: &'static str = "webhook.show";
    type Answer = ShownWebhook;

    fn about(&self) -> About<'_> {
        About {
            tenant: self.tenant.as_ref(),
            ..About::webhook(&self.id)
        }
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<ShownWebhook, Failure> {
        let subscription = admin.subscription(&self.id).await?;
        if let (Some(tenant), None) = (&self.tenant, &subscription.tenant) {
            // A subscription to one tenant's events outlives the tenant, and is shown without it.
            admin.check_tenant(tenant).await?;
        }
        let (tenants, next) = match self.tenant.as_ref().or(subscription.tenant.as_ref()) {
            Some(tenant) => {
                check_is_about(&subscription, tenant)?;
                (vec![tenant.clone()], None)
            }
            None => {
                let page = admin
                    .stack_store()
                    .tenant_list()
                    .names(self.after.as_ref(), TENANTS)
                    .await?;
                (page.tenants, page.next)
            }
        };
        let looks = tenants
            .iter()
            .map(|tenant| delivery_of(admin, asked, &subscription, tenant));
        // Collected first: a stream that still held the closure would not be `Send`.
        let looks: Vec<_> = looks.collect();
        let deliveries = stream::iter(looks).buffered(PARALLEL).try_collect().await?;
        Ok(ShownWebhook {
            webhook: Webhook::of(&subscription),
            deliveries,
            next,
        })
    }
}

/// How far the delivery of one tenant's events is.
async fn delivery_of(
    admin: &Admin,
    asked: &Asked,
    subscription: &Subscription,
    tenant: &TenantId,
) -> Result<TenantDelivery> {
    let store = admin.tenant_store(tenant, asked);
    let delivery = store.deliveries().get(&subscription.id).await?;
    let after = match (&delivery, subscription.from) {
        (Some(delivery), _) => After::parse(&delivery.after),
        (None, Start::Beginning) => Some(After::Beginning),
        // Where the first event after the creation is, only the first job finds out.
        (None, Start::Created) => None,
    };
    let behind = match &after {
        Some(after) => count_behind(&store, after).await?,
        None => None,
    };
    let failing = delivery
        .as_ref()
        .and_then(|delivery| delivery.failing.as_ref());
    Ok(TenantDelivery {
        tenant: tenant.clone(),
        state: state(delivery.as_ref(), subscription, behind),
        position: after.map(|after| after.to_string()),
        behind,
        last_success: delivery
            .as_ref()
            .and_then(|delivery| delivery.succeeded)
            .map(Time),
        last_failure: failing.map(|failing| LastFailure {
            at: Time(failing.last),
            detail: failing.text.clone(),
            since: Time(failing.since),
            attempts: failing.attempts,
        }),
        next_attempt: delivery
            .as_ref()
            .and_then(|delivery| delivery.due)
            .map(Time),
    })
}

fn state(
    delivery: Option<&Delivery>,
    subscription: &Subscription,
    behind: Option<u64>,
) -> DeliveryState {
    let Some(delivery) = delivery else {
        return DeliveryState::New;
    };
    // The next job of the tenant takes up a delivery that was resumed since it failed.
    let is_resumed = delivery.is_resumed(subscription.resumed);
    if delivery.failed.is_some() && !is_resumed {
        DeliveryState::Failed
    } else if delivery.failing.is_some() {
        DeliveryState::Retrying
    } else if delivery.held.is_some() {
        DeliveryState::Held
    } else if behind == Some(0) {
        DeliveryState::UpToDate
    } else {
        DeliveryState::Behind
    }
}
