//! The Lambda binary for everything that is not HTTP. The name of the handler chooses the function.

mod finisher;
mod handler;

use aws_lambda_events::dynamodb::Event;
use handler::Handler;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use scim_lambda::stack::{Config, Stack};
use scim_lambda::{aws, logs};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::to_machines();
    let handler = Handler::from_environment().inspect_err(|error| tracing::error!("{error}"))?;
    let sdk = aws::in_lambda().await;
    let stack = Stack::open(Config::from_environment()?, &sdk).await?;
    // If the table is unreachable, the first event fails with the reason.
    let _ = stack.store.warm_up().await;
    let provider = &stack.provider()?;
    match handler {
        Handler::Stream => {
            let finish =
                async |event: LambdaEvent<Event>| finisher::finish(provider, &event.payload).await;
            lambda_runtime::run(service_fn(finish)).await
        }
    }
}
