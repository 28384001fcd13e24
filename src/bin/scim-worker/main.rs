//! The Lambda binary for everything that is not HTTP. The name of the handler chooses the function.
//! Three functions use secrets. The sweep reads when those of tenants expire. The deliverer reads those that sign what it sends to webhooks. The function for
//! operators makes and removes these, and reads the stack secret and those of the tenants.

mod environment;
mod event_bus;
mod handler;
mod operations;
mod queue_event;
mod queues;
mod receivers;

use std::sync::Arc;

use aws_lambda_events::dynamodb::Event;
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use handler::Handler;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use scim_lambda::clock::{Clock as _, SystemClock};
use scim_lambda::delivery::keep_event_bus;
use scim_lambda::provider::Tenants;
use scim_lambda::store::Store;
use scim_lambda::tenant::{Credentials, SecretsManager};
use scim_lambda::worker::Worker;
use scim_lambda::{aws, logs};
use serde_json::Value;

use environment::Environment;
use operations::{AdminEvent, Operations};
use queue_event::QueueEvent;
use queues::Queues;
use receivers::Receivers;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::to_machines();
    let handler = Handler::from_environment().inspect_err(|error| tracing::error!("{error}"))?;
    let environment = Environment::read().inspect_err(|error| tracing::error!("{error}"))?;
    let sdk = aws::in_lambda().await;
    let store = Store::new(&sdk, &environment.table, Arc::new(SystemClock));
    // If the table is unreachable, the first event fails with the reason.
    let _ = store.warm_up().await;
    let tenants = &Tenants::new(store, Arc::new(SystemClock));
    let worker = &Worker::new(tenants, Arc::new(SystemClock));
    let queues = &Queues::new(&sdk, &environment);
    match handler {
        Handler::Stream => {
            let stream = async |event: LambdaEvent<Event>| {
                let failed = worker.stream(&event.payload.records, queues).await;
                Ok::<_, Error>(failed_from(failed))
            };
            lambda_runtime::run(service_fn(stream)).await
        }
        Handler::Finish => {
            let finish = async |event: LambdaEvent<QueueEvent>| {
                let failed = worker.finish(event.payload.tenants(), queues).await;
                Ok::<_, Error>(event.payload.response(&failed))
            };
            lambda_runtime::run(service_fn(finish)).await
        }
        Handler::Deliver => {
            let receivers = &Receivers::new(&sdk, &environment);
            let deliver = async |event: LambdaEvent<QueueEvent>| {
                let tenants = event.payload.tenants();
                let failed = worker.deliver(tenants, receivers, queues).await;
                Ok::<_, Error>(event.payload.response(&failed))
            };
            lambda_runtime::run(service_fn(deliver)).await
        }
        Handler::Sweep => {
            let secrets = Arc::new(SecretsManager::new(&sdk));
            let credentials = Credentials::new(secrets, &environment.stack);
            let worker = &Worker::new(tenants, Arc::new(SystemClock)).with_credentials(credentials);
            let has_bus = environment.event_bus.is_some();
            // The content of the schedule's event does not matter.
            let sweep = async |_: LambdaEvent<Value>| {
                let now = SystemClock.now_millis();
                let kept = keep_event_bus(tenants.store(), has_bus, now).await;
                // The sweep does not depend on the bus, so it is made even if that failed.
                let swept = worker.sweep(queues).await;
                kept.and(swept).map_err(|error| Error::from(error.causes()))
            };
            lambda_runtime::run(service_fn(sweep)).await
        }
        Handler::Admin => {
            let operations = Operations::open(&sdk).await;
            let operations =
                &operations.inspect_err(|error| tracing::error!("{error}: {}", error.causes()))?;
            let answer = async |event: LambdaEvent<AdminEvent>| {
                let answer = operations.answer(&event.payload).await;
                answer.map_err(|error| Error::from(error.causes()))
            };
            lambda_runtime::run(service_fn(answer)).await
        }
    }
}

/// The response that makes Lambda deliver the records from this sequence number on again, or, with `None`,
/// continue after the batch.
fn failed_from(sequence: Option<String>) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures = sequence
        .into_iter()
        .map(|sequence| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(sequence);
            failure
        })
        .collect();
    response
}
