//! `webhook.list` and `webhook.show`.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{
    DeliveryState, LastFailure, ShowWebhook, ShownWebhook, TenantDelivery, Webhook, WebhookList,
    check_is_about,
};
use crate::admin::{Admin, Time};
use crate::delivery::Sender;
use crate::feed::read::{After, count_behind};
use crate::identity::TenantId;
use crate::protocol::error::Result;
use crate::store::{Delivery, Start, Subscription};

/// The number of tenants in one answer.
const TENANTS: usize = 100;
/// The number of tenants that are looked at side by side.
const PARALLEL: usize = 10;

/// Every webhook, the oldest first.
pub(in crate::admin) async fn list<S: Sender>(admin: &Admin<S>) -> Result<WebhookList> {
    let mut subscriptions = admin.stack_store().subscriptions().list().await?;
    subscriptions.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
    Ok(WebhookList {
        webhooks: subscriptions.iter().map(Webhook::of).collect(),
    })
}

/// How far the delivery to a webhook is, for some of the tenants.
pub(in crate::admin) async fn show<S: Sender>(
    admin: &Admin<S>,
    asked: &ShowWebhook,
) -> Result<ShownWebhook> {
    let subscription = admin.subscription(&asked.id).await?;
    if let (Some(tenant), None) = (&asked.tenant, &subscription.tenant) {
        // A subscription to one tenant's events outlives the tenant, and is shown without it.
        admin.check_tenant(tenant).await?;
    }
    let (tenants, next) = match asked.tenant.as_ref().or(subscription.tenant.as_ref()) {
        Some(tenant) => {
            check_is_about(&subscription, tenant)?;
            (vec![tenant.clone()], None)
        }
        None => {
            let page = admin
                .stack_store()
                .tenants(asked.after.as_ref(), TENANTS)
                .await?;
            (page.tenants, page.next)
        }
    };
    let looks = tenants
        .iter()
        .map(|tenant| delivery_of(admin, &subscription, tenant));
    // Collected first: a stream that still held the closure would not be `Send`.
    let looks: Vec<_> = looks.collect();
    let deliveries = stream::iter(looks).buffered(PARALLEL).try_collect().await?;
    Ok(ShownWebhook {
        webhook: Webhook::of(&subscription),
        deliveries,
        next,
    })
}

/// How far the delivery of one tenant's events is.
async fn delivery_of<S: Sender>(
    admin: &Admin<S>,
    subscription: &Subscription,
    tenant: &TenantId,
) -> Result<TenantDelivery> {
    let store = admin.tenant_store(tenant);
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
