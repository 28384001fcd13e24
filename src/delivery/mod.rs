//! Deliveries: each subscription gets the events of each tenant that it is about, in order and at least once.
//!
//! - A batch is written down before it is sent. So whatever process sends it again sends the same events
//!   under the same id.
//! - The position of a delivery moves past a batch only after the receiver has accepted it.
//! - One process at a time sends for a delivery: it has a lease, which is longer than an attempt.
//!
//! It must not know connections, queues, keys or attributes of items.

mod event_bus;
mod secret;
mod sender;
mod signature;
mod webhook;

pub use crate::store::{Receiver, Start, Subscription, SubscriptionState};
pub use event_bus::keep_event_bus;
pub use secret::{RotatedSecret, Rotation, SigningSecret, SigningSecrets, WebhookSecrets};
pub use sender::{Failure, Message, Outcome, Sender};
pub use webhook::WebhookSender;
