//! The queues of the stack (Amazon SQS): where work is left for the finisher, and for people.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use scim_lambda::feed::stream::SetAside;
use scim_lambda::protocol::error::{BoxError, Error, Result};
use scim_lambda::worker::{FinishJob, Outbox};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// The most messages that SQS takes at once.
const MAX_BATCH: usize = 10;
/// How often messages are sent that SQS has not taken.
const ATTEMPTS: usize = 3;
/// The longest that SQS keeps a message back.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// What the finisher is told: which tenant has something to finish.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishMessage {
    pub(crate) tenant: String,
}

/// What people are told of a record that could not be read: where it is in the stream and which item it is
/// of, and nothing of what the item holds. The key of an item has no value of an attribute in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SetAsideMessage<'r> {
    partition_key: &'r str,
    sort_key: &'r str,
    sequence_number: &'r str,
}

/// One message to send.
struct Message {
    body: String,
    delay: Duration,
}

/// The queues.
pub(crate) struct Queues {
    client: Client,
    finish_url: String,
    set_aside_url: String,
}

impl Queues {
    /// The queues that the environment names.
    pub(crate) fn new(sdk: &SdkConfig, environment: Environment) -> Self {
        Self {
            client: Client::new(sdk),
            finish_url: environment.finish_queue,
            set_aside_url: environment.set_aside_queue,
        }
    }

    /// Sends messages; each may arrive more than once.
    async fn send(&self, url: &str, messages: &[Message]) -> Result<()> {
        for chunk in messages.chunks(MAX_BATCH) {
            self.send_chunk(url, chunk).await?;
        }
        Ok(())
    }

    /// Sends up to ten messages, and those again that SQS does not take.
    async fn send_chunk(&self, url: &str, messages: &[Message]) -> Result<()> {
        let mut left = Vec::with_capacity(messages.len());
        for (place, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(&message.body)
                .delay_seconds(seconds(message.delay));
            left.push(entry.build().map_err(Error::internal)?);
        }
        for _ in 0..ATTEMPTS {
            let batch = self.client.send_message_batch().queue_url(url);
            let sent = batch.set_entries(Some(left.clone())).send().await;
            let sent = sent.map_err(|error| out_of_reach(error.into_service_error().into()))?;
            let refused = |entry: &SendMessageBatchRequestEntry| {
                sent.failed().iter().any(|failed| failed.id() == entry.id())
            };
            left.retain(refused);
            if left.is_empty() {
                return Ok(());
            }
        }
        let text = format!("{} messages were not taken by the queue", left.len());
        Err(out_of_reach(text.into()))
    }
}

impl Outbox for Queues {
    async fn finish_later(&self, jobs: &[FinishJob]) -> Result<()> {
        let message = |job: &FinishJob| Message {
            body: json(&FinishMessage {
                tenant: job.tenant.as_str().to_owned(),
            }),
            delay: job.wait,
        };
        let messages: Vec<Message> = jobs.iter().map(message).collect();
        self.send(&self.finish_url, &messages).await
    }

    async fn set_aside(&self, records: &[SetAside]) -> Result<()> {
        let message = |record: &SetAside| Message {
            body: json(&SetAsideMessage {
                partition_key: &record.key.0,
                sort_key: &record.key.1,
                sequence_number: &record.sequence,
            }),
            delay: Duration::ZERO,
        };
        let messages: Vec<Message> = records.iter().map(message).collect();
        self.send(&self.set_aside_url, &messages).await
    }
}

/// A delay in whole seconds, not shorter than it is.
fn seconds(delay: Duration) -> i32 {
    let seconds = delay.min(MAX_DELAY).as_secs_f64().ceil();
    #[expect(clippy::cast_possible_truncation, reason = "it is at most 900")]
    let seconds = seconds as i32;
    seconds
}

fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("texts only")
}

fn out_of_reach(source: BoxError) -> Error {
    Error::unavailable("A queue is out of reach").with_source(source)
}
