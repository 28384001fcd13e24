//! The `scim` command: a local server, tenants and their tokens.

use std::process::ExitCode;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    scim_lambda::cli::run().await
}
