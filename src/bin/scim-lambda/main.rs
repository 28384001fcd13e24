//! The Lambda binary behind API Gateway, for HTTP APIs and REST APIs. Everything that is not HTTP is in
//! `scim-worker`.

mod gateway;

use lambda_http::tower::service_fn;
use lambda_http::{Error, lambda_runtime};
use scim_lambda::http;
use scim_lambda::stack::{Config, Stack};
use scim_lambda::{aws, logs};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::to_machines();
    let sdk = aws::in_lambda().await;
    let stack = Stack::open_for_http(Config::from_environment()?, &sdk).await?;
    // This opens the connection and its TLS session, so that the first request does not wait for it. If the
    // table is unreachable, the requests fail with the reason.
    let _ = stack.store.warm_up().await;
    let router = http::router(stack.service());
    let events = service_fn(|event| gateway::answer(router.clone(), event));
    lambda_runtime::run(events).await
}
