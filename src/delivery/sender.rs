//! Messages to receivers, and the outcomes of sending them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::feed::Event;
use crate::identity::TenantId;
use crate::store::Subscription;

/// The type of a webhook's message, as Standard Webhooks has it.
const MESSAGE_TYPE: &str = "scim.events";

/// What one request carries.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Who gets it.
    pub subscription: &'a Subscription,
    /// Whose events they are.
    pub tenant: &'a TenantId,
    /// The id, the same whenever the same events are sent to the same subscription:
    /// `msg_` and 32 hexadecimal digits.
    pub id: &'a str,
    /// The position that the events are behind, as `GET /events` takes it; `None` if they are in no feed.
    pub after: Option<&'a str>,
    /// The events, in order.
    pub events: &'a [Event],
    /// The body of a webhook's request, the same bytes at each attempt.
    ///
    /// **Shape**: `{"type":"scim.events","timestamp":"2024-03-12T17:04:05.000Z",
    /// "data":{"tenant":"acme","events":[…]}}`, with the time of the last event, and events as
    /// `GET /events` shows them.
    pub body: Bytes,
}

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has accepted the message.
    Accepted,
    /// The receiver wants no events any more (410).
    Gone,
    /// The message is to be sent again.
    Failed(Failure),
}

/// Why an attempt failed. It never has anything of what the receiver has answered, apart from its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A short code, such as `status` or `timeout`.
    pub code: String,
    /// What happened, for people: `The receiver answered with status 500`.
    pub text: String,
}

impl Failure {
    /// That an attempt took longer than it may.
    #[must_use]
    pub fn timeout(limit: Duration) -> Self {
        Self {
            code: "timeout".to_owned(),
            text: format!(
                "The receiver did not answer within {} seconds",
                limit.as_secs()
            ),
        }
    }
}

/// Sends messages to receivers.
pub trait Sender: Sync {
    /// Makes one attempt, which takes a bounded time.
    fn send(&self, message: &Message<'_>) -> impl Future<Output = Outcome> + Send;
}

impl<'a> Message<'a> {
    /// The message with these events, which may be in no feed.
    #[must_use]
    pub fn new(
        subscription: &'a Subscription,
        tenant: &'a TenantId,
        id: &'a str,
        events: &'a [Event],
    ) -> Self {
        let shown: Vec<Value> = events.iter().map(Event::to_json).collect();
        let timestamp = shown
            .last()
            .map_or(Value::Null, |last| last["time"].clone());
        let body = json!({
            "type": MESSAGE_TYPE,
            "timestamp": timestamp,
            "data": {"tenant": tenant.as_str(), "events": shown},
        });
        Self {
            subscription,
            tenant,
            id,
            after: None,
            events,
            body: Bytes::from(body.to_string()),
        }
    }

    /// The same message, whose events are behind this position of the tenant's feed.
    #[must_use]
    pub fn behind(self, after: &'a str) -> Self {
        Self {
            after: Some(after),
            ..self
        }
    }
}
