//! What the deliveries of events keep in the table: the subscriptions and the list of what is due, which
//! belong to the stack, and the deliveries of a tenant.
//!
//! It must not know what an event is, nor when a delivery is tried again.

mod deliveries;
mod due;
mod subscription;

pub use deliveries::{Batch, BatchGap, Deliveries, Delivery, Failing, Lease};
pub use due::{Due, DueList};
pub use subscription::{
    Added, MAX_SUBSCRIPTIONS, Receiver, Start, Subscription, SubscriptionSet, SubscriptionState,
    Subscriptions,
};
