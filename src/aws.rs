//! The SDK configuration that every AWS client of this process shares.
//!
//! It owns region, credentials, endpoints, the HTTP client and its time limits, and must not know
//! any service. The HTTP client is built once with ring, so that every service client draws on one
//! connection pool and one TLS stack.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient};

/// A connection that takes longer than this is not going to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One attempt of one call, the answer read included.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// One call with all its attempts; well inside the 20 seconds that a request may take.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads region, credentials and endpoints from the environment, as every AWS tool does.
///
/// `AWS_ENDPOINT_URL_DYNAMODB` and `AWS_ENDPOINT_URL_SECRETS_MANAGER` redirect one service.
pub async fn from_environment() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .retry_config(retries())
        .timeout_config(timeouts())
        .load()
        .await
}

/// The configuration for an emulator at `endpoint`, such as `http://127.0.0.1:8000`.
///
/// It reads nothing from the environment: what is meant for an emulator must not reach an account
/// that happens to be configured there. It speaks plain HTTP, which spares a local command the time
/// and memory that reading the machine's certificates takes.
#[must_use]
pub fn emulator(endpoint: &str) -> SdkConfig {
    local(endpoint, plain_http_client())
}

/// The configuration for a service in this process, which answers the requests that `client` is
/// given.
///
/// Like that of an [`emulator`], it reads nothing from the environment.
#[must_use]
pub fn in_process(client: impl HttpClient + 'static) -> SdkConfig {
    // The name can never be resolved (RFC 2606 §2), so a request that left the process would fail.
    local("http://table.invalid", SharedHttpClient::new(client))
}

fn local(endpoint: &str, client: SharedHttpClient) -> SdkConfig {
    let credentials = Credentials::from_keys("emulator", "emulator", None);
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(client)
        .retry_config(retries())
        .timeout_config(timeouts())
        .build()
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https()
}

fn plain_http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}
