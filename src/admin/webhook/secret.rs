//! `webhook.rotate` and `webhook.test`.

use serde_json::json;

use super::{RotateSecret, RotatedSecret, TestWebhook, TestedWebhook, check_is_about};
use crate::admin::{Admin, Time};
use crate::delivery::{Message, Outcome, Rotation, Sender};
use crate::feed::{Event, EventBody, EventType};
use crate::identity::{RequestId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::store::{Receiver, Subscription};

/// Makes another secret, beside which the present one signs for a day, unless it is to stop at once.
pub(in crate::admin) async fn rotate<S: Sender>(
    admin: &Admin<S>,
    asked: &RotateSecret,
    request: &RequestId,
) -> Result<RotatedSecret> {
    let subscription = admin.subscription(&asked.id).await?;
    check_has_secret(&subscription)?;
    let rotation = match asked.at_once {
        true => Rotation::AtOnce,
        false => Rotation::WithOverlap,
    };
    let rotated = admin.secrets.rotate(&asked.id, request, rotation).await?;
    Ok(RotatedSecret {
        id: asked.id.clone(),
        secret: rotated.secret.to_text(),
        previous_until: rotated.previous_until_millis.map(Time),
    })
}

/// Sends a sample event, which no feed has, and says what happened. The outcome changes nothing: not even a
/// receiver that wants no events any more is disabled.
pub(in crate::admin) async fn test<S: Sender>(
    admin: &Admin<S>,
    asked: &TestWebhook,
) -> Result<TestedWebhook> {
    let subscription = admin.subscription(&asked.id).await?;
    check_has_secret(&subscription)?;
    let tenant = tenant_of(admin, asked, &subscription).await?;
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

/// The tenant that a sample names.
async fn tenant_of<S: Sender>(
    admin: &Admin<S>,
    asked: &TestWebhook,
    subscription: &Subscription,
) -> Result<TenantId> {
    if let Some(tenant) = &asked.tenant {
        check_is_about(subscription, tenant)?;
        admin.check_tenant(tenant).await?;
        return Ok(tenant.clone());
    }
    if let Some(tenant) = &subscription.tenant {
        return Ok(tenant.clone());
    }
    let page = admin.stack_store().tenants(None, 1).await?;
    page.tenants.into_iter().next().ok_or_else(|| {
        Error::not_found("There is no tenant whose name the sample could have; create one first")
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
