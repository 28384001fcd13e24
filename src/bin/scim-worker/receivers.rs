//! Sends messages to every kind of receiver.

use std::sync::Arc;

use aws_config::SdkConfig;
use scim_lambda::clock::SystemClock;
use scim_lambda::delivery::{
    Failure, Message, Outcome, Receiver, Sender, WebhookSecrets, WebhookSender,
};
use scim_lambda::outgoing::{Client, Reach, Settings};
use scim_lambda::tenant::SecretsManager;

use crate::environment::Environment;
use crate::event_bus::{EventBus, Refusal};

/// What sends to webhooks and to the event bus of the stack.
pub(crate) struct Receivers {
    webhooks: WebhookSender,
    event_bus: Option<EventBus>,
}

impl Receivers {
    /// The receivers of the stack that the environment names.
    pub(crate) fn new(sdk: &SdkConfig, environment: &Environment) -> Self {
        let (stack, clock) = (&environment.stack, Arc::new(SystemClock));
        let client = Client::new(Settings::new(Reach::Public));
        let secrets = Arc::new(SecretsManager::new(sdk));
        let secrets = WebhookSecrets::new(secrets, stack, Arc::clone(&clock) as _);
        let bus = environment.event_bus.as_deref();
        Self {
            webhooks: WebhookSender::new(client, secrets, clock),
            event_bus: bus.map(|bus| EventBus::new(sdk, bus, stack)),
        }
    }
}

impl Sender for Receivers {
    async fn send(&self, message: &Message<'_>) -> Outcome {
        match (&message.subscription.receiver, &self.event_bus) {
            (Receiver::Webhook { .. }, _) => self.webhooks.send(message).await,
            (Receiver::EventBus, Some(bus)) => match bus.put(message.events, message.after).await {
                Ok(()) => Outcome::Accepted,
                Err(refusal) => Outcome::Failed(failure(&refusal)),
            },
            // The bus was taken away from the stack, and the sweep has not removed its subscription yet.
            (Receiver::EventBus, None) => Outcome::Failed(Failure {
                code: "event-bus".to_owned(),
                text: "The stack has no event bus".to_owned(),
            }),
        }
    }
}

fn failure(refusal: &Refusal) -> Failure {
    Failure {
        code: "event-bus".to_owned(),
        text: format!("EventBridge did not accept the events: {}", refusal.code),
    }
}
