//! The queues of the stack (Amazon SQS): one with work for the finisher, one with work for the deliverer, one
//! with records for the operator.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use scim_lambda::feed::stream::SetAside;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::error::{BoxError, Error, Result};
use scim_lambda::worker::{DeliverJob, FinishJob, Outbox};
use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// The most messages that SQS accepts in one call.
const MAX_BATCH: usize = 10;
/// The number of attempts to send a message that SQS does not accept.
const ATTEMPTS: usize = 3;
/// The longest delay that SQS has for a message.
const MAX_DELAY: Duration = Duration::from_secs(900);

/// A message to the finisher or to the deliverer: the tenant that has something to do for it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TenantMessage {
    pub(crate) tenant: String,
}

/// A message to the operator about a record that could not be read: its position in the stream and the key of
/// its item, but no content of the item. Keys contain no values of attributes.
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
    deliver_url: String,
    set_aside_url: String,
}

impl Queues {
    /// The queues that the environment names.
    pub(crate) fn new(sdk: &SdkConfig, environment: &Environment) -> Self {
        Self {
            client: Client::new(sdk),
            finish_url: environment.finish_queue.clone(),
            deliver_url: environment.deliver_queue.clone(),
            set_aside_url: environment.set_aside_queue.clone(),
        }
    }

    /// Sends messages; each may arrive more than once.
    async fn send(&self, url: &str, messages: &[Message]) -> Result<()> {
        for chunk in messages.chunks(MAX_BATCH) {
            self.send_chunk(url, chunk).await?;
        }
        Ok(())
    }

    /// Sends up to ten messages, and sends those again that SQS does not accept.
    async fn send_chunk(&self, url: &str, messages: &[Message]) -> Result<()> {
        let mut left = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .delay_seconds(seconds(message.delay));
            left.push(entry.build().map_err(Error::internal)?);
        }
        for _ in 0..ATTEMPTS {
            let batch = self.client.send_message_batch().queue_url(url);
            let sent = batch.set_entries(Some(left.clone())).send().await;
            let sent = sent.map_err(|error| unavailable(error.into_service_error().into()))?;
            let refused = |entry: &SendMessageBatchRequestEntry| {
                sent.failed().iter().any(|failed| failed.id() == entry.id())
            };
            left.retain(refused);
            if left.is_empty() {
                return Ok(());
            }
        }
        let text = format!("the queue did not accept {} messages", left.len());
        Err(unavailable(text.into()))
    }
}

impl Outbox for Queues {
    async fn finish_later(&self, jobs: &[FinishJob]) -> Result<()> {
        let messages = jobs.iter().map(|job| naming(&job.tenant, job.wait));
        let messages: Vec<Message> = messages.collect();
        self.send(&self.finish_url, &messages).await
    }

    async fn deliver_later(&self, jobs: &[DeliverJob]) -> Result<()> {
        let messages = jobs.iter().map(|job| naming(&job.tenant, job.wait));
        let messages: Vec<Message> = messages.collect();
        self.send(&self.deliver_url, &messages).await
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

/// The message that names a tenant.
fn naming(tenant: &TenantId, delay: Duration) -> Message {
    Message {
        body: json(&TenantMessage {
            tenant: tenant.as_str().to_owned(),
        }),
        delay,
    }
}

/// A delay in whole seconds, rounded up.
fn seconds(delay: Duration) -> i32 {
    let seconds = delay.min(MAX_DELAY).as_secs_f64().ceil();
    #[expect(clippy::cast_possible_truncation, reason = "it is at most 900")]
    let seconds = seconds as i32;
    seconds
}

fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("texts only")
}

fn unavailable(source: BoxError) -> Error {
    Error::unavailable("A queue cannot be reached").with_source(source)
}
