//! The subscription of the stack's event bus.
//!
//! A parameter of the stack names the bus, so no command adds the subscription. The sweep makes it: it gets the
//! events since then. It has an item like every other one, so that its deliveries have a beginning, and are
//! listed, fail and are resumed like those of webhooks.

use std::time::Duration;

use super::make_due;
use crate::identity::SubscriptionId;
use crate::protocol::error::{Error, Result};
use crate::store::{
    MAX_SUBSCRIPTIONS, Meter, Receiver, Start, Store, Subscription, SubscriptionState,
};

/// How long all of it may take.
const BUDGET: Duration = Duration::from_secs(10);

/// Subscribes the event bus, if the stack has one and it is not subscribed. Otherwise removes its subscription,
/// if there is one. A bus that takes the place of another one goes on where the other one was. A bus that comes
/// after a time without one has a subscription with another id, so it does not get what happened in between.
/// One call if nothing is to be done.
///
/// # Errors
/// `Unavailable` if the table is out of reach, or if the stack has as many subscriptions as it may have.
pub async fn keep_event_bus(store: &Store, has_bus: bool, now_millis: u64) -> Result<()> {
    let stack = store.for_stack(Meter::default(), BUDGET);
    let set = stack.subscriptions().set().await?;
    let is_of_bus = |known: &&Subscription| known.receiver == Receiver::EventBus;
    let known = set.subscriptions.iter().find(is_of_bus);
    match (known, has_bus) {
        (Some(_), true) | (None, false) => {}
        (Some(known), false) => {
            // If it is not there any more, an operator has removed it.
            stack.subscriptions().remove(&known.id).await?;
        }
        (None, true) if set.is_full() => {
            return Err(Error::unavailable(format!(
                "The event bus gets no events: the stack has {MAX_SUBSCRIPTIONS} subscriptions already"
            )));
        }
        (None, true) => {
            // Before the subscription: nothing else leads to what is appended until every process knows it.
            make_due(&stack, None, now_millis).await?;
            // If another process has changed the set since it was read, the next sweep looks again.
            let of_bus = of_bus(now_millis);
            stack.subscriptions().add_to(&set, &of_bus).await?;
        }
    }
    Ok(())
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
