//! Sends messages to webhooks.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::timeout;

use super::secret::{SigningSecrets, WebhookSecrets};
use super::sender::{Failure, Message, Outcome, Sender};
use super::signature;
use crate::clock::Clock;
use crate::identity::SubscriptionId;
use crate::outgoing::{self, Client, Target};
use crate::protocol::error::Error;
use crate::store::Receiver;

/// The longest time to read the secret of a webhook. With the deadline of the request, an attempt takes less
/// than the 15 seconds after which a delivery gives it up.
const SECRET_TIMEOUT: Duration = Duration::from_secs(4);

/// A [`Sender`] for subscriptions with a URL.
pub struct WebhookSender {
    client: Client,
    secrets: WebhookSecrets,
    clock: Arc<dyn Clock>,
}

impl WebhookSender {
    /// A sender that signs with these secrets.
    #[must_use]
    pub fn new(client: Client, secrets: WebhookSecrets, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            secrets,
            clock,
        }
    }

    async fn attempt(&self, message: &Message<'_>) -> Result<StatusCode, Failure> {
        let Receiver::Webhook { url } = &message.subscription.receiver else {
            return Err(failure("receiver", "The receiver is not a webhook"));
        };
        // The URL was read when the webhook was added, perhaps by a process with another reach.
        let target = Target::parse(url, self.client.reach())
            .map_err(|error| failure("url", error.detail()))?;
        let secrets = self.secrets_of(&message.subscription.id).await?;
        let seconds = self.clock.now_seconds();
        let headers = signature::headers(&secrets, message.id, seconds, &message.body);
        let mut headers =
            headers.map_err(|_| failure("id", "The id of the message is not a header"))?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self
            .client
            .post(&target, headers, message.body.clone())
            .await;
        answer.map_err(not_answered)
    }

    async fn secrets_of(&self, id: &SubscriptionId) -> Result<SigningSecrets, Failure> {
        let read = timeout(SECRET_TIMEOUT, self.secrets.signing(id)).await;
        let error = match read {
            Ok(Ok(Some(secrets))) => return Ok(secrets),
            Ok(Ok(None)) => {
                let text = "The webhook has no secret; rotate it to make one";
                return Err(failure("secret", text));
            }
            // The next attempt reads it again, as it would after a failure of the receiver.
            Ok(Err(error)) => error,
            Err(_) => Error::unavailable("Secrets are not read in time"),
        };
        tracing::error!(
            cause = error.causes(),
            subscription = id.as_str(),
            "the secret of a webhook cannot be read"
        );
        Err(failure(
            "secret",
            "The secret of the webhook cannot be read",
        ))
    }
}

impl Sender for WebhookSender {
    async fn send(&self, message: &Message<'_>) -> Outcome {
        match self.attempt(message).await {
            Ok(status) => outcome(status),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

/// What the status of an answer means.
fn outcome(status: StatusCode) -> Outcome {
    let code = status.as_u16();
    match code {
        200..300 => Outcome::Accepted,
        410 => Outcome::Gone,
        300..400 => Outcome::Failed(failure(
            "redirect",
            format!("The receiver answered with status {code}, and redirects are not followed"),
        )),
        _ => Outcome::Failed(failure(
            "status",
            format!("The receiver answered with status {code}"),
        )),
    }
}

fn not_answered(reason: outgoing::NoAnswer) -> Failure {
    failure(reason.code(), format!("The receiver {reason}"))
}

fn failure(code: &str, text: impl Into<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_2xx_is_accepted_and_only_410_ends_the_subscription() {
        for code in 100..1000 {
            let outcome = outcome(StatusCode::from_u16(code).unwrap());
            let expected = match code {
                200..=299 => "accepted",
                300..=399 => "redirect",
                410 => "gone",
                _ => "status",
            };
            let found = match &outcome {
                Outcome::Accepted => "accepted",
                Outcome::Gone => "gone",
                Outcome::Failed(failure) => {
                    assert!(failure.text.contains(&code.to_string()), "{failure:?}");
                    &failure.code
                }
            };
            assert_eq!(found, expected, "{code}");
        }
    }
}
