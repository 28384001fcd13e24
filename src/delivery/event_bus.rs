//! The subscription of the stack's event bus.
//!
//! A parameter of the stack names the bus, so no command adds the subscription. The sweep makes it: it gets the
//! events since then. It has an item like every other one, so that its deliveries have a beginning, and are
//! listed, fail and are resumed like those of webhooks.

use std::time::Duration;

use crate::identity::SubscriptionId;
use crate::protocol::error::{Error, Result};
use crate::store::{
    Added, MAX_SUBSCRIPTIONS, Meter, Receiver, Start, Store, Subscription, SubscriptionState,
};

/// How long all of it may take.
const BUDGET: Duration = Duration::from_secs(10);

/// Subscribes the event bus, if the stack has one and it is not subscribed, and otherwise removes what was
/// subscribed to it. A bus that takes the place of another one goes on where the other one was. A bus that
/// comes after a time without one gets a subscription with another id, so it does not get what happened in
/// between.
///
/// # Errors
/// `Unavailable` if the table is out of reach, or if the stack has as many subscriptions as it may have.
pub async fn keep_event_bus(store: &Store, has_bus: bool, now_millis: u64) -> Result<()> {
    let stack = store.for_stack(Meter::default(), BUDGET);
    let known = stack.subscriptions().list().await?;
    let known = known
        .into_iter()
        .filter(|known| known.receiver == Receiver::EventBus);
    // Two sweeps at the same time may both have added one. The older one stays, whichever sweep comes next.
    let stays = known
        .clone()
        .min_by_key(|known| (known.created, known.id.clone()))
        .filter(|_| has_bus)
        .map(|known| known.id);
    for extra in known.filter(|known| Some(&known.id) != stays.as_ref()) {
        stack.subscriptions().remove(&extra.id).await?;
    }
    if stays.is_some() || !has_bus {
        return Ok(());
    }
    match stack.subscriptions().add(&of_bus(now_millis)).await? {
        // The id is random, so the one that is known is this one.
        Added::New | Added::Known => Ok(()),
        Added::Full => Err(Error::unavailable(format!(
            "The event bus gets no events: the stack has {MAX_SUBSCRIPTIONS} subscriptions already"
        ))),
    }
}

/// A new subscription of the bus.
fn of_bus(now_millis: u64) -> Subscription {
    Subscription {
        id: SubscriptionId::random(),
        receiver: Receiver::EventBus,
        tenant: None,
        types: Vec::new(),
        from: Start::Created,
        created: now_millis,
        state: SubscriptionState::Active,
        resumed: 0,
    }
}
